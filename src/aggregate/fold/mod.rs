//! What a state keeps of a set of events: a `Partial` of each `FoldSpec`. Partials of the same part merge in any order and
//! are a function of the set of events alone; those that depend on the order of events keep places in it.

mod by;
mod cell;
mod distinct;
mod moments;
mod own;
mod placed;
mod stored;

use std::sync::Arc;

pub use self::by::MapLimit;
pub(crate) use self::by::{By, Groups};
pub(crate) use self::cell::{Kind, Scalar};
pub(super) use self::cell::{ordered_word, unordered_word};
use self::distinct::Distinct;
use self::moments::Moments;
use self::own::OwnState;
pub(crate) use self::own::{Algorithm, CustomFold, Event, Tiled};
use self::placed::Chosen;
pub(crate) use self::placed::PositionedValue;
pub(super) use self::stored::{get_cell, get_list, put_cell, put_list};
use super::exact::ExactSum;
use super::rows::Rows;
use crate::value::Value;
use smallvec::SmallVec;

/// A kind of partial, bound to the types of its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fold {
    Count,
    Sum {
        double: bool,
    },
    /// Count, sum and sum of squares
    Moments {
        double: bool,
    },
    Least(Kind),
    Greatest(Kind),
    First(Kind),
    Last(Kind),
    LastN(Kind, u32),
    /// The first input where the second is least.
    LeastBy(Kind, Kind),
    GreatestBy(Kind, Kind),
    Truths,
    /// Up to that many values
    Distinct(Kind, u32),
    /// Defined beside the aggregates that read it
    Own(CustomFold),
}

/// A fold over some columns of rows, under a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldSpec {
    pub(crate) fold: Fold,
    /// The rows' words that hold its inputs.
    pub(crate) inputs: SmallVec<[usize; 2]>,
    /// A row counts where these bits of this word are set: its inputs are not null and its filter holds.
    pub(crate) needs: (usize, u64),
    /// The same of further words.
    pub(crate) needs_more: Box<[(usize, u64)]>,
    /// For each input of a fold that takes nulls, the bit of the word that says whether it is not null.
    pub(crate) present: Box<[(usize, u64)]>,
}

/// A fold of a set of events. The empty set's is `FoldSpec::empty`.
#[derive(Clone, Debug)]
pub(crate) enum Partial {
    /// Not kept: only the events tell. What it is merged with becomes absent too.
    Absent,
    Count(u64),
    Sum {
        count: u64,
        sum: ExactSum,
    },
    Moments(Box<Moments>),
    /// `Least`, `Greatest`, told apart by the part
    Extreme(Option<Scalar>),
    /// `First`, `Last`
    Placed(Option<Box<PositionedValue>>),
    List(Vec<PositionedValue>),
    /// `LeastBy`, `GreatestBy`
    Chosen(Option<Box<Chosen>>),
    Truths {
        count: u64,
        trues: u64,
    },
    Distinct(Distinct),
    Own(OwnState),
}

