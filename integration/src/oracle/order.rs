//! What depends on the order of events or on their times, over values that are not null in total order. Times are in
//! microseconds.

use num_bigint::BigInt;
use num_traits::Zero;

use super::cell::Cell;
use super::exact;

/// From one time to a later one.
pub fn seconds(from: i64, to: i64) -> Cell {
    Cell::Float(exact::round(&(BigInt::from(to) - from), &BigInt::from(1_000_000)))
}

/// The n-th value before the last.
pub fn lag(values: &[Cell], n: usize) -> Cell {
    values.iter().rev().nth(n).cloned().unwrap_or_default()
}

pub fn delta(values: &[Cell]) -> Cell {
    match values {
        [.., Cell::Int(before), Cell::Int(last)] => i64::try_from(i128::from(*last) - i128::from(*before)).map_or(Cell::Null, Cell::Int),
        [.., Cell::Float(before), Cell::Float(last)] => Cell::Float(last - before),
        _ => Cell::Null,
    }
}

pub fn pct_change(values: &[Cell]) -> Cell {
    match values {
        [.., Cell::Int(0) | Cell::Float(0.0), _] => Cell::Null,
        [.., Cell::Int(before), Cell::Int(last)] => Cell::Float((i128::from(*last) - i128::from(*before)) as f64 / *before as f64),
        [.., Cell::Float(before), Cell::Float(last)] => Cell::Float((last - before) / before),
        _ => Cell::Null,
    }
}

/// Different values by their last events, the last one at the end.
pub fn last_distinct(values: &[Cell], n: usize) -> Cell {
    let mut kept: Vec<Cell> = Vec::new();
    for value in values.iter().rev() {
        if kept.len() < n && !kept.iter().any(|known| known.order(value).is_eq()) {
            kept.push(value.clone().canonical());
        }
    }
    kept.reverse();
    Cell::List(kept)
}

pub fn streak(values: &[Cell]) -> Cell {
    let run = values.iter().rev().take_while(|value| matches!(value, Cell::Bool(true))).count();
    Cell::Int(i64::try_from(run).expect("few events"))
}

pub fn time_since(values: &[Cell], times: &[i64], q: i64) -> Cell {
    let last = values.iter().zip(times).rfind(|(value, _)| matches!(value, Cell::Bool(true)));
    last.map_or(Cell::Null, |(_, time)| seconds(*time, q))
}

/// The largest difference between a value and a greater one before it.
pub fn drawdown(values: &[Cell]) -> Cell {
    if let Cell::Int(_) = values[0] {
        let numbers: Vec<i128> = values.iter().map(|value| if let Cell::Int(v) = value { i128::from(*v) } else { 0 }).collect();
        let falls = numbers.iter().enumerate().map(|(at, low)| numbers[..=at].iter().max().expect("itself") - low);
        return falls.max().and_then(|fall| i64::try_from(fall).ok()).map_or(Cell::Null, Cell::Int);
    }
    let numbers: Vec<f64> = values.iter().map(number).collect();
    if numbers.iter().any(|number| number.is_nan()) {
        return Cell::Float(f64::NAN);
    }
    let mut largest = 0.0_f64;
    let mut peak = f64::NEG_INFINITY;
    for low in numbers {
        peak = peak.max(low);
        if low < peak {
            largest = largest.max(peak - low);
        }
    }
    Cell::Float(largest)
}

pub fn number(value: &Cell) -> f64 {
    match value {
        Cell::Int(v) => *v as f64,
        Cell::Float(v) => *v,
        other => panic!("{other:?} is no number"),
    }
}

fn decay(from: i64, to: i64, half_life: i64) -> f64 {
    (-((to - from) as f64 / half_life as f64)).exp2()
}

pub fn ewma(values: &[Cell], times: &[i64], half_life: i64) -> Cell {
    // From zero, so that a first negative zero is none.
    let (mut sum, mut weight) = (0.0 + number(&values[0]), 1.0);
    for at in 1..values.len() {
        let decay = decay(times[at - 1], times[at], half_life);
        sum = sum * decay + number(&values[at]);
        weight = weight * decay + 1.0;
    }
    Cell::Float(sum / weight)
}

pub fn decayed_sum(values: &[Cell], times: &[i64], half_life: i64, q: i64) -> Cell {
    let mut sum = 0.0 + number(&values[0]);
    for at in 1..values.len() {
        sum = sum * decay(times[at - 1], times[at], half_life) + number(&values[at]);
    }
    Cell::Float(sum * decay(times[times.len() - 1], q, half_life))
}

pub fn time_weighted_avg(values: &[Cell], times: &[i64], q: i64) -> Cell {
    let last = &values[values.len() - 1];
    if q <= times[0] {
        return Cell::Float(number(last));
    }
    let until = times.iter().skip(1).chain([&q]);
    let (mut sum, mut special) = (BigInt::zero(), None::<f64>);
    for ((value, from), to) in values.iter().zip(times).zip(until) {
        match value {
            Cell::Int(v) => sum += BigInt::from(*v) * (to - from) * exact::scale(),
            Cell::Float(v) if v.is_finite() => sum += exact::scaled(*v) * (to - from),
            Cell::Float(v) if to > from => special = Some(special.unwrap_or(0.0) + v),
            _ => {}
        }
    }
    Cell::Float(special.unwrap_or_else(|| exact::round(&sum, &(exact::scale() * (q - times[0])))))
}

pub fn gaps(times: &[i64]) -> Vec<i64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

pub fn interarrival_avg(times: &[i64]) -> Cell {
    let gaps = gaps(times);
    if gaps.is_empty() {
        return Cell::Null;
    }
    let sum: BigInt = gaps.iter().map(|gap| BigInt::from(*gap)).sum();
    Cell::Float(exact::round(&sum, &(BigInt::from(gaps.len()) * 1_000_000)))
}

/// Haversines on a sphere of 6371.0088 km.
pub fn distance_sum(lat: &[Cell], lon: &[Cell]) -> Cell {
    let places: Vec<(f64, f64)> = lat.iter().zip(lon).map(|(lat, lon)| (number(lat), number(lon))).collect();
    if places.iter().any(|(lat, lon)| !lat.is_finite() || !lon.is_finite()) {
        return Cell::Float(f64::NAN);
    }
    let mut sum = 0.0;
    for pair in places.windows(2) {
        let ((lat1, lon1), (lat2, lon2)) = (pair[0], pair[1]);
        let (a, b) = (((lat2 - lat1).to_radians() / 2.0).sin(), ((lon2 - lon1).to_radians() / 2.0).sin());
        let h = a * a + lat1.to_radians().cos() * lat2.to_radians().cos() * (b * b);
        sum += 2.0 * 6371.0088 * if h > 1.0 { 1.0 } else { h }.sqrt().asin();
    }
    Cell::Float(sum)
}
