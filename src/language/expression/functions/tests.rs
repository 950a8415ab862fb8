//! Forebay's own functions at their edges: nulls, NaN, infinities, huge numbers, broken JSON, and arguments that are
//! refused. Expressions are compiled from text, as definitions are.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat;
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::language::{Compiled, SourceFile, compile};
use crate::plan::{ColumnSource, ModelSignature};
use crate::value::Value;
use crate::vector::value_at;

fn compiled(expression: &str) -> Compiled {
    let text = format!(
        "source s (i bigint, x double, y double, name text, t timestamp) from log 's' format json event time t;
         vector v on s (i, x, y, name, t, value = {expression});"
    );
    let no_model = |_: &Path| -> Result<ModelSignature> { Err(Error::not_found("no model")) };
    compile(&[SourceFile { path: "test.bay".into(), text }], &no_model)
}

fn problem(expression: &str) -> (&'static str, String) {
    let compiled = compiled(expression);
    let [problem] = compiled.diagnostics.as_slice() else { panic!("{expression}: {:?}", compiled.diagnostics) };
    (problem.code.id, problem.message.clone())
}

/// Rows of `i`, `x`, `y` and `name`.
type Row<'a> = (Option<i64>, Option<f64>, Option<f64>, Option<&'a str>);

/// The values of an expression, which are the same for the whole batch and for each row alone.
fn values(expression: &str, rows: &[Row<'_>]) -> Vec<Value> {
    let compiled = compiled(expression);
    let Some(plan) = compiled.plan else { panic!("{expression}: {:?}", compiled.diagnostics) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<StringArray>()),
        Arc::new(rows.iter().map(|_| Some(0)).collect::<TimestampMicrosecondArray>()),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&plan.sources[0].schema), columns).unwrap();
    let ColumnSource::Derived(derived) = &plan.vectors[0].columns[5].from else { panic!("not derived") };
    let whole = derived.evaluate(&batch).unwrap();
    let alone: Vec<ArrayRef> = (0..rows.len()).map(|row| derived.evaluate(&batch.slice(row, 1)).unwrap()).collect();
    let alone = concat(&alone.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
    assert_eq!(&whole, &alone, "{expression}");
    (0..rows.len()).map(|row| value_at(whole.as_ref(), row)).collect()
}

fn of_numbers(expression: &str, numbers: &[Option<f64>]) -> Vec<Value> {
    values(expression, &numbers.iter().map(|x| (None, *x, Some(0.0), None)).collect::<Vec<_>>())
}

fn of_texts(expression: &str, texts: &[Option<&str>]) -> Vec<Value> {
    values(expression, &texts.iter().map(|text| (None, None, None, *text)).collect::<Vec<_>>())
}

fn doubles(values: &[Value]) -> Vec<Option<f64>> {
    let double = |value: &Value| match value {
        Value::Float(double) => Some(*double),
        Value::Null => None,
        other => panic!("{other:?}"),
    };
    values.iter().map(double).collect()
}

#[test]
fn distances_on_the_earth() {
    let found = doubles(&values(
        "haversine(x, y, 48.8566, 2.3522)",
        &[
            (None, Some(51.5074), Some(-0.1278), None),
            (None, Some(48.8566), Some(2.3522), None),
            (None, Some(-48.8566), Some(-177.6478), None),
            (None, None, Some(0.0), None),
            (None, Some(0.0), None, None),
            (None, Some(f64::NAN), Some(0.0), None),
            (None, Some(0.0), Some(f64::INFINITY), None),
        ],
    ));
    let near = |found: Option<f64>, wanted: f64| assert!((found.unwrap() - wanted).abs() < 0.01, "{found:?} is not {wanted}");
    near(found[0], 343.557);
    assert_eq!(found[1], Some(0.0));
    near(found[2], std::f64::consts::PI * 6371.0088);
    assert_eq!(found[3..5], [None, None]);
    assert!(found[5].unwrap().is_nan() && found[6].unwrap().is_nan());
    assert_eq!(of_numbers("haversine(x, null, 1, 2)", &[Some(1.0)]), [Value::Null]);
    // A quarter of a meridian, of whole degrees.
    near(doubles(&values("haversine(i, 0, 90, 0)", &[(Some(0), None, None, None)]))[0], std::f64::consts::FRAC_PI_2 * 6371.0088);
}

