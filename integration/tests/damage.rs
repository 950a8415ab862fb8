//! Every kind of file of a data folder, damaged in every way: what is asked afterwards is answered as before, or refused by name
//! with a way out; never another value. And the way out works. `FOREBAY_DAMAGES` sets how many damages are tried of each kind.

use std::fs;
use std::path::{Path, PathBuf};

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{copy, here, onnx_runtime};
use forebay_integration::harness::{Ended, Project, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source events (id bigint, k bigint, m text, x double, t timestamp)
from log 'events' partitions 2 by k
format json
event time t
lateness '3 days' history '60 days'
dedup by id within '1 hour';

entity thing (k bigint);
entity merchant (m text);

features things of thing from events (
  n = count(*) over 10m,
  spend = sum(x) over 1d,
  spread = stddev_pop(x) over all as spread,
  ever = count(*) over all as ever,
);

features merchants of merchant from events (
  merchant_n = count(*) over 30d,
);

vector v on events (
  things.n_10m,
  things.spend_1d,
  merchants.merchant_n_30d,
  x,
);

vector everything on events (things.*, merchants.*);

model linear from 'linear_4.onnx' takes v
  score events into topic 'predictions';
";

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const HOUR: i64 = 3_600_000_000;
const EVENTS: usize = 3_000;
const KEYS: usize = 40;
/// The damages of each kind of file that `make test` tries.
const TRIED: usize = 2;

fn event(number: usize) -> Json {
    let mut chance = Chance::new(number as u64);
    json!({
        "id": number, "k": chance.below(KEYS), "m": format!("m{}", chance.below(7)),
        "x": chance.between(0, 10_000) as f64 / 100.0,
        "t": rfc3339(START + number as i64 * HOUR / 20 - chance.between(0, 300) * 1_000_000),
    })
}

/// A project with events, state, predictions and Parquet of several days. `older` is where its folder goes as it was after a third
/// of the events.
fn project(older: Option<&str>) -> Project {
    let project = Project::new(DEFINITIONS);
    project.write("features/linear_4.onnx", fs::read(here("fixtures/linear_4.onnx")).expect("a fixture"));
    for round in 0..3 {
        let from = round * EVENTS / 3;
        let _ = project.push("events", &(from..from + EVENTS / 3).map(event).collect::<Vec<_>>()).ok();
        project.catch_up();
        if let (0, Some(older)) = (round, older) {
            copy(&project.data(), &project.path(older));
        }
    }
    project
}

/// What the data folder answers.
#[derive(Debug, PartialEq)]
struct Answers {
    lookups: Vec<String>,
    training: String,
    predictions: String,
}

/// What was asked, and the first that was refused.
enum Asked {
    Answers(Answers),
    Refused(Ended),
}

fn ask(project: &Project) -> Asked {
    let mut lookups = Vec::new();
    for k in [1, 23] {
        let key = format!("k={k}");
        let ended = project.run(&["lookup", "everything", &key, "m=m3", "--as-of", "2024-05-07T05:00:00Z", "--output", "ndjson"]);
        match ended.code {
            Some(0) => lookups.push(without_freshness(&ended.stdout)),
            _ => return Asked::Refused(ended),
        }
    }
    let ended = project.run(&["training-set", "everything", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]);
    if ended.code != Some(0) {
        return Asked::Refused(ended);
    }
    let ended = project.run(&["topics", "read", "predictions", "--max", "100000", "--output", "ndjson"]);
    if ended.code != Some(0) {
        return Asked::Refused(ended);
    }
    Asked::Answers(Answers { lookups, training: project.read("set.ndjson"), predictions: ended.stdout })
}

fn spine(project: &Project) {
    let row = |row: usize| json!({"k": row % KEYS, "m": format!("m{}", row % 8), "q": rfc3339(START + row as i64 * HOUR)});
    project.write("spine.ndjson", ndjson(&(0..150).map(row).collect::<Vec<_>>()));
}

/// Staleness is by the clock.
fn without_freshness(answer: &str) -> String {
    let mut answer = read_json(answer);
    if let Some(object) = answer.as_object_mut() {
        object.retain(|name, _| name == "names" || name == "values");
    }
    answer.to_string()
}

/// A kind of file: its part of the folder, and which of its files are of it.
struct Kind {
    name: &'static str,
    part: &'static str,
    is_of: fn(&str) -> bool,
    /// What builds it again, where something does.
    rebuilt: Option<&'static [&'static str]>,
}

const REBUILD_STATE: Option<&[&str]> = Some(&["rebuild", "state"]);
const REBUILD_OFFLINE: Option<&[&str]> = Some(&["rebuild", "offline"]);
/// What of the log cannot be read is gone then: predictions among it.
const REBUILD_LOG: Option<&[&str]> = Some(&["rebuild", "log", "--give-up"]);

