mod tried;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Int64Type};
use arrow::record_batch::RecordBatch;
use sha2::{Digest, Sha256};

use super::{Session, installed};
use crate::error::{ErrorKind, Result};
use crate::plan::{Element, Field, Part, Tensor, Usage};
use crate::value::DataType;

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

/// The columns of a batch as a vector would declare them.
fn fields(columns: &RecordBatch) -> Vec<Field> {
    fn of(data_type: &ArrowType) -> DataType {
        match data_type {
            ArrowType::Int64 => DataType::Int,
            ArrowType::Float64 => DataType::Float,
            ArrowType::Boolean => DataType::Bool,
            ArrowType::Utf8 => DataType::Text,
            ArrowType::Timestamp(..) => DataType::Timestamp,
            ArrowType::List(item) => DataType::List(Box::new(of(item.data_type()))),
            other => panic!("{other}"),
        }
    }
    let field = |field: &Arc<ArrowField>| Field { name: field.name().clone(), data_type: of(field.data_type()) };
    columns.schema().fields().iter().map(field).collect()
}

fn opened(name: &str, columns: &RecordBatch, usage: &Usage) -> Result<Session> {
    Session::open_for(&fixture(name), None, usage, &fields(columns))
}

fn open(name: &str, columns: &RecordBatch) -> Session {
    opened(name, columns, &Usage::default()).unwrap()
}

/// Why the model is refused.
fn refusal(name: &str, columns: &RecordBatch, usage: &Usage) -> String {
    let error = opened(name, columns, usage).err().unwrap_or_else(|| panic!("{name} was taken"));
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    error.to_string()
}

/// A column of doubles called x, or several called x0, x1 ..
fn numbers(rows: &[&[f64]]) -> RecordBatch {
    let name = |place: usize| if rows[0].len() == 1 { "x".to_owned() } else { format!("x{place}") };
    let column = |place| (name(place), doubles(rows.iter().map(|row| Some(row[place])).collect()), true);
    RecordBatch::try_from_iter_with_nullable((0..rows[0].len()).map(column)).unwrap()
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
        let session = open(name, &three(1));
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
    assert!(scores(&open("matrix", &rows), &rows).iter().all(|score| score.is_nan()));
    // A tree sends a missing value to the side that its training chose.
    let rows = batch(vec![("a", doubles(vec![None, Some(1.0), Some(2.0)])), ("b", doubles(vec![Some(3.0); 3]))]);
    let session = open("trees", &rows);
    let scores = scores(&session, &rows);
    assert_eq!(scores[0].to_bits(), scores[1].to_bits());
    assert!(scores[2] > scores[1] && scores[2] < 1.0);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert!((scores[1] - logistic(-0.75 - 0.25)).abs() < 1e-6 && (scores[2] - logistic(0.5 - 0.25)).abs() < 1e-6, "{scores:?}");
}

