//! Bad input that must be met well: a clear error that names the thing and the remedy, nothing lost, no panic.
//! What each command says is golden (`BLESS=1`).

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::golden;
use forebay_integration::harness::{Project, Server, binary, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use forebay_integration::transcript;
use serde_json::{Value as Json, json};

fn shop() -> Project {
    let project = Project::new(&fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture"));
    project.write("features/sum_of_named.onnx", fs::read(here("fixtures/sum_of_named.onnx")).expect("a fixture"));
    project
}

/// The shop without its model, for what models have nothing to do with.
fn plain_shop() -> Project {
    let text = fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture");
    Project::new(text.split("\nmodel ").next().expect("the part before the model"))
}

fn order(id: i64, time: &str) -> Json {
    json!({"order_id": id, "user_id": 7, "x": 1.5, "status": "paid", "t": time})
}

/// Runs commands and keeps what they say.
struct Session<'a> {
    project: &'a Project,
    said: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(project: &'a Project) -> Self {
        Self { project, said: Vec::new() }
    }

    /// A command that must end with this code.
    fn ends(&mut self, code: i32, arguments: &[&str]) -> String {
        let ended = self.project.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        self.said.push(transcript::of(self.project, &arguments.join(" "), &ended));
        ended.stderr
    }

    fn check(self, name: &str) {
        golden::check(&here("goldens/bad_input").join(format!("{name}.txt")), &self.said.join("\n"));
    }
}

fn as_of(server: &Server, time: &str) -> Json {
    server.lookup("shop_details", &json!({"keys": [{"user_id": 7}], "as_of": time})).remove(0)
}

#[test]
fn folders_without_definitions() {
    let project = plain_shop();
    fs::rename(project.path("features/test.bay"), project.path("features/test.txt")).expect("a rename");
    let mut session = Session::new(&project);
    session.ends(1, &["check"]);
    session.ends(1, &["serve", "--listen", "127.0.0.1:0"]);
    session.ends(1, &["training-set", "shop_v1", "--spine", "spine.csv", "--out", "out.csv"]);
    fs::remove_dir_all(project.path("features")).expect("a folder");
    session.ends(1, &["check"]);
    session.check("no_definitions");
}

#[test]
fn definitions_with_errors() {
    let source = "source s (k text, a bigint, t timestamp) from log 's' format json event time t;\nentity e (k text);\n";
    let project = Project::new(&format!("{source}features f of e from s (\n  n = cuont(*) over 1h,\n  total = sum(b) over 1h,\n);\n"));
    project.write("features/vectors.bay", "vector v (f.total_1h, g.*, half = f.n_1h / 2);\nmodel m from 'm.onnx' takes w;\n");
    let mut session = Session::new(&project);
    session.ends(1, &["check"]);
    session.ends(1, &["serve", "--listen", "127.0.0.1:0"]);
    session.check("definitions_with_errors");
}

#[test]
fn names_that_do_not_exist() {
    let project = plain_shop();
    project.write("spine.csv", "user_id,t\n7,2024-05-01T10:00:00Z\n");
    let mut session = Session::new(&project);
    session.ends(1, &["push", "order", "spine.csv"]);
    session.ends(1, &["push", "orders", "nothing.ndjson"]);
    session.ends(0, &["apply"]);
    session.ends(1, &["lookup", "shop_v2", "user_id=7"]);
    session.ends(1, &["training-set", "shop_v2", "--spine", "spine.csv", "--out", "out.csv"]);
    session.ends(1, &["topics", "read", "nothing"]);
    session.ends(64, &["train"]);
    session.ends(64, &["training-set", "shop_v1"]);
    session.check("unknown_names");
}

#[test]
fn files_that_hold_nothing_or_rubbish() {
    let project = plain_shop();
    project.write("empty.ndjson", "");
    project.write("empty.csv", "");
    project.write("empty.parquet", "");
    project.write("rubbish.parquet", "PAR1 this is not a Parquet file PAR1");
    project.write("orders.xlsx", "?");
    let mut session = Session::new(&project);
    session.ends(1, &["push", "orders", "empty.ndjson"]);
    for file in ["empty.csv", "empty.parquet", "rubbish.parquet", "orders.xlsx"] {
        session.ends(1, &["push", "orders", file]);
    }
    session.check("empty_files");
}

#[test]
fn records_that_are_no_events() {
    let project = plain_shop();
    let mut lines = b"{\"order_id\":1,\"user_id\":7,\"x\":1.5,\"t\":\"2024-05-01T10:00:00Z\"}\n".to_vec();
    lines.extend(b"{\"order_id\":2,\"user_id\":7,\"x\":1.5,\"status\":\"\xff\xfe\",\"t\":\"2024-05-01T10:01:00Z\"}\n");
    let huge = "a".repeat(10 << 20);
    lines.extend(format!("{{\"order_id\":3,\"user_id\":7,\"x\":1.5,\"status\":\"{huge}\",\"t\":\"2024-05-01T10:02:00Z\"}}\n").bytes());
    lines.extend(b"{\"order_id\":4,\"user_id\":\"seven\",\"x\":1.5,\"t\":\"2024-05-01T10:03:00Z\"}\n");
    lines.extend(b"{\"order_id\":5,\"user_id\":7,\"x\":true,\"t\":\"2024-05-01T10:03:00Z\"}\n");
    lines.extend(b"{\"order_id\":6,\"user_id\":7,\"x\":2.5,\"t\":\"2024-05-01T10:04:00Z\"}\n");
    project.write("orders.ndjson", lines);
    let mut session = Session::new(&project);
    session.ends(0, &["push", "orders", "orders.ndjson"]);
    session.check("bad_records");
    let server = project.serve();
    server.wait_for_seq(3);
    let row = as_of(&server, "2024-05-01T10:30:00Z");
    assert_eq!(row["n_1h"], 3, "the record of 10 MB is an event, those beside the bad ones are as well: {row}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(read_topic(&project, "orders.dead").len(), 3);
    let log = read_topic(&project, "orders");
    assert_eq!(log.len(), 6, "every record keeps its place in the log");
}

#[test]
fn times_before_1970_and_far_ahead() {
    let project = plain_shop();
    let mut events = vec![order(1, "1950-01-01T10:00:00Z"), order(2, "1950-01-01T10:30:00Z")];
    events.push(order(3, "9999-12-31T23:59:59Z"));
    events.push(order(4, "0001-01-01T00:00:00Z"));
    events.push(order(5, "+300000-01-01T00:00:00Z"));
    let _ = project.push("orders", &events);
    project.catch_up();
    let server = project.serve();
    assert_eq!(as_of(&server, "1950-01-01T10:30:00Z")["n_1h"], 2);
    assert_eq!(as_of(&server, "1950-01-01T11:00:00.000001Z")["n_1h"], 1);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(read_topic(&project, "orders.dead").len(), 3, "too far ahead, too late, and no time");
}

#[test]
fn models_that_do_not_fit() {
    if !onnx_runtime() {
        return;
    }
    let project = shop();
    let model = project.path("features/sum_of_named.onnx");
    let mut session = Session::new(&project);
    session.ends(0, &["check"]);
    let sound = fs::read(&model).expect("the model");
    fs::write(&model, &sound[..sound.len() / 2]).expect("a file");
    session.ends(1, &["check"]);
    fs::write(&model, b"").expect("a file");
    session.ends(1, &["check"]);
    fs::write(&model, fs::read(here("fixtures/linear_2.onnx")).expect("a fixture")).expect("a file");
    session.ends(1, &["check"]);
    fs::remove_file(&model).expect("a file");
    session.ends(1, &["check"]);
    session.check("models");
}

#[test]
fn spines_that_do_not_fit() {
    let project = plain_shop();
    let _ = project.push("orders", &[order(1, "2024-05-01T10:00:00Z")]).ok();
    project.catch_up();
    project.write("no_key.csv", "user,t\n7,2024-05-01T10:00:00Z\n");
    project.write("no_time.csv", "user_id\n7\n");
    project.write("bad_time.csv", "user_id,t\n7,yesterday\n");
    project.write("bad_key.csv", "user_id,t\nseven,2024-05-01T10:00:00Z\n");
    project.write("empty.csv", "user_id,t\n");
    project.write("nothing.csv", "");
    project.write("unmatched.csv", "order_id,user_id,t\n1,7,2024-05-01T10:00:00Z\n99,7,2024-05-01T10:00:00Z\n");
    let mut session = Session::new(&project);
    for spine in ["no_key.csv", "no_time.csv", "bad_time.csv", "bad_key.csv", "empty.csv", "nothing.csv", "missing.csv"] {
        session.ends(1, &["training-set", "shop_details", "--spine", spine, "--out", "out.csv", "--time", "t"]);
    }
    session.ends(1, &["training-set", "shop_details", "--spine", "unmatched.csv", "--out", "out.csv", "--event", "orders"]);
    project.write("good.csv", "user_id,t\n7,2024-05-01T10:00:00Z\n");
    session.ends(1, &["training-set", "shop_details", "--spine", "good.csv", "--out", "out.xlsx", "--time", "t"]);
    assert!(!project.path("out.csv").exists(), "a failed command leaves no half of a table behind");
    session.check("spines");

    // Nulls and times before all events are no faults: such a row has no events.
    project.write("nulls.csv", "label,user_id,x,t\na,,1.5,2024-05-01T10:00:00Z\nb,7,,1960-01-01T00:00:00Z\nc,7,,2024-05-01T10:00:00Z\n");
    let _ = project.run(&["training-set", "shop_details", "--spine", "nulls.csv", "--out", "out.ndjson", "--time", "t"]).ok();
    let counts: Vec<Json> = project.read("out.ndjson").lines().map(|line| read_json(line)["n_1h"].clone()).collect();
    assert_eq!(counts, [json!(0), json!(0), json!(1)]);
}

#[test]
fn a_folder_or_a_port_in_use() {
    let project = plain_shop();
    let server = project.serve();
    let mut session = Session::new(&project);
    session.ends(1, &["serve", "--listen", "127.0.0.1:0"]);
    session.check("folder_in_use");
    let _ = server.push("orders", &[order(1, "2024-05-01T10:00:00Z")]);
    assert_eq!(server.stop(), Some(0), "the first server is not disturbed");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut session = Session::new(&project);
    let said = session.ends(1, &["serve", "--listen", &address]);
    assert!(said.contains(&address), "{said}");
    session.ends(1, &["serve", "--listen", "nowhere"]);
    session.said[0] = session.said[0].replace(&address, "127.0.0.1:PORT");
    session.check("port_in_use");
}

#[test]
fn a_broker_that_cannot_be_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address"); // closed again
    let project = plain_shop();
    let kafka = "source far (k bigint, t timestamp) from kafka topic 'far' format json event time t;\nentity far_key (k bigint);\nfeatures of_far of far_key from far (far_n = count(*) over 1h);\n";
    project.write("features/far.bay", kafka);
    project.write("forebay.toml", format!("[kafka]\nbootstrap = \"{closed}\"\n"));
    let server = project.start(&[]);
    let receipt = server.push("orders", &[order(1, "2024-05-01T10:00:00Z")]);
    let request = json!({"keys": [{"user_id": 7}], "as_of": "2024-05-01T10:00:00Z", "after": receipt["positions"]});
    assert_eq!(server.lookup("shop_details", &request)[0]["n_1h"], 1, "lookups are served meanwhile");
    let problem = wait_for("a problem to be told", || {
        let status = read_json(&server.get("/v1/status").1);
        status["problems"].as_array()?.iter().filter_map(Json::as_str).find(|text| text.contains(&closed.to_string())).map(str::to_owned)
    });
    assert!(problem.contains("far"), "the source is named: {problem}");
    assert_eq!(server.stop(), Some(0));
}

/// A disk that is full, as far as that can be had without privileges: no file may grow past a limit.
#[test]
fn a_full_disk() {
    let project = plain_shop();
    // Words that do not compress, so that the log grows as its records do.
    let noise = |id: i64| {
        let mut chance = Chance::new(id as u64);
        let words: String = (0..8).map(|_| format!("{:016x}", chance.bits())).collect();
        json!({"order_id": id, "user_id": 7, "x": 1.5, "status": words, "t": "2024-05-01T10:00:00Z"})
    };
    let _ = project.push("orders", &(0..500).map(noise).collect::<Vec<_>>()).ok();
    let limited = |arguments: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 64; exec {} {arguments} --data data --features features", binary().display());
        let output = Command::new("bash").arg("-c").arg(script).current_dir(project.path("")).stdin(Stdio::null()).output();
        output.expect("bash starts")
    };
    project.write("many.ndjson", ndjson(&(500..4_000).map(noise).collect::<Vec<_>>()));
    let output = limited("push orders many.ndjson");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: ") && !said.contains("panicked"), "{said}");
    let acknowledged = read_topic(&project, "orders").len();
    assert!(acknowledged >= 500, "what was acknowledged before is still there");
    // With room again everything goes on.
    let _ = project.run(&["push", "orders", "many.ndjson"]).ok();
    project.catch_up();
    let server = project.serve();
    assert_eq!(as_of(&server, "2024-05-01T10:00:00Z")["n_1h"], 4_000);
    assert_eq!(server.stop(), Some(0));
}

