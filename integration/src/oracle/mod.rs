//! The naive oracle: every aggregate by a direct scan over all events of a key, sums in exact arithmetic.
//! Written from `docs/semantics.md` alone; it must never use the engine's windows, aggregates or values.

mod aggregate;
mod calendar;
pub mod cell;
pub mod exact;
mod map;
mod moments;
mod order;
mod values;

use std::fmt;
use std::rc::Rc;

pub use aggregate::{Aggregate, Moment, Row};
pub use calendar::{Calendar, Clocks};
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
    /// From the last multiple of `hop` up to `q - length`.
    Hop {
        length: i64,
        hop: i64,
    },
    /// From when the unit that holds `q` began.
    Calendar(Calendar),
    /// The unit before that one, from its beginning to its end.
    Last(Calendar),
    /// The run with gaps up to so many microseconds that ends at most that long before `q`.
    Session(i64),
    All,
}

#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub frame: Frame,
    pub before: bool,
    pub excluding_current: bool,
    /// Microseconds that `q` is moved into the past.
    pub offset: i64,
    /// The last so many of it.
    pub limit: Option<usize>,
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
        Self { frame: Frame::Range { length, open: false }, before: false, excluding_current: false, offset: 0, limit: None }
    }

    /// How long before `q` raw events count, at most; nothing but the offset where the window is not bounded in time.
    #[must_use]
    pub fn reach(&self) -> i64 {
        let frame = match self.frame {
            Frame::Range { length, .. } => length,
            Frame::Hop { length, hop } => length + hop,
            Frame::Calendar(_) => 368 * 86_400_000_000,
            Frame::Last(_) => 2 * 368 * 86_400_000_000,
            Frame::Session(_) | Frame::All => 0,
        };
        frame + self.offset
    }

    /// Whether an event at `place` counts for a query at `q` that is about the event at `current`.
    #[must_use]
    pub fn holds(&self, place: Place, q: i64, current: Option<Place>) -> bool {
        let (t, q) = (i128::from(place.time), i128::from(q) - i128::from(self.offset));
        let until = match self.frame {
            Frame::Last(calendar) => t < calendar.start(q),
            _ if self.before => t < q,
            _ => t <= q,
        };
        let since = match (self.start(q), self.frame) {
            (None, _) => true,
            (Some(start), Frame::Range { open: true, .. }) => t > start,
            (Some(start), _) => t >= start,
        };
        until && since && !(self.excluding_current && Some(place) == current)
    }

    /// Where the window starts for a query at `q`, less its offset; `None` where that is no matter of time alone.
    fn start(&self, q: i128) -> Option<i128> {
        match self.frame {
            Frame::All | Frame::Session(_) => None,
            Frame::Hop { length, hop } => {
                let (earliest, hop) = (q - i128::from(length), i128::from(hop));
                Some(earliest - ((earliest % hop) + hop) % hop)
            }
            Frame::Calendar(calendar) => Some(calendar.start(q)),
            // A moment before it ends, it has begun.
            Frame::Last(calendar) => Some(calendar.start(calendar.start(q) - 1)),
            Frame::Range { length, .. } => Some(q - i128::from(length)),
        }
    }

    fn moment(&self, q: i64) -> Moment {
        let query = q - self.offset;
        let start = self.start(i128::from(query)).map(|start| i64::try_from(start).expect("times of this age"));
        // What asks how long ago something was asks at the end of the window.
        let query = match self.frame {
            Frame::Last(calendar) => i64::try_from(calendar.start(i128::from(query))).expect("times of this age"),
            _ => query,
        };
        Moment { query, start }
    }
}

/// The events of one key that still count at `q` where it is dropped after a silence of more than `ttl` microseconds.
#[must_use]
pub fn living(events: &[Event], q: i64, ttl: Option<i64>) -> Vec<Event> {
    let mut kept = events.to_vec();
    let Some(ttl) = ttl else { return kept };
    kept.retain(|event| event.place.time <= q);
    kept.sort_by_key(|event| event.place);
    let mut first = kept.len();
    let mut next = q;
    while first > 0 && next - kept[first - 1].place.time <= ttl {
        first -= 1;
        next = kept[first].place.time;
    }
    kept.split_off(first)
}

thread_local! {
    static COMPUTED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Prints how many values this test's thread computed: `prove.sh` adds them up.
pub fn print_computed() {
    println!("values: {}", COMPUTED.get());
}

/// The value of `feature` at query time `q` over all `events` of one key, whatever their order here.
#[must_use]
pub fn compute(feature: &Feature, events: &[Event], q: i64, current: Option<Place>) -> Cell {
    COMPUTED.set(COMPUTED.get() + 1);
    let mut counted: Vec<&Event> = events
        .iter()
        .filter(|event| feature.window.holds(event.place, q, current))
        .filter(|event| feature.filter.as_ref().is_none_or(|filter| matches!(filter(event), Cell::Bool(true))))
        .collect();
    counted.sort_by_key(|event| event.place);
    if let Frame::Session(gap) = feature.window.frame {
        let end = q - feature.window.offset;
        let mut run: Vec<&Event> = Vec::new();
        for event in counted {
            if run.last().is_some_and(|last| event.place.time - last.place.time > gap) {
                run.clear();
            }
            run.push(event);
        }
        run.retain({
            let last = run.last().map(|last| last.place.time);
            move |_| last.is_some_and(|last| end - last <= gap)
        });
        counted = run;
    }
    if let Some(limit) = feature.window.limit {
        counted.drain(..counted.len().saturating_sub(limit));
    }
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
