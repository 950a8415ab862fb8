use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;

use super::{COUNT_MIN, Observed, Profile, breaches, kolmogorov_smirnov, population_stability};
use crate::plan::{Alert, DriftMetric};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Evenly spread numbers, `rows` of them from `start` to `end`, in a fixed disorder.
fn spread(rows: usize, start: f64, end: f64) -> ArrayRef {
    let place = |row: usize| (row * 7_919 % rows) as f64 / rows as f64;
    Arc::new((0..rows).map(|row| Some(start + (end - start) * place(row))).collect::<Float64Array>())
}

fn observe(profile: &Profile, columns: &RecordBatch) -> Observed {
    let mut observed = Observed::new(profile);
    observed.observe(columns, &vec![0.5; columns.num_rows()]).unwrap();
    observed
}

/// Expected figures computed by numpy 2.4 with Evidently's rule for empty bins.
#[test]
fn population_stability_is_evidentlys() {
    let close = |reference: &[u64], window: &[u64], expected: f64| {
        let psi = population_stability(reference, window).unwrap();
        assert!((psi - expected).abs() < 1e-12 * expected.max(1.0), "{reference:?} {window:?}: {psi} is not {expected}");
    };
    close(&[10, 20, 30, 40], &[10, 20, 30, 40], 0.0);
    close(&[10, 20, 30, 40], &[25, 25, 25, 25], 0.22821740957339182);
    close(&[100, 0, 900], &[90, 10, 900], 0.04664478999786037);
    close(&[100, 50, 850], &[0, 0, 77], 1.0245715359062493);
    close(&[999_990, 10, 0], &[500, 0, 500], 12.664413312482463);
    assert_eq!(population_stability(&[0, 0], &[1, 2]), None);
    assert_eq!(population_stability(&[1, 2], &[0, 0]), None);
}

#[test]
fn kolmogorov_smirnov_is_the_greatest_distance_of_cumulative_shares() {
    assert_eq!(kolmogorov_smirnov(&[1, 1, 1, 1], &[0, 0, 4, 4]), Some(0.5));
    assert_eq!(kolmogorov_smirnov(&[1, 0], &[0, 3]), Some(1.0));
    assert_eq!(kolmogorov_smirnov(&[5, 5], &[1, 1]), Some(0.0));
    assert_eq!(kolmogorov_smirnov(&[0], &[1]), None);
}

#[test]
fn the_reference_does_not_differ_from_itself() {
    let rows = batch(vec![
        ("x", spread(1_000, -5.0, 5.0)),
        ("n", Arc::new((0..1_000).map(|row| Some(row % 7)).collect::<Int64Array>())),
        ("b", Arc::new((0..1_000).map(|row| (row % 5 != 0).then_some(row % 3 == 0)).collect::<BooleanArray>())),
        ("t", Arc::new((0..1_000).map(|row| Some(format!("c{}", row % 30))).collect::<StringArray>())),
        ("at", Arc::new((0..1_000).map(|row| Some(row * 1_000_000)).collect::<TimestampMicrosecondArray>())),
    ]);
    let scores: Vec<f64> = (0..1_000).map(|row| f64::from(row) / 1_000.0).collect();
    let profile = Profile::of(&[rows.slice(0, 400), rows.slice(400, 600)], &scores).unwrap();
    let mut observed = Observed::new(&profile);
    observed.observe(&rows.slice(0, 999), &scores[..999]).unwrap();
    observed.observe(&rows.slice(999, 1), &scores[999..]).unwrap();
    let report = observed.report();
    let names: Vec<&str> = report.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(names, ["x", "n", "b", "t", "at", "score"]);
    for column in &report {
        assert_eq!((column.count, column.psi), (1_000, Some(0.0)), "{column:?}");
        assert!(column.ks.is_none_or(|ks| ks == 0.0), "{column:?}");
        assert_eq!(column.missing_rate.to_bits(), column.missing_rate_reference.to_bits());
    }
    assert_eq!(report[2].missing_rate, 0.2);
}