/// An event log without its manifest is not an empty one: it is never swept away, and nothing reads it as empty.
#[test]
fn a_lost_manifest() {
    let project = plain_shop();
    let _ = project.push("orders", &[order(1, "2024-05-01T10:00:00Z"), order(2, "2024-05-01T10:00:01Z")]).ok();
    project.catch_up();
    let manifest = project.data().join("offline/manifest.json");
    let kept = fs::read(&manifest).expect("a manifest");
    fs::remove_file(&manifest).expect("a manifest");
    fs::remove_file(project.data().join("offline/manifest.copy.json")).expect("its copy");
    let mut session = Session::new(&project);
    session.ends(1, &["serve", "--until-caught-up"]);
    project.write("spine.ndjson", "{\"user_id\":7,\"t\":\"2024-05-01T10:00:02Z\",\"x\":1.0}\n");
    session.ends(1, &["training-set", "shop_details", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "t"]);
    session.check("a_lost_manifest");
    fs::write(&manifest, kept).expect("the manifest again");
    project.catch_up();
    let server = project.serve();
    assert_eq!(as_of(&server, "2024-05-01T10:00:02Z")["n_1h"], 2, "nothing was lost");
    assert_eq!(server.stop(), Some(0));
}

/// What a newer version wrote is not guessed at, by the engine or by what reads beside it, and is left as it is.
#[test]
fn a_folder_of_a_newer_version() {
    let project = plain_shop();
    let _ = project.push("orders", &[order(1, "2024-05-01T10:00:00Z")]).ok();
    project.catch_up();
    let manifest = project.data().join("offline/manifest.json");
    let newer = "{\"format\":7}".to_owned();
    fs::write(&manifest, &newer).expect("a manifest");
    let mut session = Session::new(&project);
    session.ends(1, &["serve", "--until-caught-up"]);
    project.write("spine.ndjson", "{\"user_id\":7,\"t\":\"2024-05-01T10:00:02Z\",\"x\":1.0}\n");
    session.ends(1, &["training-set", "shop_details", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "t"]);
    session.check("a_newer_folder");
    assert_eq!(fs::read_to_string(&manifest).expect("a manifest"), newer);
}

