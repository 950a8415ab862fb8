//! Aggregates over rows of inputs in total order, each by the words of `docs/semantics.md`.

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use super::cell::Cell;
use super::moments::Whole;
use super::{exact, moments, order, values};

/// Half-lives are in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregate {
    /// `count(*)`
    CountAll,
    Count,
    Sum,
    Avg,
    Min,
    Max,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    First,
    Last,
    /// Of all events, also where it is null there.
    Latest,
    LastN(usize),
    MinBy,
    MaxBy,
    BoolAnd,
    BoolOr,
    /// Saturates at the limit.
    CountDistinct(usize),
    FirstN(usize),
    /// Structs of all inputs, called `f0`, `f1` and so on; null ones too.
    Collect(usize),
    /// Of lists of numbers
    VectorSum,
    VectorAvg,
    Lag(usize),
    Delta,
    PctChange,
    LastDistinctN(usize),
    DistinctN(usize),
    Mode,
    TopK(usize),
    Entropy,
    Histogram(Vec<f64>),
    Ewma(i64),
    DecayedSum(i64),
    /// Without an input: of events
    Rate,
    RegrSlope,
    Corr,
    Trend,
    Skewness,
    Kurtosis,
    ZscoreLast,
    TimeWeightedAvg,
    InterarrivalAvg,
    InterarrivalStddev,
    SecondsSinceFirst,
    SecondsSinceLast,
    TimeSince,
    Streak,
    Drawdown,
    DistanceSum,
    Percentile(f64),
    ApproxPercentile(f64),
    MedianAbsDeviation,
    ApproxDistinct,
}

/// An event that counts: its time and the aggregate's inputs.
#[derive(Clone, Debug)]
pub struct Row {
    pub time: i64,
    pub cells: Vec<Cell>,
}

/// When a window is read: the query time, moved by its offset, and where it starts, if that depends on time alone.
/// Microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub query: i64,
    pub start: Option<i64>,
}

