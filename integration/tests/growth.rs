//! What grows is bounded: memory while large or useless records come in, the outbox, topics by their retention, and one part's
//! failure keeps no other part from being done.

use std::fs;
use std::time::Duration;

use forebay_integration::answers::read_json;
use forebay_integration::harness::{Project, Server, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const SECOND: i64 = 1_000_000;

const DEFINITIONS: &str = "
source events (k bigint, note text, t timestamp)
from log 'events' event time t lateness '1 day';
entity thing (k bigint);
features things of thing from events ( n = count(*) over 1h );
vector v (things.*);
";

/// The most memory that the process ever had, in MB.
fn peak_mb(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process has a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") / 1_000
}

/// The partitions of a topic, as they are listed.
fn listed(project: &Project, topic: &str) -> Vec<Json> {
    let listed = read_json(&project.run(&["topics", "list", "--output", "json"]).ok().stdout);
    listed.as_array().expect("rows").iter().filter(|row| row["topic"] == topic).cloned().collect()
}

#[test]
fn records_of_a_megabyte_do_not_pile_up_in_memory() {
    const RECORDS: i64 = 400;
    let project = Project::new(DEFINITIONS);
    let settings = "intake_memory = '64MiB'\n";
    project.write("forebay.toml", settings);
    for index in 0..RECORDS {
        // Text that does not compress away.
        let mut state = index.cast_unsigned() + 1;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (state >> 59) as u8 % 26)
        };
        let note: String = (0..1_000_000).map(|_| letter()).collect();
        let event = json!({"k": index, "note": note, "t": rfc3339(START + index * SECOND)});
        if index == 0 {
            project.write("events.ndjson", "");
        }
        let mut file = fs::File::options().append(true).open(project.path("events.ndjson")).expect("a file");
        std::io::Write::write_all(&mut file, format!("{event}\n").as_bytes()).expect("room");
    }
    let _ = project.run(&["push", "events", "events.ndjson"]).ok();
    let server = project.serve();
    server.wait_for_seq(RECORDS as usize);
    let peak = peak_mb(&server);
    assert!(peak < 1_300, "{peak} MB for {RECORDS} records of a megabyte");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn useless_records_wait_on_disk_and_only_so_many_of_them() {
    const RECORDS: u64 = 200_000;
    let project = Project::new(DEFINITIONS);
    project.write("forebay.toml", "outbox_max = '1MiB'\n");
    let garbage: String = (0..RECORDS).map(|index| format!("garbage {index}\n")).collect();
    let _ = project.run_with_input(&["topics", "write", "events", "-"], garbage.as_bytes()).ok();
    let server = project.start(&[]);
    let mut most: f64 = 0.0;
    wait_for("all dead letters", || {
        most = most.max(server.metric("forebay_outbox_bytes", ""));
        let published = server.metric("forebay_outputs_published_total", "events.dead");
        (published >= RECORDS as f64).then_some(())
    });
    // Beyond the bound there are at most the commits that were in flight when it was reached.
    assert!(most < 40e6, "{most} bytes waited");
    let peak = peak_mb(&server);
    assert!(peak < 700, "{peak} MB");
    assert_eq!(server.stop(), Some(0));
}

fn event(index: i64) -> Json {
    json!({"k": index % 3, "note": "x", "t": rfc3339(START + index * SECOND)})
}

