//! An oracle that nobody here wrote: DuckDB over the same events equals a training set's columns, each aggregate of the
//! table over each window of the other. Values are equal to the bit where SQL's are exact; what DuckDB computes with
//! doubles in an order of its own is near.

mod duckdb {
    pub mod tables;
}

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, python, shared};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Map, Value as Json, json};

use duckdb::tables::{AGGREGATES, Aggregate, Near, WINDOWS, Window};

/// Events of some kind, as both sides read them. The tables speak of `k`, a key, `n`, a bigint, `x`, a double, `s`, a
/// text, `b`, a boolean.
struct Data {
    /// The source `events` and the entity `thing`.
    source: &'static str,
    /// The key's column where it is not called like that of the entity.
    by: &'static str,
    /// `n`, `x`, `s` and `b` in the language.
    words: [(&'static str, &'static str); 4],
    /// DuckDB's types of the file's columns.
    columns: &'static str,
    /// `k`, `t`, `n`, `x`, `s` and `b` in SQL.
    sql: &'static str,
    /// One event in so many is a row of the spine.
    every: u64,
}

const MADE_UP: Data = Data {
    source: "source events (k bigint, n bigint, x double, s text, b boolean, t timestamp, place bigint)
from log 'events' format json event time t lateness '60 days' dedup by place within '1 day';
entity thing (k bigint);",
    by: "",
    words: [("{n}", "n"), ("{x}", "x"), ("{s}", "s"), ("{b}", "b")],
    columns: "{k: 'BIGINT', n: 'BIGINT', x: 'DOUBLE', s: 'VARCHAR', b: 'BOOLEAN', t: 'TIMESTAMP'}",
    sql: "k, t, n, x, s, b",
    every: 7,
};

const FLIGHTS: Data = Data {
    source: "source events (
  flight_id bigint, event_time timestamp, origin text, destination text, distance bigint, delay bigint
)
from log 'events' format json event time event_time dedup by flight_id within '1 day';
entity thing (airport text);",
    by: " by origin",
    words: [("{n}", "delay"), ("{x}", "distance::double"), ("{s}", "destination"), ("{b}", "(delay > 15)")],
    columns: "{event_time: 'TIMESTAMP', origin: 'VARCHAR', destination: 'VARCHAR', distance: 'BIGINT', delay: 'BIGINT'}",
    sql: "origin as k, event_time as t, delay as n, distance::double as x, destination as s, delay > 15 as b",
    every: 31,
};

const PAYMENTS: Data = Data {
    source: "source events (
  payment_id text, user_id bigint, merchant_id text, category text, amount double, status text, event_time timestamp
)
from log 'events' format json event time event_time dedup by payment_id within '1 day';
entity thing (user_id bigint);",
    by: "",
    words: [("{n}", "floor(amount)::bigint"), ("{x}", "amount"), ("{s}", "merchant_id"), ("{b}", "(status = 'approved')")],
    columns: "{user_id: 'BIGINT', merchant_id: 'VARCHAR', amount: 'DOUBLE', status: 'VARCHAR', event_time: 'TIMESTAMP'}",
    sql: "user_id as k, event_time as t, floor(amount)::bigint as n, amount as x, merchant_id as s, status = 'approved' as b",
    every: 11,
};

