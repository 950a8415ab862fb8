//! The naive oracle: every aggregate by a direct scan over all events of a key, sums in exact arithmetic.
//! Written from `docs/semantics.md` alone; it must never use the engine's windows, aggregates or values.

mod aggregate;
pub mod cell;
pub mod exact;
mod map;
mod moments;
mod order;
mod values;

use std::fmt;
use std::rc::Rc;

pub use aggregate::{Aggregate, Moment, Row};
pub use cell::Cell;
pub use map::By;

/// An event's place in the total order of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Microseconds since the epoch.
    pub time: i64,
    pub partition: u32,
    pub offset: u64,
}

/// An accepted event: one cell per field of its source.
#[derive(Clone, Debug)]
pub struct Event {
    pub place: Place,
    pub cells: Vec<Cell>,
}

/// A scalar expression over an event.
pub type Input = Rc<dyn Fn(&Event) -> Cell>;

/// The column with that place.
#[must_use]
pub fn column(index: usize) -> Input {
    Rc::new(move |event| event.cells[index].clone())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `q - length <= t <= q`, or `q - length < t <= q` when `open`; microseconds.
    Range {
        length: i64,
        open: bool,
    },
    All,
}

#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub frame: Frame,
    pub before: bool,
    pub excluding_current: bool,
    /// Microseconds that `q` is moved into the past.
    pub offset: i64,
}

/// What a feature means.
#[derive(Clone)]
pub struct Feature {
    pub name: String,
    pub aggregate: Aggregate,
    pub inputs: Vec<Input>,
    /// The feature is a map.
    pub by: Option<By>,
    /// An event counts where this gives `Bool(true)`.
    pub filter: Option<Input>,
    pub window: Window,
    pub default: Option<Cell>,
}

impl fmt::Debug for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {:?}", self.name, self.aggregate, self.window)
    }
}

impl Window {
    #[must_use]
    pub fn range(length: i64) -> Self {
        Self { frame: Frame::Range { length, open: false }, before: false, excluding_current: false, offset: 0 }
    }

    /// Whether an event at `place` counts for a query at `q` that is about the event at `current`.
    #[must_use]
    pub fn holds(&self, place: Place, q: i64, current: Option<Place>) -> bool {
        let (t, q) = (i128::from(place.time), i128::from(q) - i128::from(self.offset));
        let until = if self.before { t < q } else { t <= q };
        let since = match self.frame {
            Frame::All => true,
            Frame::Range { length, open: false } => t >= q - i128::from(length),
            Frame::Range { length, open: true } => t > q - i128::from(length),
        };
        until && since && !(self.excluding_current && Some(place) == current)
    }

    fn moment(&self, q: i64) -> Moment {
        let query = q - self.offset;
        let from = match self.frame {
            Frame::All => None,
            Frame::Range { length, open } => Some(query - length + i64::from(open)),
        };
        Moment { query, from }
    }
}

/// The value of `feature` at query time `q` over all `events` of one key, whatever their order here.
#[must_use]
pub fn compute(feature: &Feature, events: &[Event], q: i64, current: Option<Place>) -> Cell {
    let mut counted: Vec<&Event> = events
        .iter()
        .filter(|event| feature.window.holds(event.place, q, current))
        .filter(|event| feature.filter.as_ref().is_none_or(|filter| matches!(filter(event), Cell::Bool(true))))
        .collect();
    counted.sort_by_key(|event| event.place);
    let cells = |event: &Event| feature.inputs.iter().map(|input| input(event)).collect();
    let rows: Vec<Row> = counted.iter().map(|event| Row { time: event.place.time, cells: cells(event) }).collect();
    let moment = feature.window.moment(q);
    let value = match &feature.by {
        Some(by) => by.over(&feature.aggregate, counted.iter().map(|event| (by.key)(event)).zip(rows).collect(), moment),
        None => feature.aggregate.over(&rows, moment),
    };
    match (&feature.default, value) {
        (Some(default), Cell::Null) => default.clone(),
        (_, value) => value,
    }
}
