//! What is written in a record, a file, a table or a spine, in whatever form, becomes the same value of a declared type, or
//! is refused: every type, every format, every way, against the one table in `docs/formats.md`. `BLESS=1` writes that anew.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, ListArray, NullArray,
    RecordBatch, StringArray, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Float16Type, Int32Type, i256};
use arrow::util::display::array_value_to_string;
use forebay::decode::{Decoder, file_to_records, table_to_records};
use forebay::language::{SourceFile, compile};
use forebay::plan::Source;
use forebay::training::read_spine;
use forebay::{DataType, Offset, RecordRun};
use forebay_integration::folders::here;
use forebay_integration::golden;
use parquet::arrow::ArrowWriter;

const TYPES: [(&str, DataType); 5] = [
    ("boolean", DataType::Bool),
    ("bigint", DataType::Int),
    ("double", DataType::Float),
    ("text", DataType::Text),
    ("timestamp", DataType::Timestamp),
];

/// What is written, and how it is shown in the table.
enum Written {
    Json(&'static str),
    Cell(&'static str),
    Column(&'static str, ArrayRef),
}

fn samples() -> Vec<(&'static str, Vec<Written>)> {
    use Written::{Cell, Column, Json};
    let json = [
        "null",
        "true",
        "7",
        "-0",
        "9007199254740993",
        "9223372036854775808",
        "3.0",
        "1e3",
        "2.5",
        "9007199254740992.0",
        "1e22",
        "\"NaN\"",
        "\"-Infinity\"",
        "\"7\"",
        "\"plain\"",
        "\"\"",
        "\"2024-05-01T10:00:00.1234567+02:00\"",
        "\"2024-05-01 10:00:00+00\"",
        "\"2024-05-01\"",
        "1714557600000000",
        "1714557600000000000",
        "{\"a\":1}",
    ];
    let cells = [
        "",
        "true",
        "F",
        "7",
        "+7",
        "-0",
        "007",
        "9007199254740993",
        "9223372036854775808",
        "3.0",
        "1.10",
        "2.5",
        "1e22",
        "1e400",
        "nan",
        "-inf",
        "plain",
        "2024-05-01T10:00:00Z",
        "2024-05-01 10:00:00+00",
        "2024-05-01 10:00:00+0530",
        "2024-05-01 10:00:00.5 UTC",
        "2024-05-01",
        "1714557600000000",
    ];
    let one = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let time = 1_714_557_600;
    let decimal = |digits: i128, scale: i8| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap())
    };
    let uuid = FixedSizeBinaryArray::try_from_iter([[0x12_u8; 16]].into_iter()).unwrap();
    let words: DictionaryArray<Int32Type> = ["plain"].into_iter().collect();
    let numbers = DictionaryArray::<Int32Type>::new(vec![0].into(), Arc::new(Int64Array::from(vec![7])));
    let half: arrow::array::PrimitiveArray<Float16Type> =
        [2.5_f32].into_iter().map(|value| Some(value.to_string().parse().unwrap())).collect();
    let columns: Vec<(&'static str, ArrayRef)> = vec![
        ("no type", Arc::new(NullArray::new(1))),
        ("boolean true", Arc::new(BooleanArray::from(vec![true]))),
        ("int8 -7", Arc::new(Int8Array::from(vec![-7]))),
        ("int64 9007199254740993", Arc::new(Int64Array::from(vec![9_007_199_254_740_993]))),
        ("uint64 18446744073709551615", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("float16 2.5", Arc::new(half)),
        ("float32 16777215", Arc::new(Float32Array::from(vec![16_777_215.0]))),
        ("float32 16777216", Arc::new(Float32Array::from(vec![16_777_216.0]))),
        ("float64 3.0", Arc::new(Float64Array::from(vec![3.0]))),
        ("float64 2.5", Arc::new(Float64Array::from(vec![2.5]))),
        ("float64 NaN", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("decimal(9,2) 1.10", Arc::new(Decimal32Array::from(vec![110]).with_precision_and_scale(9, 2).unwrap())),
        ("decimal(18,2) 3.00", Arc::new(Decimal64Array::from(vec![300]).with_precision_and_scale(18, 2).unwrap())),
        ("decimal(38,18) -604178.79", decimal(-604_178_790_000_000_000_000_000, 18)),
        ("decimal(38,0) 9223372036854775807", decimal(i64::MAX.into(), 0)),
        ("decimal(38,0) 9223372036854775808", decimal(1 << 63, 0)),
        ("decimal(76,1) 0.1", Arc::new(Decimal256Array::from(vec![i256::from(1)]).with_precision_and_scale(76, 1).unwrap())),
        ("text plain", one("plain")),
        ("text 7", one("7")),
        ("large text plain", Arc::new(LargeStringArray::from(vec!["plain"]))),
        ("text view plain", Arc::new(StringViewArray::from(vec!["plain"]))),
        ("dictionary of text plain", Arc::new(words)),
        ("dictionary of int64 7", Arc::new(numbers)),
        ("binary é", Arc::new(BinaryArray::from(vec!["é".as_bytes()]))),
        ("binary no UTF-8", Arc::new(BinaryArray::from(vec![b"a\xff\"\n".as_slice()]))),
        ("16 bytes 12..12", Arc::new(uuid)),
        ("date32 2024-05-01", Arc::new(Date32Array::from(vec![19_844]))),
        ("date32 infinity", Arc::new(Date32Array::from(vec![i32::MAX]))),
        ("date64 2024-05-01", Arc::new(Date64Array::from(vec![1_714_521_600_000]))),
        ("time64 10:00:00", Arc::new(Time64MicrosecondArray::from(vec![36_000_000_000]))),
        ("timestamp(s)", Arc::new(TimestampSecondArray::from(vec![time]))),
        ("timestamp(s) of the year 100000", Arc::new(TimestampSecondArray::from(vec![3_093_527_980_800]))),
        ("timestamp(ms)", Arc::new(TimestampMillisecondArray::from(vec![time * 1_000]).with_timezone("+02:00"))),
        ("timestamp(us)", Arc::new(TimestampMicrosecondArray::from(vec![time * 1_000_000]))),
        ("timestamp(ns) before 1970", Arc::new(TimestampNanosecondArray::from(vec![-1]))),
        ("text 2024-05-01 10:00:00+00", one("2024-05-01 10:00:00+00")),
        ("int64 1714557600000000", Arc::new(Int64Array::from(vec![time * 1_000_000]))),
    ];
    vec![
        ("JSON: records, HTTP, NDJSON; files and spines", json.map(Json).into()),
        ("CSV: files and spines", cells.map(Cell).into()),
        ("Parquet: files, tables and spines", columns.into_iter().map(|(name, column)| Column(name, column)).collect()),
    ]
}

/// A value of a type in its one spelling; `None` where it was refused.
type Read = Option<String>;

fn source(data_type: &str) -> Source {
    let text = format!("source s (at timestamp, v {data_type}) from log 's' format json event time at;");
    let compiled = compile(&[SourceFile { path: "matrix.bay".into(), text }], &|_| Err(forebay::Error::not_found("no models here")));
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)).sources[0].clone()
}

fn shown(column: &dyn Array) -> Read {
    Some(if column.is_null(0) { "null".to_owned() } else { array_value_to_string(column, 0).unwrap() })
}

/// What the decoder of records makes of a payload, which is rejected by name where it is.
fn decoded(source: &Source, payload: &[u8]) -> Read {
    let mut run = RecordRun { topic: "s".into(), ..RecordRun::default() };
    run.push(Offset(0), 0, None, Some(payload), Vec::new());
    let decoded = Decoder::new(source).decode(&run).unwrap();
    if let [reject] = decoded.rejects.as_slice() {
        assert!(reject.message.contains("field v"), "{}", reject.message);
        return None;
    }
    shown(decoded.batch.column(1).as_ref())
}

/// What a file gives when it is pushed, as a source's or as a table's.
fn pushed(source: &Source, records: forebay::Result<forebay::decode::Payloads>) -> Read {
    let payloads: Vec<Vec<u8>> = match records {
        Ok(batches) => batches.flat_map(|batch| batch.unwrap()).map(|payload| payload.bytes).collect(),
        Err(error) => {
            assert!(error.to_string().contains("column v"), "{error}");
            return None;
        }
    };
    assert_eq!(payloads.len(), 1);
    decoded(source, &payloads[0])
}

fn in_spine(path: &Path, data_type: &DataType) -> Read {
    match read_spine(path).and_then(|spine| spine.table(&[("v", data_type)])) {
        Ok(rows) => shown(rows.column_by_name("v").unwrap().as_ref()),
        Err(error) => {
            assert!(error.to_string().contains("column v"), "{error}");
            None
        }
    }
}

fn write_parquet(path: &Path, column: ArrayRef) {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]));
    let batch = RecordBatch::try_from_iter_with_nullable([("at", at, true), ("v", column, true)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// By every way in; all give the same.
fn read(written: &Written, folder: &Path, name: &str, data_type: &DataType) -> Read {
    let of = source(name);
    let mut ways: Vec<(&str, Read)> = Vec::new();
    match written {
        Written::Json(json) => {
            let path = folder.join("v.ndjson");
            let line = format!("{{\"at\":0,\"v\":{json}}}\n");
            fs::write(&path, &line).unwrap();
            ways.push(("record", decoded(&of, line.trim().as_bytes())));
            ways.push(("file", pushed(&of, file_to_records(&of, &path))));
            ways.push(("spine", in_spine(&path, data_type)));
        }
        Written::Cell(cell) => {
            let path = folder.join("v.csv");
            fs::write(&path, format!("at,v\n1970-01-01,\"{cell}\"\n")).unwrap();
            ways.push(("file", pushed(&of, file_to_records(&of, &path))));
            ways.push(("spine", in_spine(&path, data_type)));
        }
        Written::Column(_, column) => {
            let path = folder.join("v.parquet");
            write_parquet(&path, column.clone());
            ways.push(("file", pushed(&of, file_to_records(&of, &path))));
            ways.push(("table", pushed(&of, table_to_records(&of, &path))));
            ways.push(("spine", in_spine(&path, data_type)));
        }
    }
    let what = match written {
        Written::Json(what) | Written::Cell(what) | Written::Column(what, _) => *what,
    };
    for (way, read) in &ways {
        assert_eq!(*read, ways[0].1, "{what} as {name}: {way} and {}", ways[0].0);
    }
    ways[0].1.clone()
}

/// The same value, alone in a list; `None` for CSV, which has no form for it.
fn in_list(written: &Written) -> Option<Written> {
    match written {
        Written::Json(json) => Some(Written::Json(Box::leak(format!("[{json}]").into_boxed_str()))),
        Written::Cell(_) => None,
        Written::Column(name, column) => {
            let field = Arc::new(Field::new("item", column.data_type().clone(), true));
            let list = ListArray::new(field, OffsetBuffer::from_lengths([1]), column.clone(), None);
            Some(Written::Column(name, Arc::new(list)))
        }
    }
}

#[test]
fn every_way_in_converts_by_the_table_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::new();
    for (format, samples) in samples() {
        let names = TYPES.map(|(name, _)| format!("`{name}`")).join(" | ");
        let _ = write!(table, "| {format} | {names} |\n|---|---|---|---|---|---|\n");
        for written in samples {
            let what = match &written {
                Written::Json(what) | Written::Cell(what) | Written::Column(what, _) => *what,
            };
            let mut row = format!("| {} |", if what.is_empty() { "(empty)".to_owned() } else { format!("`{what}`") });
            for (name, data_type) in &TYPES {
                let alone = read(&written, folder.path(), name, data_type);
                if let Some(list) = in_list(&written) {
                    let of_list = read(&list, folder.path(), &format!("{name}[]"), &DataType::List(Box::new(data_type.clone())));
                    let expected = alone.as_ref().map(|value| if value == "null" { "[]".to_owned() } else { format!("[{value}]") });
                    let of_list = of_list.map(|list| if list == "[null]" { "[]".to_owned() } else { list });
                    assert_eq!(of_list, expected, "{what} as {name}, alone and in a list");
                }
                let _ = write!(row, " {} |", alone.map_or_else(|| "-".to_owned(), |value| format!("`{value}`").replace("``", "(empty)")));
            }
            table.push_str(&row);
            table.push('\n');
        }
        table.push('\n');
    }
    let path = here("../docs/formats.md");
    let page = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- conversions -->\n", "<!-- end of conversions -->");
    let (before, rest) = page.split_once(start).expect("the place of the table");
    let (_, after) = rest.split_once(end).expect("the end of the table");
    golden::check(&path, &format!("{before}{start}{}{end}{after}", table.trim_end_matches('\n').to_owned() + "\n"));
}
