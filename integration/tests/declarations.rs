//! Sources, tables and views that are declared otherwise than when their records were read: what was read stays what it is,
//! what is stored is read as what it was written, and what cannot be is refused by name, by the plan, by `apply` and by a start.

use std::fs::{self, File};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::copy;
use forebay_integration::harness::{Ended, Project, rows};
use forebay_integration::records::read_topic;
use parquet::arrow::ArrowWriter;
use serde_json::{Value as Json, json};

/// A source with some of its clauses, and counts and sums of its events by `k`.
fn declared(topic: &str, clauses: &str) -> String {
    declared_with(topic, "event time t", clauses)
}

fn declared_with(topic: &str, time: &str, clauses: &str) -> String {
    format!(
        "source ev (id bigint, k bigint, x double, gone boolean, t timestamp, paid timestamp) from {topic} {time} {clauses};
entity thing (k bigint);
features f of thing from ev (n = count(*), total = sum(x) over 30d as total, ids = last_n(id, 50) over 400d as ids);
vector v (f.*);
"
    )
}

/// Event `id` of key `k`, on a day of January.
fn event(id: i64, k: i64, day: i64) -> Json {
    json!({"id": id, "k": k, "x": id as f64 / 4.0, "t": format!("2024-01-{day:02}T00:00:00Z"), "paid": format!("2024-02-{day:02}T00:00:00Z")})
}

fn events(ids: std::ops::RangeInclusive<i64>) -> Vec<Json> {
    ids.map(|id| event(id, 1, 1 + id % 20)).collect()
}

fn gone(mut event: Json) -> Json {
    event["gone"] = json!(true);
    event
}

fn put(project: &Project, definitions: &str) {
    project.write("features/test.bay", definitions);
}

fn serve(project: &Project) -> Ended {
    project.run(&["serve", "--until-caught-up", "--listen", "127.0.0.1:0"])
}

fn plan(project: &Project) -> Json {
    read_json(&project.run(&["plan", "--output", "json"]).stdout)
}

fn lookup(project: &Project, k: i64, at: &str) -> Json {
    let answer = project.run(&["lookup", "v", &format!("k={k}"), "--as-of", at, "--output", "json"]).ok();
    rows(&read_json(&answer.stdout))[0].clone()
}

/// Online and offline alike.
fn value(project: &Project, k: i64, at: &str) -> Json {
    let online = lookup(project, k, at);
    project.write("spine.ndjson", format!("{}\n", json!({"k": k, "q": at})));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
    let mut offline = read_ndjson(&project.read("set.ndjson"))[0].clone();
    let row = offline.as_object_mut().expect("a row");
    row.remove("k");
    row.remove("q");
    assert_eq!(online, offline, "key {k} at {at}");
    verified(project);
    online
}

fn verified(project: &Project) {
    let verified = project.run(&["verify", "--samples", "60"]);
    assert_eq!(verified.code, Some(0), "{}\n{}", verified.stdout, verified.stderr);
}

const LATER: &str = "2024-03-01T00:00:00Z";
const LONG: &str = "lateness '100 days' history '400 days' max ahead '400 days'";

