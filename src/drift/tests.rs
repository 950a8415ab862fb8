use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, Field, Int64Type};
use arrow::record_batch::RecordBatch;

use super::{
    COUNT_MIN, ColumnDrift, Counts, Described, Measure, Misfit, Origin, Profile, breaches, kolmogorov_smirnov, kolmogorov_smirnov_p_value,
    population_stability,
};
use crate::aggregate::ByteReader;
use crate::error::Result;
use crate::plan::{Alert, Alerts, ColumnSource, DriftMetric, VectorColumn};
use crate::value::DataType;

mod intervals;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Evenly spread numbers, `rows` of them from `start` to `end`, in a fixed disorder.
fn spread(rows: usize, start: f64, end: f64) -> ArrayRef {
    let place = |row: usize| (row * 7_919 % rows) as f64 / rows as f64;
    Arc::new((0..rows).map(|row| Some(start + (end - start) * place(row))).collect::<Float64Array>())
}

/// The columns of a vector that gives such batches.
fn vector(columns: &RecordBatch) -> Vec<VectorColumn> {
    let known = [DataType::Bool, DataType::Int, DataType::Float, DataType::Text, DataType::Timestamp];
    let of_arrow = |arrow: &ArrowType| known.iter().find(|known| known.arrow() == *arrow).cloned();
    let column = |(place, field): (usize, &Arc<Field>)| VectorColumn {
        name: field.name().clone(),
        data_type: of_arrow(field.data_type()).unwrap_or_else(|| DataType::List(Box::new(DataType::Int))),
        from: ColumnSource::Frame(place),
        default: None,
    };
    columns.schema().fields().iter().enumerate().map(column).collect()
}

fn origin() -> Origin {
    let text = |text: &str| text.to_owned();
    let (model, vector, training_set) = (text("m"), text("v"), text("set.parquet"));
    let (model_version, vector_identity, training_set_sha256) = (text("0a"), text("0b"), text("0c"));
    Origin { model, model_version, vector, vector_identity, training_set, training_set_sha256 }
}

fn profile_of(batches: &[RecordBatch], scores: &[f64]) -> Result<Profile> {
    let types = batches.first().map(vector).unwrap_or_default();
    Profile::of(origin(), &types, batches, scores)
}

fn counted(profile: &Profile, columns: &RecordBatch) -> (Measure, Counts) {
    let measure = Measure::new(profile, &vector(columns));
    let mut counts = measure.empty();
    measure.count(&mut counts, columns, &vec![0.5; columns.num_rows()]);
    (measure, counts)
}

fn observed(profile: &Profile, columns: &RecordBatch) -> Vec<ColumnDrift> {
    let (measure, counts) = counted(profile, columns);
    measure.report(&counts)
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
    let profile = profile_of(&[rows.slice(0, 400), rows.slice(400, 600)], &scores).unwrap();
    let measure = Measure::new(&profile, &vector(&rows));
    let mut counts = measure.empty();
    measure.count(&mut counts, &rows.slice(0, 999), &scores[..999]);
    measure.count(&mut counts, &rows.slice(999, 1), &scores[999..]);
    let report = measure.report(&counts);
    let names: Vec<&str> = report.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(names, ["x", "n", "b", "t", "at", "score"]);
    for column in &report {
        assert_eq!((column.count, column.psi), (1_000, Some(0.0)), "{column:?}");
        assert!(column.ks.is_none_or(|ks| ks == 0.0), "{column:?}");
        assert_eq!(column.missing_rate.to_bits(), column.missing_rate_reference.to_bits());
        assert!(column.ks_p_value.is_none_or(|p| p == 1.0), "{column:?}");
        assert_eq!(column.described.as_ref().map(|own| own.mean), column.reference.as_ref().map(|own| own.mean), "{column:?}");
    }
    assert_eq!(report[2].missing_rate, 0.2);
}

