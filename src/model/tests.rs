use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;

use super::{Session, installed, read_signature};
use crate::error::ErrorKind;
use crate::plan::{Element, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/fixtures").join(format!("{name}.onnx"))
}

/// `false`, and says so, where ONNX Runtime is not installed.
fn can_run() -> bool {
    if !installed() {
        eprintln!("skipped: no onnx runtime (make setup)");
    }
    installed()
}

fn open(name: &str) -> Session {
    Session::open(&fixture(name), None).unwrap()
}

/// The scores of rows that all have one.
fn scores(session: &Session, columns: &RecordBatch) -> Vec<f64> {
    session.run(columns).unwrap().into_iter().map(Result::unwrap).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn doubles(values: Vec<Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

fn bigints(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

/// Columns of which a matrix of three takes one number each.
fn three(rows: usize) -> RecordBatch {
    let ints = (0..rows).map(|row| Some(row as i64)).collect();
    let bools: BooleanArray = (0..rows).map(|row| Some(row % 2 == 1)).collect();
    let times: TimestampMicrosecondArray = (0..rows).map(|row| Some(2_500_000 * row as i64)).collect();
    batch(vec![("a", bigints(ints)), ("b", Arc::new(bools)), ("c", Arc::new(times))])
}

#[test]
fn takes_columns_in_order_as_one_tensor() {
    if !can_run() {
        return;
    }
    for name in ["matrix", "matrix_double", "matrix_one_row"] {
        let session = open(name);
        assert_eq!(scores(&session, &three(3)), [0.0, 1.0 + 10.0 + 250.0, 2.0 + 500.0], "{name}");
        assert_eq!(scores(&session, &three(1)), [0.0], "{name}");
        assert_eq!(scores(&session, &three(0)), Vec::<f64>::new(), "{name}");
        assert_eq!(scores(&session, &three(600))[599], 599.0 + 10.0 + 100.0 * 2.5 * 599.0, "{name}");
    }
}

#[test]
fn null_is_nan_in_float_tensors() {
    if !can_run() {
        return;
    }
    let rows = batch(vec![("a", doubles(vec![Some(1.0), None])), ("b", doubles(vec![None, None])), ("c", bigints(vec![Some(1), Some(1)]))]);
    assert!(scores(&open("matrix"), &rows).iter().all(|score| score.is_nan()));
    // A tree sends a missing value to the side that its training chose.
    let session = open("trees");
    let rows = batch(vec![("a", doubles(vec![None, Some(1.0), Some(2.0)])), ("b", doubles(vec![Some(3.0); 3]))]);
    let scores = scores(&session, &rows);
    assert_eq!(scores[0].to_bits(), scores[1].to_bits());
    assert!(scores[2] > scores[1] && scores[2] < 1.0);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert!((scores[1] - logistic(-0.75 - 0.25)).abs() < 1e-6 && (scores[2] - logistic(0.5 - 0.25)).abs() < 1e-6, "{scores:?}");
}

/// Columns for the model that takes one of every type; the order of columns does not matter, and more may be there.
fn every_type() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("unused", doubles(vec![None, None])),
        ("t", Arc::new(StringArray::from(vec!["x", "y"]))),
        ("b", Arc::new(BooleanArray::from(vec![false, true]))),
        ("i", bigints(vec![Some(3), Some(30)])),
        ("l", bigints(vec![Some(2), Some(20)])),
        ("d", doubles(vec![Some(0.5), Some(1.5)])),
        ("f", doubles(vec![Some(0.25), Some(0.75)])),
    ]
}

#[test]
fn takes_one_input_per_column_by_name() {
    if !can_run() {
        return;
    }
    let session = open("columns");
    assert_eq!(scores(&session, &batch(every_type())), [10005.75, 1052.25]);
    let one = batch(every_type()).slice(1, 1);
    assert_eq!(scores(&session, &one), [1052.25]);
}

#[test]
fn names_the_column_that_does_not_fit() {
    if !can_run() {
        return;
    }
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None]));
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("t", bigints(vec![Some(1), Some(1)]), "a value of bigint cannot feed a string tensor"),
        ("l", doubles(vec![Some(1.0), Some(1.0)]), "a value of double cannot feed an integer tensor"),
        ("b", bigints(vec![Some(1), Some(1)]), "a value of bigint cannot feed a bool tensor"),
        ("f", lists, "a value of bigint[] cannot feed a float tensor"),
    ];
    let session = open("columns");
    for (name, array, expected) in cases {
        let error = session.run(&every_type_but(name, array)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(&format!("column {name:?}")) && error.to_string().contains(expected), "{error}");
    }
    let error = session.run(&three(2)).unwrap_err();
    assert!(error.to_string().contains("input \"f\" has no column of that name"), "{error}");
    let error = open("trees").run(&three(2)).unwrap_err();
    assert!(error.to_string().contains("takes 2 columns, but the vector has 3"), "{error}");
    assert_eq!(scores(&session, &batch(every_type())), [10005.75, 1052.25], "an error leaves the model usable");
}

fn every_type_but(name: &str, array: ArrayRef) -> RecordBatch {
    let mut columns = every_type();
    columns.retain(|(other, _)| *other != name);
    columns.push((name, array));
    batch(columns)
}