/// Columns for the model that takes one of every type; the order of columns does not matter.
fn every_type() -> Vec<(&'static str, ArrayRef)> {
    vec![
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
    let session = open("columns", &batch(every_type()));
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
        ("t", bigints(vec![Some(1), Some(1)]), "input `t` takes texts, its column is bigint"),
        ("l", doubles(vec![Some(1.0), Some(1.0)]), "input `l` takes 64-bit integers, its column is double"),
        ("b", bigints(vec![Some(1), Some(1)]), "input `b` takes booleans, its column is bigint"),
        ("f", lists, "input `f` has shape [N], and its column is a list"),
    ];
    for (name, array, expected) in cases {
        let refused = refusal("columns", &every_type_but(name, array), &Usage::default());
        assert!(refused.contains(expected), "{refused}");
    }
    let refused = refusal("columns", &three(2), &Usage::default());
    assert!(refused.contains("input `f` has no column of that name"), "{refused}");
    let refused = refusal("trees", &three(2), &Usage::default());
    assert!(refused.contains("takes 2 columns, vector `columns` has 3"), "{refused}");
    let error = open("trees", &numbers(&[&[1.0, 2.0]])).run(&three(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
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
    for (name, array, expected) in cases {
        let columns = every_type_but(name, array);
        let scores = open("columns", &columns).run(&columns).unwrap();
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
        let columns = batch(vec![("place", bigints(places)), ("x", doubles(x))]);
        let scores = open("lookup", &columns).run(&columns).unwrap();
        assert_eq!(scores.len(), rows as usize);
        for (row, score) in (0..rows).zip(scores) {
            match score {
                Ok(score) => assert_eq!((fails(row), score), (false, ((row % 8) * (row % 8) + row) as f64), "{pattern}: {row}"),
                Err(error) => assert!(fails(row) && error.to_string().contains("could not run"), "{pattern}: {row}: {error}"),
            }
        }
    }
}

/// A score that other rows change is refused, also where only ordinary values show it, and where one number comes out for
/// all; with `runs row by row` it is the score that each row gets alone.
#[test]
fn a_score_depends_on_its_row_alone() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[1.0], &[5.0], &[2.0]]);
    for (name, alone) in [
        ("batch_dependent", [0.0, 0.0, 0.0]),
        ("batch_softmax", [1.0, 1.0, 1.0]),
        ("batch_mean", [0.0, 0.0, 0.0]),
        ("batch_running", [1.0, 5.0, 2.0]),
        ("batch_total", [1.0, 5.0, 2.0]),
    ] {
        let refused = refusal(name, &rows, &Usage::default());
        let why = if name == "batch_total" { "for 7 rows" } else { "depends on the rows beside it" };
        assert!(refused.contains(why) && refused.contains("`runs row by row`"), "{name}: {refused}");
        let session = opened(name, &rows, &Usage { row_by_row: true, ..Usage::default() }).unwrap();
        assert_eq!(scores(&session, &rows), alone, "{name}");
    }
}

#[test]
fn chance_is_refused_unless_it_is_asked_for() {
    if !can_run() {
        return;
    }
    let eight: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let part = Some(Part::Column(8));
    for (name, rows, why, part) in [
        ("random", numbers(&[&[1.0]]), "draws random numbers (RandomNormalLike)", None),
        ("dropout", numbers(&[eight]), "the model gave one made-up row the scores", part),
    ] {
        let refused = refusal(name, &rows, &Usage { part: part.clone(), ..Usage::default() });
        assert!(refused.contains(why) && refused.contains("`runs with chance`"), "{name}: {refused}");
        let session = opened(name, &rows, &Usage { chance: true, part, ..Usage::default() }).unwrap();
        assert!(scores(&session, &rows)[0].is_finite());
    }
}

/// Kernels that round differently by the number of rows are no dependence: each row has its own bits, in any company.
#[test]
fn rounding_by_the_number_of_rows_is_taken_for_no_dependence() {
    if !can_run() {
        return;
    }
    let row = |seed: usize| (0..4).map(|place| ((seed * 31 + place * 17) % 97) as f64 / 9.7 - 5.0).collect::<Vec<_>>();
    let many: Vec<Vec<f64>> = (0..300).map(row).collect();
    let rows: Vec<&[f64]> = many.iter().map(Vec::as_slice).collect();
    let session = open("rounds", &numbers(&rows[..1]));
    let together = scores(&session, &numbers(&rows));
    for (row, score) in rows.iter().zip(together) {
        assert_eq!(scores(&session, &numbers(&[row]))[0].to_bits(), score.to_bits());
    }
}

#[test]
fn what_the_runtime_gives_counts_and_not_what_the_model_declares() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[1.5], &[-2.0]]);
    assert_eq!(scores(&open("declares_flat", &rows), &rows), [-1.5, 2.0]);
    assert_eq!(scores(&open("declares_flat", &rows), &rows.slice(1, 1)), [2.0]);
    let two = numbers(&[&[1.0, 10.0], &[2.0, 20.0]]);
    let refused = refusal("declares_one", &two, &Usage::default());
    assert!(refused.contains("output `score` has 2 numbers for each row; write which of them"), "{refused}");
    let first = Usage { part: Some(Part::Column(1)), ..Usage::default() };
    assert_eq!(scores(&opened("declares_one", &two, &first).unwrap(), &two), [1.0, 2.0]);
    let third = Usage { part: Some(Part::Column(3)), ..Usage::default() };
    assert!(refusal("declares_one", &two, &third).contains("no column 3; it has 2 columns"));
}

