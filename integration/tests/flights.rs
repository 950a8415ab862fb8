//! Twelve features of 20,000 real flights as DuckDB computed them: equal online, as of each flight's time, and offline.
//! Integers and sums exactly, averages to the bit.

use std::collections::BTreeMap;
use std::fs;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::{shared, workspace};
use forebay_integration::harness::Project;
use serde_json::{Value as Json, json};

#[test]
fn twelve_columns_equal_duckdb_online_and_offline() {
    let (Some(flights), Some(expected)) = (shared("flights.ndjson"), shared("flights-expected.csv")) else { return };
    let table = fs::read_to_string(&expected).expect("the expected features");
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let rows: Vec<Vec<&str>> = lines.collect();
    assert_eq!(rows.len(), 5_000);
    let place = |name: &str| header.iter().position(|column| *column == name).expect("a column");
    let features: Vec<usize> =
        (0..header.len()).filter(|index| !["flight_id", "origin", "destination", "event_time"].contains(&header[*index])).collect();
    assert_eq!(features.len(), 12);
    let (origin, destination, time) = (place("origin"), place("destination"), place("event_time"));

    // The definitions that ship, without the model, which has nothing to do with it.
    let definitions = fs::read_to_string(workspace().join("features/flights/flights.bay")).expect("the definitions");
    let project = Project::new(&definitions);
    let _ = project.run(&["push", "flights", flights.to_str().expect("a path")]).ok();
    project.catch_up();
    let server = project.serve();
    let mut by_time: BTreeMap<&str, Vec<&Vec<&str>>> = BTreeMap::new();
    for row in &rows {
        by_time.entry(row[time]).or_default().push(row);
    }
    for (time, rows) in by_time {
        let keys: Vec<Json> = rows.iter().map(|row| json!({"origin": row[origin], "destination": row[destination]})).collect();
        let answers = server.lookup("flights_check", &json!({"keys": keys, "as_of": time}));
        for (answer, row) in answers.iter().zip(rows) {
            for index in &features {
                equal(&answer[header[*index]], row[*index], header[*index], row, "online");
            }
        }
    }
    assert_eq!(server.stop(), Some(0));

    let line = |row: &Vec<&str>| format!("{},{},{},{}\n", row[0], row[origin], row[destination], row[time]);
    let spine = rows.iter().map(line).collect::<Vec<_>>().concat();
    project.write("spine.csv", format!("flight_id,origin,destination,event_time\n{spine}"));
    let arguments = ["training-set", "flights_check", "--spine", "spine.csv", "--out", "set.ndjson", "--time", "event_time"];
    let _ = project.run(&arguments).ok();
    let answers = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(answers.len(), rows.len());
    for (answer, row) in answers.iter().zip(&rows) {
        assert_eq!(answer["flight_id"].to_string(), row[0], "the spine's order is kept");
        for index in &features {
            equal(&answer[header[*index]], row[*index], header[*index], row, "offline");
        }
    }
}

fn equal(actual: &Json, expected: &str, column: &str, row: &[&str], side: &str) {
    let same = if expected.is_empty() {
        actual.is_null()
    } else if column.contains("_avg_") {
        actual.as_f64().map(f64::to_bits) == read_json(expected).as_f64().map(f64::to_bits)
    } else {
        actual.as_i64() == expected.parse().ok()
    };
    assert!(same, "{side}, {column}: {actual} instead of {expected} for {row:?}");
}
