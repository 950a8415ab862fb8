//! What depends on distances from means, in exact arithmetic: every value is taken as a whole number of some unit, so
//! that n times its distance from the mean is whole too.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::cell::Cell;
use super::exact;

/// Finite numbers as whole multiples of `1 / unit`.
pub struct Whole {
    pub numbers: Vec<BigInt>,
    pub unit: BigInt,
}

impl Whole {
    /// `None` where one is no finite number.
    pub fn of(cells: &[Cell]) -> Option<Self> {
        let integers = cells.iter().all(|cell| matches!(cell, Cell::Int(_)));
        let number = |cell: &Cell| match cell {
            Cell::Int(v) => Some(BigInt::from(*v)),
            Cell::Float(v) if v.is_finite() => Some(exact::scaled(*v)),
            Cell::Float(_) => None,
            other => panic!("{other:?} is no number"),
        };
        let numbers = cells.iter().map(number).collect::<Option<_>>()?;
        Some(Self { numbers, unit: if integers { BigInt::from(1) } else { exact::scale() } })
    }

    pub fn of_times(times: &[i64]) -> Self {
        Self { numbers: times.iter().map(|time| BigInt::from(*time)).collect(), unit: BigInt::from(1) }
    }

    /// n times each number's distance from the mean.
    fn distances(&self) -> Vec<BigInt> {
        let (n, sum) = (BigInt::from(self.numbers.len()), self.numbers.iter().sum::<BigInt>());
        self.numbers.iter().map(|number| &n * number - &sum).collect()
    }
}

fn products(a: &[BigInt], b: &[BigInt]) -> BigInt {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn powers(distances: &[BigInt], power: u32) -> BigInt {
    distances.iter().map(|distance| distance.pow(power)).sum()
}

/// The root of a ratio, with a sign.
fn signed_root(sign: &BigInt, above: &BigInt, below: &BigInt) -> Cell {
    let root = exact::round(above, below).sqrt();
    Cell::Float(if sign.is_negative() { -root } else { root })
}

/// With m the central moments: g1 = m3 / m2^(3/2), corrected by sqrt(n (n - 1)) / (n - 2).
pub fn skewness(cells: &[Cell]) -> Cell {
    if cells.len() < 3 {
        return Cell::Null;
    }
    let Some(whole) = Whole::of(cells) else { return Cell::Float(f64::NAN) };
    let (n, distances) = (BigInt::from(cells.len()), whole.distances());
    let (second, third) = (powers(&distances, 2), powers(&distances, 3));
    if second.is_zero() {
        return Cell::Null;
    }
    // g1^2 = n third^2 / second^3
    let above = &n * &third * &third * &n * (&n - 1);
    let below = second.pow(3) * (&n - 2) * (&n - 2);
    signed_root(&third, &above, &below)
}

/// With m the central moments: g2 = m4 / m2^2 - 3, corrected as (n - 1) / ((n - 2) (n - 3)) ((n + 1) g2 + 6).
pub fn kurtosis(cells: &[Cell]) -> Cell {
    if cells.len() < 4 {
        return Cell::Null;
    }
    let Some(whole) = Whole::of(cells) else { return Cell::Float(f64::NAN) };
    let (n, distances) = (BigInt::from(cells.len()), whole.distances());
    let square = powers(&distances, 2).pow(2);
    if square.is_zero() {
        return Cell::Null;
    }
    // g2 = (n fourth - 3 square) / square
    let excess = &n * powers(&distances, 4) - &square * 3;
    let above = (&n - 1) * ((&n + 1) * excess + &square * 6);
    Cell::Float(exact::round(&above, &((&n - 2) * (&n - 3) * square)))
}

/// (last - mean) / the standard deviation of a sample.
pub fn zscore_last(cells: &[Cell]) -> Cell {
    if cells.len() < 2 {
        return Cell::Null;
    }
    let Some(whole) = Whole::of(cells) else { return Cell::Float(f64::NAN) };
    let distances = whole.distances();
    let (squares, last) = (powers(&distances, 2), &distances[distances.len() - 1]);
    if squares.is_zero() {
        return Cell::Null;
    }
    signed_root(last, &(last * last * (cells.len() - 1)), &squares)
}

pub fn corr(x: &[Cell], y: &[Cell]) -> Cell {
    let (Some(x), Some(y)) = (Whole::of(x), Whole::of(y)) else { return Cell::Float(f64::NAN) };
    let (x, y) = (x.distances(), y.distances());
    let (together, below) = (products(&x, &y), powers(&x, 2) * powers(&y, 2));
    if below.is_zero() { Cell::Null } else { signed_root(&together, &(&together * &together), &below) }
}

/// The slope of y against x, times `scale`.
pub fn slope(y: &[Cell], x: Option<Whole>, scale: u64) -> Cell {
    let (Some(y), Some(x)) = (Whole::of(y), x) else { return Cell::Float(f64::NAN) };
    let (of_x, of_y) = (x.distances(), y.distances());
    let below = powers(&of_x, 2) * &y.unit;
    if below.is_zero() { Cell::Null } else { Cell::Float(exact::round(&(products(&of_x, &of_y) * &x.unit * scale), &below)) }
}

/// The standard deviation of a sample of microseconds, in seconds.
pub fn stddev_seconds(micros: &[i64]) -> Cell {
    if micros.len() < 2 {
        return Cell::Null;
    }
    let n = BigInt::from(micros.len());
    let squares = powers(&Whole::of_times(micros).distances(), 2);
    let below = &n * &n * (&n - 1) * BigInt::from(1_000_000_000_000_u64);
    Cell::Float(exact::round(&squares, &below).sqrt())
}