#[test]
fn of_several_numbers_the_score_is_evident_or_chosen() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[0.0, 0.0, 50.0], &[0.0, 50.0, 0.0], &[50.0, 0.0, 0.0]]);
    let class = |label: &str| Usage { part: Some(Part::Class(label.to_owned())), ..Usage::default() };
    let refused = refusal("three_classes", &rows, &Usage::default());
    assert!(refused.contains("of the classes 'good', 'bad', 'ugly'") && refused.contains("class 'good'"), "{refused}");
    let of_class = |label: &str| scores(&opened("three_classes", &rows, &class(label)).unwrap(), &rows);
    assert_eq!(of_class("bad").iter().map(|score| score.round()).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
    assert_eq!(of_class("ugly").iter().map(|score| score.round()).collect::<Vec<_>>(), [1.0, 0.0, 0.0]);
    assert!(refusal("three_classes", &rows, &class("best")).contains("no class 'best'; its classes: 'good', 'bad', 'ugly'"));
    // The labels that it gives speak against those of its file.
    let refused = refusal("contradicts", &rows, &class("bad"));
    assert!(refused.contains("does not say which number") && refused.contains("column 3"), "{refused}");
    let named = |output: &str| Usage { output: Some(output.to_owned()), ..Usage::default() };
    assert!(refusal("three_classes", &rows, &named("label")).contains("output `label` holds no numbers"));
    assert!(refusal("three_classes", &rows, &named("other")).contains("no output `other`; its outputs with numbers: `probabilities`"));

    let two = batch(vec![("x", doubles(vec![Some(-3.0)]))]);
    assert!(refusal("two_floats", &two, &Usage::default()).contains("in several outputs: `a`, `b`; write which"));
    assert_eq!(scores(&opened("two_floats", &two, &named("a")).unwrap(), &two), [3.0]);
    assert_eq!(scores(&opened("two_floats", &two, &named("b")).unwrap(), &two), [3.0]);
}

/// Maps give the same bits as the tensor behind them; the class called 1 is the positive one.
#[test]
fn sequences_of_maps_are_read() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[0.0, 1.0], &[2.0, 1.0], &[2.0, 20.0]]);
    let (plain, mapped) = (scores(&open("trees", &rows), &rows), scores(&open("zipmap", &rows), &rows));
    assert_eq!(plain, mapped);
    let other = Usage { part: Some(Part::Class("0".to_owned())), ..Usage::default() };
    let others = scores(&opened("zipmap", &rows, &other).unwrap(), &rows);
    assert!(plain.iter().zip(others).all(|(one, other)| (one + other - 1.0).abs() < 1e-6));
}

#[test]
fn numbers_of_other_types_are_scores() {
    if !can_run() {
        return;
    }
    let rows = numbers(&[&[0.1], &[3.0], &[-2.0]]);
    assert_eq!(scores(&open("half", &rows), &rows), [0.099_975_585_937_5, 3.0, -2.0]);
    assert_eq!(scores(&open("yes_or_no", &rows), &rows), [1.0, 1.0, 0.0]);
    let rows = numbers(&[&[3.0], &[200_000_000.0], &[-2.0]]);
    let squares = open("whole", &rows).run(&rows).unwrap();
    assert_eq!((squares[0].as_ref().ok(), squares[2].as_ref().ok()), (Some(&9.0), Some(&4.0)));
    assert!(squares[1].as_ref().unwrap_err().to_string().contains("beyond 2^53"));
}

