//! Every reason for rejection, the rules of each type, and that no bytes whatever panic or misalign columns.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, FixedSizeListBuilder, Float32Builder, Float64Array, Int64Array, ListArray,
    ListBuilder, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{Field as ArrowField, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::{Decoded, Decoder, Payload, dead_letter, file_to_records, partitions, reason, table_to_records};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Identity, Offset, Partition};
use crate::plan::{Dedup, Evaluate, Expect, Expression, Field, Format, Origin, Partitioning, Source};
use crate::record::RecordRun;
use crate::time::Span;
use crate::value::DataType;

fn source() -> Source {
    let types =
        [("id", DataType::Text), ("user", DataType::Int), ("amount", DataType::Float), ("ok", DataType::Bool), ("at", DataType::Timestamp)];
    let schema = types.iter().map(|(name, data_type)| ArrowField::new(*name, data_type.arrow(), true)).collect::<Vec<_>>();
    Source {
        name: "payments".into(),
        id: Identity::default(),
        fields: types.map(|(name, data_type)| Field { name: name.into(), data_type }).to_vec(),
        schema: Arc::new(Schema::new(schema)),
        origin: Origin { partitions: Some(Partitioning { count: 4, by: vec![1] }), ..Origin::log("payments") },
        epochs: Vec::new(),
        format: Format::Json,
        event_time: 4,
        lateness: Span::DAY,
        max_ahead: Span::HOUR,
        history: Span::DAY,
        dedup: None,
        expects: Vec::new(),
        deletes: None,
        tombstones: false,
        files: None,
    }
}

fn run<P: AsRef<[u8]>>(payloads: &[P]) -> RecordRun {
    let mut run = RecordRun { topic: "payments".into(), partition: Partition(2), ..RecordRun::default() };
    for (offset, payload) in (10..).zip(payloads) {
        run.push(Offset(offset), 7, Some(b"key"), Some(payload.as_ref()), vec![("trace".into(), vec![1])]);
    }
    run
}

fn decode<P: AsRef<[u8]>>(payloads: &[P]) -> Decoded {
    Decoder::new(&source()).decode(&run(payloads)).unwrap()
}

/// The source with a list of each type.
fn source_of_lists() -> Source {
    let items = [
        ("xs", DataType::Float),
        ("ns", DataType::Int),
        ("tags", DataType::Text),
        ("flags", DataType::Bool),
        ("times", DataType::Timestamp),
    ];
    let mut source = source();
    source.fields.extend(items.map(|(name, item)| Field { name: name.into(), data_type: DataType::List(Box::new(item)) }));
    let schema = source.fields.iter().map(|field| ArrowField::new(&field.name, field.data_type.arrow(), true)).collect::<Vec<_>>();
    Source { schema: Arc::new(Schema::new(schema)), ..source }
}

/// The reason and message of the only record, put between two good ones that must not suffer.
fn rejected(payload: &str) -> (&'static str, String) {
    let good = r#"{"id":"good","at":0}"#;
    let decoded = decode(&[good, payload, good]);
    assert_eq!(decoded.records, [0, 2], "{payload}");
    assert_eq!(decoded.batch.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["good", "good"]);
    let reject = &decoded.rejects[0];
    assert_eq!((decoded.rejects.len(), reject.record), (1, 1));
    assert!(reason::ALL.contains(&reject.reason));
    (reject.reason, reject.message.clone())
}

#[test]
fn all_types_in_any_order_with_unknown_fields() {
    let decoded = decode(&[
        r#"{"id":"a\"ü\n","user":9007199254740993,"amount":0.1,"ok":true,"at":"2024-01-01T00:00:00.5Z"}"#,
        r#"{"deep":{"x":[1,{"y":null}],"z":"}"},"at":-1,"ok":null,"amount":3,"user":-9223372036854775808}"#,
    ]);
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let batch = &decoded.batch;
    assert_eq!(batch.column(0).as_ref(), &StringArray::from(vec![Some("a\"ü\n"), None]) as &dyn Array);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[9_007_199_254_740_993, i64::MIN]);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().values(), &[0.1, 3.0]);
    assert_eq!(batch.column(3).as_ref(), &BooleanArray::from(vec![Some(true), None]) as &dyn Array);
    assert_eq!(batch.column(4).as_primitive::<TimestampMicrosecondType>().values(), &[1_704_067_200_500_000, -1]);
}