impl Fold {
    /// What identifies it in stored rows: never changes for the same meaning.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Count => "count".to_owned(),
            Self::Sum { double } => format!("sum {}", if *double { "double" } else { "bigint" }),
            Self::Moments { double } => format!("moments {}", if *double { "double" } else { "bigint" }),
            Self::Least(kind) => format!("least {}", kind.text()),
            Self::Greatest(kind) => format!("greatest {}", kind.text()),
            Self::First(kind) => format!("first {}", kind.text()),
            Self::Last(kind) => format!("last {}", kind.text()),
            Self::LastN(kind, n) => format!("last {n} {}", kind.text()),
            Self::LeastBy(kind, by) => format!("least by {} {}", kind.text(), by.text()),
            Self::GreatestBy(kind, by) => format!("greatest by {} {}", kind.text(), by.text()),
            Self::Truths => "truths".to_owned(),
            Self::Distinct(kind, limit) => format!("distinct {} {limit}", kind.text()),
            Self::Own(own) => own.text(),
        }
    }

    /// Whether tiles keep partials of it: they merge in any order. One that is not is folded from a window's events, in
    /// total order, each time it is read, and its partials are never merged.
    pub(crate) fn is_tiled(&self) -> bool {
        match self {
            Self::Own(own) => own.is_tiled(),
            _ => true,
        }
    }

    /// Whether rows count whose inputs are null.
    pub(crate) fn takes_nulls(&self) -> bool {
        match self {
            Self::Own(own) => own.takes_nulls(),
            _ => false,
        }
    }

    /// Why it cannot be kept of events that are forgotten, where it cannot.
    pub(super) fn needs_bounded(&self) -> Option<&'static str> {
        match self {
            Self::Own(own) => own.needs_bounded(),
            _ => None,
        }
    }

    /// Other folds of one input of that kind that answer for this one.
    pub(crate) fn covering(&self, kind: Kind) -> Vec<Self> {
        let double = kind == Kind::Float;
        let wider = [Self::Sum { double }, Self::Moments { double }, Self::Truths];
        wider.into_iter().filter(|wider| wider != self && wider.covers(self)).collect()
    }

    /// Whether this fold over the same inputs also answers for the other.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sum { .. } | Self::Moments { .. } | Self::Truths, Self::Count) => true,
            (Self::Moments { double }, Self::Sum { double: other }) => double == other,
            _ => self == other,
        }
    }
}

impl FoldSpec {
    pub(crate) fn empty(&self) -> Partial {
        match &self.fold {
            Fold::Count => Partial::Count(0),
            Fold::Sum { .. } => Partial::Sum { count: 0, sum: ExactSum::default() },
            Fold::Moments { .. } => Partial::Moments(Box::default()),
            Fold::Least(_) | Fold::Greatest(_) => Partial::Extreme(None),
            Fold::First(_) | Fold::Last(_) => Partial::Placed(None),
            Fold::LastN(..) => Partial::List(Vec::new()),
            Fold::LeastBy(..) | Fold::GreatestBy(..) => Partial::Chosen(None),
            Fold::Truths => Partial::Truths { count: 0, trues: 0 },
            Fold::Distinct(kind, _) => Partial::Distinct(Distinct::empty(*kind)),
            Fold::Own(own) => Partial::Own(own.empty()),
        }
    }

    /// Whether that row counts.
    #[inline]
    fn takes(&self, row: &[u64]) -> bool {
        let set = |(word, bits): (usize, u64)| row[word] & bits == bits;
        set(self.needs) && self.needs_more.iter().copied().all(set)
    }

    /// Folds rows, in total order, into `partial`, which is of this part.
    #[inline]
    pub(crate) fn add(&self, partial: &mut Partial, rows: Rows<'_>) {
        let word = |place: usize| self.inputs.get(place).copied().unwrap_or_default();
        let (x, y) = (word(0), word(1));
        let taken = rows.words.chunks_exact(rows.stride).filter(|row| self.takes(row));
        match (partial, &self.fold) {
            (Partial::Count(count), _) => *count += taken.count() as u64,
            (Partial::Sum { count, sum }, Fold::Sum { double: true }) => {
                for row in taken {
                    *count += 1;
                    sum.add_double(f64::from_bits(row[x]));
                }
            }
            (Partial::Sum { count, sum }, _) => {
                for row in taken {
                    *count += 1;
                    sum.add_int(row[x] as i64);
                }
            }
            (Partial::Moments(moments), Fold::Moments { double }) => taken.for_each(|row| moments.add(row[x], *double)),
            (Partial::Extreme(least), Fold::Least(kind)) => taken.for_each(|row| cell::keep_least(least, *kind, row[x], rows.texts)),
            (Partial::Extreme(greatest), Fold::Greatest(kind)) => {
                taken.for_each(|row| cell::keep_greatest(greatest, *kind, row[x], rows.texts));
            }
            (Partial::Placed(placed), Fold::First(kind)) => taken.for_each(|row| placed::keep_first(placed, *kind, row, x, rows.texts)),
            (Partial::Placed(placed), Fold::Last(kind)) => taken.for_each(|row| placed::keep_last(placed, *kind, row, x, rows.texts)),
            (Partial::List(list), Fold::LastN(kind, n)) => {
                taken.for_each(|row| placed::keep_last_n(list, *n as usize, PositionedValue::of(*kind, row, x, rows.texts)));
            }
            (Partial::Chosen(chosen), Fold::LeastBy(kind, by)) => {
                taken.for_each(|row| placed::choose(chosen, false, Chosen::of(*kind, *by, row, x, y, rows.texts)));
            }
            (Partial::Chosen(chosen), Fold::GreatestBy(kind, by)) => {
                taken.for_each(|row| placed::choose(chosen, true, Chosen::of(*kind, *by, row, x, y, rows.texts)));
            }
            (Partial::Truths { count, trues }, _) => {
                for row in taken {
                    *count += 1;
                    *trues += row[x];
                }
            }
            (Partial::Distinct(distinct), Fold::Distinct(kind, limit)) => {
                taken.for_each(|row| distinct.add(*kind, row[x], rows.texts, *limit as usize));
            }
            (Partial::Own(state), Fold::Own(own)) => {
                own.add(state, &self.inputs, &self.present, &mut taken.map(|row| Rows { words: row, ..rows }));
            }
            _ => {}
        }
    }

