//! What lies in Parquet is there for every reader: pyarrow sees the counts, types and sums that went in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forebay_integration::answers::read_json;
use forebay_integration::folders::{here, python};
use forebay_integration::harness::{Project, ndjson};
use serde_json::{Value as Json, json};

const EVENTS: i64 = 2_500;

const DEFINITIONS: &str = "
source events (id bigint, k bigint, x double, name text, ok boolean, xs double[], t timestamp)
from log 'events' partitions 2 by k
format json
event time t
lateness '30 days' history '30 days';

entity thing (k bigint);

features things of thing from events (
  n = count(*) over 1d,
  spend = sum(x) over 1d,
  names = last_n(name, 2) over 1d,
  every_ok = bool_and(ok) over 1d,
  newest = max(t) over 1d,
  by_ok = sum(x) by ok over 1d,
  recent = collect(struct(x, upper(name) as label), 2) over 1d,
  mean = vector_avg(xs) over 1d,
);

vector v (things.*);
";

fn event(id: i64) -> Json {
    let x = if id % 10 == 0 { Json::Null } else { json!(id as f64 / 8.0) };
    let xs = if id % 5 == 0 { Json::Null } else { json!([id as f64, null, -0.5]) };
    let (day, minute) = (1 + id % 7, id % 60);
    json!({"id": id, "k": id % 20, "x": x, "name": format!("é{id}"), "ok": id % 3 == 0, "xs": xs, "t": format!("2024-05-{day:02}T10:{minute:02}:00.000123Z")})
}

/// All files below `folder` whose name ends like this.
fn files_below(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, end, found);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
}

fn as_pyarrow_reads(python: &Path, files: &[PathBuf]) -> Json {
    let output = Command::new(python).arg(here("oracles/read_parquet.py")).args(files).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read_json(&String::from_utf8(output.stdout).expect("text"))
}