#[test]
fn circles_close() {
    let inputs = [Some(0.0), Some(6.0), Some(24.0), Some(-18.0), Some(24e9 + 6.0), None, Some(f64::NAN), Some(f64::INFINITY)];
    let sine = doubles(&of_numbers("cyclic_sin(x, 24)", &inputs));
    let cosine = doubles(&of_numbers("cyclic_cos(x, 24.0)", &inputs));
    assert_eq!(sine[..6], [Some(0.0), Some(1.0), Some(0.0), Some(1.0), Some(1.0), None]);
    assert_eq!(cosine[0], Some(1.0));
    assert_eq!(cosine[1], cosine[3]);
    assert!(cosine[1].unwrap().abs() < 1e-15);
    assert!(sine[6..].iter().chain(&cosine[6..]).all(|value| value.unwrap().is_nan()));
    let both = of_numbers("cyclic(x, 24)", &inputs);
    for (row, both) in both.iter().enumerate() {
        match (sine[row], cosine[row]) {
            (Some(sine), Some(cosine)) => assert_eq!(*both, Value::List([Value::Float(sine), Value::Float(cosine)].into())),
            _ => assert_eq!(*both, Value::Null),
        }
    }
    let hours = values("cyclic_sin(extract(hour from t), 24)", &[(None, None, None, None)]);
    assert_eq!(hours, [Value::Float(0.0)]);
}

#[test]
fn buckets_are_counted_from_the_first_bound() {
    let inputs = [Some(-1.0), Some(0.0), Some(9.9), Some(10.0), Some(1e300), Some(f64::NEG_INFINITY), Some(f64::INFINITY), None];
    let wanted = [0, 1, 1, 2, 2, 0, 2].map(Value::Int);
    assert_eq!(of_numbers("bucket(x, 0, 10)", &inputs)[..7], wanted);
    assert_eq!(of_numbers("bucket(x, 0, 10)", &inputs)[7], Value::Null);
    assert_eq!(of_numbers("bucket(x, -0.5, 1, 2)", &[Some(f64::NAN), Some(-0.0)]), [Value::Int(3), Value::Int(1)]);
    // As doubles both would be 2^53.
    let wide = [9_007_199_254_740_992, 9_007_199_254_740_993].map(|i| (Some(i), None, None, None));
    assert_eq!(values("bucket(i, 9007199254740993)", &wide), [Value::Int(0), Value::Int(1)]);
    assert_eq!(values("bucket(i, 0.5)", &[(Some(1), None, None, None)]), [Value::Int(1)]);
}

#[test]
fn hashes_stay_what_they_are() {
    // XXH3 (64 bits, seed 0) of the empty text is 0x2d06800538d394c2.
    let found = of_texts("hash_mod(name, 1000)", &[Some(""), None, Some("grocery"), Some("grocery")]);
    assert_eq!(found[0], Value::Int((0x2d06_8005_38d3_94c2_u64 % 1000) as i64));
    assert_eq!(found[1], Value::Null);
    assert_eq!(found[2], found[3]);
    assert_eq!(of_texts("hash_mod(name, 1)", &[Some("a")]), [Value::Int(0)]);
    let widest = of_texts("hash_mod(name, 9223372036854775807)", &[Some("")]);
    assert_eq!(widest, [Value::Int((0x2d06_8005_38d3_94c2_u64 % i64::MAX as u64) as i64)]);
}