/// What cannot feed the model in one row leaves the other its score.
#[test]
fn a_row_that_cannot_feed_the_model_fails_alone() {
    if !can_run() {
        return;
    }
    let texts = |text: Option<&str>| Arc::new(StringArray::from(vec![Some("x"), text])) as ArrayRef;
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("l", bigints(vec![Some(2), None]), "null cannot feed"),
        ("i", bigints(vec![Some(3), None]), "null cannot feed"),
        ("i", bigints(vec![Some(3), Some(1 << 31)]), "2147483648 does not fit"),
        ("b", Arc::new(BooleanArray::from(vec![Some(false), None])), "null cannot feed"),
        ("t", texts(None), "null cannot feed"),
        ("t", texts(Some("a\0b")), "a text with a NUL character"),
    ];
    let session = open("columns");
    for (name, array, expected) in cases {
        let scores = session.run(&every_type_but(name, array)).unwrap();
        assert_eq!(*scores[0].as_ref().unwrap(), 10005.75, "{name}");
        let error = scores[1].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(&format!("column {name:?}")) && error.to_string().contains(expected), "{error}");
    }
}

/// Rows that the runtime cannot take are found among those that it can, wherever and however many they are.
#[test]
fn a_row_that_the_model_cannot_take_fails_alone() {
    if !can_run() {
        return;
    }
    let session = open("lookup");
    let rows = 1000;
    let patterns: [&dyn Fn(i64) -> bool; 7] = [
        &|_| false,
        &|row| row == 700,
        &|row| row == 0 || row == 255 || row == 256 || row == 999,
        &|row| row % 97 == 5,
        &|row| row % 2 == 1,
        &|row| (300..700).contains(&row),
        &|_| true,
    ];
    for (pattern, fails) in patterns.iter().enumerate() {
        let places = (0..rows).map(|row| Some(if fails(row) { 8 + row } else { row % 8 })).collect();
        let x = (0..rows).map(|row| Some(row as f64)).collect();
        let scores = session.run(&batch(vec![("place", bigints(places)), ("x", doubles(x))])).unwrap();
        assert_eq!(scores.len(), rows as usize);
        for (row, score) in (0..rows).zip(scores) {
            match score {
                Ok(score) => assert_eq!((fails(row), score), (false, ((row % 8) * (row % 8) + row) as f64), "{pattern}: {row}"),
                Err(error) => assert!(fails(row) && error.to_string().contains("could not run"), "{pattern}: {row}: {error}"),
            }
        }
    }
}

#[test]
fn a_score_depends_on_its_row_alone() {
    if !can_run() {
        return;
    }
    let rows = batch(vec![("x", doubles(vec![Some(1.0), Some(5.0), Some(2.0)]))]);
    assert_eq!(scores(&open("batch_dependent"), &rows), [0.0, 0.0, 0.0]);
}

#[test]
fn threads_share_a_session() {
    if !can_run() {
        return;
    }
    let session = open("matrix");
    std::thread::scope(|scope| {
        for rows in [1, 2, 3, 300] {
            let session = &session;
            scope.spawn(move || {
                for _ in 0..50 {
                    let scores = scores(session, &three(rows));
                    assert_eq!((scores.len(), scores[0]), (rows, 0.0));
                }
            });
        }
    });
}

#[test]
fn reads_the_signature() {
    if !can_run() {
        return;
    }
    let signature = read_signature(&fixture("trees")).unwrap();
    let tensor = |name: &str, element, shape: &[Option<i64>]| Tensor { name: name.to_owned(), element, shape: shape.to_vec() };
    assert_eq!(signature.inputs, [tensor("input", Element::Float32, &[None, Some(2)])]);
    let outputs = [tensor("label", Element::Int64, &[None]), tensor("probabilities", Element::Float32, &[None, Some(2)])];
    assert_eq!(signature.outputs, outputs);
    let elements: Vec<Element> = read_signature(&fixture("columns")).unwrap().inputs.iter().map(|input| input.element).collect();
    assert_eq!(elements, [Element::Float32, Element::Float64, Element::Int64, Element::Int32, Element::Bool, Element::Text]);
}

#[test]
fn the_version_is_the_files_hash_and_may_be_pinned() {
    if !can_run() {
        return;
    }
    let session = open("matrix");
    assert_eq!(session.version().len(), 64);
    assert!(Session::open(&fixture("matrix"), Some(session.version())).is_ok());
    let error = Session::open(&fixture("matrix"), Some(&"0".repeat(64))).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains(session.version()), "{error}");
}

#[test]
fn refuses_what_it_cannot_run() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = std::fs::read(fixture("trees")).unwrap();
    let cases = [
        (folder.path().join("absent.onnx"), ErrorKind::NotFound, "there is no model file"),
        (write("empty.onnx", b""), ErrorKind::Input, "is empty"),
        (write("text.onnx", b"not a model"), ErrorKind::Input, "is damaged"),
        (write("cut.onnx", &whole[..whole.len() / 2]), ErrorKind::Input, "is damaged"),
        (fixture("zipmap"), ErrorKind::Input, "zipmap off"),
        (fixture("two_floats"), ErrorKind::Input, "several float outputs (a, b)"),
    ];
    for (path, kind, expected) in cases {
        let error = Session::open(&path, None).err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