/// A column of lists, as pyarrow and DuckDB read it.
fn lists(python: &Path, column: &str, files: &[PathBuf]) -> Json {
    let output = Command::new(python).arg(here("oracles/read_list.py")).arg(column).args(files).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = read_json(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(read["arrow"], read["duckdb"], "{column}");
    read
}

/// A map column, as pyarrow and DuckDB read it.
fn as_others_read(python: &Path, file: &Path, column: &str) -> Json {
    let output = Command::new(python).arg(here("oracles/read_map.py")).arg(file).arg(column).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read_json(&String::from_utf8(output.stdout).expect("text"))
}

fn exact_sum_of_x() -> f64 {
    (0..EVENTS).filter(|id| id % 10 != 0).map(|id| id as f64 / 8.0).sum() // eighths below 2^50: exact
}

#[test]
fn events_and_training_sets_are_read_back_by_pyarrow() {
    let Some(python) = python() else { return };
    let project = Project::new(DEFINITIONS);
    let events: Vec<Json> = (0..EVENTS).map(event).collect();
    let _ = project.push("events", &events).ok();
    project.catch_up();

    let mut files = Vec::new();
    files_below(&project.data(), ".parquet", &mut files);
    let read = as_pyarrow_reads(&python, &files);
    assert_eq!(read["rows"], json!(EVENTS));
    let column = |name: &str, what: &str| read["columns"][name][what].clone();
    let types: Vec<String> =
        read["columns"].as_object().expect("columns").iter().map(|(name, c)| format!("{name} {}", c["type"])).collect();
    let expected = [
        "id \"int64\"",
        "k \"int64\"",
        "x \"double\"",
        "name \"string\"",
        "ok \"bool\"",
        "xs \"list<item: double>\"",
        "t \"timestamp[us]\"",
        "partition \"uint32\"",
        "offset \"uint64\"",
        "ingest_time \"timestamp[us]\"",
        "seq \"uint64\"",
        "retracts_time \"timestamp[us]\"",
        "retracts_offset \"uint64\"",
    ];
    assert_eq!(types, expected);
    assert_eq!(column("retracts_offset", "nulls"), json!(EVENTS), "no event retracts another");
    assert_eq!(column("id", "sum"), json!((EVENTS * (EVENTS - 1) / 2).to_string()));
    assert_eq!(column("id", "distinct"), json!(EVENTS));
    assert_eq!(column("seq", "distinct"), json!(EVENTS));
    assert_eq!(column("x", "nulls"), json!(EVENTS / 10));
    assert_eq!(column("x", "sum"), json!(exact_sum_of_x()));
    assert_eq!(column("t", "first"), json!("2024-05-01 10:00:00.000123"));

    let of_events = lists(&python, "xs", &files);
    let mut sent: Vec<String> = (0..EVENTS).map(|id| event(id)["xs"].to_string()).collect();
    let mut stored: Vec<String> = of_events["arrow"].as_array().expect("rows").iter().map(Json::to_string).collect();
    sent.sort_unstable();
    stored.sort_unstable();
    assert_eq!(stored, sent);

    let spine: Vec<Json> = (0..25).map(|k| json!({"k": k, "q": "2024-05-07T23:00:00Z", "label": format!("l{k}")})).collect();
    project.write("spine.ndjson", ndjson(&spine));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.parquet", "--time", "q"]).ok();
    let set = as_pyarrow_reads(&python, &[project.path("set.parquet")]);
    assert_eq!(set["rows"], json!(25));
    let names: Vec<&String> = set["columns"].as_object().expect("columns").keys().collect();
    assert_eq!(names, ["k", "q", "label", "n_1d", "spend_1d", "names_1d", "every_ok_1d", "newest_1d", "by_ok_1d", "recent_1d", "mean_1d"]);
    assert_eq!(set["columns"]["n_1d"]["type"], "int64");
    assert_eq!(set["columns"]["every_ok_1d"]["nulls"], json!(5), "keys 20 to 24 have no events");
    let last_day: i64 = (0..EVENTS).filter(|id| id % 7 == 6).count() as i64;
    assert_eq!(set["columns"]["n_1d"]["sum"], json!(last_day.to_string()));

    let set_file = [project.path("set.parquet")];
    let (names, recent) = (lists(&python, "names_1d", &set_file), lists(&python, "recent_1d", &set_file));
    assert_eq!(recent["type"], "list<item: struct<x: double, label: string>>");
    for k in 0..25 {
        let labels = recent["arrow"][k].as_array().map(|structs| structs.iter().map(|of| of["label"].clone()).collect::<Vec<_>>());
        let upper = |name: &Json| json!(name.as_str().expect("a name").to_uppercase());
        assert_eq!(labels, names["arrow"][k].as_array().map(|names| names.iter().map(upper).collect::<Vec<_>>()), "key {k}");
    }
    let mean = lists(&python, "mean_1d", &set_file);
    let ids: Vec<i64> = (0..EVENTS).filter(|id| id % 7 == 6 && id % 20 == 1).collect();
    assert_eq!(mean["arrow"][1], json!([ids.iter().sum::<i64>() as f64 / ids.len() as f64, null, -0.5]));
    assert_eq!([&mean["arrow"][0], &mean["arrow"][24]], [&Json::Null, &Json::Null], "no lists, and no events");

    let maps = as_others_read(&python, &project.path("set.parquet"), "by_ok_1d");
    assert_eq!(maps["types"], json!(["string", "double"]));
    assert_eq!(maps["arrow"], maps["duckdb"]);
    let on_last_day = |id: &i64| id % 7 == 6 && id % 10 != 0;
    let sum = |k: i64, ok: bool| -> f64 {
        let of_key = (0..EVENTS).filter(on_last_day).filter(|id| id % 20 == k && (id % 3 == 0) == ok);
        of_key.map(|id| id as f64 / 8.0).sum()
    };
    assert_eq!(maps["arrow"][1], json!({"false": sum(1, false), "true": sum(1, true)}));
    assert_eq!(maps["arrow"][24], Json::Null, "there are no such events");
    let all: f64 = (0..20).map(|k| sum(k, true) + sum(k, false)).sum();
    assert_eq!(maps["sum"], json!(all));
}

/// A spine that pandas wrote with an index, and the documented way from maps to dictionaries.
#[test]
fn pandas_writes_spines_and_reads_training_sets() {
    let Some(python) = python() else { return };
    let project = Project::new(DEFINITIONS);
    let _ = project.push("events", &(0..50).map(event).collect::<Vec<_>>()).ok();
    project.catch_up();
    let run = |script: &str| {
        let output = Command::new(&python).args(["-c", script]).current_dir(project.path("")).output().expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    run("import pandas\n\
         spine = pandas.DataFrame({'k': [6, 13, 7], 'q': pandas.to_datetime(['2024-05-07T23:00:00Z'] * 3)}, index=[7, 9, 11])\n\
         spine.to_parquet('spine.parquet')\n\
         spine.index.name = 'row'\n\
         spine.to_parquet('named.parquet')");
    let columns = |file: &str| -> Vec<Json> {
        let listed = read_json(&run(&format!("import json, pandas\nprint(json.dumps(list(pandas.read_parquet('{file}').columns)))")));
        listed.as_array().expect("names").clone()
    };
    let made = |spine: &str| project.run(&["training-set", "v", "--spine", spine, "--out", "train.parquet", "--time", "q"]).ok().stderr;
    let said = made("spine.parquet");
    assert!(said.contains("spine.parquet: __index_level_0__ is an index of pandas without a name, and is left out"), "{said}");
    assert_eq!(columns("train.parquet")[..2], [json!("k"), json!("q")]);
    assert!(!columns("train.parquet").contains(&json!("row")));
    // As docs/training-sets.md says it.
    let docs = fs::read_to_string(here("../docs/training-sets.md")).expect("a document");
    let snippet = docs.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a snippet");
    let maps = read_json(&run(&format!("{snippet}\nimport json\nprint(json.dumps([row for row in table['by_ok_1d']]))")));
    assert!(maps.as_array().expect("rows").iter().all(|row| row.is_null() || row.is_object()) && maps[0].is_object(), "{maps}");
    assert!(!made("named.parquet").contains("left out"));
    assert!(columns("train.parquet").contains(&json!("row")));
}
