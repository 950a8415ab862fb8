//! Golden scenarios: `scenarios/NAME/` holds definitions, events (`SOURCE.ndjson` those of further sources), questions and
//! a spine; `expected.json` what comes out online and offline. Every question that is asked online is also asked of a
//! training set: the bits must be equal. `BLESS=1` writes `expected.json` anew.

use std::fs;
use std::path::Path;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::here;
use forebay_integration::golden;
use forebay_integration::harness::{Project, Server, ndjson, rows};
use serde_json::{Map, Value as Json, json};

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { run(stringify!($name)); })*
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios!(
    all_after_trimming,
    booleans_and_distinct,
    calendar,
    derived_columns,
    derived_features,
    doubles,
    duplicates,
    excluding_current,
    hops,
    last_rows,
    lateness,
    lists,
    maps,
    null_keys,
    offsets,
    order,
    own_functions,
    range_edges,
    retractions,
    roles,
    sessions,
    set_aside,
    silence,
    streams,
    unnest,
    where_and_default,
    whole_units,
    wide_integers,
);

#[test]
fn every_folder_is_run() {
    let entries = fs::read_dir(here("scenarios")).expect("a folder of scenarios");
    let mut folders: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    folders.sort();
    assert_eq!(folders, NAMES);
}

fn run(name: &str) {
    let folder = here("scenarios").join(name);
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"));
    let asked: Json = read_json(&text("lookups.json"));
    let project = Project::new(&text("features.bay"));
    project.write("spine.csv", text("spine.csv"));
    // A push that sets records aside says so by its exit code; what was set aside is in the golden file.
    let pushed = project.run_with_input(&["push", "events", "-"], text("events.ndjson").as_bytes());
    assert!(matches!(pushed.code, Some(0 | 1)), "{pushed:?}");
    for source in other_sources(&folder) {
        let _ = project.run_with_input(&["push", &source, "-"], text(&format!("{source}.ndjson")).as_bytes()).ok();
    }
    project.catch_up();

    let server = project.serve();
    let online: Vec<Json> = asked["lookups"].as_array().expect("lookups").iter().map(|lookup| ask(&server, &asked, lookup)).collect();
    let dead = dead_letters(&project);
    assert_eq!(server.stop(), Some(0), "a graceful end");

    for (lookup, answer) in asked["lookups"].as_array().expect("lookups").iter().zip(&online) {
        if answer.get("rows").is_some() {
            same_offline(&project, &asked, lookup, answer);
        }
    }
    let offline = training_set(&project, &asked);
    golden::check_json(&folder.join("expected.json"), &json!({"online": online, "offline": offline, "set_aside": dead}));
}

/// Sources beside `events` that have a file of events of their own.
fn other_sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the scenario's folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut sources: Vec<String> = names.filter_map(|name| name.strip_suffix(".ndjson").map(str::to_owned)).collect();
    sources.retain(|source| source != "events");
    sources.sort();
    sources
}

fn vector_of<'a>(asked: &'a Json, lookup: &'a Json) -> &'a str {
    lookup["vector"].as_str().or_else(|| asked["vector"].as_str()).expect("a vector")
}

fn ask(server: &Server, asked: &Json, lookup: &Json) -> Json {
    let mut body = lookup.as_object().expect("a lookup").clone();
    body.remove("vector");
    let refused = body.remove("refused").is_some();
    let (status, answer) = server.post(&format!("/v1/vectors/{}/lookup", vector_of(asked, lookup)), &Json::Object(body));
    if refused {
        assert!((400..500).contains(&status), "{status}: {answer}");
        return json!({"status": status, "error": answer});
    }
    assert_eq!(status, 200, "{lookup}: {answer}");
    json!({"as_of": lookup["as_of"], "rows": rows(&answer)})
}

/// The rows of a lookup as a spine give the columns that the lookup gave.
fn same_offline(project: &Project, asked: &Json, lookup: &Json, answer: &Json) {
    let keys = lookup["keys"].as_array().expect("keys");
    let spine: Vec<Json> = keys
        .iter()
        .enumerate()
        .map(|(row, key)| {
            let mut line = key.as_object().expect("a key").clone();
            if let Some(request) = lookup["request"].get(row).and_then(Json::as_object) {
                line.extend(request.clone());
            }
            line.insert("as_of_time".to_owned(), lookup["as_of"].clone());
            Json::Object(line)
        })
        .collect();
    project.write("asked.ndjson", ndjson(&spine));
    let arguments = ["training-set", vector_of(asked, lookup), "--spine", "asked.ndjson", "--out", "answer.ndjson", "--time", "as_of_time"];
    let _ = project.run(&arguments).ok();
    let offline = read_ndjson(&project.read("answer.ndjson"));
    let online = answer["rows"].as_array().expect("rows");
    assert_eq!(offline.len(), online.len());
    for (offline, online) in offline.iter().zip(online) {
        for (name, value) in online.as_object().expect("a row") {
            // NDJSON may leave out what is null.
            let other = offline.get(name).unwrap_or(&Json::Null);
            assert_eq!(other.to_string(), value.to_string(), "{name} offline and online; asked: {lookup}");
        }
    }
}

fn training_set(project: &Project, asked: &Json) -> Vec<Json> {
    let vector = asked["vector"].as_str().expect("a vector");
    let mut arguments = vec!["training-set", vector, "--spine", "spine.csv", "--out", "set.ndjson"];
    arguments.extend(asked["training_set"].as_array().expect("arguments").iter().filter_map(Json::as_str));
    let _ = project.run(&arguments).ok();
    read_ndjson(&project.read("set.ndjson"))
}

/// The dead-letter topic: payloads and why.
fn dead_letters(project: &Project) -> Vec<Json> {
    let read = project.run(&["topics", "read", "events.dead", "--from", "start", "--output", "ndjson"]);
    if read.code != Some(0) {
        return Vec::new(); // there is no such topic when nothing was set aside
    }
    let mut records = read_ndjson(&read.stdout);
    // By place in the source: what is decoded together is rejected together.
    let place = |record: &Json| {
        let number = |name: &str| record["headers"][format!("__connect.errors.{name}")].as_str().and_then(|text| text.parse::<u64>().ok());
        (number("partition"), number("offset"))
    };
    records.sort_by_key(place);
    let fields = |record: &Json| {
        let mut kept = Map::new();
        kept.insert("value".to_owned(), record["value"].clone());
        let headers = record["headers"].as_object().cloned().unwrap_or_default();
        kept.extend(headers.into_iter().filter(|(name, _)| name.contains("errors") && !name.contains("timestamp")));
        Json::Object(kept)
    };
    records.iter().map(fields).collect()
}