#[test]
fn a_source_that_has_events_stays_with_its_topic() {
    let (former, other) = (declared("log 'ev'", LONG), declared("log 'ev_new'", LONG));
    for records in [2, 5, 8] {
        let project = Project::new(&former);
        let _ = project.push("ev", &events(1..=5)).ok();
        project.catch_up();
        let before = value(&project, 1, LATER);
        put(&project, &other);
        let _ = project.push("ev", &events(11..=10 + records)).ok();
        let said = "source ev is declared to read log 'ev_new', and its stored events are of log 'ev', under the partitions and offsets of \
                    that: give the source a new name, declare log 'ev' again, or choose another data folder";
        assert_eq!(plan(&project)["refused"], json!([said]));
        for command in [&["apply"][..], &["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]] {
            let refused = project.run(command);
            assert!(refused.code == Some(1) && refused.stderr.contains(said), "{refused:?}");
        }
        // Nothing was applied: what was applied before still answers, where it is asked for.
        let by = |choice: &[&str]| project.run(&[&["lookup", "v", "k=1", "--as-of", LATER, "--output", "json"], choice].concat());
        let refused = by(&[]);
        assert!(refused.code == Some(1) && refused.stderr.contains("vector v is declared otherwise in features"), "{refused:?}");
        assert_eq!(rows(&read_json(&by(&["--definitions", "applied"]).ok().stdout))[0], before);
        // Back, and under a name of its own everything of the other topic is read.
        put(&project, &former);
        project.catch_up();
        assert_eq!(value(&project, 1, LATER), before);
        put(&project, &other.replace("source ev ", "source ev2 ").replace("from ev ", "from ev2 "));
        project.catch_up();
        assert_eq!(value(&project, 1, LATER)["n"], json!(records));
    }
}

#[test]
fn a_source_whose_declaration_was_away_stays_with_its_topic_too() {
    let project = Project::new(&declared("log 'ev'", LONG));
    let _ = project.push("ev", &events(1..=5)).ok();
    project.catch_up();
    put(&project, "source other (k bigint, t timestamp) from log 'other' event time t;");
    project.catch_up();
    put(&project, &declared("log 'ev_new'", LONG));
    let refused = serve(&project);
    assert!(refused.code == Some(1) && refused.stderr.contains("declare log 'ev' again"), "{refused:?}");
    put(&project, &declared("log 'ev'", LONG).replace("x double", "x bigint"));
    let said =
        "source ev: field x is bigint now but stored events have it as double; give the changed field a new name, or declare double again";
    assert_eq!(plan(&project)["refused"], json!([said]));
    let refused = project.run(&["apply"]);
    assert!(refused.code == Some(1) && refused.stderr.contains(said), "{refused:?}");
}

/// What was read of a topic without an event in it is nothing that another topic's records could be taken for.
#[test]
fn a_source_without_events_may_move() {
    let project = Project::new(&declared("log 'ev'", LONG));
    assert_eq!(project.push("ev", &vec![json!({"id": 1, "t": null}); 4]).code, Some(1));
    project.catch_up();
    put(&project, &declared("log 'ev_new'", LONG));
    let _ = project.push("ev", &events(1..=3)).ok();
    assert_eq!(plan(&project)["refused"], json!([]));
    let _ = project.run(&["apply"]).ok();
    project.catch_up();
    assert_eq!(value(&project, 1, LATER)["n"], json!(3));
}

#[test]
fn a_log_that_was_replaced_is_not_read_on() {
    let project = Project::new(&declared("log 'ev'", LONG));
    let _ = project.push("ev", &events(1..=3)).ok();
    let [log, older] = ["data/log", "older"].map(|name| project.path(name));
    copy(&log, &older);
    let _ = project.push("ev", &events(4..=5)).ok();
    project.catch_up();
    let whole = project.path("whole");
    fs::rename(&log, &whole).expect("a log");
    let refused = |said: &str| {
        for refused in [serve(&project), project.push("ev", &events(11..=20)), project.run(&["verify"])] {
            assert!(refused.code == Some(1) && refused.stderr.contains(said), "{said}: {refused:?}");
            assert!(refused.stderr.contains("restore the whole data folder from one copy"), "{refused:?}");
        }
    };
    // A push would begin another log in the place of the one that is gone.
    refused("log/ is missing: put it back");
    let other = Project::new(&declared("log 'ev'", LONG));
    let _ = other.push("ev", &events(11..=20)).ok();
    copy(&other.path("data/log"), &log);
    refused("log/ is of the data folder");
    fs::remove_dir_all(&log).expect("a log");
    copy(&older, &log);
    refused("ends at offset 3, but was already read up to 5");
    fs::remove_dir_all(&log).expect("a log");
    fs::rename(&whole, &log).expect("a log");
    let _ = project.push("ev", &events(6..=7)).ok();
    project.catch_up();
    assert_eq!(value(&project, 1, LATER)["n"], json!(7));
}

/// Between `apply` and the next start, rows answer for definitions that they hold everything of, and for no others.
#[test]
fn rows_are_read_by_definitions_that_they_serve() {
    let base = declared("log 'ev'", LONG);
    let project = Project::new(&base);
    let _ = project.push("ev", &events(1..=9)).ok();
    project.catch_up();
    let before = value(&project, 1, LATER);
    let changes = [
        ("features f of thing from ev (", "features f of thing from ev ttl '90 days' ("),
        ("total = sum(x) over 30d", "total = sum(x) where x > 1.0 over 30d"),
        ("total = sum(x) over 30d", "total = sum(x) over 900d"),
        ("n = count(*),", "n = count(*), most = max(x) over 1d,"),
        ("n = count(*),", "n = count(*), visits = count(*) over session 30m,"),
        ("history '400 days'", "history '500 days'"),
        ("event time t", "event time paid"),
    ];
    project.write("spine.ndjson", format!("{}\n", json!({"k": 1, "q": LATER})));
    let readers: [&[&str]; 6] = [
        &["lookup", "v", "k=1", "--as-of", LATER],
        &["explain", "v.n", "k=1", "--as-of", LATER],
        &["verify"],
        &["state"],
        &["sources"],
        &["state", "f"],
    ];
    for (from, to) in changes {
        put(&project, &base.replacen(from, to, 1));
        let _ = project.run(&["apply"]).ok();
        for reader in readers {
            let refused = project.run(reader);
            assert!(refused.code == Some(1) && refused.stdout.is_empty(), "{to}: {reader:?}: {refused:?}");
            let said = "the state in data is not of these definitions: what they need of f is not in it yet; run `forebay serve \
                        --until-caught-up`";
            assert!(refused.stderr.contains(said), "{to}: {reader:?}: {refused:?}");
        }
        // A training set reads events, which are there.
        let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
        project.catch_up();
        for reader in readers {
            let _ = project.run(reader).ok();
        }
        put(&project, &base);
        project.catch_up();
        assert_eq!(value(&project, 1, LATER), before, "{to}");
    }
    // Less, later and other defaults are in the rows already.
    for (from, to) in [("over 30d", "over 20d"), ("n = count(*),", ""), ("over 30d", "default 7.5 over 30d"), ("'100 days'", "'50 days'")] {
        put(&project, &base.replacen(from, to, 1));
        let _ = project.run(&["apply"]).ok();
        let unserved = value(&project, 1, LATER);
        project.catch_up();
        assert_eq!(value(&project, 1, LATER), unserved, "{to}");
        put(&project, &base);
        project.catch_up();
    }
}

#[test]
fn events_are_placed_by_todays_event_time_and_are_none_without_it() {
    let strict = "lateness '2 days' history '400 days' max ahead '400 days' dedup by id within '1 day'";
    let by = |column: &str| declared_with("log 'ev'", &format!("event time {column}"), strict);
    let project = Project::new(&by("t"));
    let unpaid = |id: i64, day: i64| {
        let mut event = event(id, 1, day);
        event["paid"] = Json::Null;
        event
    };
    // By `t` the last is of the 20th; by `paid` event 3 is the last.
    let mut early = event(3, 1, 3);
    early["paid"] = json!("2024-02-28T00:00:00Z");
    let _ = project.push("ev", &[event(1, 1, 1), event(2, 1, 2), early, unpaid(4, 20)]).ok();
    let server = project.serve();
    server.wait_for_seq(4);
    // Parquet and rows lack some of them, whatever there was time for.
    server.kill();
    put(&project, &by("paid"));
    let planned = project.run(&["plan"]);
    assert_eq!(planned.code, Some(2));
    for line in [
        "~ source ev: event time was t and is paid (every stored event is placed by it, and is none where it is null; what was accepted stays)\n",
        "  ev: 1 of 4 stored events have no paid\n",
    ] {
        assert!(planned.stdout.contains(line), "{}", planned.stdout);
    }
    assert_eq!(plan(&project)["events_without_time"], json!([{"source": "ev", "column": "paid", "events": 4, "without": 1}]));
    for _ in 0..2 {
        project.catch_up();
        assert_eq!(value(&project, 1, "2024-01-31T00:00:00Z"), json!({"n": 0, "total": null, "ids": null}));
        assert_eq!(value(&project, 1, "2024-02-02T00:00:00Z"), json!({"n": 2, "total": 0.75, "ids": [1, 2]}));
        assert_eq!(value(&project, 1, LATER), json!({"n": 3, "total": 1.5, "ids": [1, 2, 3]}));
    }
    // Lateness and duplicates are by `paid`: the frontier is that of event 3, and its id is known at its time.
    let _ = project.push("ev", &[event(5, 1, 25), event(6, 1, 26), event(3, 1, 27), unpaid(7, 28)]).ok();
    project.catch_up();
    assert_eq!(value(&project, 1, LATER), json!({"n": 4, "total": 3.0, "ids": [1, 2, 6, 3]}));
    let dead = read_topic(&project, "ev.dead");
    assert_eq!(dead.len(), 2, "one too late, one without a time");
    // And back: what has no `t` now would have been none; all have one.
    put(&project, &by("t"));
    project.catch_up();
    assert_eq!(value(&project, 1, LATER), json!({"n": 5, "total": null, "ids": [1, 2, 3, 4, 6]}));
}

#[test]
fn a_retraction_stays_one_under_another_event_time() {
    let clauses = "lateness '100 days' history '400 days' max ahead '400 days' dedup by id within '30 days' deletes when gone";
    let by = |column: &str| declared_with("log 'ev'", &format!("event time {column}"), clauses);
    let project = Project::new(&by("t"));
    let mut silent = gone(event(1, 1, 1));
    silent["paid"] = Json::Null;
    let _ = project.push("ev", &[event(1, 1, 1), event(2, 1, 2), silent, event(3, 1, 3)]).ok();
    project.catch_up();
    put(&project, &by("paid"));
    project.catch_up();
    assert_eq!(value(&project, 1, LATER), json!({"n": 2, "total": 1.25, "ids": [2, 3]}));
    let _ = project.push("ev", &[gone(event(2, 1, 2)), event(1, 1, 5)]).ok();
    project.catch_up();
    assert_eq!(value(&project, 1, LATER), json!({"n": 2, "total": 1.0, "ids": [3, 1]}));
}

/// `dedup by` and `deletes` know the events that were accepted before they were declared, also after more starts.
#[test]
fn ids_of_before_are_learnt() {
    let with = |clauses: &str| declared("log 'ev' partitions 2 by k", &format!("lateness '10 days' history '100 days' {clauses}"));
    let first: Vec<Json> = (1..=8).map(|id| event(id, id % 3, 5)).collect();
    for starts in [1, 3] {
        let project = Project::new(&with(""));
        let _ = project.push("ev", &first).ok();
        project.catch_up();
        put(&project, &with("dedup by id within '1 day' deletes when gone"));
        (0..starts).for_each(|_| project.catch_up());
        let again =
            [first[0].clone(), first[1].clone(), gone(first[2].clone()), gone(first[3].clone()), event(9, 0, 5), gone(event(9, 0, 5))];
        let _ = project.push("ev", &again).ok();
        project.catch_up();
        let counts: Vec<Json> = (0..3).map(|k| value(&project, k, LATER)["ids"].clone()).collect();
        assert_eq!(counts, [json!([6]), json!([1, 7]), json!([2, 5, 8])], "{starts} starts");
        // Dropped and declared again, and known for longer than was declared before.
        put(&project, &with(""));
        project.catch_up();
        let _ = project.push("ev", &[event(10, 0, 14)]).ok();
        project.catch_up();
        put(&project, &with("dedup by id within '1 minute'").replace("'10 days'", "'1 minute'"));
        project.catch_up();
        put(&project, &with("dedup by id within '1 day'").replace("'10 days'", "'30 days'"));
        let _ = project.push("ev", &[event(10, 0, 14), event(6, 0, 5), event(11, 0, 5), event(11, 0, 5)]).ok();
        project.catch_up();
        assert_eq!(value(&project, 0, LATER)["ids"], json!([6, 11, 10]), "{starts} starts");
    }
}

#[test]
fn a_change_of_partitions_says_which_ids_are_not_known() {
    let with = |partitions: &str| {
        declared(&format!("log 'ev' {partitions}"), "lateness '10 days' history '100 days' dedup by id within '1 day' deletes when gone")
    };
    let project = Project::new(&with(""));
    let _ = project.push("ev", &(1..=8).map(|id| event(id, id, 5)).collect::<Vec<_>>()).ok();
    project.catch_up();
    put(&project, &with("partitions 4 by k"));
    let planned = project.run(&["plan"]).stdout;
    let said = "~ source ev: partitions was 1 and is 4 by k (for records from now on; ids of dedup by and of deletes are known in the \
                partition of their event only)";
    assert!(planned.contains(said), "{planned}");
    let _ = project.push("ev", &(1..=8).map(|id| gone(event(id, id, 5))).collect::<Vec<_>>()).ok();
    project.catch_up();
    let dead = project.run(&["topics", "read", "ev.dead", "--from", "start", "--output", "ndjson"]).ok().stdout;
    let (left, refused) = ((1..=8).filter(|k| value(&project, *k, LATER)["n"] == json!(1)).count(), read_ndjson(&dead).len());
    assert!(left == refused && left > 0, "{left} are left, {refused} are refused");
    assert_eq!(
        dead.matches("ids are known in their own partition, also where the partitions were changed since").count(),
        refused,
        "{dead}"
    );
}

/// Each of these changes has its line, and the plan that follows has nothing.
#[test]
fn the_plan_names_every_clause() {
    let with = |clauses: &str| {
        declared("log 'ev'", clauses)
            + "stream st as select k, x, t from ev where x > 1.0;
features g of thing from st (g = max(x) over 1d);
vector w on ev (g.*, id);
"
    };
    let clauses = "lateness '1 day' max ahead '1 hour' history '10 days' dedup by id within '1 day' expect x < 100.0 else quarantine";
    let base = with(clauses);
    let project = Project::new(&base);
    let _ = project.push("ev", &events(1..=3)).ok();
    project.catch_up();
    assert_eq!(project.run(&["plan"]).code, Some(0));
    let changes = [
        (
            "lateness '1 day'",
            "lateness '2 days'",
            "~ source ev: lateness was 1d and is 2d (for records from now on; what was accepted stays)",
        ),
        (
            "max ahead '1 hour'",
            "max ahead '2 hours'",
            "~ source ev: max ahead was 1h and is 2h (for records from now on; what was accepted stays)",
        ),
        (
            "history '10 days'",
            "history '2 days'",
            "~ source ev: history was 10d and is 2d (how far back lookups may ask, and how long state is kept)",
        ),
        (
            "dedup by id within '1 day'",
            "",
            "- source ev: dedup by id within 1d (for records from now on; what was dropped or taken back stays so)",
        ),
        (
            "within '1 day'",
            "within '2 days'",
            "~ source ev: dedup by was id within 1d and is id within 2d (for records from now on; ids of stored events are learnt from the log at the start)",
        ),
        (
            "within '1 day'",
            "within '1 day' deletes when gone",
            "+ source ev: deletes when gone (for records from now on; ids of stored events are learnt from the log at the start)",
        ),
        ("x < 100.0", "x < 50.0", "~ source ev: expect was x < 100.0 and is x < 50.0 (for records from now on; what was accepted stays)"),
        ("expect x < 100.0 else quarantine", "", "- source ev: expect x < 100.0 (for records from now on; what was accepted stays)"),
        (
            "log 'ev'",
            "log 'ev' partitions 3",
            "~ source ev: partitions was 1 and is 3 (for records from now on; ids of dedup by and of deletes are known in the partition of their event only)",
        ),
        ("paid timestamp", "paid timestamp, y double", "+ source ev: column y double (null in events that are stored already)"),
        (", paid timestamp", "", "- source ev: column paid timestamp (it stays in what is stored, and is read no more)"),
        (
            "features g of thing from st",
            "features g of thing from st ttl '3 days'",
            "+ view g: ttl 3d (keys are forgotten after another silence)",
        ),
        ("features g of thing from st", "features g of thing from ev", "~ view g: from was st and is ev"),
        (
            "x > 1.0",
            "x > 2.0",
            "~ stream st: part 1 was select k as k, x as x, t as t from (ev) where x > 1.0 and is select k as k, x as x, t as t from (ev) where x > 2.0",
        ),
        ("stream st as", "stream st2 as select k, x, t from ev where x > 1.0;\nstream st as", "+ stream st2"),
        ("entity thing (k bigint)", "entity other (id bigint);\nentity thing (k bigint)", "+ entity other"),
        ("source ev", "source more (k bigint, t timestamp) from log 'more' event time t;\nsource ev", "+ source more"),
        ("vector w on ev (g.*, id);", "vector w on ev (g.*, id);\nvector u (f.*);", "+ vector u"),
        ("vector w on ev (g.*, id);", "vector w on ev (g.*, id, x);", "~ vector w"),
        ("vector w on ev (g.*, id);", "", "- vector w"),
        ("max(x) over 1d", "max(x) default 0.5 over 1d", "~ feature g.g_1d"),
    ];
    for (from, to, line) in changes {
        assert!(base.contains(from), "{from}");
        put(&project, &base.replacen(from, to, 1));
        let planned = project.run(&["plan"]);
        assert!(planned.code == Some(2) && planned.stdout.lines().any(|said| said == line), "{from} as {to}:\n{}", planned.stdout);
        let _ = project.run(&["apply"]).ok();
        let applied = project.run(&["plan"]);
        assert_eq!(applied.code, Some(0), "{from} as {to}:\n{}", applied.stdout);
        put(&project, &base);
        let back = project.run(&["plan"]);
        assert_eq!(back.code, Some(2), "{from} as {to} and back:\n{}", back.stdout);
        let _ = project.run(&["apply"]).ok();
    }
}

/// A table of integers for times: key 1 was DE in April 2024 and FR from May on.
fn deliver(project: &Project) {
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(Int64Array::from(vec![1, 1]))),
        ("country", Arc::new(StringArray::from(vec!["DE", "FR"]))),
        ("plan", Arc::new(StringArray::from(vec!["free", "paid"]))),
        ("up", Arc::new(Int64Array::from(vec![1_711_929_600_000, 1_714_521_600_000]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch");
    fs::create_dir_all(project.path("users")).expect("a folder");
    let mut writer =
        ArrowWriter::try_new(File::create(project.path("users/1.parquet")).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

fn users(name: &str, columns: &str) -> String {
    format!("table {name} (k bigint, country text, {columns}) from parquet '../users' key k time up;\nvector v ({name}.*);\n")
}

#[test]
fn rows_of_a_table_do_not_stay_at_times_of_another_unit() {
    let project = Project::new(&users("users", "up timestamp"));
    deliver(&project);
    project.catch_up();
    let said = "table users: integers of its time up count milliseconds now, and its stored rows were taken in with microseconds: they would stay, at \
                other times, and count; give the table a new name, which takes its files in once, or declare up timestamp us again";
    put(&project, &users("users", "up timestamp ms"));
    assert_eq!(plan(&project)["refused"], json!([said]));
    for command in [&["apply"][..], &["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]] {
        let ended = project.run(command);
        assert!(ended.code == Some(1) && ended.stderr.contains(said), "{ended:?}");
    }
    // Under another name it is another table, whose rows have their times.
    put(&project, &users("people", "up timestamp ms"));
    project.catch_up();
    assert_eq!(value(&project, 1, "2024-03-01T00:00:00Z"), json!({"country": null}));
    assert_eq!(value(&project, 1, "2024-04-10T00:00:00Z"), json!({"country": "DE"}));
    assert_eq!(value(&project, 1, LATER_STILL), json!({"country": "FR"}));
    // The applied definitions tell it also where something else changes with it.
    let _ = project.run(&["apply"]).ok();
    put(&project, &users("people", "plan text, up timestamp s"));
    let refused = plan(&project)["refused"].to_string();
    assert!(refused.contains("count seconds now, and its stored rows were taken in with milliseconds"), "{refused}");
}

const LATER_STILL: &str = "2024-06-01T00:00:00Z";

/// What no start has read as it is declared is no zero.
#[test]
fn a_training_set_waits_for_what_was_never_read() {
    let project = Project::new(&(users("users", "up timestamp ms")));
    deliver(&project);
    project.catch_up();
    let refused = |project: &Project, named: &str| {
        let _ = project.run(&["apply"]).ok();
        project.write("spine.ndjson", format!("{}\n", json!({"k": 1, "q": LATER_STILL})));
        let ended = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = format!("nothing of {named} was read yet as it is declared now: run `forebay serve --until-caught-up`");
        assert!(ended.stderr.contains(&said), "{ended:?}");
        project.catch_up();
    };
    put(&project, &users("users", "plan text, up timestamp ms"));
    refused(&project, "table users");
    assert_eq!(value(&project, 1, LATER_STILL), json!({"country": "FR", "plan": "paid"}));
    put(&project, &users("people", "up timestamp ms"));
    refused(&project, "table people");
    assert_eq!(value(&project, 1, LATER_STILL), json!({"country": "FR"}));

    let project = Project::new(&declared("log 'ev'", LONG));
    let _ = project.push("ev", &events(1..=5)).ok();
    project.catch_up();
    put(&project, &declared("log 'ev'", LONG).replace("source ev ", "source renamed ").replace("from ev ", "from renamed "));
    refused(&project, "source renamed");
    assert_eq!(value(&project, 1, LATER)["n"], json!(5));
    // A source whose log is empty has nothing to wait for.
    put(&project, &declared("log 'empty'", LONG).replace("source ev ", "source silent ").replace("from ev ", "from silent "));
    let set = ["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q", "--definitions", "features"];
    let _ = project.run(&set).ok();
    assert_eq!(read_ndjson(&project.read("set.ndjson"))[0]["n"], json!(0));
}