#[test]
fn values_come_out_of_json() {
    let text = |text: &str| Value::Text(text.into());
    let one = |expression: &str, json: &str| of_texts(expression, &[Some(json)]).remove(0);
    let json = r#" {"a": {"b": [1, {"c": "x\"\u00e4"}], "n": null}, "a.b": 7, "é": true, "": 3, "d": 1, "d": 2.50e1} "#;
    assert_eq!(one("json_get(name, 'a.b[1].c')", json), text("x\"ä"));
    assert_eq!(one("json_get(name, 'a.b')", json), text(r#"[1, {"c": "x\"\u00e4"}]"#));
    assert_eq!(one(r#"json_get(name, '["a.b"]')"#, json), text("7"));
    assert_eq!(one("json_get_bool(name, 'é')", json), Value::Bool(true));
    assert_eq!(one(r#"json_get_bigint(name, '[""]')"#, json), Value::Int(3));
    assert_eq!(one("json_get(name, 'd')", json), text("2.50e1"));
    assert_eq!(one("json_get_double(name, 'd')", json), Value::Float(25.0));
    assert_eq!(one("json_get_bigint(name, 'd')", json), Value::Null);
    for missing in ["a.n", "a.b[2]", "a.b.c", "a[0]", "q", "a.b[0].c"] {
        assert_eq!(one(&format!("json_get(name, '{missing}')"), json), Value::Null, "{missing}");
    }
    assert_eq!(one("json_get_bigint(name, '[1]')", "[0, -9223372036854775808]"), Value::Int(i64::MIN));
    assert_eq!(one("json_get_bigint(name, '[0]')", "[9223372036854775808]"), Value::Null);
    assert_eq!(one("json_get_double(name, '[0]')", "[1e999]"), Value::Float(f64::INFINITY));
    assert_eq!(one("json_get_double(name, '[0]')", "[0.1]"), Value::Float(0.1));
    assert_eq!(one("json_get_double(name, '[0]')", r#"["0.1"]"#), Value::Null);
    assert_eq!(one("json_get_bool(name, '[0]')", "[1]"), Value::Null);
}

#[test]
fn what_is_no_json_is_null() {
    let nested = |depth: usize| format!(r#"{{"a": 1, "b": {}"{{\"[["{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let unclosed = "[".repeat(300_000);
    let texts = [Some(""), Some(" "), Some(r#"{"a": 1"#), Some(r#"{"a": 1} x"#), Some(r#"{"a": 01}"#), Some("1"), Some(&unclosed), None];
    assert_eq!(of_texts("json_get(name, 'a')", &texts), vec![Value::Null; 8]);
    let deep = [64, 65, 300_000].map(nested);
    let found = of_texts("json_get_bigint(name, 'a')", &deep.each_ref().map(|text| Some(text.as_str())));
    assert_eq!(found, [Value::Int(1), Value::Null, Value::Null]);
    assert_eq!(of_texts("json_get(name, 'a')", &[Some(r#"{"a": 1, "b": nul}"#)]), [Value::Null]);
}

#[test]
fn wrong_arguments_are_refused_where_they_stand() {
    assert_eq!(problem("haversine(x, y)"), ("FB0206", "`haversine` is written `haversine(lat1, lon1, lat2, lon2)`".to_owned()));
    assert_eq!(problem("haversine(x, y, name, 1)"), ("FB0206", "`haversine` takes a number here, and `name` is text".to_owned()));
    assert_eq!(problem("hash_mod(i, 5)"), ("FB0206", "`hash_mod` takes a text here, and `i` is bigint".to_owned()));
    assert_eq!(problem("hash_mod(name, 0)").0, "FB0206");
    assert_eq!(problem("hash_mod(name, 1.5)").0, "FB0206");
    assert_eq!(problem("hash_mod(name, i)").0, "FB0208");
    assert_eq!(problem("cyclic_sin(x, y)").0, "FB0208");
    assert_eq!(problem("cyclic_cos(t, 24)").0, "FB0206");
    assert_eq!(problem("cyclic(x, -1)").0, "FB0206");
    assert_eq!(problem("bucket(x)").0, "FB0206");
    assert_eq!(problem("bucket(x, 1, 1)"), ("FB0206", "the bounds of `bucket` rise, and `1` is not above the one before it".to_owned()));
    assert_eq!(problem("bucket(x, 1, x)").0, "FB0208");
    assert_eq!(problem("bucket(x, 'a')").0, "FB0206");
    for path in ["", ".", "a.", "a..b", "[", "[x]", "[-1]", "a[0", "a]", "[\"a]"] {
        assert_eq!(problem(&format!("json_get(name, '{path}')")).0, "FB0206", "{path}");
    }
    assert_eq!(problem("json_get(name, name)").0, "FB0208");
    assert_eq!(problem("json_got(name, 'a')").0, "FB0108");
}