#[test]
fn a_shift_shows() {
    let profile = Profile::of(&[batch(vec![("x", spread(10_000, 0.0, 1.0))])], &vec![0.5; 10_000]).unwrap();
    let report = observe(&profile, &batch(vec![("x", spread(1_000, 0.25, 1.25))])).report();
    // A quarter of the values moved by a quarter of the range.
    assert!((report[0].ks.unwrap() - 0.25).abs() < 0.011, "{report:?}");
    assert!(report[0].psi.unwrap() > 0.5);
    // Bins are deciles: 0.2, then 0.05 of the values, then 0.1 seven times, then 0.35.
    let expected = population_stability(&[1; 10], &[0, 0, 1, 2, 2, 2, 2, 2, 2, 7]).unwrap();
    assert!((report[0].psi.unwrap() - expected).abs() < 0.02, "{report:?} {expected}");
}

#[test]
fn few_distinct_numbers_are_bins_of_their_own() {
    let constant = Arc::new(Int64Array::from(vec![5; 1_000]));
    let profile = Profile::of(&[batch(vec![("n", constant)])], &[0.5; 1_000]).unwrap();
    for other in [4, 6, i64::MIN] {
        let report = observe(&profile, &batch(vec![("n", Arc::new(Int64Array::from(vec![other; 300])))])).report();
        assert_eq!(report[0].ks, Some(1.0));
        assert!(report[0].psi.unwrap() > 5.0, "{report:?}");
    }
    let numbers = |values: Vec<f64>| batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
    let profile = Profile::of(&[numbers(vec![f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY, f64::NAN])], &[0.5; 5]).unwrap();
    let report = observe(&profile, &numbers(vec![f64::NEG_INFINITY, 0.0, -0.0, f64::INFINITY, f64::NAN])).report();
    assert_eq!((report[0].psi, report[0].missing_rate), (Some(0.0), 0.2));
}

#[test]
fn values_that_were_not_there_count_as_others() {
    let texts = |count: usize, name: &str| Arc::new(StringArray::from(vec![name; count])) as ArrayRef;
    let profile = Profile::of(&[batch(vec![("t", texts(1_000, "a"))])], &[0.5; 1_000]).unwrap();
    let report = observe(&profile, &batch(vec![("t", texts(300, "b"))])).report();
    assert!(report[0].psi.unwrap() > 5.0 && report[0].ks.is_none(), "{report:?}");
}

#[test]
fn missing_values_are_counted_apart() {
    let rows = |values: Vec<Option<f64>>| batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
    let profile = Profile::of(&[rows(vec![Some(1.0), Some(2.0), Some(2.0), None])], &[0.5; 4]).unwrap();
    let report = observe(&profile, &rows(vec![Some(1.0), Some(f64::NAN), None, Some(2.0), Some(2.0)])).report();
    assert_eq!((report[0].missing_rate, report[0].missing_rate_reference, report[0].psi), (0.4, 0.25, Some(0.0)));
    let empty = observe(&profile, &rows(vec![None])).report();
    assert_eq!((empty[0].psi, empty[0].ks, empty[0].missing_rate), (None, None, 1.0));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None]));
    let profile = Profile::of(&[batch(vec![("l", lists.clone())])], &[0.5; 2]).unwrap();
    let report = observe(&profile, &batch(vec![("l", lists)])).report();
    assert_eq!((report[0].psi, report[0].missing_rate), (None, 0.5));
}

#[test]
fn a_window_begins_empty() {
    let rows = batch(vec![("x", spread(1_000, 0.0, 1.0))]);
    let profile = Profile::of(std::slice::from_ref(&rows), &[0.5; 1_000]).unwrap();
    let mut observed = observe(&profile, &rows);
    assert_eq!(observed.count(), 1_000);
    observed.reset();
    assert_eq!(observed.count(), 0);
    assert!(observed.report().iter().all(|column| column.count == 0 && column.psi.is_none() && column.missing_rate == 0.0));
}