/// A model that knows only its own texts is tried with them.
#[test]
fn made_up_rows_have_texts_that_the_model_knows() {
    if !can_run() {
        return;
    }
    let rows = batch(vec![("city", Arc::new(StringArray::from(vec!["Bonn", "Paris", "Ulm"])) as ArrayRef)]);
    for name in ["known_texts", "keyed_texts"] {
        let scores = open(name, &rows).run(&rows).unwrap();
        assert_eq!((scores[0].as_ref().ok(), scores[2].as_ref().ok()), (Some(&2.0), Some(&1.0)), "{name}");
        assert!(scores[1].is_err(), "{name}");
    }
    // One that takes no made-up row was not tried, and runs row by row.
    let scores = open("secret_text", &rows).run(&rows).unwrap();
    assert_eq!(scores[2].as_ref().ok(), Some(&8.0));
    assert!(scores[0].is_err() && scores[1].is_err());
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn inputs_are_one_tensor_of_any_type_or_grouped_by_type_or_lists() {
    if !can_run() {
        return;
    }
    let ints =
        batch(vec![("a", bigints(vec![Some(1), Some(4)])), ("b", bigints(vec![Some(2), None])), ("c", bigints(vec![Some(3), Some(6)]))]);
    let sums = open("integers", &ints).run(&ints).unwrap();
    assert_eq!(*sums[0].as_ref().unwrap(), 6.0);
    assert!(sums[1].as_ref().unwrap_err().to_string().contains("column \"b\": null cannot feed"));
    let small = batch(vec![("n", bigints(vec![Some(-128), Some(128)]))]);
    let narrow = open("small_integers", &small).run(&small).unwrap();
    assert_eq!(*narrow[0].as_ref().unwrap(), -128.0);
    assert!(narrow[1].as_ref().unwrap_err().to_string().contains("128 does not fit the model's int8 tensor"));
    let rows = numbers(&[&[0.1]]);
    assert_eq!(scores(&open("halves", &rows), &rows), [0.099_975_585_937_5]);
    let rows = three(2);
    assert_eq!(scores(&open("unranked", &rows), &rows), [0.0, 261.0]);

    let mixed = batch(vec![
        ("shop", texts(&["a", "none"])),
        ("n", bigints(vec![Some(1), Some(2)])),
        ("city", texts(&["b", "a"])),
        ("x", doubles(vec![Some(0.5), Some(0.25)])),
    ]);
    assert_eq!(scores(&open("grouped", &mixed), &mixed), [1.0 + 50.0 + 10.0 + 2000.0, 2.0 + 25.0 + 0.0 + 1000.0]);
    let more = batch(vec![("shop", texts(&["a"])), ("n", doubles(vec![None])), ("x", doubles(vec![None]))]);
    assert!(refusal("grouped", &more, &Usage::default()).contains("input `cat` takes 2 columns, vector `columns` has 1 for it"));

    let lists = |rows: Vec<Option<Vec<Option<i64>>>>| Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows)) as ArrayRef;
    let four = Some(vec![Some(1), Some(2), Some(3), Some(4)]);
    let lengths = vec![four.clone(), Some(vec![Some(1)]), None, Some(vec![Some(1), None, Some(3), Some(4)]), four];
    let rows = batch(vec![("vector", lists(lengths)), ("x", doubles(vec![Some(0.5); 5]))]);
    let found = open("embedded", &rows).run(&rows).unwrap();
    assert_eq!((found[0].as_ref().ok(), found[4].as_ref().ok()), (Some(&4321.5), Some(&4321.5)));
    assert!(found[1].as_ref().unwrap_err().to_string().contains("a list of 1 cannot feed input `vector`, which takes lists of 4"));
    assert!(found[2].as_ref().unwrap().is_nan() && found[3].as_ref().unwrap().is_nan());
    // A list among single values takes what they leave of a tensor's width.
    let rows = batch(vec![("x", doubles(vec![Some(7.0)])), ("pair", lists(vec![Some(vec![Some(1), Some(2)])]))]);
    assert_eq!(scores(&open("matrix", &rows), &rows), [217.0]);
}