#[test]
fn a_shift_shows() {
    let profile = profile_of(&[batch(vec![("x", spread(10_000, 0.0, 1.0))])], &vec![0.5; 10_000]).unwrap();
    let report = observed(&profile, &batch(vec![("x", spread(1_000, 0.25, 1.25))]));
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
    let profile = profile_of(&[batch(vec![("n", constant)])], &[0.5; 1_000]).unwrap();
    for other in [4, 6, i64::MIN] {
        let report = observed(&profile, &batch(vec![("n", Arc::new(Int64Array::from(vec![other; 300])))]));
        assert_eq!(report[0].ks, Some(1.0));
        assert!(report[0].psi.unwrap() > 5.0, "{report:?}");
    }
    let numbers = |values: Vec<f64>| batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
    let profile = profile_of(&[numbers(vec![f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY, f64::NAN])], &[0.5; 5]).unwrap();
    let report = observed(&profile, &numbers(vec![f64::NEG_INFINITY, 0.0, -0.0, f64::INFINITY, f64::NAN]));
    assert_eq!((report[0].psi, report[0].missing_rate), (Some(0.0), 0.2));
}

#[test]
fn values_that_were_not_there_count_as_others() {
    let texts = |count: usize, name: &str| Arc::new(StringArray::from(vec![name; count])) as ArrayRef;
    let profile = profile_of(&[batch(vec![("t", texts(1_000, "a"))])], &[0.5; 1_000]).unwrap();
    let report = observed(&profile, &batch(vec![("t", texts(300, "b"))]));
    assert!(report[0].psi.unwrap() > 5.0 && report[0].ks.is_none(), "{report:?}");
}

#[test]
fn missing_values_are_counted_apart() {
    let rows = |values: Vec<Option<f64>>| batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
    let profile = profile_of(&[rows(vec![Some(1.0), Some(2.0), Some(2.0), None])], &[0.5; 4]).unwrap();
    let report = observed(&profile, &rows(vec![Some(1.0), Some(f64::NAN), None, Some(2.0), Some(2.0)]));
    assert_eq!((report[0].missing_rate, report[0].missing_rate_reference, report[0].psi), (0.4, 0.25, Some(0.0)));
    let empty = observed(&profile, &rows(vec![None]));
    assert_eq!((empty[0].psi, empty[0].ks, empty[0].missing_rate), (None, None, 1.0));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None]));
    let profile = profile_of(&[batch(vec![("l", lists.clone())])], &[0.5; 2]).unwrap();
    let report = observed(&profile, &batch(vec![("l", lists)]));
    assert_eq!((report[0].psi, report[0].missing_rate), (None, 0.5));
}

fn alert(metric: DriftMetric, columns: &[&str], threshold: f64) -> Alert {
    Alert { metric, columns: columns.iter().map(|&column| column.to_owned()).collect(), threshold }
}

fn alerts(alerts: Vec<Alert>) -> Alerts {
    Alerts { alerts, ..Alerts::default() }
}

fn breached(report: &[ColumnDrift], alerts: &Alerts) -> Vec<(String, &'static str)> {
    breaches(report, alerts).into_iter().map(|breach| (breach.column, breach.metric.name())).collect()
}