impl Aggregate {
    /// The aggregate of `rows`, which are in total order.
    #[must_use]
    pub fn over(&self, rows: &[Row], moment: Moment) -> Cell {
        if *self == Self::CountAll {
            return count(rows.len());
        }
        if let Self::Collect(n) = self {
            let collected: Vec<Cell> = rows[rows.len().saturating_sub(*n)..].iter().map(structure).collect();
            return if collected.is_empty() { Cell::Null } else { Cell::List(collected) };
        }
        let counts = |row: &&Row| *self == Self::Latest || !row.cells.iter().any(Cell::is_null);
        let kept: Vec<&Row> = rows.iter().filter(counts).collect();
        let times: Vec<i64> = kept.iter().map(|row| row.time).collect();
        let first: Vec<Cell> = kept.iter().filter_map(|row| row.cells.first().cloned()).collect();
        let second = || kept.iter().filter_map(|row| row.cells.get(1).cloned()).collect::<Vec<Cell>>();
        if kept.is_empty() && !matches!(self, Self::Count | Self::CountDistinct(_) | Self::ApproxDistinct) {
            return Cell::Null;
        }
        match self {
            Self::CountAll | Self::Count | Self::Collect(_) => count(first.len()),
            Self::CountDistinct(limit) => count(distinct(first).min(*limit)),
            Self::VectorSum => by_position(&first, |numbers| numbers.sum()),
            Self::VectorAvg => by_position(&first, |numbers| numbers.avg()),
            Self::Sum => Numbers::of(&first).sum(),
            Self::Avg => Numbers::of(&first).avg(),
            Self::VarPop => Numbers::of(&first).variance(0).map_or(Cell::Null, Cell::Float),
            Self::VarSamp => Numbers::of(&first).variance(1).map_or(Cell::Null, Cell::Float),
            Self::StddevPop => Numbers::of(&first).variance(0).map_or(Cell::Null, |v| Cell::Float(v.sqrt())),
            Self::StddevSamp => Numbers::of(&first).variance(1).map_or(Cell::Null, |v| Cell::Float(v.sqrt())),
            Self::Min => first.into_iter().reduce(|a, b| if b.order(&a).is_lt() { b } else { a }).unwrap_or_default().canonical(),
            Self::Max => first.into_iter().reduce(|a, b| if b.order(&a).is_gt() { b } else { a }).unwrap_or_default().canonical(),
            Self::First => first.into_iter().next().unwrap_or_default(),
            Self::Last | Self::Latest => first.into_iter().next_back().unwrap_or_default(),
            Self::LastN(n) => Cell::List(first[first.len().saturating_sub(*n)..].to_vec()),
            Self::MinBy => by(&kept, |a, b| a.order(b).is_lt()),
            Self::MaxBy => by(&kept, |a, b| a.order(b).is_gt()),
            Self::BoolAnd => Cell::Bool(first.iter().all(|cell| matches!(cell, Cell::Bool(true)))),
            Self::BoolOr => Cell::Bool(first.iter().any(|cell| matches!(cell, Cell::Bool(true)))),
            Self::FirstN(n) => Cell::List(first.into_iter().take(*n).collect()),
            Self::Lag(n) => order::lag(&first, *n),
            Self::Delta => order::delta(&first),
            Self::PctChange => order::pct_change(&first),
            Self::LastDistinctN(n) => order::last_distinct(&first, *n),
            Self::DistinctN(n) => values::distinct_n(first, *n),
            Self::Mode => values::mode(first),
            Self::TopK(k) => values::top_k(first, *k),
            Self::Entropy => values::entropy(first),
            Self::Histogram(bounds) => values::histogram(&first, bounds),
            Self::Ewma(half_life) => order::ewma(&first, &times, *half_life),
            Self::DecayedSum(half_life) => order::decayed_sum(&first, &times, *half_life, moment.query),
            Self::Rate => {
                let events: Vec<Cell> = times.iter().map(|_| Cell::Int(1)).collect();
                let since = moment.start.unwrap_or(times[0]);
                Numbers::of(if first.is_empty() { &events } else { &first }).per_second(moment.query - since)
            }
            Self::RegrSlope => moments::slope(&first, Whole::of(&second()), 1),
            Self::Corr => moments::corr(&first, &second()),
            Self::Trend => moments::slope(&first, Some(Whole::of_times(&times)), 1_000_000),
            Self::Skewness => moments::skewness(&first),
            Self::Kurtosis => moments::kurtosis(&first),
            Self::ZscoreLast => moments::zscore_last(&first),
            Self::TimeWeightedAvg => order::time_weighted_avg(&first, &times, moment.query),
            Self::InterarrivalAvg => order::interarrival_avg(&times),
            Self::InterarrivalStddev => moments::stddev_seconds(&order::gaps(&times)),
            Self::SecondsSinceFirst => order::seconds(times[0], moment.query),
            Self::SecondsSinceLast => order::seconds(times[times.len() - 1], moment.query),
            Self::TimeSince => order::time_since(&first, &times, moment.query),
            Self::Streak => order::streak(&first),
            Self::Drawdown => order::drawdown(&first),
            Self::DistanceSum => order::distance_sum(&first, &second()),
            Self::Percentile(p) => values::percentile(first, *p),
            Self::ApproxPercentile(p) => values::approx_percentile(&first, *p),
            Self::MedianAbsDeviation => values::median_abs_deviation(&first),
            Self::ApproxDistinct => values::approx_distinct(&first),
        }
    }
}

/// What `of` makes of the numbers in each position of lists; null for lists of different lengths.
fn by_position(lists: &[Cell], of: impl Fn(&Numbers) -> Cell) -> Cell {
    let lists: Vec<&Vec<Cell>> =
        lists.iter().map(|list| if let Cell::List(items) = list { items } else { panic!("{list:?} is no list") }).collect();
    let width = lists[0].len();
    if lists.iter().any(|list| list.len() != width) {
        return Cell::Null;
    }
    let position = |at: usize| {
        let numbers: Vec<Cell> = lists.iter().map(|list| list[at].clone()).filter(|cell| !cell.is_null()).collect();
        if numbers.is_empty() { Cell::Null } else { of(&Numbers::of(&numbers)) }
    };
    Cell::List((0..width).map(position).collect())
}

fn structure(row: &Row) -> Cell {
    Cell::Struct(row.cells.iter().enumerate().map(|(index, cell)| (format!("f{index}"), cell.clone())).collect())
}

fn count(n: usize) -> Cell {
    Cell::Int(i64::try_from(n).expect("few events"))
}

fn distinct(mut cells: Vec<Cell>) -> usize {
    cells.sort_by(Cell::order);
    cells.dedup_by(|a, b| a.order(b).is_eq());
    cells.len()
}

/// The first input of the row whose second input is before all others by `wins`; the first of them in total order.
fn by(rows: &[&Row], wins: impl Fn(&Cell, &Cell) -> bool) -> Cell {
    let best = rows.iter().copied().reduce(|best, row| if wins(&row.cells[1], &best.cells[1]) { row } else { best });
    best.map_or(Cell::Null, |row| row.cells[0].clone())
}

