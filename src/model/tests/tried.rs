//! What trying a model finds out: labels that are proven, outputs that are functions of their row, values that no tensor or
//! score holds. Must never take what a model declares for what it gives.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;

use super::{batch, bigints, can_run, doubles, numbers, open, opened, refusal, scores};
use crate::plan::{Part, Usage};
use crate::value::Value;

/// A made-up row that gets no score says nothing of the others; where none gets one, the model has no use.
#[test]
fn a_whole_number_that_no_score_holds_costs_its_row_only() {
    if !can_run() {
        return;
    }
    let rows = batch(vec![("x", doubles(vec![Some(1.25), None, Some(3.0), Some(-2.0)]))]);
    let found = open("rounded", &rows).run(&rows).unwrap();
    assert_eq!([&found[0], &found[2], &found[3]].map(|score| *score.as_ref().unwrap()), [125.0, 300.0, -200.0]);
    let found = open("rounded_unsigned", &rows).run(&rows).unwrap();
    assert_eq!([&found[0], &found[2]].map(|score| *score.as_ref().unwrap()), [125.0, 300.0]);
    assert!(found[3].as_ref().unwrap_err().to_string().contains("beyond 2^53"));
    let refused = refusal("beyond", &rows, &Usage::default());
    assert!(refused.contains("every made-up row a whole number beyond 2^53") && refused.contains("export it with floats"), "{refused}");
}

/// A finite number is never scored as infinity.
#[test]
fn a_number_that_a_float_tensor_cannot_hold_fails_alone() {
    if !can_run() {
        return;
    }
    let list = |item: i64| ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1); 2]), Some(vec![Some(1), Some(item)])]);
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("halves", bigints(vec![Some(65_504), Some(70_000)]), "70000 is too large for the model's float16 tensor"),
        ("halves", doubles(vec![Some(-65_504.0), Some(-65_520.0)]), "-65520.0 is too large for the model's float16 tensor"),
        ("two_floats", doubles(vec![Some(3e38), Some(1e39)]), "1e39 is too large for the model's float32 tensor"),
    ];
    for (name, array, expected) in cases {
        let rows = batch(vec![("x", array)]);
        let output = (name == "two_floats").then(|| "a".to_owned());
        let found = opened(name, &rows, &Usage { output, ..Usage::default() }).unwrap().run(&rows).unwrap();
        assert!(found[0].as_ref().is_ok_and(|score| score.is_finite()), "{name}");
        let error = found[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("column \"x\"") && error.contains(expected), "{error}");
    }
    let rows = batch(vec![("x", doubles(vec![None, Some(f64::NEG_INFINITY)]))]);
    let found = scores(&open("halves", &rows), &rows);
    assert!(found[0].is_nan() && found[1] == f64::NEG_INFINITY, "null and infinity are what they are");
    // Every number of a bigint is a 32-bit float.
    let rows = batch(vec![("x", doubles(vec![Some(0.0); 2])), ("pair", Arc::new(list(i64::MAX)))]);
    assert!(scores(&open("matrix", &rows), &rows)[1].is_finite());
    let times: TimestampMicrosecondArray = [Some(0)].into_iter().collect();
    let refused = refusal("halves", &batch(vec![("x", Arc::new(times))]), &Usage::default());
    assert!(refused.contains("input `x` takes 16-bit floats, its column is timestamp"), "{refused}");
}

/// Two columns are two classes only where something says so: two targets of two classes each look the same.
#[test]
fn two_targets_are_not_taken_for_two_classes() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[100.0, -100.0], &[-100.0, 100.0]]);
    let of = |output: Option<&str>, part, also: &[&str]| Usage {
        output: output.map(str::to_owned),
        part,
        also: also.iter().map(|name| (*name).to_owned()).collect(),
        ..Usage::default()
    };
    for name in ["two_targets", "two_targets_unlabelled", "two_targets_one_label"] {
        let refused = refusal(name, &rows, &Usage::default());
        assert!(refused.contains("has 2 numbers for each row; write which"), "{name}: {refused}");
        let refused = refusal(name, &rows, &of(None, Some(Part::Class("1".to_owned())), &[]));
        assert!(refused.contains("does not say which number"), "{name}: {refused}");
        assert_eq!(scores(&opened(name, &rows, &of(None, Some(Part::Column(1)), &[])).unwrap(), &rows), [1.0, 0.0], "{name}");
    }
    let refused = refusal("two_targets", &rows, &of(Some("label"), None, &[]));
    assert!(refused.contains("output `label` has 2 numbers for each row; write which"), "{refused}");
    let session = opened("two_targets", &rows, &of(None, Some(Part::Column(1)), &["label", "probabilities"])).unwrap();
    let given = session.run_whole(&rows).unwrap().remove(0).unwrap();
    let list = |values: [Value; 2]| Value::List(Arc::from(values));
    let (label, probabilities) = (list([Value::Int(1), Value::Int(0)]), list([Value::Float(1.0), Value::Float(0.0)]));
    assert_eq!(given.outputs, Value::Struct(Arc::from([("label".into(), label), ("probabilities".into(), probabilities)])));
}

/// What is handed on beside the score is tried as the score is.
#[test]
fn outputs_that_are_handed_on_depend_on_their_row_alone() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[1.0], &[5.0], &[2.0]]);
    let also = |names: &[&str]| Usage { also: names.iter().map(|name| (*name).to_owned()).collect(), ..Usage::default() };
    for (name, why) in [
        ("share", "output `share` of a row depends on the rows beside it"),
        ("pair", "output `pair` of a row depends on the rows beside it"),
        ("names", "output `names`: the model gave values of shape [2] for 7 rows"),
        ("turned", "output `turned`: the model gave values of shape [3, 7] for 7 rows"),
        ("noise", "as output `noise`"),
    ] {
        let refused = refusal("beside", &rows, &also(&["less", name]));
        assert!(refused.contains(why), "{name}: {refused}");
    }
    // Of the score's own output only what is handed on is tried.
    let pair = Usage { output: Some("pair".to_owned()), part: Some(Part::Column(1)), ..Usage::default() };
    assert_eq!(scores(&opened("beside", &rows, &pair).unwrap(), &rows), [1.0, 5.0, 2.0]);
    let refused = refusal("beside", &rows, &Usage { also: vec!["pair".to_owned()], ..pair });
    assert!(refused.contains("output `pair` of a row depends on the rows beside it"), "{refused}");

    let session = opened("beside", &rows, &also(&["three", "score", "less"])).unwrap();
    let list = Value::List(Arc::from([5.0, -5.0, -5.0].map(Value::Float)));
    let expected = [("three".into(), list), ("score".into(), Value::Float(5.0)), ("less".into(), Value::Float(-5.0))];
    assert_eq!(session.run_whole(&rows).unwrap().remove(1).unwrap().outputs, Value::Struct(Arc::from(expected)));
    let turned = opened("beside", &rows, &Usage { row_by_row: true, ..also(&["turned"]) }).unwrap();
    let list = Value::List(Arc::from([2.0, -2.0, -2.0].map(Value::Float)));
    assert_eq!(turned.run_whole(&rows).unwrap().remove(2).unwrap().outputs, Value::Struct(Arc::from([("turned".into(), list)])));
}
