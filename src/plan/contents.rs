//! What the stored state of a view holds, and whether that is enough for a declaration of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Frame, Source, View};
use crate::id::Identity;
use crate::time::Span;

/// What the rows of a view hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    folds: BTreeSet<Identity>,
    /// Folds that are also kept of forgotten events, for windows without a lower bound; and the histories of a stream's
    /// sources after the first, which must be the same.
    lifetime: BTreeSet<Identity>,
    /// How far behind the frontier raw events are kept: the longest window and the source's history.
    reach: Span,
}

impl Contents {
    /// What rows hold that are written under this declaration.
    #[must_use]
    pub fn of(view: &View, sources: &[Source]) -> Self {
        let history = |source: usize| sources[source].history;
        let others = view.rows.sources().enumerate().skip(1);
        let others = others.map(|(at, source)| Identity::of(&format!("source {at} with a history of {}", history(source).0)));
        let unbounded = view.features.iter().filter(|feature| feature.window.frame == Frame::All);
        Self {
            folds: view.folds.iter().map(|fold| fold.id).collect(),
            lifetime: unbounded.map(|feature| view.folds[feature.fold].id).chain(others).collect(),
            reach: Span(view.window_max().0.saturating_add(view.rows.sources().next().map_or(0, |source| history(source).0))),
        }
    }

    /// Whether rows that hold this serve a declaration that needs `needed`, without a rebuild.
    #[must_use]
    pub fn serve(&self, needed: &Self) -> bool {
        self.folds.is_superset(&needed.folds) && self.lifetime.is_superset(&needed.lifetime) && self.reach >= needed.reach
    }
}
