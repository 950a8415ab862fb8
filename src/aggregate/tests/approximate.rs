//! The errors that approximate aggregates state, on random data.

use super::super::*;
use crate::aggregate::rows::META;
use proptest::prelude::*;

/// The part of rows whose one column the aggregate takes.
fn part(aggregate: &Aggregate) -> FoldSpec {
    FoldSpec {
        fold: aggregate.fold().clone(),
        inputs: [META + 1].into_iter().collect(),
        needs: (META, 0),
        needs_more: Box::default(),
        present: Box::default(),
    }
}

/// The aggregate of doubles at offsets from 0.
fn over(name: &str, parameters: &[Value], numbers: &[f64]) -> Value {
    let aggregate = bind(name, &[DataType::Float], parameters).unwrap();
    let part = part(&aggregate);
    let words: Vec<u64> = numbers.iter().enumerate().flat_map(|(offset, number)| [biased(0), offset as u64, 0, number.to_bits()]).collect();
    let mut partial = part.empty();
    part.add(&mut partial, Rows { words: &words, stride: META + 2, texts: &[] });
    aggregate.finish(&partial, &Moment { query: 0, start: None }, MapLimit::default())
}

fn double(value: Value) -> f64 {
    match value {
        Value::Float(number) => number,
        other => panic!("{other:?} is no double"),
    }
}

/// A repeatable stream of 64 random bits.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn percentiles_are_within_their_error(
        mut numbers in prop::collection::vec(prop_oneof![-1e3..1e3f64, -1e-3..1e-3f64, -1e300..1e300f64, Just(0.0), Just(1.0)], 1..200),
        p in prop_oneof![0.0..=1.0f64, Just(0.0), Just(1.0)],
    ) {
        let approximate = double(over("approx_percentile", &[Value::Float(p)], &numbers));
        let deviation = double(over("median_abs_deviation", &[], &numbers));
        numbers.sort_by(f64::total_cmp);
        let exact = numbers[(p * (numbers.len() - 1) as f64) as usize];
        prop_assert!((approximate - exact).abs() <= exact.abs() / 128.0, "{approximate} for {exact}");

        let median = numbers[(numbers.len() - 1) / 2];
        let mut distances: Vec<f64> = numbers.iter().map(|number| (number - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        let exact = distances[(numbers.len() - 1) / 2];
        let greatest = numbers.iter().fold(0.0f64, |greatest, number| greatest.max(number.abs()));
        let bound = (median.abs() + greatest) / 128.0;
        prop_assert!((deviation - exact).abs() <= bound * (1.0 + 1e-12), "{deviation} for {exact}");
    }
}

#[test]
fn distinct_counts_have_their_standard_error() {
    for count in [100, 1_000, 5_000, 20_000, 100_000] {
        let seeds = if count > 50_000 { 10 } else { 60 };
        let mut squares = 0.0;
        for seed in 1..=seeds {
            let mut next = random(seed);
            // Different by their low bits; the rest is random.
            let numbers: Vec<f64> = (0..count).map(|index| ((next() >> 12 & !0xf_ffff) | index) as f64).collect();
            let Value::Int(estimate) = over("approx_distinct", &[], &numbers) else { panic!("a count") };
            let error = estimate as f64 / count as f64 - 1.0;
            assert!(error.abs() < 0.075, "{estimate} for {count}");
            squares += error * error;
        }
        let deviation = (squares / seeds as f64).sqrt();
        assert!(deviation < 0.0163 * 1.5, "{count}: a standard error of {deviation}");
    }
}

#[test]
fn a_few_distinct_values_are_counted_exactly() {
    for count in 0..40 {
        let numbers: Vec<f64> = (0..count).map(f64::from).flat_map(|number| [number, number]).collect();
        assert_eq!(over("approx_distinct", &[], &numbers), Value::Int(i64::from(count)));
    }
}

#[test]
fn counts_of_too_many_values_are_null_and_tiles_keep_less() {
    let numbers: Vec<f64> = (0..10_001).map(f64::from).collect();
    assert_eq!(over("mode", &[], &numbers[..10_000]), Value::Float(0.0));
    assert_eq!(over("mode", &[], &numbers), Value::Null);
    assert_eq!(over("entropy", &[], &numbers), Value::Null);
    let aggregate = bind("mode", &[DataType::Int], &[]).unwrap();
    let part = part(&aggregate);
    let mut partial = part.empty();
    for value in 0..257 {
        part.limit_tile(&mut partial);
        assert!(!matches!(partial, Partial::Absent), "{value} values fit");
        part.add(&mut partial, Rows { words: &[biased(0), value, 0, value], stride: META + 2, texts: &[] });
    }
    part.limit_tile(&mut partial);
    assert!(matches!(partial, Partial::Absent));
}