const KINDS: &[Kind] = &[
    Kind { name: "Parquet", part: "offline", is_of: |name| name.ends_with(".parquet"), rebuilt: REBUILD_OFFLINE },
    Kind { name: "the manifest of offline", part: "offline", is_of: |name| name == "manifest.json", rebuilt: REBUILD_OFFLINE },
    Kind { name: "its copy", part: "offline", is_of: |name| name == "manifest.copy.json", rebuilt: REBUILD_OFFLINE },
    Kind { name: "tables of online", part: "online", is_of: |name| name.ends_with(".sst"), rebuilt: REBUILD_STATE },
    Kind { name: "the manifest of online", part: "online", is_of: |name| name.starts_with("MANIFEST"), rebuilt: REBUILD_STATE },
    Kind { name: "CURRENT of online", part: "online", is_of: |name| name == "CURRENT", rebuilt: REBUILD_STATE },
    Kind { name: "write-ahead logs of online", part: "online", is_of: |name| name.ends_with(".log"), rebuilt: REBUILD_STATE },
    Kind { name: "options of online", part: "online", is_of: |name| name.starts_with("OPTIONS"), rebuilt: REBUILD_STATE },
    Kind { name: "the mark of online", part: "online", is_of: |name| name == "acknowledged", rebuilt: REBUILD_STATE },
    Kind { name: "write-ahead logs of the log", part: "log", is_of: |name| name.ends_with(".log"), rebuilt: REBUILD_LOG },
    Kind { name: "options of the log", part: "log", is_of: |name| name.starts_with("OPTIONS"), rebuilt: None },
    Kind { name: "the mark of the log", part: "log", is_of: |name| name == "acknowledged", rebuilt: None },
    Kind { name: "CURRENT of the log", part: "log", is_of: |name| name == "CURRENT", rebuilt: None },
    Kind { name: "what the folder is", part: "", is_of: |name| name == "folder.json", rebuilt: None },
    Kind { name: "tables of the log", part: "log", is_of: |name| name.ends_with(".sst"), rebuilt: None },
    Kind { name: "blobs of the log", part: "log", is_of: |name| name.ends_with(".blob"), rebuilt: REBUILD_LOG },
    Kind { name: "the manifest of the log", part: "log", is_of: |name| name.starts_with("MANIFEST"), rebuilt: None },
    Kind { name: "applied definitions", part: "definitions", is_of: |_| true, rebuilt: None },
];

#[derive(Clone, Copy, Debug)]
enum Way {
    Flip,
    Truncate,
    Delete,
    Empty,
    /// What a file of the kind was before.
    Older,
}

const WAYS: [Way; 5] = [Way::Older, Way::Truncate, Way::Delete, Way::Empty, Way::Flip];

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Damages a file; says how. `older` is what stands in its place for `Way::Older`.
fn damage(path: &Path, way: Way, older: Option<&PathBuf>, chance: &mut Chance) -> String {
    let mut bytes = fs::read(path).expect("a file");
    let at = chance.below(bytes.len().max(1));
    match way {
        Way::Flip if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
        Way::Truncate => bytes.truncate(at),
        Way::Empty | Way::Flip => bytes.clear(),
        Way::Older => match older {
            Some(older) => {
                fs::copy(older, path).expect("it can be written");
                return format!("{} of before", older.display());
            }
            None => bytes.clear(),
        },
        Way::Delete => {
            fs::remove_file(path).expect("it can be deleted");
            return "deleted".to_owned();
        }
    }
    fs::write(path, bytes).expect("it can be written");
    format!("{way:?} at {at}")
}

/// Whether an error names what is wrong and what to do.
fn is_named(ended: &Ended) -> bool {
    let remedies = ["restore", "forebay ", "delete it", "--data"];
    ended.code == Some(1) && ended.stderr.contains("error: ") && remedies.iter().any(|remedy| ended.stderr.contains(remedy))
}

