//! Files of text that are not as they should be: nothing is lost, doubled or made up in silence, whichever way they come
//! in: pushed into the log, through a server, as a body over HTTP, as a spine. What commands say is golden (`BLESS=1`).

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_integration::answers::read_json;
use forebay_integration::folders::here;
use forebay_integration::golden;
use forebay_integration::harness::{Ended, Project, Server};
use forebay_integration::records::read_topic;
use forebay_integration::transcript;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source e (user_id bigint, event_time timestamp, x double, s text)
from log 'e' format json event time event_time lateness '1 day' history '30 days';
entity user (user_id bigint);
features f of user from e (
  n = count(*) over all as n,
  total = sum(x) over all as total,
  texts = last_n(s, 9) over all as texts,
);
vector v (f.*);
";
const TIME: &str = "2024-01-01T00:00:00Z";

fn project() -> Project {
    Project::new(DEFINITIONS)
}

fn event(user: i64) -> String {
    format!("{{\"user_id\":{user},\"event_time\":\"{TIME}\",\"x\":1.5,\"s\":\"a\"}}")
}

/// A push that must end with this code, as text for a golden file.
fn pushed(project: &Project, code: i32, arguments: &[&str]) -> String {
    let arguments = [&["push"], arguments].concat();
    let ended = project.run(&arguments);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    transcript::of(project, &arguments.join(" "), &ended)
}

fn check(name: &str, said: &[String]) {
    golden::check(&here("goldens/text_files").join(format!("{name}.txt")), &said.join("\n"));
}

fn values(project: &Project) -> Vec<Json> {
    read_topic(project, "e").into_iter().map(|record| record.value).collect()
}

/// The users of a topic's records, in order.
fn users(project: &Project) -> Vec<i64> {
    values(project).iter().filter_map(|value| value["user_id"].as_i64()).collect()
}

/// The values of users, of an engine that takes in what is in the log.
fn features(project: &Project, users: &[i64]) -> Vec<Json> {
    project.catch_up();
    let server = project.serve();
    let keys: Vec<Json> = users.iter().map(|user| json!({ "user_id": user })).collect();
    let rows = server.lookup("v", &json!({"keys": keys, "as_of": "2024-01-02T00:00:00Z"}));
    assert_eq!(server.stop(), Some(0));
    rows
}