#[test]
fn two_hundred_windows_on_one_line() {
    let windows: Vec<String> = (1..=200).map(|seconds| format!("{seconds}s")).collect();
    let project = Project::new(&format!(
        "source s (k bigint, t timestamp) from log 's' format json event time t;\nentity e (k bigint);\n\
         features f of e from s (n = count(*) over {});\nvector v (f.*);\n",
        windows.join(", ")
    ));
    let start = 1_714_557_600_000_000; // 2024-05-01T10:00:00Z
    let events: Vec<Json> = (0..=200).map(|seconds| json!({"k": 1, "t": rfc3339(start - seconds * 1_000_000)})).collect();
    let _ = project.push("s", &events).ok();
    project.catch_up();
    let server = project.serve();
    let row = server.lookup("v", &json!({"keys": [{"k": 1}], "as_of": rfc3339(start)})).remove(0);
    for seconds in 1..=200 {
        assert_eq!(row[format!("n_{seconds}s")], seconds + 1, "{row}");
    }
    assert_eq!(server.stop(), Some(0));
}

/// One key of a view with 100,000 different keys of a map: what a map has room for stays, the rest is merged, and neither
/// taking the events in nor asking takes longer for it than anything else here.
#[test]
fn a_map_of_very_many_values() {
    const MANY: i64 = 100_000;
    let project = Project::new(
        "source s (k bigint, name text, x bigint, t timestamp) from log 's' format json event time t;\nentity e (k bigint);\n\
         features f of e from s (\n  often = count(*) by name limit 3 over 1d,\n  high = max(x) by name limit 2 by value over 1d,\n\
         far = sum(x) by name limit 2 over 1d,\n);\nvector v (f.*);\n",
    );
    let start = 1_714_557_600_000_000; // 2024-05-01T10:00:00Z
    let event = |index: i64| {
        // One event in ten thousand is of `a`, one of `b` and one of `a` again.
        let name = match index % 10_000 {
            7 | 5_000 => "a".to_owned(),
            9 => "b".to_owned(),
            _ => format!("n{index}"),
        };
        json!({"k": 1, "name": name, "x": index, "t": rfc3339(start + index * 1_000)})
    };
    project.write("many.ndjson", ndjson(&(0..MANY).map(event).collect::<Vec<_>>()));
    let _ = project.run(&["push", "s", "many.ndjson"]).ok();
    project.catch_up();
    let server = project.serve();
    let begun = Instant::now();
    let row = server.lookup("v", &json!({"keys": [{"k": 1}], "as_of": rfc3339(start + MANY * 1_000)})).remove(0);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "a lookup took {took:?}");
    // Of names that are there once the least in the order of texts has the third place.
    assert_eq!(row["often_1d"], json!({"__other": MANY - 31, "a": 20, "b": 10, "n0": 1}));
    assert_eq!(row["high_1d"], json!({"__other": MANY - 3, "n99998": MANY - 2, "n99999": MANY - 1}));
    let (a, b): (i64, i64) = ((0..10).map(|i| 20_000 * i + 5_007).sum(), (0..10).map(|i| 10_000 * i + 9).sum());
    assert_eq!(row["far_1d"], json!({"__other": MANY * (MANY - 1) / 2 - a - b, "a": a, "b": b}));
    assert_eq!(server.stop(), Some(0));
}

