//! The same events as NDJSON, CSV and Parquet, through a server and without one, give the same features.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use parquet::arrow::ArrowWriter;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source events (k bigint, x double, s text, ok boolean, t timestamp)
from log 'events'
event time t
lateness '1 day' history '30 days';

entity thing (k bigint);

features things of thing from events (
  n = count(*) over 1d,
  spend = sum(x) over 1d,
  names = last_n(s, 4) over 1d,
  every_ok = bool_and(ok) over 1d,
  newest = max(t) over 1d,
  longest = max(k) over 1d,
);

vector v (things.*);
";

type Row = (i64, Option<f64>, Option<&'static str>, Option<bool>, i64);

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const ROWS: [Row; 5] = [
    (9_007_199_254_740_993, Some(0.1), Some("plain"), Some(true), START),
    (9_007_199_254_740_993, Some(0.2), Some("with, \"quotes\"\nand lines"), None, START + 1),
    (9_007_199_254_740_993, Some(1e-300), None, Some(false), START + 1_000_000),
    (9_007_199_254_740_993, None, Some("é"), Some(true), START - 123_456),
    (2, Some(-7.5), Some("null"), None, START),
];

fn as_ndjson() -> String {
    ndjson(&ROWS.map(|(k, x, s, ok, t)| json!({"k": k, "x": x, "s": s, "ok": ok, "t": rfc3339(t)})))
}

fn as_csv() -> String {
    let mut text = String::from("t,k,s,x,ok,unknown\n");
    for (k, x, s, ok, t) in ROWS {
        let s = s.map(|s| format!("\"{}\"", s.replace('"', "\"\""))).unwrap_or_default();
        let (x, ok) = (x.map(|x| format!("{x:?}")).unwrap_or_default(), ok.map(|ok| ok.to_string()).unwrap_or_default());
        text.push_str(&format!("{},{k},{s},{x},{ok},?\n", rfc3339(t)));
    }
    text
}

fn as_parquet() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(Int64Array::from_iter_values(ROWS.map(|row| row.0)))),
        ("x", Arc::new(Float64Array::from_iter(ROWS.map(|row| row.1)))),
        ("s", Arc::new(StringArray::from_iter(ROWS.map(|row| row.2)))),
        ("ok", Arc::new(BooleanArray::from_iter(ROWS.map(|row| row.3)))),
        ("t", Arc::new(TimestampMicrosecondArray::from_iter_values(ROWS.map(|row| row.4)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).expect("a batch")
}

fn features(file: &str, serving: bool) -> Vec<Json> {
    let project = Project::new(DEFINITIONS);
    project.write("events.ndjson", as_ndjson());
    project.write("events.csv", as_csv());
    let batch = as_parquet();
    let output = File::create(project.path("events.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(output, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("a write");
    writer.close().expect("a footer");
    let server = if serving {
        let server = project.serve();
        let _ = project.run(&["push", "events", file]).ok();
        server.wait_for_seq(ROWS.len());
        server
    } else {
        let _ = project.run(&["push", "events", file]).ok();
        project.catch_up();
        project.serve()
    };
    let keys = json!({"keys": [{"k": 9_007_199_254_740_993_i64}, {"k": 2}], "as_of": rfc3339(START + 3_600_000_000)});
    let rows = server.lookup("v", &keys);
    assert_eq!(server.stop(), Some(0));
    rows
}

#[test]
fn files_of_all_formats_hold_the_same_events() {
    let expected = features("events.ndjson", false);
    assert_eq!(expected[0]["n_1d"], 4);
    assert_eq!(expected[0]["spend_1d"], 0.300_000_000_000_000_04);
    assert_eq!(expected[0]["names_1d"], json!(["é", "plain", "with, \"quotes\"\nand lines"]));
    assert_eq!(expected[0]["longest_1d"], 9_007_199_254_740_993_i64);
    for (file, serving) in [("events.csv", false), ("events.parquet", false), ("events.ndjson", true), ("events.csv", true)] {
        assert_eq!(features(file, serving), expected, "{file}, served: {serving}");
    }
}
