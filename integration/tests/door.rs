//! What stands between the server and everybody: connections, times, bodies and files are bounded, each bound says its setting,
//! and whoever keeps to them is answered meanwhile.

use std::time::{Duration, Instant};

use forebay_integration::answers::read_json;
use forebay_integration::harness::{Project, Server, ndjson, wait_for};
use forebay_integration::raw::{DEFINITIONS, EVENTS, LOOKUP, Raw, post};
use serde_json::{Value as Json, json};

fn events() -> Project {
    Project::new(DEFINITIONS)
}

fn with(settings: &str) -> Project {
    let project = events();
    project.write("forebay.toml", settings);
    project
}

/// Whether a lookup and health are answered, trying again where they are told to.
fn answered(server: &Server) -> (Duration, Duration) {
    let times = [("GET", "/health/live"), ("POST", LOOKUP)].map(|(method, path)| {
        let started = Instant::now();
        wait_for(&format!("an answer of {path}; it said:\n{}", server.said()), || {
            let mut raw = Raw::connect(&server.address);
            let request = match method {
                "GET" => format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n"),
                _ => post(path, r#"{"keys":[{"k":1}]}"#),
            };
            raw.send(request);
            (raw.answer()?.status == 200).then_some(())
        });
        started.elapsed()
    });
    (times[0], times[1])
}

/// With room for 64 files, a hundred clients that do not finish their requests lock nobody out.
#[test]
fn half_open_requests_take_no_place_from_others() {
    let project = events();
    let server = project.start_after("ulimit -n 64", &[]);
    server.wait_until_ready();
    assert!(server.said().contains("connections are let in, not the 1024 of connections_max"), "{}", server.said());
    let beginnings =
        ["", "GET /v1/st", "POST /v1/sources/events/events HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{", "GET / HTTP/1.1\r\nx: "];
    let mut half_open = Vec::new();
    for beginning in beginnings.iter().cycle().take(100) {
        let mut raw = Raw::connect(&server.address);
        raw.send(beginning);
        half_open.push(raw);
        if half_open.len() % 20 == 0 {
            let (health, lookup) = answered(&server);
            assert!(health < Duration::from_secs(5) && lookup < Duration::from_secs(5), "{health:?} {lookup:?}");
        }
    }
    for _ in 0..20 {
        let _ = answered(&server);
    }
    let _ = server.push("events", &[json!({"k": 1, "x": 1.0, "t": "2026-01-31T12:00:00Z"})]);
    server.wait_for_seq(1);
    drop(half_open);
    assert_eq!(server.stop(), Some(0));
}

/// With fewer files than anything needs it says so, instead of failing somewhere later.
#[test]
fn too_few_files_are_refused_at_the_start() {
    let project = events();
    let ended = std::process::Command::new("bash")
        .args(["-c", "ulimit -n 40; exec \"$0\" serve --listen 127.0.0.1:0 --data data --features features"])
        .arg(forebay_integration::harness::binary())
        .current_dir(project.path(""))
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("may have 40 files open") && said.contains("ulimit -Hn"), "{said}");
}

