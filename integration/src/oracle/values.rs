//! What depends on the values alone, whatever the order of their events: how often they are there, percentiles, and the
//! approximate ones by their definitions over the whole set.

use num_bigint::BigInt;

use super::cell::Cell;
use super::exact;
use super::order::number;

/// Different values with how often they are there, ascending; `None` when they are more than 10,000.
fn counts(mut values: Vec<Cell>) -> Option<Vec<(Cell, usize)>> {
    values.sort_by(Cell::order);
    let groups = values.chunk_by(|a, b| a.order(b).is_eq());
    let counts: Vec<_> = groups.map(|group| (group[0].clone().canonical(), group.len())).collect();
    (counts.len() <= 10_000).then_some(counts)
}

pub fn top_k(values: Vec<Cell>, k: usize) -> Cell {
    let Some(mut counts) = counts(values) else { return Cell::Null };
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.order(&b.0)));
    Cell::List(counts.into_iter().take(k).map(|(value, _)| value).collect())
}

pub fn mode(values: Vec<Cell>) -> Cell {
    match top_k(values, 1) {
        Cell::List(mut top) => top.remove(0),
        other => other,
    }
}

pub fn entropy(values: Vec<Cell>) -> Cell {
    let Some(counts) = counts(values) else { return Cell::Null };
    let mut counts: Vec<usize> = counts.into_iter().map(|(_, count)| count).collect();
    counts.sort_unstable();
    let n = counts.iter().sum::<usize>() as f64;
    let mut sum = 0.0;
    for count in &counts {
        sum += *count as f64 * (*count as f64).log2();
    }
    Cell::Float(if counts.len() == 1 { 0.0 } else { n.log2() - sum / n })
}

pub fn distinct_n(mut values: Vec<Cell>, n: usize) -> Cell {
    values.sort_by(Cell::order);
    values.dedup_by(|a, b| a.order(b).is_eq());
    Cell::List(values.into_iter().take(n).map(Cell::canonical).collect())
}

pub fn histogram(values: &[Cell], bounds: &[f64]) -> Cell {
    let reaches = |value: &Cell, bound: &f64| match value {
        Cell::Int(v) => BigInt::from(*v) * exact::scale() >= exact::scaled(*bound),
        other => other.order(&Cell::Float(*bound)).is_ge(),
    };
    let mut bins = vec![0; bounds.len() + 1];
    for value in values {
        bins[bounds.iter().filter(|bound| reaches(value, bound)).count()] += 1;
    }
    Cell::List(bins.into_iter().map(Cell::Int).collect())
}

/// `low + (high - low) * fraction` at rank `p * (n - 1)`, exactly.
pub fn percentile(mut values: Vec<Cell>, p: f64) -> Cell {
    values.sort_by(Cell::order);
    let rank = p * (values.len() - 1) as f64;
    let fraction = rank - rank.floor();
    let low = &values[rank.floor() as usize];
    if fraction == 0.0 {
        return Cell::Float(number(&low.clone().canonical()));
    }
    let high = &values[rank.floor() as usize + 1];
    let exactly = |value: &Cell| match value {
        Cell::Int(v) => Some(BigInt::from(*v) * exact::scale()),
        Cell::Float(v) if v.is_finite() => Some(exact::scaled(*v)),
        _ => None,
    };
    match (exactly(low), exactly(high)) {
        (Some(a), Some(b)) => {
            let above = &a * exact::scale() + (b - &a) * exact::scaled(fraction);
            Cell::Float(exact::round(&above, &(exact::scale() * exact::scale())))
        }
        _ if number(low) == number(high) => Cell::Float(number(low)),
        _ => Cell::Float(number(low) * (1.0 - fraction) + number(high) * fraction),
    }
}

/// The middle of the 64th of a power of two that a number lies in.
fn middle(number: f64) -> f64 {
    if !number.is_finite() || number == 0.0 || number.is_subnormal() {
        return if number.is_finite() { 0.0 } else { number };
    }
    let (mut share, mut doublings) = (number.abs(), 0);
    while share >= 2.0 {
        share /= 2.0;
        doublings += 1;
    }
    while share < 1.0 {
        share *= 2.0;
        doublings -= 1;
    }
    let mut middle = 1.0 + (((share - 1.0) * 64.0).floor() + 0.5) / 64.0;
    for _ in 0..i32::abs(doublings) {
        middle = if doublings > 0 { middle * 2.0 } else { middle / 2.0 };
    }
    middle.copysign(number)
}

fn at_rank(mut numbers: Vec<f64>, p: f64) -> f64 {
    numbers.sort_by(|a, b| Cell::Float(*a).order(&Cell::Float(*b)));
    numbers[(p * (numbers.len() - 1) as f64) as usize]
}

pub fn approx_percentile(values: &[Cell], p: f64) -> Cell {
    Cell::Float(middle(at_rank(values.iter().map(number).collect(), p)))
}

pub fn median_abs_deviation(values: &[Cell]) -> Cell {
    let middles: Vec<f64> = values.iter().map(|value| middle(number(value))).collect();
    let median = at_rank(middles.clone(), 0.5);
    Cell::Float(at_rank(middles.into_iter().map(|middle| (middle - median).abs()).collect(), 0.5))
}

/// The finaliser of SplitMix64.
fn mixed(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// By its order-preserving word, or a text by FNV-1a; mixed.
fn hash(value: &Cell) -> u64 {
    match value.clone().canonical() {
        Cell::Text(text) => {
            let mut hash = 0xcbf2_9ce4_8422_2325_u64;
            for byte in text.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            mixed(hash)
        }
        Cell::Float(v) if v.is_sign_negative() => mixed(!v.to_bits()),
        Cell::Float(v) => mixed(v.to_bits() | 1 << 63),
        Cell::Int(v) | Cell::Time(v) => mixed((i128::from(v) + (1 << 63)) as u64),
        Cell::Bool(v) => mixed(u64::from(v)),
        other => panic!("{other:?} has no hash"),
    }
}

/// HyperLogLog of 4096 registers, by Ertl's improved estimator (2017, algorithm 4) over all registers.
pub fn approx_distinct(values: &[Cell]) -> Cell {
    let mut registers = vec![0_usize; 4096];
    for value in values {
        let hash = hash(value);
        let rest = hash & ((1 << 52) - 1);
        let rank = (1..=52).find(|rank| rest >> (52 - rank) & 1 == 1).unwrap_or(53);
        let register = &mut registers[(hash >> 52) as usize];
        *register = rank.max(*register);
    }
    let m = 4096.0;
    let count = |value: usize| registers.iter().filter(|register| **register == value).count() as f64;
    let mut sum = m * sigma(count(0) / m) + m * tau(1.0 - count(53) / m) * 0.5_f64.powi(52);
    for value in 1..=52 {
        sum += count(value) * 0.5_f64.powi(value as i32);
    }
    Cell::Int((m * m / (2.0 * 2.0_f64.ln()) / sum).round() as i64)
}

fn sigma(x: f64) -> f64 {
    if x == 1.0 { f64::INFINITY } else { x + (1..60).map(|k| x.powf(2.0_f64.powi(k)) * 2.0_f64.powi(k - 1)).sum::<f64>() }
}

fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    (1.0 - x - (1..60).map(|k| (1.0 - x.powf(0.5_f64.powi(k))).powi(2) * 0.5_f64.powi(k)).sum::<f64>()) / 3.0
}