/// Out of order, many at equal times and exactly an hour or a day apart, in the weeks in which Berlin's clocks change.
#[test]
fn events_that_are_made_up() {
    const START: i64 = 1_711_324_800_000_000; // 2024-03-25T00:00:00Z
    let mut chance = Chance::for_test(5);
    let mut event = |place: usize| {
        let minutes = chance.between(0, 10 * 24 * 12) * 5;
        let micros = *chance.pick(&[0, 0, 0, 1, -1]);
        let mut event = Map::new();
        event.insert("k".to_owned(), if chance.once_in(30) { Json::Null } else { json!(chance.between(1, 40)) });
        event.insert("n".to_owned(), if chance.once_in(10) { Json::Null } else { json!(chance.between(-50, 50)) });
        event.insert("x".to_owned(), if chance.once_in(10) { Json::Null } else { json!(chance.unit() * 100.0) });
        event.insert("s".to_owned(), if chance.once_in(10) { Json::Null } else { json!(*chance.pick(&["a", "b", "c", "d", "é", ""])) });
        event.insert("b".to_owned(), if chance.once_in(10) { Json::Null } else { json!(chance.once_in(2)) });
        event.insert("t".to_owned(), json!(rfc3339(START + minutes * 60_000_000 + micros)));
        event.insert("place".to_owned(), json!(place));
        Json::Object(event)
    };
    let events: Vec<Json> = (0..3_000).map(&mut event).collect();
    equal_duckdb(&MADE_UP, &ndjson(&events));
}

#[test]
fn real_flights() {
    let Some(path) = shared("flights.ndjson") else { return };
    let flights = std::fs::read_to_string(path).expect("the flights");
    equal_duckdb(&FLIGHTS, &flights.lines().take(8_000).map(|line| format!("{line}\n")).collect::<Vec<_>>().concat());
}

#[test]
fn payments_of_the_demo() {
    let arguments = ["generate", "payments", "--events", "3000", "--users", "40", "--merchants", "30", "--days", "90"];
    equal_duckdb(&PAYMENTS, &Project::new("").run(&arguments).ok().stdout);
}

fn equal_duckdb(data: &Data, events: &str) {
    let Some(python) = python() else { return };
    let cases: Vec<Case<'_>> = WINDOWS.iter().enumerate().flat_map(|(index, window)| Case::all_of(data, index, window)).collect();
    assert!(cases.len() > 700, "{} columns", cases.len());
    let lines: Vec<&str> = cases.iter().map(|case| case.line.as_str()).collect();
    let (source, by) = (data.source, data.by);
    let definitions =
        format!("{source}\nfeatures things of thing{by} from events (\n{}\n);\nvector v on events (things.*);\n", lines.join("\n"));
    let project = Project::new(&definitions);
    let path = project.write("events.ndjson", events);
    let _ = project.run(&["push", "events", "events.ndjson"]).ok();
    project.catch_up();

    let expected = ask_duckdb(&python, &script(data, &path, &cases));
    assert!(expected.len() > 200, "{} rows", expected.len());
    let all: Vec<&str> = events.lines().collect();
    let spine: Vec<&str> = expected.keys().map(|place| all[*place]).collect();
    project.write("spine.ndjson", spine.join("\n"));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--event", "events"]).ok();
    let rows = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(rows.len(), expected.len());
    let mut wrong = BTreeMap::new();
    for (row, (place, expected)) in rows.iter().zip(&expected) {
        for case in &cases {
            let (actual, value) = (&row[&case.name], &expected[&case.name]);
            if !case.aggregate.near.holds(actual, value) {
                wrong.entry(&case.name).or_insert_with(|| format!("{}\n  event {place}: {actual}, DuckDB says {value}", case.line));
            }
        }
    }
    let said: Vec<String> = wrong.into_values().collect();
    assert!(said.is_empty(), "{} of {} columns differ:\n{}", said.len(), cases.len(), said.join("\n"));
}

/// One aggregate over one window: a feature, and a column of a query.
struct Case<'a> {
    window: usize,
    aggregate: &'a Aggregate,
    name: String,
    /// In the language, with its comma.
    line: String,
}

impl<'a> Case<'a> {
    fn all_of(data: &Data, index: usize, window: &Window) -> Vec<Case<'a>> {
        let fitting = AGGREGATES.iter().enumerate().filter(|(_, aggregate)| window.takes(aggregate));
        let case = |(number, aggregate): (usize, &'a Aggregate)| {
            let name = format!("f{number}_{index}");
            let call = data.words.iter().fold(aggregate.call.to_owned(), |call, (word, text)| call.replace(word, text));
            let line = format!("  {name} = {call} over {} as {name},", window.over);
            Case { window: index, aggregate, name, line }
        };
        fitting.map(case).collect()
    }
}