#[test]
fn damage_is_named_or_changes_nothing() {
    if !onnx_runtime() {
        return;
    }
    let tried = std::env::var("FOREBAY_DAMAGES").ok().and_then(|tried| tried.parse().ok()).unwrap_or(TRIED);
    let project = project(Some("older"));
    spine(&project);
    // Killed, so that what came last lies in write-ahead logs.
    let server = project.serve();
    let _ = server.push("events", &(EVENTS..EVENTS + 100).map(event).collect::<Vec<_>>());
    server.wait_for_seq(EVENTS + 100);
    // What is written when it is killed is acknowledged: a write that was not may be lost, and is done again by the next start.
    wait_for("outputs in their topics", || {
        let waiting = |name| server.metric(name, "");
        (waiting("forebay_unscored_events") + waiting("forebay_outbox_records") == 0.0).then_some(())
    });
    server.kill();
    let older = project.path("older");
    let Asked::Answers(before) = ask(&project) else { panic!("a whole folder answers") };
    let clean = project.run(&["check-data", "--output", "json"]).ok();
    assert_eq!(read_json(&clean.stdout)["clean"], true, "{}", clean.stdout);
    let whole = project.path("whole");
    fs::rename(project.data(), &whole).expect("the folder moves");
    let mut chance = Chance::for_test(121);
    let mut wrong = Vec::new();
    let (mut same, mut refused, mut rebuilt) = (0, 0, 0);
    for (place, kind) in KINDS.iter().enumerate() {
        let names = files_below(&whole.join(kind.part));
        let of_kind = |path: &&PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(kind.is_of);
        let files: Vec<&PathBuf> = names.iter().filter(of_kind).collect();
        assert!(!files.is_empty(), "there are files of the kind {}", kind.name);
        for attempt in 0..tried {
            let _ = fs::remove_dir_all(project.data());
            copy(&whole, &project.data());
            let file = chance.pick(&files).strip_prefix(&whole).expect("below it");
            // A changed byte is what only a checksum finds; then the other ways in turn.
            let way = if attempt % 2 == 0 { Way::Flip } else { WAYS[(attempt / 2 + place) % WAYS.len()] };
            let earlier = files_below(&older.join(kind.part)).into_iter().filter(|path| of_kind(&path)).collect::<Vec<_>>();
            let same_name = earlier.iter().find(|path| path.strip_prefix(&older).is_ok_and(|path| path == file));
            let how = damage(&project.data().join(file), way, same_name.or(earlier.last()), &mut chance);
            let about = format!("{}: {} {how}", kind.name, file.display());
            let found = project.run(&["check-data", "--output", "json"]);
            let is_clean = found.code == Some(0);
            match ask(&project) {
                Asked::Answers(after) if after == before => same += 1,
                Asked::Answers(_) => wrong.push(format!("{about}: another value; check-data: {}", found.stdout)),
                Asked::Refused(ended) if !is_named(&ended) => wrong.push(format!("{about}: {} {}", ended.code.unwrap_or(-1), ended.stderr)),
                Asked::Refused(ended) if is_clean => wrong.push(format!("{about}: check-data sees nothing of {}", ended.stderr)),
                Asked::Refused(_) => refused += 1,
            }
            if let (Some(rebuild), false) = (kind.rebuilt, is_clean) {
                let ended = project.run(rebuild);
                let keeps_predictions = kind.part != "log";
                let is_as_before = |after: &Answers| {
                    // Where it is not known how far scoring had come, some come once more.
                    let mut predictions = before.predictions.lines();
                    let predictions = !keeps_predictions || predictions.all(|line| after.predictions.lines().any(|own| own == line));
                    after.lookups == before.lookups && after.training == before.training && predictions
                };
                match (ended.code, ask(&project)) {
                    (Some(0), Asked::Answers(after)) if is_as_before(&after) => rebuilt += 1,
                    // The log's own tables are not there any more: only a copy helps, and the command says so.
                    (Some(1), _) if kind.part == "log" && is_named(&ended) => refused += 1,
                    (Some(0), Asked::Answers(after)) => {
                        let differ = [after.lookups != before.lookups, after.training != before.training];
                        wrong.push(format!("{about}: rebuilt with another value (lookups, training differ: {differ:?}): {}", ended.stderr));
                    }
                    (Some(0), Asked::Refused(refused)) => wrong.push(format!("{about}: rebuilt, and refused: {}", refused.stderr)),
                    (code, _) => wrong.push(format!("{about}: {rebuild:?} ended with {code:?}: {}", ended.stderr)),
                }
            }
        }
    }
    println!("{same} without effect, {refused} refused by name, {rebuilt} built again");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > 0 && rebuilt > 0);
}