fn as_spine(project: &Project, file: &str) -> Ended {
    project.run(&["training-set", "v", "--definitions", "features", "--spine", file, "--out", "out.ndjson"])
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_it_opens() {
    let project = project();
    project.write(
        "open.csv",
        "user_id,event_time,x,s\n1,2024-01-01,1.5,ok\n2,2024-01-01,1.5,\"oops\n3,2024-01-01,1.5,c\n4,2024-01-01,1.5,d\n",
    );
    project.write("behind.csv", "user_id,event_time,x,s\n2,2024-01-01,1.5,\"oops\n3,2024-01-01,1.5,\"c\"\n4,2024-01-01,1.5,d\n");
    project.write("ragged.csv", "user_id,event_time,x,s\n5,2024-01-01,1.5,\"a\nb\"\n\n6,2024-01-01\n");
    let mut said: Vec<String> = ["open.csv", "behind.csv", "ragged.csv"].iter().map(|file| pushed(&project, 1, &["e", file])).collect();
    for file in ["open.csv", "behind.csv", "ragged.csv"] {
        let ended = as_spine(&project, file);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        said.push(transcript::of(&project, &format!("training-set v --spine {file} --out out.ndjson"), &ended));
    }
    check("quotes", &said);
    assert_eq!(users(&project), [1, 5], "the rows before, and no row that is made of several");
}

/// The most memory that a command took, in MB, with how it ended.
fn memory_of(project: &Project, arguments: &[&str]) -> (u64, Ended) {
    let mut command = project.command(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().expect("its own child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        most = most.max(peak.unwrap_or_default() / 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().expect("it ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (most, Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

#[test]
fn what_is_too_large_is_not_held() {
    let project = project();
    let (mut lines, many) = (event(1) + "\n", "2,2024-01-01,1,x\n".repeat(7 << 20));
    lines.push_str(&format!("{{\"user_id\":2,\"event_time\":\"{TIME}\",\"s\":\"{}\"}}\n{}\n", "a".repeat(120 << 20), event(3)));
    project.write("long.ndjson", &lines);
    project.write("array.json", format!("[{}]", lines.trim_end().replace('\n', ",\n")));
    project.write("open.csv", format!("user_id,event_time,x,s\n4,2024-01-01,1,a\n5,2024-01-01,1,\"{many}"));
    project.write("closed.csv", format!("user_id,event_time,x,s\n6,2024-01-01,1,\"{many}\"\n7,2024-01-01,1,a\n"));
    for (file, code, accepted, said) in [
        ("long.ndjson", 0, 2, "line 2: the payload is larger than the limit of 16777216 bytes"),
        ("array.json", 0, 2, "line 2: the payload is larger"),
        ("open.csv", 1, 1, "line 3: the quote that opens here in column s is not closed"),
        ("closed.csv", 0, 1, "line 2: the payload is larger"),
    ] {
        let (most, ended) = memory_of(&project, &["push", "e", file]);
        assert_eq!(ended.code, Some(code), "{file}: {ended:?}");
        assert!(ended.stdout.contains(&format!("{accepted} accepted")) && format!("{ended:?}").contains(said), "{file}: {ended:?}");
        assert!(most < 300, "{file} has 120 MB, the push took {most} MB");
    }
    for (file, said) in [
        ("open.csv", "line 3: the quote that opens here in column s is not closed"),
        ("closed.csv", "line 2: the row has more than 16777216 bytes"),
        ("long.ndjson", "line 2: the row has more than 16777216 bytes"),
    ] {
        let (most, ended) = memory_of(&project, &["training-set", "v", "--definitions", "features", "--spine", file, "--out", "out.csv"]);
        assert!(ended.code == Some(1) && ended.stderr.contains(said), "{file}: {ended:?}");
        assert!(most < 300, "a spine of 120 MB took {most} MB");
    }
    assert_eq!(features(&project, &[1, 2, 3, 4, 6, 7]).iter().map(|row| row["n"].clone()).collect::<Vec<_>>(), [2, 0, 2, 1, 0, 1]);
    let dead = read_topic(&project, "e.dead");
    assert!(dead.len() == 3 && dead.iter().all(|record| record.headers["forebay.reason"] == "too_large"), "{}", dead.len());
}

/// Rows, of which the one at `bad` is short.
fn many_rows(bad: Option<i64>) -> String {
    let row = |user: i64| if bad == Some(user) { format!("{user},2\n") } else { format!("{user},{TIME},1.5,a\n") };
    "user_id,event_time,x,s\n".to_owned() + &(1..=25_000).map(row).collect::<String>()
}

#[test]
fn a_push_that_ends_early_tells_what_is_in_and_goes_on_there() {
    for serving in [false, true] {
        let project = project();
        let server: Option<Server> = serving.then(|| project.serve());
        project.write("rows.csv", many_rows(Some(22_001)));
        let ended = project.run(&["push", "e", "rows.csv"]);
        assert!(ended.code == Some(1) && ended.stdout.starts_with("22000 accepted, 0 rejected"), "{ended:?}");
        let told = "rows.csv: line 22002: 2 cells, where the header names 4 columns; records 1 to 22000 of it are in e: go on behind \
                    with `forebay push e rows.csv --from 22001`";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        project.write("rows.csv", many_rows(None));
        let ended = project.run(&["push", "e", "rows.csv", "--from", "22001"]).ok();
        assert!(ended.stdout.starts_with("3000 accepted"), "{ended:?}");
        drop(server);
        assert_eq!(users(&project), (1..=25_000).collect::<Vec<_>>(), "each once, served: {serving}");
    }
}

#[test]
fn a_stream_and_an_archive_that_end_early_tell_what_is_in() {
    let project = project();
    let lines: String = (1..=5_000).map(|user| event(user) + "\n").collect();
    let array = format!("[{}", lines.trim_end().replace('\n', ","));
    let ended = project.run_with_input(&["push", "e", "-"], array.as_bytes());
    assert!(ended.code == Some(1) && ended.stdout.starts_with("4999 accepted"), "{ended:?}");
    assert!(ended.stderr.contains("records 1 to 4999 of it are in e") && ended.stderr.contains("push e - --from 5000"), "{ended:?}");
    let ended = project.run_with_input(&["push", "e", "-", "--from", "5000"], format!("{array}]").as_bytes()).ok();
    assert!(ended.stdout.starts_with("1 accepted"), "{ended:?}");
    assert_eq!(users(&project), (1..=5_000).collect::<Vec<_>>());
    let ended = project.run_with_input(&["push", "e", "-", "--from", "5001"], lines.as_bytes());
    assert!(ended.code == Some(1) && ended.stderr.contains("has fewer than 5001 records"), "{ended:?}");
}

/// The same in archives: gzip of one and of two members, zstd.
fn archives(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("into memory");
        encoder.finish().expect("into memory")
    };
    let (front, behind) = text.split_at(text.len() / 2);
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("into memory");
    vec![
        ("one.X.gz", gzip(text)),
        ("two.X.gz", [gzip(front), gzip(behind)].concat()),
        ("one.X.zst", zstd(text)),
        ("two.X.zst", [zstd(front), zstd(behind)].concat()),
    ]
}

#[test]
fn archives_are_read_whole_or_not_for_whole() {
    let lines: String = (1..=500).map(|user| event(user) + "\n").collect();
    let csv: String = "user_id,event_time,x,s\n".to_owned() + &(1..=500).map(|user| format!("{user},{TIME},1.5,a\n")).collect::<String>();
    for (extension, text) in [("ndjson", &lines), ("csv", &csv)] {
        for (name, bytes) in archives(text) {
            let project = project();
            let name = name.replace('X', extension);
            project.write(&name, &bytes);
            let ended = project.run(&["push", "e", &name]).ok();
            assert!(ended.stdout.starts_with("500 accepted, 0 rejected"), "{name}: {ended:?}");
            assert_eq!(users(&project), (1..=500).collect::<Vec<_>>(), "{name}");
            project.catch_up();
            let _ = as_spine(&project, &name).ok();
            assert_eq!(project.read("out.ndjson").lines().count(), 500, "{name}");
            project.write(&name, &bytes[..bytes.len() - 5]);
            for ended in [project.run(&["push", "e", &name]), as_spine(&project, &name)] {
                assert!(ended.code == Some(1) && ended.stderr.contains("archive is cut off: get the whole of it"), "{name}: {ended:?}");
            }
        }
    }
    let project = project();
    let packed = archives(&lines).remove(0).1;
    project.write("packed.ndjson", &packed);
    project.write("packed.csv.zst", &packed);
    project.write("plain.ndjson.gz", &lines);
    project.write("e.parquet.gz", &packed);
    project.write("e.gz", &packed);
    let damaged: Vec<u8> = packed.iter().enumerate().map(|(at, byte)| if at == packed.len() / 2 { !byte } else { *byte }).collect();
    project.write("damaged.ndjson.gz", damaged);
    project.write("wide.csv", "\u{feff}user_id,event_time\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    let files = ["packed.ndjson", "packed.csv.zst", "plain.ndjson.gz", "e.parquet.gz", "e.gz", "wide.csv"];
    let mut said: Vec<String> = files.iter().map(|file| pushed(&project, 1, &["e", file])).collect();
    said.push(transcript::of(&project, "training-set v --spine packed.ndjson --out out.ndjson", &as_spine(&project, "packed.ndjson")));
    check("archives", &said);
    let ended = project.run(&["push", "e", "damaged.ndjson.gz"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("the gzip archive is damaged"), "{ended:?}");
}

#[test]
fn columns_with_one_name_are_refused() {
    let project = project();
    project.write("two.csv", "user_id,event_time,x,x\n1,2024-01-01,1.5,2.5\n");
    project.write("blanks.csv", "\u{feff}user_id,event_time,x, user_id \n1,2024-01-01,1.5,2\n");
    project.write("unnamed.csv", "user_id,event_time,x,,\n1,2024-01-01,1.5,,\n");
    let said =
        [pushed(&project, 1, &["e", "two.csv"]), pushed(&project, 1, &["e", "blanks.csv"]), pushed(&project, 0, &["e", "unnamed.csv"])];
    check("columns_of_one_name", &said);
    for file in ["two.csv", "blanks.csv"] {
        let ended = as_spine(&project, file);
        assert!(ended.code == Some(1) && ended.stderr.contains("two columns are called '"), "{ended:?}");
    }
}

#[test]
fn a_number_that_no_double_holds_is_wrong_where_a_field_takes_it() {
    let lines = [
        format!("{{\"user_id\":2,\"event_time\":\"{TIME}\",\"x\":1e400}}"),
        format!("{{\"user_id\":3,\"event_time\":\"{TIME}\",\"other\":1e400,\"x\":-0.0,\"more\":[-1E999,{{\"a\":1e400}}]}}"),
        format!("{{\"user_id\":4,\"event_time\":\"{TIME}\",\"x\":\"1e400\"}}"),
        format!("{{\"user_id\":5,\"event_time\":\"{TIME}\",\"x\":-1e400,\"x\":2}}"),
        format!("{{\"user_id\":6,\"event_time\":\"{TIME}\",\"x\":2,\"x\":1e400}}"),
    ];
    let project = project();
    project.write("e.csv", "user_id,event_time,x,s\n1,2024-01-01,1e400,a\n1,2024-01-01,-1e999,a\n1,2024-01-01,2,a\n");
    project.write("e.ndjson", lines.join("\n"));
    check("numbers", &[pushed(&project, 0, &["e", "e.csv"]), pushed(&project, 0, &["e", "e.ndjson"])]);
    let server = project.serve();
    let (status, answer) =
        server.try_post("/v1/sources/e/events", "application/json", format!("[{}]", lines.join(",")).as_bytes()).expect("an answer");
    assert_eq!((status, read_json(&answer)["accepted"].clone()), (200, json!(2)), "{answer}");
    server.wait_for_seq(5);
    let rows = server
        .lookup("v", &json!({"keys": [{"user_id": 1}, {"user_id": 3}, {"user_id": 5}, {"user_id": 6}], "as_of": "2024-01-02T00:00:00Z"}));
    let of = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(json!(of("n")), json!([1, 2, 2, 0]));
    assert_eq!(json!(of("total")), json!([2.0, 0.0, 4.0, null]));
}

#[test]
fn no_byte_of_a_cell_makes_a_record() {
    let csv = b"user_id,event_time,x,s\n1,2024-01-01,1,\"a\xff\n{\"\"user_id\"\":666,\"\"event_time\"\":\"\"2024-01-01\"\",\"\"x\"\":1e6}\n\"\n2,2024-01-01,2,\"b\nc\"\n";
    for serving in [false, true] {
        let project = project();
        project.write("e.csv", csv);
        let server = serving.then(|| project.serve());
        let ended = project.run(&["push", "e", "e.csv"]).ok();
        assert!(ended.stdout.starts_with("1 accepted, 1 rejected\n  line 2: byte "), "{ended:?}");
        drop(server);
        assert_eq!(read_topic(&project, "e").len(), 2, "served: {serving}");
        let rows = features(&project, &[666, 2]);
        assert_eq!((&rows[0]["n"], &rows[1]["texts"]), (&json!(0), &json!(["b\nc"])), "served: {serving}");
        assert_eq!(read_topic(&project, "e.dead").len(), 1, "served: {serving}");
    }
}

#[test]
fn frames_over_http_are_records_or_refused() {
    let project = project();
    let server = project.serve();
    let frame = |record: &[u8]| [&(record.len() as u32).to_be_bytes()[..], record].concat();
    let post = |body: &[u8]| {
        let (status, answer) = server.try_post("/v1/sources/e/events", "application/vnd.forebay.records", body).expect("an answer");
        (status, read_json(&answer))
    };
    let pretty = format!("{{\n\"user_id\":1,\n\"event_time\":\"{TIME}\"}}");
    let (status, answer) = post(&[frame(pretty.as_bytes()), frame(b""), frame(event(2).as_bytes())].concat());
    assert_eq!((status, &answer["accepted"], &answer["rejects"][0]["record"]), (200, &json!(2), &json!(1)), "{answer}");
    for body in [
        &b"\xff\xff\xff\xff{}"[..],
        b"\0\0\0",
        b"\0\0\0\x05{}",
        &[frame(event(3).as_bytes()), vec![0, 0, 0, 9]].concat(),
        event(4).as_bytes(),
    ] {
        let (status, answer) = post(body);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_frames")), "{answer}");
    }
    assert_eq!(post(b"").1["error"]["code"], "empty_body");
    server.wait_for_seq(2);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(read_topic(&project, "e").len(), 3, "of a body that is refused nothing is in");
}

#[test]
fn the_same_records_in_every_form() {
    let records = [event(1), event(2).replace("\"a\"", "\"],[\\\"}{\""), event(1).replace("1.5", "2.5")];
    let lines = records.join("\n") + "\n";
    let forms = [
        ("plain.ndjson", lines.clone()),
        ("marked.ndjson", format!("\u{feff}{lines}")),
        ("returns.jsonl", format!("\u{feff}\r\n{}", lines.replace('\n', "\r\n\r\n"))),
        ("array.json", format!("[\n{}\n]\n", records.join(",\n"))),
        ("one_line.json", format!("\u{feff}[{}]", records.join(","))),
        ("pretty.json", format!(" [\n{}\n]", records.join("\n,\n").replace(',', "\n,\n").replace("]\n,\n[", "],["))),
        ("array.ndjson", format!("[{}]", records.join(" , "))),
    ];
    let wanted = json!([{"n": 2, "total": 4.0, "texts": ["a", "a"]}, {"n": 1, "total": 1.5, "texts": ["],[\"}{"]}]);
    for (name, text) in &forms {
        let pushing = project();
        pushing.write(name, text);
        let ended = pushing.run(&["push", "e", name]).ok();
        assert!(ended.stdout.starts_with("3 accepted, 0 rejected"), "{name}: {ended:?}");
        assert_eq!(json!(features(&pushing, &[1, 2])), wanted, "{name}");
        let _ = as_spine(&pushing, name).ok();
        let counts: Vec<Json> = pushing.read("out.ndjson").lines().map(|line| read_json(line)["n"].clone()).collect();
        assert_eq!(json!(counts), json!([2, 1, 2]), "{name}");
        let bodies = project();
        let server = bodies.serve();
        for content_type in ["application/x-ndjson", "application/json"] {
            let (status, answer) = server.try_post("/v1/sources/e/events", content_type, text.as_bytes()).expect("an answer");
            assert!(status == 200 && read_json(&answer)["accepted"] == 3, "{name} as {content_type}: {answer}");
        }
        server.wait_for_seq(6);
        let rows = server.lookup("v", &json!({"keys": [{"user_id": 1}, {"user_id": 2}], "as_of": "2024-01-02T00:00:00Z"}));
        assert_eq!((&rows[0]["total"], &rows[1]["n"]), (&json!(8.0), &json!(2)), "{name}");
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn messages_name_the_line_and_the_remedy() {
    let project = project();
    let with = |tail: &str| format!("{{\"user_id\":1,\"event_time\":\"{TIME}\"{tail}");
    project.write(
        "first.ndjson",
        ["", "", "", &with(""), &with(",\"x\":NaN}"), &with(",\"x\":1,}"), &with("},"), &with(",\"ok\":True}")].join("\n"),
    );
    project.write("second.ndjson", [&with(""), "{'user_id':1}", &with("} {}"), "", "{", "{\"user_id\":\"a"].join("\n"));
    project.write("behind.json", format!("[{},\n]", event(7)));
    project.write("cut.json", format!("[{},\n{}", event(8), with(",\"s\":\"a")));
    let mut said = vec![pushed(&project, 1, &["e", "first.ndjson"]), pushed(&project, 1, &["e", "second.ndjson"])];
    said.extend(["behind.json", "cut.json"].map(|file| pushed(&project, 1, &["e", file])));
    check("messages", &said);
    assert_eq!(users(&project).last_chunk(), Some(&[7, 8]), "what comes before is in");
}

/// Of equal names the last counts: what the first holds does not matter.
#[test]
fn of_equal_names_the_last_counts() {
    let project = project();
    let lines = [
        format!(
            "{{\"user_id\":\"seven\",\"user_id\":1,\"event_time\":\"soon\",\"event_time\":\"{TIME}\",\"x\":[1,{{}}],\"x\":{{\"a\":[]}},\"x\":-0.0}}"
        ),
        format!("{{\"user_id\":1,\"event_time\":\"{TIME}\",\"x\":2,\"x\":\"two\"}}"),
        format!("{{\"user_id\":1,\"event_time\":\"{TIME}\",\"x\":2,\"x\":null}}"),
        format!("{{\"user_id\":1,\"event_time\":\"{TIME}\",\"x\":true,\"x\":3,\"other\":\"\\q\"}}"),
    ];
    project.write("e.ndjson", lines.join("\n"));
    let ended = project.run(&["push", "e", "e.ndjson"]).ok();
    assert!(ended.stdout.starts_with("2 accepted, 2 rejected\n  line 2: field x is double: got the text \"two\"\n  line 4: "), "{ended:?}");
    let row = features(&project, &[1]).remove(0);
    assert_eq!((&row["n"], &row["total"]), (&json!(2), &json!(0.0)));
}