/// What a function makes of some text can fail in ways that have nothing to do with SQL.
#[test]
fn a_value_that_no_expression_can_take_stops_nothing() {
    let project = Project::new(
        "source s (k bigint, pattern text, t timestamp) from log 's' format json event time t;
         entity thing (k bigint);
         features f of thing from s (n = count(*) over all as n, found = count(regexp_replace('a', pattern, 'b')) over all as found);
         vector v on s (f.*, replaced = regexp_replace('a', pattern, 'b'));
         vector asked request (pattern text) (replaced = regexp_replace('a', pattern, 'b'));",
    );
    let events: Vec<Json> =
        ["a", "\\", "(", "x"].iter().map(|pattern| json!({"k": 1, "pattern": pattern, "t": "2026-01-01T00:00:00Z"})).collect();
    project.push("s", &events);
    project.catch_up();
    let looked_up = |arguments: &[&str]| read_json(&project.run(&[arguments, &["--output", "json"]].concat()).ok().stdout);
    let answer = looked_up(&["lookup", "v", "k=1", "--as-of", "2026-01-01T00:00:00Z", "--request", "pattern=a"]);
    assert_eq!(answer["values"], json!([[4, 2, "b"]]), "{answer}");
    // A vector without keys is asked for without any, and has nothing to verify.
    for (pattern, replaced) in [("a", json!("b")), ("(", Json::Null)] {
        let answer = looked_up(&["lookup", "asked", "--request", &format!("pattern={pattern}")]);
        assert_eq!(answer["values"], json!([[replaced]]), "{answer}");
    }
    let verified = project.run(&["verify"]);
    assert!(verified.code == Some(0) && verified.stdout.contains("v: ") && !verified.stdout.contains("asked"), "{verified:?}");
}