    /// Folds what `other` holds into `partial`; both are of this part.
    #[inline]
    pub(crate) fn merge(&self, partial: &mut Partial, other: &Partial) {
        match (partial, other) {
            (Partial::Count(count), Partial::Count(more)) => *count += more,
            (Partial::Sum { count, sum }, Partial::Sum { count: more, sum: addend }) => {
                *count += more;
                sum.merge(addend);
            }
            (Partial::Moments(moments), Partial::Moments(other)) => moments.merge(other),
            (Partial::Extreme(extreme), Partial::Extreme(Some(other))) => cell::merge(extreme, other, self.prefers_greater()),
            (Partial::Placed(placed), Partial::Placed(Some(other))) => placed::merge(placed, other, matches!(self.fold, Fold::Last(_))),
            (Partial::List(list), Partial::List(other)) => {
                if let Fold::LastN(_, n) = &self.fold {
                    other.iter().rev().for_each(|placed| placed::keep_last_n(list, *n as usize, placed.clone()));
                }
            }
            (Partial::Chosen(chosen), Partial::Chosen(Some(other))) => {
                placed::choose(chosen, self.prefers_greater(), (**other).clone());
            }
            (Partial::Truths { count, trues }, Partial::Truths { count: more, trues: true_ones }) => {
                *count += more;
                *trues += true_ones;
            }
            (Partial::Distinct(distinct), Partial::Distinct(other)) => {
                if let Fold::Distinct(_, limit) = &self.fold {
                    distinct.merge(other, *limit as usize);
                }
            }
            (Partial::Own(state), Partial::Own(other)) => {
                if let Fold::Own(own) = &self.fold {
                    own.merge(state, other);
                }
            }
            (partial, Partial::Absent) => *partial = Partial::Absent,
            _ => {}
        }
    }

    /// Makes a partial that a tile is to keep absent, where it outgrew what a tile may hold.
    #[inline]
    pub(crate) fn limit_tile(&self, partial: &mut Partial) {
        if self.outgrows_tile(partial) {
            *partial = Partial::Absent;
        }
    }

    /// Whether a tile had better forget the partial.
    fn outgrows_tile(&self, partial: &Partial) -> bool {
        match (&self.fold, partial) {
            (Fold::Own(own), Partial::Own(state)) => own.outgrows_tile(state),
            _ => false,
        }
    }

    /// This part's share of a partial whose fold covers it.
    pub(crate) fn narrowed(&self, wider: Partial) -> Partial {
        match (&self.fold, wider) {
            (Fold::Count, wider) => Partial::Count(wider.count()),
            (Fold::Sum { .. }, Partial::Moments(moments)) => Partial::Sum { count: moments.count, sum: moments.sum },
            (_, wider) => wider,
        }
    }

