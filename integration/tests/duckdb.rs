//! An oracle that nobody here wrote: DuckDB's exact RANGE frames over the same events equal a training set's columns.

use std::process::Command;

use forebay_integration::answers::read_ndjson;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, python};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Map, Value as Json, json};

const EVENTS: usize = 4_000;
const KEYS: i64 = 40;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const MINUTE: i64 = 60_000_000;

const DEFINITIONS: &str = "
source events (k bigint, n bigint, x double, t timestamp, place bigint)
from log 'events'
format json
event time t
lateness '60 days' history '60 days'
dedup by place within '1 day';

entity thing (k bigint);

features things of thing from events (
  n_1h = count(*) over 1h as n_1h,
  with_n_1d = count(n) over 1d as with_n_1d,
  sum_1h = sum(n) over 1h as sum_1h,
  sum_7d = sum(n) over 7d as sum_7d,
  gains_1d = sum(n) where n > 0 over 1d as gains_1d,
  least_1d = min(n) over 1d as least_1d,
  greatest_7d = max(n) over 7d as greatest_7d,
  least_x_7d = min(x) over 7d as least_x_7d,
  greatest_x_1h = max(x) over 1h as greatest_x_1h,
  mean_1d = avg(n) over 1d as mean_1d,
  first_1d = first(n) over 1d as first_1d,
  last_7d = last(n) over 7d as last_7d,
  kinds_7d = count_distinct(n) over 7d as kinds_7d,
  past_1h = count(*) over 1h before as past_1h,
  median_1d = median(n) over 1d as median_1d,
  about_entropy_7d = entropy(n) over 7d as about_entropy_7d,
  about_skewness_1d = skewness(n) over 1d as about_skewness_1d,
  about_kurtosis_7d = kurtosis(n) over 7d as about_kurtosis_7d,
  about_corr_7d = corr(n, x) over 7d as about_corr_7d,
  about_slope_7d = regr_slope(n, x) over 7d as about_slope_7d,
);

vector v on events (things.*);
";

/// Payments out of order, many at equal times and exactly an hour or a day apart.
fn events(chance: &mut Chance) -> Vec<Json> {
    let event = |place: usize, chance: &mut Chance| {
        let minutes = chance.between(0, 10 * 24 * 12) * 5;
        let micros = *chance.pick(&[0, 0, 0, 1, -1]);
        let mut event = Map::new();
        event.insert("k".to_owned(), if chance.once_in(30) { Json::Null } else { json!(chance.between(1, KEYS)) });
        event.insert("n".to_owned(), if chance.once_in(10) { Json::Null } else { json!(chance.between(-50, 50)) });
        event.insert("x".to_owned(), if chance.once_in(10) { Json::Null } else { json!(chance.unit() * 100.0) });
        event.insert("t".to_owned(), json!(rfc3339(START + minutes * MINUTE + micros)));
        event.insert("place".to_owned(), json!(place));
        Json::Object(event)
    };
    (0..EVENTS).map(|place| event(place, chance)).collect()
}

#[test]
fn training_sets_equal_range_frames() {
    let Some(python) = python() else { return };
    let mut chance = Chance::for_test(5);
    let events = events(&mut chance);
    let project = Project::new(DEFINITIONS);
    let path = project.write("events.ndjson", ndjson(&events));
    let _ = project.run(&["push", "events", "events.ndjson"]).ok();
    project.catch_up();

    let output = Command::new(python).arg(here("oracles/range_frames.py")).arg(&path).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = read_ndjson(&String::from_utf8(output.stdout).expect("text"));
    assert!(expected.len() > EVENTS / 2);

    let spine: Vec<Json> = expected.iter().map(|row| events[row["place"].as_u64().expect("a place") as usize].clone()).collect();
    project.write("spine.ndjson", ndjson(&spine));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "events"]).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        for (name, value) in expected.as_object().expect("a row") {
            let actual = row.get(name).unwrap_or(&Json::Null);
            let same = match (actual.as_f64(), value.as_f64()) {
                (Some(actual), Some(value)) if name.starts_with("about_") => (actual - value).abs() <= 1e-9 * value.abs().max(1.0),
                (Some(actual), Some(_)) if value.is_f64() => Some(actual.to_bits()) == value.as_f64().map(f64::to_bits),
                _ => actual == value,
            };
            assert!(same, "{name} of event {}: {actual}, DuckDB says {value}", expected["place"]);
        }
    }
}