/// Weights in another file: of the model's folder, and hashed with it.
#[test]
fn external_data_is_the_models_own() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let copy = |name: &str| std::fs::copy(fixture(name), models.join(format!("{name}.onnx"))).unwrap();
    let _ = ["outside", "outside_above", "outside_absolute", "outside_longer"].map(copy);
    let weights = fixture("outside").with_file_name("outside.weights");
    let rows = numbers(&[&[5.0]]);
    let open = |name: &str, sha256: Option<&str>| {
        Session::open_for(&models.join(format!("{name}.onnx")), sha256, &Usage::default(), &fields(&rows))
    };
    let refused = |name: &str| open(name, None).err().unwrap_or_else(|| panic!("{name} was taken")).to_string();
    assert!(refused("outside").contains("external data \"outside.weights\" is not there"), "{}", refused("outside"));

    let own = models.join("outside.weights");
    std::fs::copy(&weights, &own).unwrap();
    // What lies above and in the current folder is never looked at.
    std::fs::write(folder.path().join("outside.weights"), [0; 8]).unwrap();
    let session = open("outside", None).unwrap();
    assert_eq!(scores(&session, &rows), [13.0]);
    assert!(open("outside", Some(session.version())).is_ok());
    for name in ["outside_above", "outside_absolute"] {
        assert!(refused(name).contains("lies outside of the model's folder"), "{name}: {}", refused(name));
    }
    assert!(refused("outside_longer").contains("has 8 bytes, and a tensor asks for"), "{}", refused("outside_longer"));

    std::fs::write(&own, [2.0_f32.to_le_bytes(), 4.0_f32.to_le_bytes()].concat()).unwrap();
    let other = open("outside", None).unwrap();
    assert_eq!(scores(&other, &rows), [14.0]);
    assert_ne!(other.version(), session.version());
    assert!(open("outside", Some(session.version())).err().unwrap().to_string().contains(other.version()));

    std::fs::remove_file(&own).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside.weights"), &own).unwrap();
    assert!(refused("outside").contains("lies outside of the model's folder"), "{}", refused("outside"));
    std::fs::remove_file(&own).unwrap();
    std::fs::copy(&weights, models.join("there")).unwrap();
    std::os::unix::fs::symlink("there", &own).unwrap();
    assert_eq!(open("outside", None).unwrap().version(), session.version(), "a link within the folder");
}

#[test]
fn threads_share_a_session() {
    if !can_run() {
        return;
    }
    let session = open("matrix", &three(1));
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
    let session = open("trees", &numbers(&[&[1.0, 2.0]]));
    let signature = session.signature();
    let tensor = |name: &str, element, shape: &[Option<i64>]| Tensor { name: name.to_owned(), element, shape: shape.to_vec() };
    assert_eq!(signature.inputs, [tensor("input", Element::Float32, &[None, Some(2)])]);
    let outputs = [tensor("label", Element::Int64, &[None]), tensor("probabilities", Element::Float32, &[None, Some(2)])];
    assert_eq!(signature.outputs, outputs);
    let session = open("columns", &batch(every_type()));
    let elements: Vec<Element> = session.signature().inputs.iter().map(|input| input.element).collect();
    assert_eq!(elements, [Element::Float32, Element::Float64, Element::Int64, Element::Int32, Element::Bool, Element::Text]);
}

#[test]
fn the_version_is_the_files_hash_and_may_be_pinned() {
    if !can_run() {
        return;
    }
    let columns = fields(&three(1));
    let pinned = |sha256: &str| Session::open_for(&fixture("matrix"), Some(sha256), &Usage::default(), &columns);
    let session = open("matrix", &three(1));
    let digest = Sha256::digest(std::fs::read(fixture("matrix")).unwrap());
    assert_eq!(session.version(), digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert!(pinned(session.version()).is_ok());
    let error = pinned(&"0".repeat(64)).err().unwrap();
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
        (
            fixture("double_trees"),
            ErrorKind::Input,
            "ONNX Runtime has no TreeEnsembleRegressor that takes doubles; export it with 32-bit floats",
        ),
        (fixture("foreign"), ErrorKind::Input, "ONNX Runtime has no operator TreesOfDoubles (elsewhere)"),
    ];
    for (path, kind, expected) in cases {
        let error = Session::open_for(&path, None, &Usage::default(), &fields(&numbers(&[&[1.0]]))).err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// Whatever the bytes are, a model or a reason comes out.
#[test]
fn flipped_bytes_end_nothing() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.onnx");
    std::fs::copy(fixture("outside").with_file_name("outside.weights"), folder.path().join("outside.weights")).unwrap();
    for name in ["outside", "three_classes", "zipmap"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for place in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            if let Ok(graph) = super::onnx::read(&bytes) {
                let _ = (graph.labels("label"), super::onnx::external::places(&bytes));
            }
            std::fs::write(&path, bytes).unwrap();
            let _ = super::file::read_file(&path);
        }
    }
}