    fn prefers_greater(&self) -> bool {
        matches!(self.fold, Fold::Greatest(_) | Fold::GreatestBy(..))
    }
}

/// Readings of a partial for aggregates. One that the partial cannot give is that of no events.
impl Partial {
    /// The number of events that were folded.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Count(count) | Self::Sum { count, .. } | Self::Truths { count, .. } => *count,
            Self::Moments(moments) => moments.count,
            _ => 0,
        }
    }

    pub(super) fn sum(&self) -> Option<(u64, &ExactSum)> {
        match self {
            Self::Sum { count, sum } => Some((*count, sum)),
            Self::Moments(moments) => Some((moments.count, &moments.sum)),
            _ => None,
        }
    }

    /// The variance over `n - freedom`; `None` over fewer events than it needs.
    pub(super) fn variance(&self, freedom: u64) -> Option<f64> {
        match self {
            Self::Moments(moments) => moments.variance(freedom),
            _ => None,
        }
    }

    pub(super) fn extreme(&self, kind: Kind) -> Value {
        match self {
            Self::Extreme(Some(cell)) => cell.ordered_value(kind),
            _ => Value::Null,
        }
    }

    pub(super) fn placed(&self, kind: Kind) -> Value {
        match self {
            Self::Placed(Some(placed)) => placed.value.plain_value(kind),
            _ => Value::Null,
        }
    }

    pub(super) fn list(&self, kind: Kind) -> Value {
        match self {
            Self::List(list) if !list.is_empty() => Value::List(list.iter().map(|placed| placed.value.plain_value(kind)).collect()),
            _ => Value::Null,
        }
    }

    /// The values of a list, the last one first.
    pub(super) fn last(&self, kind: Kind) -> Vec<Value> {
        match self {
            Self::List(list) => list.iter().rev().map(|placed| placed.value.plain_value(kind)).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn chosen(&self, kind: Kind) -> Value {
        match self {
            Self::Chosen(Some(chosen)) => chosen.placed.value.plain_value(kind),
            _ => Value::Null,
        }
    }

    /// Events folded, and those that were true.
    pub(super) fn truths(&self) -> Option<(u64, u64)> {
        match self {
            Self::Truths { count, trues } => Some((*count, *trues)),
            _ => None,
        }
    }

    pub(super) fn distinct(&self) -> usize {
        match self {
            Self::Distinct(distinct) => distinct.len(),
            _ => 0,
        }
    }

    /// The different values, ascending.
    pub(super) fn distinct_values(&self, kind: Kind) -> Value {
        match self {
            Self::Distinct(distinct) if distinct.len() > 0 => Value::List(distinct.values(kind)),
            _ => Value::Null,
        }
    }

    /// The state of an algorithm.
    pub(super) fn own<T: 'static>(&self) -> Option<&T> {
        match self {
            Self::Own(state) => state.get(),
            _ => None,
        }
    }

    /// Bytes held outside of the partial itself, roughly.
    pub(crate) fn heap(&self) -> usize {
        match self {
            Self::Absent | Self::Count(_) | Self::Truths { .. } | Self::Extreme(_) => 0,
            Self::Sum { sum, .. } => sum.heap(),
            Self::Moments(moments) => size_of::<Moments>() + moments.heap(),
            Self::Placed(placed) => placed.as_ref().map_or(0, |_| size_of::<PositionedValue>()),
            Self::List(list) => list.capacity() * size_of::<PositionedValue>(),
            Self::Chosen(chosen) => chosen.as_ref().map_or(0, |_| size_of::<Chosen>()),
            Self::Distinct(distinct) => distinct.heap(),
            Self::Own(state) => state.heap(),
        }
    }
}

/// The text with that index; empty where a stored index is wrong.
fn text_at(texts: &[Arc<str>], word: u64) -> Arc<str> {
    texts.get(word as usize).cloned().unwrap_or_default()
}