/// Exact sums of numbers that are not null; `unit` is what 1 is in `sum`.
struct Numbers {
    n: usize,
    unit: BigInt,
    sum: BigInt,
    squares: BigInt,
    integers: bool,
    nan: bool,
    infinity: bool,
    minus_infinity: bool,
}

impl Numbers {
    fn of(cells: &[Cell]) -> Self {
        let integers = cells.iter().all(|cell| matches!(cell, Cell::Int(_)));
        let unit = if integers { BigInt::from(1) } else { exact::scale() };
        let (sum, squares) = (BigInt::zero(), BigInt::zero());
        let mut numbers = Self { n: cells.len(), unit, sum, squares, integers, nan: false, infinity: false, minus_infinity: false };
        for cell in cells {
            let value = match cell {
                Cell::Int(v) => BigInt::from(*v),
                Cell::Float(v) if v.is_finite() => exact::scaled(*v),
                Cell::Float(v) => {
                    numbers.nan |= v.is_nan();
                    numbers.infinity |= *v == f64::INFINITY;
                    numbers.minus_infinity |= *v == f64::NEG_INFINITY;
                    continue;
                }
                other => panic!("{other:?} is no number"),
            };
            numbers.squares += &value * &value;
            numbers.sum += value;
        }
        numbers
    }

    /// The sum rounded to a double.
    fn rounded(&self) -> f64 {
        match (self.nan, self.infinity, self.minus_infinity) {
            (false, false, false) => exact::round(&self.sum, &self.unit),
            (false, true, false) => f64::INFINITY,
            (false, false, true) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    fn sum(&self) -> Cell {
        if self.integers { self.sum.to_i64().map_or(Cell::Null, Cell::Int) } else { Cell::Float(self.rounded()) }
    }

    fn avg(&self) -> Cell {
        Cell::Float(self.rounded() / self.n as f64)
    }

    /// The sum over microseconds, per second, rounded once; null over none.
    fn per_second(&self, micros: i64) -> Cell {
        match (self.nan || self.infinity || self.minus_infinity, micros) {
            (_, ..=0) => Cell::Null,
            (true, _) => Cell::Float(self.rounded()),
            (false, _) => Cell::Float(exact::round(&(&self.sum * 1_000_000), &(&self.unit * micros))),
        }
    }

    /// `(n * squares - sum^2) / (n * (n - less))`, rounded once; `None` where that is a division by zero.
    fn variance(&self, less: usize) -> Option<f64> {
        if self.n <= less {
            return None;
        }
        if self.nan || self.infinity || self.minus_infinity {
            return Some(f64::NAN);
        }
        let numerator = BigInt::from(self.n) * &self.squares - &self.sum * &self.sum;
        let denominator = BigInt::from(self.n) * BigInt::from(self.n - less) * &self.unit * &self.unit;
        Some(exact::round(&numerator, &denominator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: impl IntoIterator<Item = Cell>) -> Vec<Row> {
        cells.into_iter().map(|cell| Row { time: 0, cells: vec![cell] }).collect()
    }

    fn floats(values: &[f64]) -> Vec<Row> {
        rows(values.iter().map(|v| Cell::Float(*v)))
    }

    const NOW: Moment = Moment { query: 0, start: None };

    #[test]
    fn sums_do_not_cancel() {
        let rows = floats(&[1e300, 1.0, -1e300, 1e-300]);
        assert!(Aggregate::Sum.over(&rows, NOW).same(&Cell::Float(1.0)));
        let rows = floats(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert!(Aggregate::VarSamp.over(&rows, NOW).same(&Cell::Float(30.0)));
        assert!(Aggregate::VarPop.over(&rows, NOW).same(&Cell::Float(22.5)));
    }

    #[test]
    fn integers_are_exact_or_null() {
        let rows = rows([i64::MAX, 1].map(Cell::Int));
        assert!(Aggregate::Sum.over(&rows, NOW).same(&Cell::Null));
        assert!(Aggregate::Avg.over(&rows, NOW).same(&Cell::Float(4_611_686_018_427_387_904.0)));
    }

    #[test]
    fn nothing_is_null_except_for_counts() {
        assert!(Aggregate::Count.over(&rows([Cell::Null]), NOW).same(&Cell::Int(0)));
        assert!(Aggregate::CountAll.over(&[Row { time: 0, cells: Vec::new() }], NOW).same(&Cell::Int(1)));
        assert!(Aggregate::VarSamp.over(&floats(&[3.0]), NOW).same(&Cell::Null));
        assert!(Aggregate::Max.over(&floats(&[]), NOW).same(&Cell::Null));
    }
}