/// A table of the events, and for each window a query with a column for each of its cases.
fn script(data: &Data, path: &Path, cases: &[Case<'_>]) -> String {
    let (columns, sql) = (data.columns, data.sql);
    let mut script = format!(
        "create temp table events as
         with raw as (select row_number() over () - 1 as place, {sql} from read_ndjson('{}', columns={columns})),
         placed as (
           select *, epoch_us(t) as micros,
                  row_number() over (partition by k order by t, place) as position,
                  t - lag(t) over (partition by k order by t, place) > interval 30 minutes as is_new
           from raw where k is not null
         )
         select *, max(position) over tie - position as later, position - min(position) over tie as earlier,
                count(*) filter (where is_new) over (partition by k order by t, place) as session,
                count(*) over (partition by k order by t range between interval 1 day preceding and current row) as in_1d
         from placed
         window tie as (partition by k, t);\n",
        path.display()
    );
    for (index, window) in WINDOWS.iter().enumerate() {
        let mine = || cases.iter().filter(|case| case.window == index);
        // A window function is a column of the inner query; what is made of lists of events, of the outer one.
        let column = |case: &Case<'_>| format!(",\n  {} as {}", case.aggregate.sql, case.name);
        let inner = mine().filter(|case| case.aggregate.is_inner()).map(column).collect::<Vec<_>>().concat();
        let name = |case: &Case<'_>| if case.aggregate.is_inner() { format!(", {}", case.name) } else { column(case) };
        let outer = mine().map(name).collect::<Vec<_>>().concat();
        let (q, start, frame, every) = (window.query, window.start, window.frame, data.every);
        let _ = write!(
            script,
            "with folded as (
               select place, {q} as q, {start} as start,
                      list(micros order by position) over w as us,
                      list(n order by position) filter (where n is not null) over w as ns,
                      list(s order by position) filter (where s is not null) over w as ss,
                      list(b order by position) filter (where b is not null) over w as bs,
                      list({{'u': micros, 'n': n}} order by position) filter (where n is not null) over w as es,
                      list({{'a': n, 'o': x}} order by position) filter (where n is not null and x is not null) over w as hs,
                      histogram(n) over w as counts, histogram(s) over w as kinds{inner}
               from events
               window w as ({frame})
             )
             select place,
                    list_sort(list_transform(map_entries(counts), lambda e: {{'c': -(e.value::bigint), 'k': e.key}})) as top_counts,
                    list_sort(list_transform(map_entries(kinds), lambda e: {{'c': -(e.value::bigint), 'k': e.key}})) as top_kinds{outer}
             from folded where place % {every} = 0;\n"
        );
    }
    script
}

/// Columns by the place of their event.
fn ask_duckdb(python: &Path, script: &str) -> BTreeMap<usize, Json> {
    let mut command = Command::new(python);
    command.arg(here("oracles/run_sql.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("the script is read whole before any answer");
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    let mut rows: BTreeMap<usize, Json> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let Json::Object(columns) = read_json(line) else { panic!("not a row: {line}") };
        let place = columns["place"].as_u64().and_then(|place| usize::try_from(place).ok()).expect("a place");
        rows.entry(place).or_insert_with(|| json!({})).as_object_mut().expect("a row").extend(columns);
    }
    rows
}

#[test]
fn values_are_told_apart() {
    let (bits, near) = (Near::Bits, Near::within(1e-12));
    assert!(bits.holds(&json!(2.0), &json!(2)) && near.holds(&json!(0.1), &json!(0.1 + 1e-16)));
    assert!(!bits.holds(&json!(0.1), &json!(0.1 + 1e-16 + 1e-17)) && !near.holds(&json!(0.1), &json!(0.1 + 1e-12)));
    assert!(!bits.holds(&json!(null), &json!(0)) && !near.holds(&json!(0.0), &json!(null)) && !bits.holds(&json!([1]), &json!([2])));
}