#[test]
fn clients_that_wait_are_not_waited_for() {
    let project = with("header_timeout = '400ms'\nbody_timeout = '800ms'\nidle_timeout = '700ms'\n");
    let server = project.serve();
    let connect = || Raw::connect(&server.address);
    let mut silent = connect();
    assert!(silent.is_closed(), "one that sends nothing");
    let mut head = connect();
    let started = Instant::now();
    head.send("GET /health/live HTTP/1.1\r\n");
    while started.elapsed() < Duration::from_millis(300) {
        head.send("x: y\r\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    let late = head.answer().expect("an answer to half a head");
    assert_eq!((late.status, late.code().as_str()), (408, "too_slow"));
    assert!(late.body.contains("header_timeout") && head.is_closed());
    let mut body = connect();
    body.send(format!("POST {EVENTS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        body.send("x");
    }
    let late = body.answer().expect("an answer to half a body");
    assert_eq!((late.status, late.code().as_str()), (408, "too_slow"));
    assert!(late.body.contains("body_timeout") && body.is_closed());
    let mut idle = connect();
    for _ in 0..3 {
        idle.send("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(idle.answer().map(|answer| answer.status), Some(200));
        std::thread::sleep(Duration::from_millis(200));
    }
    let started = Instant::now();
    assert!(idle.is_closed());
    assert!(started.elapsed() > Duration::from_millis(300), "an idle connection stays for a while: {:?}", started.elapsed());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn bodies_are_bounded_alone_and_together() {
    let project = with("request_max = '1MiB'\nbodies_max = '1MiB'\nrecords_max = 100\n");
    let server = project.serve();
    let head = |length: usize| {
        format!(
            "POST {EVENTS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut large = Raw::connect(&server.address);
    large.send(head((1 << 20) + 1));
    let refused = large.answer().expect("an answer before the body");
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    assert!(refused.body.contains("request_max"), "{}", refused.body);
    // One body holds all the room, and does not come.
    let mut holding = Raw::connect(&server.address);
    holding.send(head(1 << 20));
    holding.send("[");
    std::thread::sleep(Duration::from_millis(200));
    let (status, answer) = server.post(EVENTS, &json!("x".repeat(500_000)));
    assert_eq!((status, answer["error"]["code"].as_str()), (503, Some("too_busy")), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("bodies_max")), "{answer}");
    let one = json!({"k": 1, "x": 1.0, "t": "2026-01-31T12:00:00Z"});
    assert_eq!(server.push("events", std::slice::from_ref(&one))["accepted"], 1, "small ones need no room");
    let _ = answered(&server);
    drop(holding);
    wait_for("the room of a client that left", || (server.post(EVENTS, &json!("x".repeat(500_000))).0 == 422).then_some(()));
    let many: Vec<Json> = vec![one; 101];
    let (status, answer) = server.post(EVENTS, &json!(many));
    assert_eq!((status, answer["error"]["code"].as_str()), (413, Some("too_large")), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("records_max")), "{answer}");
    assert_eq!(server.stop(), Some(0));
    let wrong = with("request_max = '2MiB'\nbodies_max = '1MiB'\n").run(&["serve"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("raise bodies_max"), "{wrong:?}");
}

#[test]
fn connections_beyond_the_bound_are_told_so() {
    let project = with("connections_max = 2\n");
    let server = project.serve();
    // A body that comes is waited for, at first.
    let begun = |_| {
        let mut raw = Raw::connect(&server.address);
        raw.send(post(EVENTS, "1234").trim_end_matches('4'));
        raw
    };
    // The connection by which the server was found ready is idle for long enough to give way.
    std::thread::sleep(Duration::from_millis(200));
    let waiting: Vec<Raw> = (0..2).map(begun).collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut third = Raw::connect(&server.address);
    third.send("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n");
    let refused = third.answer().expect("an answer");
    assert_eq!((refused.status, refused.code().as_str()), (503, "too_many_connections"));
    assert!(refused.head.contains("retry-after: 1") && refused.body.contains("connections_max"), "{refused:?}");
    std::thread::sleep(Duration::from_secs(1));
    let _ = answered(&server);
    drop(waiting);
    assert_eq!(server.stop(), Some(0));
}

/// The most memory that the server ever had, in MB.
fn memory_peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    peak.expect("a peak") / 1024
}

/// A million rejects in 58 MB: what is kept of each beside its bytes is little, and bodies together have a bound.
#[test]
fn tiny_records_cost_little_more_than_their_bytes() {
    let project = with("bodies_max = '128MiB'\n");
    let server = project.serve();
    let record = format!("{{\"a\":\"{}\"}},", "x".repeat(52));
    let many = record.repeat(1_000_000);
    let body = format!("[{}]", many.trim_end_matches(','));
    let push = || server.try_post(EVENTS, "application/json", body.as_bytes()).expect("an answer").0;
    let before = memory_peak(&server);
    assert_eq!(push(), 422);
    let one = memory_peak(&server);
    assert!(one < 600, "{before} MB before, {one} MB with one");
    let mut statuses = std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..4).map(|_| scope.spawn(push)).collect();
        pushing.into_iter().map(|pushed| pushed.join().expect("an answer")).collect::<Vec<u16>>()
    });
    statuses.sort_unstable();
    assert!(statuses[0] == 422 && statuses.iter().all(|status| [422, 503].contains(status)), "{statuses:?}");
    let four = memory_peak(&server);
    assert!(four < 1_000, "{before} MB before, {one} MB with one, {four} MB with four at once");
}

/// Readiness goes first, then the port, and a request in flight is answered, or told why it is not, within ten seconds.
#[test]
fn stopping_takes_ten_seconds_at_most() {
    let project = with("shutdown_delay = '1500ms'\n");
    let server = project.serve();
    let mut slow = Raw::connect(&server.address);
    let body = r#"{"keys":[{"k":1}]}"#;
    slow.send(post(LOOKUP, body).trim_end_matches('}'));
    let mut never = Raw::connect(&server.address);
    never.send(post(EVENTS, "1234").trim_end_matches('4'));
    let mut kept = Raw::connect(&server.address);
    let ready = "GET /health/ready HTTP/1.1\r\nhost: a\r\n\r\n";
    kept.send(ready);
    assert_eq!(kept.answer().map(|answer| answer.status), Some(200));
    let address = server.address.clone();
    let started = Instant::now();
    let stopping = std::thread::spawn(move || server.stop());
    wait_for("readiness to go", || {
        let mut raw = Raw::connect(&address);
        raw.send(ready);
        (raw.answer()?.status == 503).then_some(())
    });
    let mut lookup = Raw::connect(&address);
    lookup.send(post(LOOKUP, body));
    assert_eq!(lookup.answer().map(|answer| answer.status), Some(200), "who comes before the port closes is answered");
    wait_for("the port to close", || std::net::TcpStream::connect(&address).is_err().then_some(()));
    assert!(started.elapsed() >= Duration::from_millis(1400), "{:?}", started.elapsed());
    assert!(kept.is_closed());
    slow.send("}");
    let answer = slow.answer().expect("an answer to the request in flight");
    assert_eq!(answer.status, 200, "{answer:?}");
    let cut = never.answer().expect("a word to the one that never ends");
    assert_eq!((cut.status, cut.code().as_str()), (503, "stopping"));
    assert_eq!(stopping.join().expect("it ends"), Some(0));
    assert!(started.elapsed() < Duration::from_millis(11_500), "{:?}", started.elapsed());
}

/// Commands send no more at once than the server of these settings takes.
#[test]
fn pushes_keep_to_the_limits_of_the_server() {
    let project = with("records_max = 1000\nrequest_max = \"64KiB\"\n");
    let row = |id: usize| json!({"k": id % 5, "t": "2024-05-01T00:00:00Z", "pad": "x".repeat(id % 300)});
    let lines = ndjson(&(0..3_500).map(row).collect::<Vec<_>>());
    let server = project.serve();
    project.write("rows.ndjson", &lines);
    let pushed = project.run(&["push", "events", "rows.ndjson", "--output", "json"]).ok();
    assert_eq!(read_json(&pushed.stdout)["accepted"], 3_500, "{pushed:?}");
    let written = project.run(&["topics", "write", "events", "rows.ndjson"]).ok();
    assert!(written.stdout.contains("3500 records appended"), "{written:?}");
    server.wait_for_seq(7_000);
    assert_eq!(server.stop(), Some(0));
}

/// Who waits for a position keeps a connection: half of them at most, so that others are answered.
#[test]
fn lookups_that_wait_leave_connections_to_others() {
    // What is waited for may still come: its broker is away.
    let project = Project::new(&format!("{DEFINITIONS}source far (k bigint, t timestamp) from kafka 'far' event time t;\n"));
    project.write("forebay.toml", "connections_max = 8\n[kafka]\nbootstrap = \"127.0.0.1:1\"\n");
    let server = project.serve();
    let body = r#"{"keys":[{"k":1}],"after":[{"source":"far","partition":0,"offset":7}],"wait_ms":30000}"#;
    let waiting: Vec<Raw> = (0..7)
        .map(|_| {
            let mut raw = Raw::connect(&server.address);
            raw.send(post(LOOKUP, body));
            raw
        })
        .collect();
    wait_for("lookups that wait", || (server.metric("forebay_waiting_lookups", "") == 4.0).then_some(()));
    let _ = answered(&server);
    drop(waiting);
    assert_eq!(server.stop(), Some(0));
}