#[test]
fn doubles_take_the_names_of_what_json_cannot_write() {
    let decoded = decode(&[r#"{"at":0,"amount":"NaN"}"#, r#"{"at":0,"amount":"-Infinity"}"#, r#"{"at":0,"amount":-0.0}"#]);
    let amounts = decoded.batch.column(2).as_primitive::<Float64Type>().values().clone();
    assert!(amounts[0].is_nan() && amounts[1] == f64::NEG_INFINITY && amounts[2].to_bits() == (-0.0_f64).to_bits());
}

#[test]
fn the_last_of_equal_names_counts() {
    let decoded = decode(&[r#"{"at":0,"id":"first","id":"last","user":1,"user":null}"#]);
    assert_eq!(decoded.batch.column(0).as_string::<i32>().value(0), "last");
    assert!(decoded.batch.column(1).is_null(0));
}

#[test]
fn values_of_another_type_are_named() {
    for (payload, message) in [
        (r#"{"at":0,"id":5}"#, "field id is text: got the number 5"),
        (r#"{"at":0,"user":"5"}"#, "field user is bigint: got the text \"5\""),
        (r#"{"at":0,"user":1.5}"#, "field user is bigint: got the number 1.5, which is not written as a whole number of 64 bits"),
        (r#"{"at":0,"ok":1}"#, "field ok is boolean: got the number 1"),
        (r#"{"at":0,"amount":"1.5"}"#, "field amount is double: got the text \"1.5\""),
        (r#"{"at":0,"amount":[1]}"#, "field amount is double: got an array"),
        (r#"{"at":0,"amount":{"a":1}}"#, "field amount is double: got an object"),
        (r#"{"at":true}"#, "field at is timestamp: got true"),
        (
            r#"{"at":0,"user":9223372036854775808}"#,
            "field user is bigint: got the number 9223372036854775808, which does not fit into 64 bits with a sign",
        ),
    ] {
        assert_eq!(rejected(payload), (reason::WRONG_TYPE, message.to_owned()), "{payload}");
    }
    assert_eq!(rejected(r#"{"at":0,"user":99999999999999999999999}"#).0, reason::WRONG_TYPE);
}

#[test]
fn lists_of_every_type_and_what_is_none() {
    let source = source_of_lists();
    let one = |payload: &str| Decoder::new(&source).decode(&run(&[payload])).unwrap();
    let payloads = [
        r#"{"at":0,"xs":[1,-0.0,null,"NaN",0.1],"ns":[-9223372036854775808,null],"tags":["a",null,"é\""],"flags":[true,null]}"#,
        r#"{"at":0,"xs":[],"ns":null,"tags":["b"],"times":["1970-01-01T00:00:01Z",null,5]}"#,
        r#"{"at":0,"xs":[1,2],"xs":[3]}"#,
    ];
    let decoded = Decoder::new(&source).decode(&run(&payloads)).unwrap();
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let json = |field: &str, row: usize| {
        let mut text = Vec::new();
        crate::json::write_value(&mut text, &crate::vector::value_at(decoded.batch.column_by_name(field).unwrap(), row));
        String::from_utf8(text).unwrap()
    };
    assert_eq!([0, 1, 2].map(|row| json("xs", row)), [r#"[1.0,-0.0,null,"NaN",0.1]"#, "[]", "[3.0]"]);
    assert_eq!([0, 1].map(|row| json("ns", row)), ["[-9223372036854775808,null]", "null"]);
    assert_eq!([0, 1].map(|row| json("tags", row)), [r#"["a",null,"é\""]"#, r#"["b"]"#]);
    assert_eq!(json("flags", 0), "[true,null]");
    assert_eq!(json("times", 1), r#"["1970-01-01T00:00:01Z",null,"1970-01-01T00:00:00.000005Z"]"#);
    for (payload, reason, message) in [
        (r#"{"at":0,"xs":5}"#, reason::WRONG_TYPE, "field xs is double[]: got the number 5"),
        (r#"{"at":0,"xs":"[5]"}"#, reason::WRONG_TYPE, "field xs is double[]: got the text \"[5]\""),
        (r#"{"at":0,"xs":{"a":1}}"#, reason::WRONG_TYPE, "field xs is double[]: got an object"),
        (r#"{"at":0,"xs":[1,"a"]}"#, reason::WRONG_TYPE, "field xs is double[]: element 2: got the text \"a\""),
        (r#"{"at":0,"xs":[1,2,[3]]}"#, reason::WRONG_TYPE, "field xs is double[]: element 3: got an array"),
        (r#"{"at":0,"ns":[{}]}"#, reason::WRONG_TYPE, "field ns is bigint[]: element 1: got an object"),
        (
            r#"{"at":0,"times":["soon"]}"#,
            reason::BAD_TIME,
            "field times is timestamp[]: element 1: got \"soon\", which is no RFC 3339 time of the years -9999 to 9999",
        ),
    ] {
        let reject = &one(payload).rejects[0];
        assert_eq!((reject.reason, reject.message.as_str()), (reason, message), "{payload}");
    }
    assert_eq!(one(&format!("{{\"at\":0,\"xs\":{}", "[".repeat(100_000))).rejects[0].reason, reason::MALFORMED);
    assert_eq!(one(r#"{"at":0,"xs":[1"#).rejects[0].reason, reason::MALFORMED);
}

#[test]
fn times_that_are_none() {
    for payload in [
        r#"{"at":"yesterday"}"#,
        r#"{"at":"2024-02-30T00:00:00Z"}"#,
        r#"{"at":"+12024-01-01T00:00:00"}"#,
        r#"{"at":1704067200000000000}"#,
        r#"{"at":18446744073709551615}"#,
    ] {
        let (reason, message) = rejected(payload);
        assert_eq!(reason, reason::BAD_TIME, "{payload}");
        assert!(message.starts_with("field at is timestamp: "), "{message}");
    }
}

#[test]
fn what_is_no_object() {
    for payload in
        ["{", "nonsense", "[1]", "5", r#"{"at":0}}"#, r#"{"at":0} x"#, r#"{"at":0,}"#, r#"{"at":NaN}"#, r#"{"x":[1,]}"#, "\u{feff}{}"]
    {
        let (reason, message) = rejected(payload);
        assert_eq!(reason, reason::MALFORMED, "{payload}: {message}");
        assert!(!message.contains('\n') && !message.is_empty());
    }
    let deep = "[".repeat(5 << 20);
    assert_eq!(rejected(&format!(r#"{{"x":{deep}"#)).0, reason::MALFORMED);
    assert_eq!(rejected(&deep).0, reason::MALFORMED);
}

#[test]
fn no_event_time() {
    let expected = (reason::NO_EVENT_TIME, "field at is the event time and is missing or null".to_owned());
    assert_eq!(rejected("{}"), expected);
    assert_eq!(rejected(r#"{"at":null}"#), expected);
}

#[test]
fn tombstones_bad_text_and_sizes() {
    let mut run = run(&[b"{\"id\":\"\xff\"}".as_slice(), b""]);
    run.push(Offset(12), 0, Some(b"k"), None, Vec::new());
    run.push(Offset(13), 0, None, Some(format!(r#"{{"at":0,"id":"{}"}}"#, "x".repeat(10 << 20)).as_bytes()), Vec::new());
    let decoded = Decoder::new(&source()).decode(&run).unwrap();
    let reasons: Vec<_> = decoded.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!(reasons, [reason::INVALID_UTF8, reason::EMPTY, reason::EMPTY]);
    assert_eq!(decoded.batch.column(0).as_string::<i32>().value(0).len(), 10 << 20);
    let small = Decoder::new(&source()).with_payload_bytes_max(1 << 20).decode(&run).unwrap();
    assert_eq!(small.rejects[3].reason, reason::TOO_LARGE);
    assert_eq!(small.batch.num_rows(), 0);
}

/// The records without a payload of a source whose events are named by these columns: their ids, and why others are rejected.
fn tombstones(columns: &[usize], keys: &[Option<&[u8]>]) -> (Vec<String>, Vec<(u32, &'static str, String)>) {
    let dedup = Some(Dedup { columns: columns.to_vec(), within: Span::DAY });
    let source = Source { dedup, tombstones: true, ..source() };
    let mut run = run(&[r#"{"id":"a","at":0}"#, ""]);
    (12..).zip(keys).for_each(|(offset, key)| run.push(Offset(offset), 0, *key, None, Vec::new()));
    let decoded = Decoder::new(&source).decode(&run).unwrap();
    assert_eq!((decoded.records, decoded.rejects[0].reason), (vec![0], reason::EMPTY), "nothing in it is no tombstone");
    let found = decoded.tombstones.unwrap();
    assert!(found.records.is_sorted() && found.records.len() + decoded.rejects.len() == keys.len() + 1);
    let text = |row: usize| found.ids.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect::<Vec<_>>();
    let ids = (0..found.ids.num_rows()).map(|row| text(row).join(" ")).collect();
    (ids, decoded.rejects.into_iter().skip(1).map(|reject| (reject.record, reject.reason, reject.message)).collect())
}

#[test]
fn keys_of_tombstones_are_the_columns_that_name_their_events() {
    let (ids, rejects) =
        tombstones(&[0], &[Some(b"a b"), Some(b"\"q\\n\""), Some(br#"{"x":[1],"id":"o"}"#), Some(b"12"), Some(b"null"), Some(b"")]);
    assert_eq!((ids, rejects), (["a b", "q\n", "o", "12", "null", ""].map(String::from).to_vec(), vec![]));
    let (ids, rejects) = tombstones(&[1], &[Some(b"-12"), Some(b"1.5"), Some(b"x"), Some(br#"{"user":9223372036854775807}"#)]);
    assert_eq!(ids, ["-12", "9223372036854775807"]);
    assert_eq!(
        rejects.iter().map(|(record, reason, _)| (*record, *reason)).collect::<Vec<_>>(),
        [(3, reason::BAD_KEY), (4, reason::BAD_KEY)]
    );
    assert!(rejects[1].2.starts_with("the key: field user is bigint"), "{rejects:?}");
    let (ids, _) = tombstones(&[4], &[Some(b"2024-05-01"), Some(b"0"), Some(b"\"1970-01-01T00:00:01Z\"")]);
    assert_eq!(ids, ["2024-05-01T00:00:00", "1970-01-01T00:00:00", "1970-01-01T00:00:01"]);
    let (ids, rejects) =
        tombstones(&[0, 1], &[Some(br#"{"user":3,"id":"a"}"#), Some(b"a"), Some(br#"{"id":"a"}"#), None, Some(b"\xff"), Some(b"{")]);
    assert_eq!(ids, ["a 3"]);
    let messages: Vec<&str> = rejects.iter().map(|(.., message)| message.as_str()).collect();
    let parts = ["the key \"a\" is no JSON object with id, user", "the key has no user", "without a key", "byte 0 of the key", "the key: "];
    assert!(messages.len() == parts.len() && messages.iter().zip(parts).all(|(message, part)| message.contains(part)), "{messages:?}");
    assert!(rejects.iter().all(|(_, reason, _)| *reason == reason::BAD_KEY));
    let (_, rejects) = tombstones(&[0, 1], &[Some(&vec![b'a'; 600_000])]);
    assert!(rejects[0].2.len() < 200, "a message fits into a header");
}

/// Payloads keep every bit of a double, and so do keys.
#[test]
fn keys_of_doubles_are_those_of_payloads() {
    let mut bits = 0x3fb0_1000_0000_0001_u64;
    for _ in 0..2_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let double = f64::from_bits(bits >> 2);
        let key = format!("{double:?}");
        let source = Source { dedup: Some(Dedup { columns: vec![2], within: Span::DAY }), tombstones: true, ..source() };
        let mut run = run(&[format!(r#"{{"amount":{key},"at":0}}"#)]);
        run.push(Offset(11), 0, Some(key.as_bytes()), None, Vec::new());
        let decoded = Decoder::new(&source).decode(&run).unwrap();
        let of = |column: &ArrayRef| column.as_primitive::<Float64Type>().value(0).to_bits();
        let (payload, key) = (of(decoded.batch.column(2)), of(decoded.tombstones.unwrap().ids.column(0)));
        assert_eq!((payload, key), (double.to_bits(), double.to_bits()), "{double:?}");
    }
}

/// `amount >= 0`, which fails to compute for a whole batch when any amount is infinite.
struct NotNegative;

impl Evaluate for NotNegative {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let amounts = batch.column(2).as_primitive::<Float64Type>();
        if amounts.iter().flatten().any(f64::is_infinite) {
            return Err(Error::input("infinite"));
        }
        Ok(Arc::new(amounts.iter().map(|amount| amount.map(|amount| amount >= 0.0)).collect::<BooleanArray>()))
    }
}

#[test]
fn expectations_fail_row_by_row() {
    let mut source = source();
    let condition = Expression { text: "amount >= 0".into(), data_type: DataType::Bool, evaluator: Arc::new(NotNegative) };
    source.expects.push(Expect { condition });
    let payloads = ["1", "-1", "2", "\"Infinity\"", "null", "3"].map(|amount| format!(r#"{{"at":0,"amount":{amount}}}"#));
    let decoded = Decoder::new(&source).decode(&run(&payloads)).unwrap();
    assert_eq!(decoded.records, [0, 2, 5]);
    assert_eq!(decoded.batch.column(2).as_primitive::<Float64Type>().values(), &[1.0, 2.0, 3.0]);
    let rejects: Vec<_> = decoded.rejects.iter().map(|reject| (reject.record, reject.reason, reject.message.as_str())).collect();
    assert_eq!(
        rejects,
        [
            (1, reason::EXPECTATION, "expect amount >= 0 is false"),
            (3, reason::EXPRESSION, "expect amount >= 0 cannot be computed: infinite"),
            (4, reason::EXPECTATION, "expect amount >= 0 is null"),
        ]
    );
}

#[test]
fn a_dead_letter_is_the_record_and_why() {
    let run = run(&["{}"]);
    let decoded = Decoder::new(&source()).decode(&run).unwrap();
    let letter = dead_letter(&source(), &run, &decoded.rejects[0]);
    assert_eq!((letter.topic.as_str(), letter.timestamp), ("payments.dead", Some(7)));
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(b"key".as_slice()), Some(b"{}".as_slice())));
    let headers: Vec<_> = letter.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value))).collect();
    let expected = [
        ("trace", "\u{1}"),
        ("__connect.errors.topic", "payments"),
        ("__connect.errors.partition", "2"),
        ("__connect.errors.offset", "10"),
        ("__connect.errors.exception.class.name", "no_event_time"),
        ("__connect.errors.exception.message", "field at is the event time and is missing or null"),
        ("forebay.reason", "no_event_time"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn equal_fields_choose_equal_partitions() {
    let decoded = decode(&[r#"{"at":0,"user":7}"#, "bad", r#"{"at":1,"user":7}"#, r#"{"at":1}"#]);
    let chosen = partitions(&source(), &decoded, 4);
    assert!(chosen[0].is_some_and(|partition| partition.0 < 4));
    assert_eq!((chosen[0], chosen[1], chosen[3]), (chosen[2], None, None));
}

/// The payloads of a file of that name.
fn lines_of(name: &str, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let batches = file_to_records(&source(), &path).unwrap();
    batches.flat_map(|batch| batch.unwrap()).map(|payload| String::from_utf8(payload.bytes).unwrap()).collect()
}

#[test]
fn ndjson_is_taken_as_it_is() {
    assert_eq!(lines_of("a.ndjson", "\u{feff}{\"a\":1}\r\n\n  \n nonsense\n{}"), ["{\"a\":1}", " nonsense", "{}"]);
}

#[test]
fn csv_is_typed_by_the_source() {
    let csv = "user,extra,id,amount,ok,at\n9007199254740993,x,\"a,\"\"b\",1.10,TRUE,2024-01-01T00:00:00Z\n,,,,,\nabc,,,NaN,maybe,5\n";
    let expected = [
        r#"{"user":9007199254740993,"id":"a,\"b","amount":1.1,"ok":true,"at":"2024-01-01T00:00:00Z"}"#,
        "{}",
        r#"{"user":"abc","amount":"NaN","ok":"maybe","at":5}"#,
    ];
    assert_eq!(lines_of("a.csv", csv), expected);
}

#[test]
fn csv_has_no_form_for_lists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.csv");
    std::fs::write(&path, "id,xs\na,1\n").unwrap();
    let Err(error) = file_to_records(&source_of_lists(), &path) else { panic!("lists in CSV") };
    assert_eq!(error.to_string(), format!("{}: column xs is double[], which CSV has no form for: push NDJSON or Parquet", path.display()));
}

#[test]
fn files_without_records_or_columns_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    };
    let first = |path: &Path| match file_to_records(&source(), path) {
        Ok(mut batches) => batches.next().unwrap().unwrap_err(),
        Err(error) => error,
    };
    for (name, text) in [("a.ndjson", ""), ("b.ndjson", "\n \n"), ("c.csv", ""), ("d.csv", "id,user\n")] {
        let error = first(&write(name, text));
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(name) && error.to_string().contains("holds no records"), "{error}");
    }
    assert!(first(&write("e.csv", "1,2\n3,4\n")).to_string().contains("no column of the header is a field of payments"));
    assert!(first(&write("f.csv", "id,user\nonly\n")).to_string().contains("line 2: 1 cells, where the header names 2 columns"));
    assert!(first(&write("g.parquet", "nonsense")).to_string().contains("no readable Parquet file"));
    assert!(first(&write("h.txt", "{}")).to_string().contains("name the file .ndjson, .csv or .parquet"));
    assert_eq!(first(&folder.path().join("none.csv")).kind(), ErrorKind::NotFound);
}

fn parquet_file(folder: &Path, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = folder.join("events.parquet");
    let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

#[test]
fn the_file_of_a_table_has_all_columns_in_types_that_become_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("at", Arc::new(TimestampNanosecondArray::from(vec![1_000]))),
            ("id", Arc::new(StringArray::from(vec!["a"]))),
            ("user", Arc::new(Float64Array::from(vec![2.0]))),
            ("amount", Arc::new(Int64Array::from(vec![1]))),
            ("ok", arrow::array::new_null_array(&arrow::datatypes::DataType::Null, 1)),
        ]
    };
    let read = |columns| {
        table_to_records(&source(), &parquet_file(folder.path(), columns)).map(|batches| batches.map(Result::unwrap).collect::<Vec<_>>())
    };
    let refused = |columns| read(columns).unwrap_err().to_string();
    let texts = |batches: Vec<Vec<Payload>>| {
        batches.concat().iter().map(|row| String::from_utf8_lossy(&row.bytes).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(read(columns()).unwrap()), [r#"{"at":"1970-01-01T00:00:00.000001Z","id":"a","user":2,"amount":1.0}"#]);
    let empty = columns().into_iter().map(|(name, column)| (name, column.slice(0, 0))).collect();
    assert_eq!(texts(read(empty).unwrap()), [""; 0]);

    let without = columns().into_iter().filter(|(name, _)| *name != "amount").collect();
    let message = refused(without);
    assert!(
        message.ends_with("events.parquet: there is no column amount: write one, null where it is not known; there are at, id, user, ok"),
        "{message}"
    );
    for (wrong, message) in [
        ("id", "column id is stored as Boolean, which does not become text: write it as such"),
        ("at", "column at is stored as Boolean, which does not become timestamp: write it as such"),
        ("user", "column user is stored as Boolean, which does not become bigint: write it as such"),
        ("amount", "column amount is stored as Boolean, which does not become double: write it as such"),
    ] {
        let change = |(name, column): (&'static str, ArrayRef)| -> (&str, ArrayRef) {
            (name, if name == wrong { Arc::new(BooleanArray::from(vec![true])) } else { column })
        };
        let found = refused(columns().into_iter().map(change).collect());
        assert!(found.ends_with(message), "{found}");
    }
}

#[test]
fn parquet_columns_become_what_the_source_says() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(Float64Array::from(vec![Some(2.0), None, Some(2.5)]))),
        ("amount", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("extra", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        // Times go down to the microsecond, before 1970 too.
        ("at", Arc::new(TimestampNanosecondArray::from(vec![1_999, 2_000, -1]).with_timezone("+02:00"))),
        ("id", Arc::new(StringArray::from(vec![Some("a"), Some("\"\n"), None]))),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = parquet_file(folder.path(), columns);
    let payloads: Vec<_> =
        file_to_records(&source(), &path).unwrap().flat_map(|batch| batch.unwrap()).map(|payload| payload.bytes).collect();
    let texts: Vec<_> = payloads.iter().map(|payload| String::from_utf8_lossy(payload)).collect();
    let expected = [
        r#"{"user":2,"amount":1.0,"at":"1970-01-01T00:00:00.000001Z","id":"a"}"#,
        r#"{"amount":2.0,"at":"1970-01-01T00:00:00.000002Z","id":"\"\n"}"#,
        r#"{"user":2.5,"amount":3.0,"at":"1969-12-31T23:59:59.999999Z"}"#,
    ];
    assert_eq!(texts, expected);
    assert_eq!(decode(&payloads).rejects[0].reason, reason::WRONG_TYPE);
}

#[test]
fn lists_of_parquet_become_those_of_the_source() {
    let mut floats = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    floats.values().append_slice(&[0.5, -0.0]);
    floats.append(true);
    floats.values().append_null();
    floats.values().append_value(f32::NAN);
    floats.append(true);
    let doubles = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0), None, Some(2.5)]), None]);
    let mut tags = ListBuilder::new(BinaryBuilder::new());
    tags.append(true);
    tags.values().append_value(b"\"\xff");
    tags.append(true);
    let tags = tags.finish();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("at", Arc::new(Int64Array::from(vec![0, 0]))),
        ("xs", Arc::new(floats.finish())),
        ("ns", Arc::new(doubles)),
        ("tags", Arc::new(tags)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.parquet");
    let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let payloads: Vec<_> =
        file_to_records(&source_of_lists(), &path).unwrap().flat_map(|batch| batch.unwrap()).map(|payload| payload.bytes).collect();
    let texts: Vec<_> = payloads.iter().map(|payload| String::from_utf8_lossy(payload)).collect();
    let expected = [
        r#"{"at":0,"xs":[0.5,-0.0],"ns":[1.0,null,2.5],"tags":[]}"#.to_owned(),
        r#"{"at":0,"xs":[null,"NaN"],"tags":["\"?"]}"#.replace('?', "\u{fffd}"),
    ];
    assert_eq!(texts, expected);
    let decoded = Decoder::new(&source_of_lists()).decode(&run(&payloads)).unwrap();
    let messages: Vec<_> = decoded.rejects.iter().map(|reject| reject.message.as_str()).collect();
    let fraction = "field ns is bigint[]: element 3: got the number 2.5, which is not written as a whole number of 64 bits";
    assert_eq!(messages, [fraction, "byte 37 is not UTF-8, in field tags"]);
}

/// Bytes that are nearly a record: more likely than random ones to get far into the decoder.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(r#"{"at":0"#),
        Just(r#","id":"#),
        Just(r#","user":"#),
        Just(r#","amount":"#),
        Just(r#","ok":"#),
        Just(r#","xs":"#),
        Just(r#","tags":"#),
        Just("[1,null,-0.0"),
        Just(r#"["x""#),
        Just("]"),
        Just("\"x\""),
        Just("null"),
        Just("true"),
        Just("1"),
        Just("-1.5e300"),
        Just("\"\\ud800\""),
        Just("[]"),
        Just("{\"a\":[1]}"),
        Just("}"),
        Just("\"2024-01-01T00:00:00Z\""),
        Just(","),
        Just("\\"),
        Just("\u{0}"),
        Just("é"),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_bytes_give_rows_or_reasons_and_aligned_columns(
        payloads in proptest::collection::vec(prop_oneof![proptest::collection::vec(any::<u8>(), 0..60), near_json()], 0..12)
    ) {
        let source = source_of_lists();
        let decode = |payloads: &[Vec<u8>]| Decoder::new(&source).decode(&run(payloads)).unwrap();
        let decoded = decode(&payloads);
        prop_assert_eq!(decoded.records.len() + decoded.rejects.len(), payloads.len());
        for column in decoded.batch.columns() {
            prop_assert_eq!(column.len(), decoded.records.len());
        }
        // A record's fate and values do not depend on its neighbours.
        for (row, record) in decoded.records.iter().enumerate() {
            let alone = decode(&payloads[*record as usize..=*record as usize]);
            prop_assert_eq!(alone.batch, decoded.batch.slice(row, 1));
        }
        // What is accepted is JSON to another parser, too.
        for record in &decoded.records {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&payloads[*record as usize]).is_ok());
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        id in ".*", user in any::<i64>(), amount in any::<f64>(), at in -1_000_000_000_000_000_i64..1_000_000_000_000_000,
    ) {
        let mut payload = format!(r#"{{"user":{user},"at":{at},"amount":"#).into_bytes();
        crate::json::write_float(&mut payload, amount);
        payload.extend(b",\"id\":");
        crate::json::write_text(&mut payload, &id);
        payload.push(b'}');
        let decoded = decode(&[payload]);
        prop_assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
        prop_assert_eq!(decoded.batch.column(0).as_string::<i32>().value(0), id);
        prop_assert_eq!(decoded.batch.column(1).as_primitive::<Int64Type>().value(0), user);
        let read = decoded.batch.column(2).as_primitive::<Float64Type>().value(0);
        prop_assert!(read.to_bits() == amount.to_bits() || read.is_nan() && amount.is_nan());
    }
}