fn named<'a>(breached: &'a [(String, &'static str)]) -> Vec<(&'a str, &'static str)> {
    breached.iter().map(|(column, metric)| (column.as_str(), *metric)).collect()
}

#[test]
fn breaches_are_above_the_threshold_in_windows_that_say_something() {
    let profile = profile_of(&[batch(vec![("x", spread(1_000, 0.0, 1.0))])], &[0.5; 1_000]).unwrap();
    let all = alerts(vec![alert(DriftMetric::Psi, &[], 0.2), alert(DriftMetric::Ks, &[], 0.9), alert(DriftMetric::MissingRate, &[], 0.1)]);
    let few = COUNT_MIN as usize - 1;
    assert!(breaches(&observed(&profile, &batch(vec![("x", spread(few, 5.0, 6.0))])), &all).is_empty());
    let found = breached(&observed(&profile, &batch(vec![("x", spread(few + 1, 5.0, 6.0))])), &all);
    assert_eq!(named(&found), [("x", "psi"), ("x", "ks")]);
    // 500 rows, of which 150 have a value that is far away: too few for a distance.
    let sparse: ArrayRef = Arc::new((0..500).map(|row| (row < 150).then_some(9.0)).collect::<Float64Array>());
    let found = breached(&observed(&profile, &batch(vec![("x", sparse)])), &all);
    assert_eq!(named(&found), [("x", "missing_rate")]);
}

/// What was there and is not, what was not there and is, and what was half there and is whole.
#[test]
fn values_that_come_or_go_are_seen() {
    let column =
        |present: usize| -> ArrayRef { Arc::new((0..1_000).map(|row| (row < present).then_some(row as f64)).collect::<Float64Array>()) };
    let cases = [(0, 1_000, -1.0), (0, 3, -0.003), (1_000, 0, 1.0), (500, 1_000, -0.5)];
    for (before, now, missing) in cases {
        let profile = profile_of(&[batch(vec![("x", column(before))])], &[0.5; 1_000]).unwrap();
        let report = observed(&profile, &batch(vec![("x", column(now))]));
        let found = breaches(&report, &alerts(vec![alert(DriftMetric::MissingRate, &[], 0.001)]));
        assert_eq!(found.len(), 1, "{before} {now}");
        assert!((found[0].value.unwrap() - missing).abs() < 1e-12, "{before} {now}: {found:?}");
        let found = breaches(&report, &alerts(vec![alert(DriftMetric::Psi, &[], 0.2), alert(DriftMetric::Ks, &[], 0.2)]));
        if before == 0 || now == 0 {
            assert_eq!(found.iter().map(|breach| breach.value).collect::<Vec<_>>(), [None, None], "{before} {now}");
        }
    }
}

#[test]
fn alerts_are_of_columns() {
    let at =
        |day: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from_iter_values((0..1_000).map(|row| day * 86_400_000_000 + row))) };
    let rows = |start: f64, day: i64| {
        batch(vec![("a", spread(1_000, start, start + 1.0)), ("b", spread(1_000, start, start + 1.0)), ("at", at(day))])
    };
    let profile = profile_of(&[rows(0.0, 0)], &[0.5; 1_000]).unwrap();
    let report = observed(&profile, &rows(5.0, 3));
    let psi = |threshold: f64| alert(DriftMetric::Psi, &[], threshold);
    let found = |alerts: Alerts| breached(&report, &alerts);
    assert_eq!(named(&found(alerts(vec![psi(0.2)]))), [("a", "psi"), ("b", "psi")], "a time goes on, and is no alert");
    assert_eq!(named(&found(alerts(vec![psi(0.2), alert(DriftMetric::Ks, &["at"], 0.2)]))), [("a", "psi"), ("b", "psi"), ("at", "ks")]);
    assert_eq!(named(&found(alerts(vec![psi(0.2), alert(DriftMetric::Psi, &["a"], 1e6)]))), [("b", "psi")], "what names it holds");
    let except = |columns: &[&str]| columns.iter().map(|&column| column.to_owned()).collect::<Vec<_>>();
    assert_eq!(named(&found(Alerts { except: except(&["b"]), ..alerts(vec![psi(0.2)]) })), [("a", "psi")]);
    let both = Alerts { except: except(&["a", "b"]), ..alerts(vec![psi(0.2), alert(DriftMetric::Psi, &["b"], 0.2)]) };
    assert_eq!(named(&found(both)), [("b", "psi")], "excepted of what is said of all");
    assert!(found(Alerts { unless_rows_below: Some(1_001), ..alerts(vec![psi(0.2)]) }).is_empty());
    assert_eq!(found(Alerts { unless_rows_below: Some(1_000), ..alerts(vec![psi(0.2)]) }).len(), 2);
    let ks = || alerts(vec![alert(DriftMetric::Ks, &["a"], 0.01)]);
    let near = observed(&profile, &rows(0.03, 3));
    assert!((0.1..1.0).contains(&near[0].ks_p_value.unwrap()), "{near:?}");
    assert_eq!(breaches(&near, &ks()).len(), 1);
    assert!(breaches(&near, &Alerts { unless_p_value_above: Some(0.05), ..ks() }).is_empty());
}