/// Rows of state that are damaged under a server: what is asked of them is refused with the way out, the server says that it is
/// not ready and goes on taking events in, and the state is built again with the same values.
#[test]
fn a_damaged_state_is_named_and_its_server_goes_on() {
    if !onnx_runtime() {
        return;
    }
    let project = project(None);
    spine(&project);
    let Asked::Answers(before) = ask(&project) else { panic!("a whole folder answers") };
    let of_state = |bytes: &[u8]| bytes.windows(9).any(|at| at == b"namestate");
    let tables = files_below(&project.data().join("online"));
    let tables = tables.iter().filter(|path| path.extension().is_some_and(|kind| kind == "sst"));
    let mut damaged = 0;
    for table in tables {
        let mut bytes = fs::read(table).expect("a table");
        if of_state(&bytes) {
            // In its first block of rows.
            bytes[10..60].iter_mut().for_each(|byte| *byte ^= 0x55);
            fs::write(table, bytes).expect("a table");
            damaged += 1;
        }
    }
    assert!(damaged > 0, "there is a table of state rows");
    let found = project.run(&["check-data"]);
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    assert!(found.stdout.contains("forebay rebuild state"), "{}", found.stdout);
    let server = project.serve();
    let statuses: Vec<u16> = (0..KEYS)
        .map(|k| {
            let request = json!({"keys": [{"k": k, "m": "m3"}], "as_of": "2024-05-07T05:00:00Z"});
            let (status, answer) = server.post("/v1/vectors/everything/lookup", &request);
            assert!(status == 200 || status == 503 && answer.to_string().contains("forebay rebuild state"), "{status} {answer}");
            status
        })
        .collect();
    assert!(statuses.contains(&503), "{statuses:?}");
    assert_eq!(server.get("/health/ready").0, 503);
    let (status, told) = server.get("/v1/status");
    assert!(status == 200 && told.contains("is damaged"), "{told}");
    let _ = server.push("events", &[event(EVENTS + 200)]);
    server.wait_for_seq(EVENTS + 1);
    assert_eq!(server.stop(), Some(0));
    let _ = project.run(&["rebuild", "state"]).ok();
    let _ = project.run(&["check-data"]).ok();
    let Asked::Answers(after) = ask(&project) else { panic!("what was built again answers") };
    assert_eq!((after.lookups, after.training), (before.lookups, before.training));
}

/// Events that a lost Parquet file held and no log holds any more: nothing is changed before they are given up, and then it is said
/// how many are missing, where they are and whenever they could be read; the state answers as before.
#[test]
fn events_that_nothing_holds_are_given_up_only_when_asked() {
    if !onnx_runtime() {
        return;
    }
    let project = project(None);
    spine(&project);
    let Asked::Answers(before) = ask(&project) else { panic!("a whole folder answers") };
    let _ = project.run(&["topics", "trim", "events", "--keep", "0"]).ok();
    let file = files_below(&project.data().join("offline")).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "parquet"));
    fs::remove_file(file.expect("a Parquet file")).expect("it can be deleted");
    let refused = project.run(&["rebuild", "offline"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("forebay rebuild offline --give-up"), "{refused:?}");
    let missing: usize = refused.stderr.split_once("error: ").and_then(|(_, said)| said.split_once(' ')?.0.parse().ok()).expect("how many");
    assert!((1..EVENTS).contains(&missing), "{refused:?}");
    assert_eq!(project.run(&["check-data"]).code, Some(1), "nothing was changed");
    let given_up = project.run(&["rebuild", "offline", "--give-up", "--output", "json"]).ok();
    let what = read_json(&given_up.stdout)["lost"][0]["what"].to_string();
    assert!(what.contains(&format!("{missing} events are given up")), "{given_up:?}");
    let _ = project.run(&["check-data"]).ok();
    let made = project.run(&["training-set", "everything", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
    assert!(made.stderr.contains(&format!("{missing} events of events were given up")), "{made:?}");
    assert_ne!(project.read("set.ndjson"), before.training, "they are missing");
    let Asked::Answers(after) = ask(&project) else { panic!("what was built again answers") };
    assert_eq!((after.lookups, after.predictions), (before.lookups, before.predictions));
    let again = project.run(&["rebuild", "offline"]).ok();
    assert!(!again.stdout.contains("given up"), "what was given up is not missed again: {again:?}");
    // What is damaged later is had from the log all the same.
    let known = files_below(&project.data().join("offline"));
    let _ = project.push("events", &(EVENTS..EVENTS + 50).map(event).collect::<Vec<_>>()).ok();
    project.catch_up();
    let Asked::Answers(whole) = ask(&project) else { panic!("what was built again answers") };
    let new: Vec<_> = files_below(&project.data().join("offline")).into_iter().filter(|path| !known.contains(path)).collect();
    let new = new.iter().find(|path| path.extension().is_some_and(|kind| kind == "parquet")).expect("a new Parquet file");
    fs::remove_file(new).expect("it can be deleted");
    let mended = project.run(&["rebuild", "offline"]).ok();
    assert!(!mended.stdout.contains("given up"), "{mended:?}");
    let Asked::Answers(after) = ask(&project) else { panic!("what was built again answers") };
    assert!(after == whole, "what the log has is built again");
}
