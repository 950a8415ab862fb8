use std::fs;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType as ArrowType, Int64Type};

use crate::error::ErrorKind;
use crate::training::{Spine, read_spine, write_table};

fn table() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec![Some("007"), Some("a,\"b\"\nc"), None]))),
        ("count", Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None, Some(-1)]))),
        ("amount", Arc::new(Float64Array::from(vec![Some(0.1), Some(1.0), Some(1e300)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(1_500_000), Some(-1)]))),
        ("last", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn written(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write_table(&path, &[table(), table()]).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [name], "nothing else is left in the folder");
    (folder, path)
}

fn rows(spine: &Spine) -> RecordBatch {
    spine.table(&[]).unwrap()
}

#[test]
fn parquet_comes_back_as_it_was() {
    let (_folder, path) = written("set.parquet");
    let spine = read_spine(&path).unwrap();
    let both = arrow::compute::concat_batches(&table().schema(), &[table(), table()]).unwrap();
    assert_eq!(rows(&spine), both);
}

#[test]
fn csv_is_exact_text() {
    let (_folder, path) = written("set.csv");
    let text = fs::read_to_string(&path).unwrap();
    let expected = "id,count,amount,flag,at,last\n\
                    007,9007199254740993,0.1,true,1970-01-01T00:00:00Z,\"[1,null]\"\n\
                    \"a,\"\"b\"\"\nc\",,1.0,false,1970-01-01T00:00:01.500Z,\n\
                    ,-1,1e300,,1969-12-31T23:59:59.999999Z,[]\n";
    assert!(text.starts_with(expected), "{text}");
    let read = rows(&read_spine(&path).unwrap());
    for name in ["id", "count", "amount", "flag", "at"] {
        assert_eq!(read.column_by_name(name).unwrap().slice(0, 3).as_ref(), table().column_by_name(name).unwrap().as_ref(), "{name}");
    }
}

#[test]
fn csv_types_are_those_of_all_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spine.csv");
    fs::write(&path, "\u{feff}code,n,x,mixed,none,day\n012,1,1,1,,2024-01-31\n013,2,2.5,a,,2024-02-01T00:00:00Z\n").unwrap();
    let types: Vec<ArrowType> = rows(&read_spine(&path).unwrap()).schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let time = ArrowType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
    let expected = [ArrowType::Utf8, ArrowType::Int64, ArrowType::Float64, ArrowType::Utf8, ArrowType::Utf8, time];
    assert_eq!(types, expected);
}

#[test]
fn ndjson_comes_back() {
    let (_folder, path) = written("set.ndjson");
    let text = fs::read_to_string(&path).unwrap();
    let first = text.lines().next().unwrap();
    let expected =
        "{\"id\":\"007\",\"count\":9007199254740993,\"amount\":0.1,\"flag\":true,\"at\":\"1970-01-01T00:00:00Z\",\"last\":[1,null]}";
    assert_eq!(first, expected);
    let read = rows(&read_spine(&path).unwrap());
    assert_eq!(read.num_rows(), 6);
    assert_eq!(read.column_by_name("count").unwrap().as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
    assert!(read.column_by_name("id").unwrap().is_null(2));
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let error = read_spine(&folder.path().join("none.csv")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = read_spine(&file("spine.txt", b"")).unwrap_err();
    assert!(error.to_string().ends_with("the name must end in .parquet, .csv or .ndjson, which says how to read and write it"));
    for (name, text) in [
        ("bad.parquet", b"PAR1nothing".as_slice()),
        ("bad.csv", b"a,b\n1\n"),
        ("twice.csv", b"a,a\n1,2\n"),
        ("bytes.csv", b"a\n\xff\xfe\n"),
        ("bad.ndjson", b"{\"a\":1}\n{\"a\":\n"),
    ] {
        let error = read_spine(&file(name, text)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for name in ["empty.ndjson", "head.csv"] {
        let spine = read_spine(&file(name, if name == "head.csv" { b"a,b\n" } else { b"" })).unwrap();
        assert!(spine.rows().unwrap_err().to_string().ends_with("holds no rows: there is nothing to compute features for"));
    }
    let error = write_table(&folder.path().join("missing/out.csv"), &[table()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}
