//! Columns that only a spine of Parquet has, handed through to text: every value, in CSV as in NDJSON, or a refusal that names
//! the column and the row.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Int32Array,
    Int64Array, LargeListArray, ListArray, MapArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use forebay_integration::answers::read_ndjson;
use forebay_integration::harness::Project;
use parquet::arrow::ArrowWriter;
use serde_json::json;

const DEFINITIONS: &str = "
source e (id bigint, t timestamp) from log 'e' event time t;
entity thing (id bigint);
features f of thing from e (n = count(*) over all as n);
vector v (f.*);
";

/// 2024-05-01T10:00:00Z
const T: i64 = 1_714_557_600_000_000;

fn write(project: &Project, columns: Vec<(&str, ArrayRef)>) {
    let rows = columns[0].1.len();
    let mut all: Vec<(&str, ArrayRef)> =
        vec![("id", Arc::new(Int64Array::from(vec![1; rows]))), ("t", Arc::new(TimestampMicrosecondArray::from(vec![T; rows])))];
    all.extend(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, column)| (name, column, true))).expect("a batch");
    let mut writer =
        ArrowWriter::try_new(File::create(project.path("in.parquet")).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

fn item(values: &ArrayRef) -> Arc<Field> {
    Arc::new(Field::new("item", values.data_type().clone(), true))
}

/// One row.
fn list(values: impl Array + 'static) -> ArrayRef {
    let values: ArrayRef = Arc::new(values);
    Arc::new(ListArray::new(item(&values), OffsetBuffer::from_lengths([values.len()]), values, None))
}

fn decimals() -> Decimal128Array {
    Decimal128Array::from(vec![Some(150), None, Some(-5)]).with_precision_and_scale(20, 2).expect("decimals")
}

#[test]
fn every_value_of_a_nested_column_is_written() {
    let project = Project::new(DEFINITIONS);
    let singles: ArrayRef = Arc::new(Float32Array::from(vec![0.1, f32::NAN, f32::INFINITY]));
    let uuid = FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16], [0xab; 16]].iter()).expect("identifiers");
    let times = TimestampNanosecondArray::from(vec![1, T * 1000 + 123_456_789]);
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("price", DataType::Decimal128(20, 2), true)), Arc::new(decimals().slice(0, 1)) as ArrayRef),
        (Arc::new(Field::new("day", DataType::Date32, true)), Arc::new(Date32Array::from(vec![19_844])) as ArrayRef),
    ]);
    let entries = StructArray::from(vec![
        (Arc::new(Field::new("key", DataType::Utf8, false)), Arc::new(StringArray::from(vec!["a", "b\"", "c"])) as ArrayRef),
        (Arc::new(Field::new("value", DataType::Decimal128(20, 2), true)), Arc::new(decimals()) as ArrayRef),
    ]);
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map = MapArray::new(entry, OffsetBuffer::from_lengths([3]), entries, None, false);
    let large = LargeListArray::new(item(&singles), OffsetBuffer::from_lengths([3]), singles.clone(), None);
    let fixed = FixedSizeListArray::new(item(&singles), 3, singles.clone(), None);
    let floats = "[0.1,\"NaN\",\"Infinity\"]";
    let columns: Vec<(&str, ArrayRef, &str)> = vec![
        ("single", list(Float32Array::from(vec![0.1, f32::NAN, f32::INFINITY])), floats),
        ("large", Arc::new(large), floats),
        ("fixed", Arc::new(fixed), floats),
        ("whole", list(Int32Array::from(vec![Some(1), None, Some(-3)])), "[1,null,-3]"),
        ("unsigned", list(UInt64Array::from(vec![u64::MAX, 0])), "[18446744073709551615,0]"),
        ("decimal", list(decimals()), "[1.50,null,-0.05]"),
        ("bytes", list(BinaryArray::from(vec![b"ab".as_slice(), b"\xff"])), "[\"6162\",\"ff\"]"),
        ("uuid", list(uuid), "[\"11111111-1111-1111-1111-111111111111\",\"abababab-abab-abab-abab-abababababab\"]"),
        ("days", list(Date32Array::from(vec![0, 19_844])), "[\"1970-01-01\",\"2024-05-01\"]"),
        ("clock", list(Time64MicrosecondArray::from(vec![1, 3_600_000_000])), "[\"00:00:00.000001\",\"01:00:00\"]"),
        ("nanos", list(times), "[\"1970-01-01T00:00:00.000000001Z\",\"2024-05-01T10:00:00.123456789Z\"]"),
        ("pair", Arc::new(pair), "{\"price\":1.50,\"day\":\"2024-05-01\"}"),
        ("map", Arc::new(map), "{\"a\":1.50,\"b\\\"\":null,\"c\":-0.05}"),
        (
            "lists",
            list(ListArray::new(item(&singles), OffsetBuffer::from_lengths([1, 2]), singles.clone(), None)),
            "[[0.1],[\"NaN\",\"Infinity\"]]",
        ),
    ];
    write(&project, columns.iter().map(|(name, column, _)| (*name, column.clone())).collect());
    for out in ["out.csv", "out.ndjson"] {
        let _ = project.run(&["training-set", "v", "--definitions", "features", "--spine", "in.parquet", "--out", out]).ok();
    }
    let (csv, ndjson) = (project.read("out.csv"), project.read("out.ndjson"));
    for (name, _, json) in &columns {
        let cell = format!(",\"{}\",", json.replace('"', "\"\""));
        assert!(csv.lines().nth(1).is_some_and(|line| line.contains(&cell)), "{name}: {cell} in {csv}");
        assert!(ndjson.contains(&format!("\"{name}\":{json},")), "{name}: {json} in {ndjson}");
    }
    // It is JSON.
    assert_eq!(read_ndjson(&ndjson)[0]["whole"], json!([1, null, -3]));
}

#[test]
fn a_date_that_has_no_text_is_named() {
    let project = Project::new(DEFINITIONS);
    // DuckDB's infinity.
    write(&project, vec![("day", Arc::new(Date32Array::from(vec![19_844, i32::MAX])))]);
    for out in ["out.csv", "out.ndjson"] {
        let refused = project.run(&["training-set", "v", "--definitions", "features", "--spine", "in.parquet", "--out", out]);
        assert_eq!(refused.code, Some(1));
        for part in ["column day, row 2: ", "leave it out of the spine, or write Parquet, which keeps it as it is"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
    let _ = project.run(&["training-set", "v", "--definitions", "features", "--spine", "in.parquet", "--out", "out.parquet"]).ok();
}