/// A batch keeps the elements of all its lists together, and a list is as wide as its event says.
#[test]
fn a_list_that_no_expression_can_take_touches_no_other_event() {
    let project = Project::new(
        "source clicks (k bigint, codes text[], wanted text[], t timestamp) from log 'clicks' format json event time t history '1000 days';
         entity thing (k bigint);
         features f of thing from clicks (
           first_code = sum(codes[1]::bigint) over all as first_code,
           misses = count(*) where not array_has_any(codes, wanted) over all as misses,
         );
         vector v on clicks (f.*, number = codes[1]::bigint, some = array_has_any(codes, wanted), every = array_has_all(codes, wanted));",
    );
    let event = |k: i64, codes: Json, wanted: Json| json!({"k": k, "codes": codes, "wanted": wanted, "t": "2026-01-01T00:00:00Z"});
    let events = [
        event(1, json!(["1", "2"]), Json::Null),
        event(2, json!(["x", "7"]), json!(["7"])),
        event(3, json!(["3"]), json!([])),
        event(4, json!(["4", "5"]), json!(["9"])),
        event(5, Json::Null, json!(["9"])),
    ];
    // Together, and one of them again by itself.
    project.push("clicks", &events);
    project.catch_up();
    project.push("clicks", &events[..1]);
    project.catch_up();
    let keys: Vec<Json> = (1..=5).map(|k| json!({"k": k})).collect();
    let request: Vec<Json> = events.iter().map(|event| json!({"codes": event["codes"], "wanted": event["wanted"]})).collect();
    let server = project.serve();
    let ask =
        |keys: &[Json], request: &[Json]| server.lookup("v", &json!({"keys": keys, "request": request, "as_of": "2026-01-02T00:00:00Z"}));
    let rows = ask(&keys, &request);
    let of = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(json!(of("first_code")), json!([2, null, 3, 4, null]));
    assert_eq!(json!(of("misses")), json!([0, 0, 1, 1, 0]));
    assert_eq!(json!(of("number")), json!([1, null, 3, 4, null]));
    assert_eq!(json!(of("some")), json!([null, true, false, false, null]));
    assert_eq!(json!(of("every")), json!([null, true, true, false, null]));
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(ask(&keys[place..=place], &request[place..=place]), std::slice::from_ref(row), "alone");
    }
    assert_eq!(server.stop(), Some(0));
    let verified = project.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
