//! Aggregates over rows of inputs in total order, each by the words of `docs/semantics.md`.

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use super::cell::Cell;
use super::exact;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    LastN(usize),
    MinBy,
    MaxBy,
    BoolAnd,
    BoolOr,
    /// Saturates at the limit.
    CountDistinct(usize),
}

impl Aggregate {
    /// The aggregate of `rows`, which are in total order and each hold the aggregate's inputs.
    #[must_use]
    pub fn over(self, rows: &[Vec<Cell>]) -> Cell {
        if self == Self::CountAll {
            return count(rows.len());
        }
        let kept: Vec<&Vec<Cell>> = rows.iter().filter(|row| !row.iter().any(Cell::is_null)).collect();
        let first: Vec<Cell> = kept.iter().map(|row| row[0].clone()).collect();
        if first.is_empty() && !matches!(self, Self::Count | Self::CountDistinct(_)) {
            return Cell::Null;
        }
        match self {
            Self::CountAll | Self::Count => count(first.len()),
            Self::CountDistinct(limit) => count(distinct(first).min(limit)),
            Self::Sum => Numbers::of(&first).sum(),
            Self::Avg => Numbers::of(&first).avg(),
            Self::VarPop => Numbers::of(&first).variance(0).map_or(Cell::Null, Cell::Float),
            Self::VarSamp => Numbers::of(&first).variance(1).map_or(Cell::Null, Cell::Float),
            Self::StddevPop => Numbers::of(&first).variance(0).map_or(Cell::Null, |v| Cell::Float(v.sqrt())),
            Self::StddevSamp => Numbers::of(&first).variance(1).map_or(Cell::Null, |v| Cell::Float(v.sqrt())),
            Self::Min => first.into_iter().reduce(|a, b| if b.order(&a).is_lt() { b } else { a }).unwrap_or_default().canonical(),
            Self::Max => first.into_iter().reduce(|a, b| if b.order(&a).is_gt() { b } else { a }).unwrap_or_default().canonical(),
            Self::First => first.into_iter().next().unwrap_or_default(),
            Self::Last => first.into_iter().next_back().unwrap_or_default(),
            Self::LastN(n) => Cell::List(first[first.len().saturating_sub(n)..].to_vec()),
            Self::MinBy => by(&kept, |a, b| a.order(b).is_lt()),
            Self::MaxBy => by(&kept, |a, b| a.order(b).is_gt()),
            Self::BoolAnd => Cell::Bool(first.iter().all(|cell| matches!(cell, Cell::Bool(true)))),
            Self::BoolOr => Cell::Bool(first.iter().any(|cell| matches!(cell, Cell::Bool(true)))),
        }
    }
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
fn by(rows: &[&Vec<Cell>], wins: impl Fn(&Cell, &Cell) -> bool) -> Cell {
    let best = rows.iter().copied().reduce(|best, row| if wins(&row[1], &best[1]) { row } else { best });
    best.map_or(Cell::Null, |row| row[0].clone())
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

    fn floats(values: &[f64]) -> Vec<Vec<Cell>> {
        values.iter().map(|v| vec![Cell::Float(*v)]).collect()
    }

    #[test]
    fn sums_do_not_cancel() {
        let rows = floats(&[1e300, 1.0, -1e300, 1e-300]);
        assert!(Aggregate::Sum.over(&rows).same(&Cell::Float(1.0)));
        let rows = floats(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert!(Aggregate::VarSamp.over(&rows).same(&Cell::Float(30.0)));
        assert!(Aggregate::VarPop.over(&rows).same(&Cell::Float(22.5)));
    }

    #[test]
    fn integers_are_exact_or_null() {
        let rows: Vec<_> = [i64::MAX, 1].map(|v| vec![Cell::Int(v)]).into();
        assert!(Aggregate::Sum.over(&rows).same(&Cell::Null));
        assert!(Aggregate::Avg.over(&rows).same(&Cell::Float(4_611_686_018_427_387_904.0)));
    }

    #[test]
    fn nothing_is_null_except_for_counts() {
        assert!(Aggregate::Count.over(&[vec![Cell::Null]]).same(&Cell::Int(0)));
        assert!(Aggregate::CountAll.over(&[vec![]]).same(&Cell::Int(1)));
        assert!(Aggregate::VarSamp.over(&floats(&[3.0])).same(&Cell::Null));
        assert!(Aggregate::Max.over(&floats(&[])).same(&Cell::Null));
    }
}