#[test]
fn breaches_are_above_the_threshold_in_windows_that_say_something() {
    let profile = Profile::of(&[batch(vec![("x", spread(1_000, 0.0, 1.0))])], &[0.5; 1_000]).unwrap();
    let alerts = [
        Alert { metric: DriftMetric::Psi, threshold: 0.2 },
        Alert { metric: DriftMetric::Ks, threshold: 0.9 },
        Alert { metric: DriftMetric::MissingRate, threshold: 0.1 },
    ];
    let few = COUNT_MIN as usize - 1;
    assert!(breaches(&observe(&profile, &batch(vec![("x", spread(few, 5.0, 6.0))])).report(), &alerts).is_empty());
    let found = breaches(&observe(&profile, &batch(vec![("x", spread(few + 1, 5.0, 6.0))])).report(), &alerts);
    let metrics: Vec<(&str, &str)> = found.iter().map(|breach| (breach.column.as_str(), breach.metric)).collect();
    assert_eq!(metrics, [("x", "psi"), ("x", "ks")]);
    let nulls: ArrayRef = Arc::new(Float64Array::from(vec![None; 500]));
    let found = breaches(&observe(&profile, &batch(vec![("x", nulls)])).report(), &alerts);
    assert_eq!((found.len(), found[0].metric, found[0].value), (1, "missing_rate", 1.0));
}

#[test]
fn a_stored_profile_comes_back_to_the_bit() {
    let odd: Float64Array = (1..5_000).map(|row| Some(1.0 / f64::from(row) + f64::from(row).sqrt() * 1e-7)).collect();
    let rows = batch(vec![("x", Arc::new(odd)), ("t", Arc::new(StringArray::from(vec![Some("quote \" and é"); 4_999])))]);
    let scores: Vec<f64> = (1..5_000).map(|row| f64::from(row).ln()).collect();
    let profile = Profile::of(&[rows], &scores).unwrap();
    let json = profile.to_json().unwrap();
    assert_eq!(Profile::parse(&json).unwrap(), profile);
    assert_eq!(profile.columns().collect::<Vec<_>>(), ["x", "t"]);
    assert_eq!(profile.rows(), 4_999);
}

#[test]
fn what_is_no_profile_is_refused() {
    let refused = |json: &str, expected: &str| {
        let error = Profile::parse(json.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused("", "not a drift profile");
    refused("{}", "not a drift profile");
    refused(r#"{"version":2,"later":1}"#, "version 2");
    let profile = Profile::of(&[batch(vec![("x", spread(50, 0.0, 1.0))])], &[0.5; 50]).unwrap();
    let json = String::from_utf8(profile.to_json().unwrap()).unwrap();
    refused(&json.replacen("\"counts\":[1,", "\"counts\":[", 1), "do not fit together");
    let no_rows = Profile::of(&[], &[]).unwrap_err();
    assert!(no_rows.to_string().contains("at least one row"));
    assert!(Profile::of(&[batch(vec![("x", spread(5, 0.0, 1.0))])], &[0.5]).is_err());
}

#[test]
fn a_vector_that_lost_a_column_is_an_error() {
    let profile = Profile::of(&[batch(vec![("x", spread(50, 0.0, 1.0))])], &[0.5; 50]).unwrap();
    let mut observed = Observed::new(&profile);
    for other in [batch(vec![("y", spread(5, 0.0, 1.0))]), batch(vec![("x", Arc::new(StringArray::from(vec!["a"; 5])))])] {
        let error = observed.observe(&other, &[0.5; 5]).unwrap_err();
        assert!(error.to_string().contains("column \"x\""), "{error}");
    }
    assert_eq!(observed.count(), 0);
}