/// scipy 1.17.1: `scipy.special.kolmogorov(statistic * sqrt(n * m / (n + m)))`.
#[test]
fn the_p_value_is_kolmogorovs() {
    let cases: &[(f64, u64, u64, f64)] = &[
        (0.02, 5000, 6000, 0.22534817265305282),
        (0.05, 5000, 300, 0.4788488751325815),
        (0.1, 1000, 1000, 9.079985952496105e-05),
        (0.3, 250, 200, 4.122307244877131e-09),
        (0.01, 100000, 500, 0.9999999998088729),
        (0.001, 1000, 1000, 1.0),
        (0.027, 10000, 4000, 0.03103713641862934),
        (0.5, 40, 30, 0.0003788836504632126),
        (1.0, 500, 500, 1.4249152813482571e-217),
    ];
    for &(statistic, n, m, expected) in cases {
        let found = kolmogorov_smirnov_p_value(statistic, n, m);
        assert!((found - expected).abs() <= 1e-12 + expected * 1e-9, "{statistic} {n} {m}: {found} is not {expected}");
    }
    assert_eq!(kolmogorov_smirnov_p_value(0.0, 10, 10), 1.0);
}

/// A whole interval of other numbers than the reference's: nothing of it lies between edges.
#[test]
fn a_report_describes_numbers_wherever_they_lie() {
    let profile = profile_of(&[batch(vec![("x", spread(10_000, 0.0, 1.0))])], &vec![0.5; 10_000]).unwrap();
    let described = |start: f64, end: f64| observed(&profile, &batch(vec![("x", spread(1_000, start, end))]))[0].described.clone().unwrap();
    for (start, end) in [(0.0, 1.0), (100.0, 200.0), (-9.0, -8.0), (0.5, 5.0)] {
        let Described { mean, min, max, deciles } = described(start, end);
        let step = (end - start) / 1_000.0;
        assert!((mean - (start + 499.5 * step)).abs() < 1e-9 * end.abs().max(1.0), "{mean}");
        assert_eq!((min, max), (start, start + (end - start) * 0.999));
        for (decile, found) in (1..10).zip(deciles) {
            let exact = start + f64::from(decile * 100 - 1) * step;
            // A bin of the reference is 0.01 wide, a bucket at most 1/64 of its values.
            assert!((found - exact).abs() <= 0.011_f64.max(exact.abs() / 64.0), "{start} {decile}: {found} is not {exact}");
        }
    }
    let reference = observed(&profile, &batch(vec![("x", spread(10, 0.0, 1.0))]))[0].reference.clone().unwrap();
    assert_eq!((reference.min, reference.max, reference.deciles[4]), (0.0, 0.9999, 0.4999));
}

/// Neither order nor grouping shows, and what is stored comes back.
#[test]
fn counts_are_a_function_of_the_rows() {
    let scales = [1e-200, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e9, 1e20, 1e200];
    let values: Vec<f64> = (0..4_000).map(|row| f64::from(row % 701 - 350) * 0.7 * scales[row as usize % 9]).collect();
    let rows = |values: Vec<f64>| batch(vec![("x", Arc::new(Float64Array::from(values)) as ArrayRef)]);
    let profile = profile_of(&[rows(values[..1_000].to_vec())], &[0.5; 1_000]).unwrap();
    let (measure, counts) = counted(&profile, &rows(values.clone()));
    let mut bytes = Vec::new();
    counts.encode(&mut bytes);
    let mut other = measure.empty();
    let backwards: Vec<f64> = values.iter().rev().copied().collect();
    for part in backwards.chunks(37) {
        measure.count(&mut other, &rows(part.to_vec()), &vec![0.5; part.len()]);
        let mut stored = Vec::new();
        other.encode(&mut stored);
        other = Counts::decode(&measure, &mut ByteReader(&stored)).unwrap();
    }
    let mut again = Vec::new();
    other.encode(&mut again);
    assert_eq!(again, bytes);
    assert_eq!(measure.report(&other), measure.report(&counts));
    for length in 0..bytes.len() {
        assert!(Counts::decode(&measure, &mut ByteReader(&bytes[..length])).is_err(), "{length}");
    }
}