#[test]
fn topics_forget_what_is_not_kept_of_them_and_never_what_was_not_read() {
    let project = Project::new(DEFINITIONS);
    project.write("forebay.toml", "offline_interval = '50ms'\n[retention]\ndead_letters = '1s'\n[retention.topics]\n'ev*s' = '0B'\n");
    let server = project.serve();
    for index in 0..6 {
        let _ = server.push("events", &[event(index)]);
        let _ = server.try_post("/v1/sources/events/events", "application/x-ndjson", b"garbage\n");
    }
    server.wait_for_seq(6);
    // The last record that was read stays, by which the topic is known again.
    let of = |row: &Json| (row["start"].as_u64().unwrap(), row["end"].as_u64().unwrap());
    wait_for("retention", || {
        let (source, dead) = (of(&listed(&project, "events")[0]), of(&listed(&project, "events.dead")[0]));
        (source.0 >= 10 && dead == (6, 6)).then_some(())
    });
    let row = listed(&project, "events").remove(0);
    assert_eq!((&row["keeps"], of(&row).1), (&json!("0B"), 12));
    assert_eq!(listed(&project, "events.dead")[0]["keeps"], "1s");
    let values = |server: &Server| server.lookup("v", &json!({"keys": [{"k": 0}, {"k": 1}, {"k": 2}], "as_of": "2024-05-01T00:00:10Z"}));
    let before = values(&server);
    server.kill();
    let server = project.serve();
    assert_eq!(values(&server), before);
    let _ = server.push("events", &[event(9)]);
    server.wait_for_seq(7);
    assert_eq!(server.stop(), Some(0));
    let _ = project.run(&["verify", "v"]).ok();
}

#[test]
fn a_topic_is_trimmed_by_hand_beside_a_server_and_without() {
    let project = Project::new(DEFINITIONS);
    for index in 0..4 {
        let _ = project.push("events", &[event(index)]).ok();
    }
    let trim = |arguments: &[&str]| {
        let all = [&["topics", "trim", "events", "--output", "json"], arguments].concat();
        let answer = read_json(&project.run(&all).ok().stdout);
        (answer["records"].as_u64().unwrap(), answer["unread"].as_u64().unwrap())
    };
    assert_eq!(trim(&["--keep", "0B"]), (0, 4), "nothing was read yet");
    project.catch_up();
    let _ = project.push("events", &[event(4)]).ok();
    assert_eq!(trim(&["--before", "2024-05-01T00:00:00Z"]), (0, 0), "the log got all of them later");
    assert_eq!(trim(&["--keep", "0B"]), (3, 1), "the last that was read stays");
    let server = project.serve();
    server.wait_for_seq(5);
    assert_eq!(trim(&["--before", "2099-01-01T00:00:00Z"]), (1, 0));
    assert!(fs::read_dir(project.data()).unwrap().all(|file| !file.unwrap().file_name().to_string_lossy().starts_with("trim-")));
    let (status, answer) = server.post("/v1/admin/trim", &json!({"request": "../data/trim-1.json"}));
    assert_eq!((status, answer["error"]["message"].as_str().unwrap().contains("forebay topics trim")), (400, true), "{answer}");
    let unknown = project.run(&["topics", "trim", "evnts", "--keep", "1GiB"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("events"), "{}", unknown.stderr);
    assert_eq!(project.run(&["topics", "trim", "events"]).code, Some(64));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_parquet_file_that_cannot_be_read_stops_nothing_else() {
    let project = Project::new(DEFINITIONS);
    project.write("forebay.toml", "offline_interval = '50ms'\n[retention]\ndead_letters = '1s'\n");
    for index in 0..5 {
        let _ = project.push("events", &[event(index)]).ok();
        project.catch_up();
    }
    let folder = project.data().join("offline/events/date=2024-05-01");
    let files = || fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect::<std::collections::BTreeSet<_>>();
    let damaged = files().into_iter().nth(2).expect("five files");
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let server = project.serve();
    let _ = server.try_post("/v1/sources/events/events", "application/x-ndjson", b"garbage\n");
    let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
    let problems = || read_json(&server.get("/v1/status").1)["problems"].to_string();
    wait_for("the file among the problems", || problems().contains(&name).then_some(()));
    wait_for("retention all the same", || {
        let dead = listed(&project, "events.dead");
        (!dead.is_empty() && dead[0]["start"] == dead[0]["end"] && dead[0]["end"] == 1).then_some(())
    });
    // The others became one, and the problem stays as long as the file does.
    let manifest = || read_json(&fs::read_to_string(project.data().join("offline/manifest.json")).unwrap());
    let held = || manifest()["files"].as_array().unwrap().len();
    wait_for("one file of the others", || (held() == 2).then_some(()));
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(problems().contains(&name), "{}", problems());
    assert_eq!(server.stop(), Some(0));
}
