//! One feature over events that somebody else chose, folded one after another: no tree, no tiles, no stored rows. What
//! `proof` holds the state's answer against.

use super::inputs::Inputs;
use super::layout::Layout;
use crate::id::Position;
use crate::time::EventTime;
use crate::value::Value;

/// The value of a feature (an index into the view's features) at query time `q` over these events, which must be in total order: each
/// with its batch's inputs and its row there. The feature's window is not looked at; its filter is.
#[must_use]
pub fn fold_directly<'a>(
    layout: &Layout,
    feature: usize,
    q: EventTime,
    events: impl Iterator<Item = (Position, &'a Inputs, usize)>,
) -> Value {
    let read = &layout.features[feature];
    let part = &layout.parts[read.part];
    let mut partial = part.empty();
    for (at, inputs, row) in events {
        part.add(&mut partial, inputs.event(layout, at, row).rows());
    }
    read.value(layout, q, &partial)
}