#[test]
fn a_stored_profile_comes_back_to_the_bit() {
    let odd: Float64Array = (1..5_000).map(|row| Some(1.0 / f64::from(row) + f64::from(row).sqrt() * 1e-7)).collect();
    let rows = batch(vec![("x", Arc::new(odd)), ("t", Arc::new(StringArray::from(vec![Some("quote \" and é"); 4_999])))]);
    let scores: Vec<f64> = (1..5_000).map(|row| f64::from(row).ln()).collect();
    let profile = profile_of(&[rows], &scores).unwrap();
    let json = profile.to_json().unwrap();
    assert_eq!(Profile::parse(&json).unwrap(), profile);
    // One of another byte is the same or none, and one of a version without checksums is read.
    for place in 0..json.len() {
        for bit in [0, 3] {
            let mut damaged = json.clone();
            damaged[place] ^= 1 << bit;
            assert!(Profile::parse(&damaged).is_ok_and(|read| read == profile) || Profile::parse(&damaged).is_err(), "byte {place}");
        }
    }
    let text = String::from_utf8(json.clone()).unwrap();
    let (said, _) = text.rsplit_once(",\n\"checksum\"").unwrap();
    assert_eq!(Profile::parse(format!("{said}}}\n").as_bytes()).unwrap(), profile);
    let error = Profile::parse(text.replacen("\"rows\":", "\"rows\":1", 1).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("its checksum differs"), "{error}");
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
    refused(r#"{"version":3,"later":1}"#, "version 3");
    let profile = profile_of(&[batch(vec![("x", spread(50, 0.0, 1.0))])], &[0.5; 50]).unwrap();
    let json = String::from_utf8(profile.to_json().unwrap()).unwrap();
    let other = json.replacen("\"counts\":[1,", "\"counts\":[", 1);
    refused(&other, "its checksum differs");
    let (said, _) = other.rsplit_once(",\n\"checksum\"").unwrap();
    refused(&format!("{said}}}"), "do not fit together");
    let no_rows = profile_of(&[], &[]).unwrap_err();
    assert!(no_rows.to_string().contains("at least one row"));
    assert!(profile_of(&[batch(vec![("x", spread(5, 0.0, 1.0))])], &[0.5]).is_err());
}

/// As the first version wrote it.
#[test]
fn a_profile_of_the_first_version_is_read() {
    let json = r#"{"version":1,"rows":4,"columns":[
{"name":"x","count":4,"missing":0,"bins":{"numbers":{"edges":[0.5,1.0,2.0],"counts":[0,2,2,0],"coarse":[0,1,2,3]}}}],
"scores":{"name":"score","count":4,"missing":0,"bins":{"numbers":{"edges":[0.1,0.5],"counts":[0,4,0],"coarse":[0,1,2]}}}}"#;
    let profile = Profile::parse(json.as_bytes()).unwrap();
    assert!(profile.origin().is_none());
    let report = observed(&profile, &batch(vec![("x", Arc::new(Float64Array::from(vec![1.0, 1.0, 2.0, 2.0])))]));
    assert_eq!((report[0].psi, report[0].reference.clone(), report[0].described.as_ref().unwrap().mean), (Some(0.0), None, 1.5));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    assert!(profile.misfits(&vector(&batch(vec![("x", times)]))).is_empty(), "it does not say which numbers are times");
}

#[test]
fn what_does_not_fit_is_said_and_left_out() {
    let profile = profile_of(&[batch(vec![("x", spread(50, 0.0, 1.0)), ("gone", spread(50, 0.0, 1.0))])], &[0.5; 50]).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"; 5]));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1; 5]));
    for (other, kind) in [(text, "text"), (time, "timestamp")] {
        let now = batch(vec![("x", other), ("new", spread(5, 0.0, 1.0))]);
        let misfits = profile.misfits(&vector(&now));
        let other_type = Misfit::OtherType("x".to_owned(), "double".to_owned(), kind.to_owned());
        assert_eq!(misfits, [other_type, Misfit::NotInProfile("new".to_owned()), Misfit::NotInVector("gone".to_owned())]);
        let (measure, counts) = counted(&profile, &now);
        assert_eq!(measure.unwatched(), ["x", "gone", "new"]);
        assert_eq!(measure.report(&counts).len(), 1, "the scores alone");
    }
    let whole = batch(vec![("x", Arc::new(Int64Array::from(vec![1; 5])) as ArrayRef), ("gone", spread(5, 0.0, 1.0))]);
    assert!(profile.misfits(&vector(&whole)).is_empty(), "a number is a number");
}
