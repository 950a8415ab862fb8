//! SIGTERM ends the process within ten seconds whatever it is doing, with nothing lost and nothing doubled: what is left goes
//! on at the next start. A second signal ends it at once.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::harness::{Project, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const SECOND: i64 = 1_000_000;
const STOP_MAX: Duration = Duration::from_secs(10);

const DEFINITIONS: &str = "
source events (k bigint, x double, t timestamp)
from log 'events' event time t lateness '1 day' history '30 days';
entity thing (k bigint);
features things of thing from events ( total = sum(x) over all, n = count(*) over 1d );
vector v (things.*);
";

fn events(count: i64) -> Vec<Json> {
    (0..count).map(|index| json!({"k": index % 5_000, "x": 0.5, "t": rfc3339(START + index * SECOND)})).collect()
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success(), "process {pid} was gone already");
}

/// SIGTERM, and how it ended: the exit code, none where a signal ended it.
fn terminated(mut child: Child) -> Option<i32> {
    send("-TERM", child.id());
    ended(&mut child)
}

fn ended(child: &mut Child) -> Option<i32> {
    let asked = Instant::now();
    let status = wait_for("an end", || child.try_wait().expect("its own child"));
    assert!(asked.elapsed() < STOP_MAX, "it took {:?} to end", asked.elapsed());
    status.code()
}

fn spawned(project: &Project, arguments: &[&str]) -> Child {
    let all = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
    project.command(&all).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be started")
}

/// How many records a topic of the log holds.
fn held(project: &Project, topic: &str) -> u64 {
    let listed = read_json(&project.run(&["topics", "list", "--output", "json"]).ok().stdout);
    let of = listed.as_array().expect("rows").iter().filter(|row| row["topic"] == topic);
    of.map(|row| row["end"].as_u64().unwrap() - row["start"].as_u64().unwrap()).sum()
}

#[test]
fn amid_many_dead_letters_none_is_lost_or_doubled() {
    const RECORDS: u64 = 300_000;
    let project = Project::new(DEFINITIONS);
    let garbage: String = (0..RECORDS).map(|index| format!("garbage {index}\n")).collect();
    let _ = project.run_with_input(&["topics", "write", "events", "-"], garbage.as_bytes()).ok();
    let server = project.start(&[]);
    wait_for("the first dead letters", || (server.metric("forebay_outbox_records", "") > 0.0).then_some(()));
    let asked = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(asked.elapsed() < STOP_MAX, "it took {:?}", asked.elapsed());
    project.catch_up();
    assert_eq!(held(&project, "events.dead"), RECORDS);
    let read = project.run(&["topics", "read", "events.dead", "--output", "ndjson"]).ok().stdout;
    let values: std::collections::HashSet<String> = read_ndjson(&read).into_iter().map(|letter| letter["value"].to_string()).collect();
    assert_eq!(values.len() as u64, RECORDS);
}

#[test]
fn while_it_starts_and_while_it_catches_up() {
    let project = Project::new(DEFINITIONS);
    let _ = project.push("events", &events(150_000)).ok();
    let until = spawned(&project, &["--until-caught-up"]);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(terminated(until), Some(1), "who waits for all to be caught up is told that it is not");
    project.catch_up();
    let lookup = |project: &Project| {
        let answer = project.run(&["lookup", "v", "k=7", "--output", "json", "--as-of", "2024-05-02T17:00:00Z"]).ok().stdout;
        read_json(&answer)["values"].clone()
    };
    let before = lookup(&project);
    // A view of another name is built from all events before anything is answered.
    project.write("features/test.bay", DEFINITIONS.replace("things", "objects"));
    for wait in [50, 300, 900] {
        let starting = spawned(&project, &[]);
        std::thread::sleep(Duration::from_millis(wait));
        let code = terminated(starting);
        assert!(code == Some(0) || code.is_none(), "{code:?} after {wait} ms");
    }
    project.catch_up();
    assert_eq!(lookup(&project), before);
}

/// Nobody waits for an answer that cannot come yet, and no answer is of half a state.
#[test]
fn while_it_starts_it_says_so() {
    let project = Project::new(DEFINITIONS);
    let _ = project.push("events", &events(150_000)).ok();
    project.catch_up();
    project.write("features/test.bay", DEFINITIONS.replace("things", "objects"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let server = project.command(&["serve", "--listen", &free]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = server.expect("it can be started");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let get = |path: &str| {
        let mut answer = agent.get(format!("http://{free}{path}")).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    };
    let look = || {
        let request = json!({"keys": [{"k": 7}], "as_of": "2024-05-02T17:00:00Z"}).to_string();
        let mut answer =
            agent.post(format!("http://{free}/v1/vectors/v/lookup")).header("content-type", "application/json").send(&request).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    };
    let (mut said, mut seen): (Vec<String>, _) = (Vec::new(), Vec::new());
    // Its port is there before its state is.
    said.push(wait_for("its port", || get("/health/ready")).1);
    // Who says nothing keeps nobody out.
    let silent: Vec<_> = (0..200).filter_map(|_| std::net::TcpStream::connect(&free).ok()).collect();
    assert!(silent.len() > 100);
    let value = wait_for("its state", || {
        let (live, (ready, state)) = (get("/health/live")?.0, get("/health/ready")?);
        assert_eq!(live, 200);
        if state.contains("restoring") {
            // It may have started meanwhile.
            let (status, metrics) = get("/metrics")?;
            assert!(status == 200 && metrics.contains("\nforebay_ready "), "{status} {metrics}");
        }
        if !said.contains(&state) {
            said.push(state.clone());
        }
        let (status, text) = look()?;
        if status == 200 {
            seen.push(text);
        } else {
            assert!(status == 503 && text.contains("starting"), "{status} {text}");
        }
        (ready == 200).then(|| look().expect("an answer").1)
    });
    assert!(said.iter().any(|state| state.contains("restoring")), "{said:?}");
    let values = |text: &str| read_json(text)["values"].clone();
    assert!(seen.iter().all(|seen| values(seen) == values(&value)), "{seen:?} {value}");
    assert_eq!(terminated(server), Some(0));
}

#[test]
fn a_lookup_that_waits_holds_nothing_up_and_a_second_signal_ends_at_once() {
    // What is waited for may still come: its broker is away.
    let project = Project::new(&format!("{DEFINITIONS}source far (k bigint, t timestamp) from kafka 'far' event time t;\n"));
    project.write("forebay.toml", "[kafka]\nbootstrap = \"127.0.0.1:1\"\n");
    let _ = project.push("events", &events(10)).ok();
    for second in [false, true] {
        let mut server = spawned(&project, &[]);
        let address = wait_for("its address", || {
            let text = std::fs::read_to_string(project.data().join("server.json")).ok()?;
            let announced: Json = serde_json::from_str(&text).ok()?;
            (announced["pid"] == server.id()).then(|| announced["listen"].as_str().map(str::to_owned))?
        });
        let asked = address.clone();
        let waiting = std::thread::spawn(move || {
            let body = json!({"keys": [{"k": 1}], "after": [{"source": "far", "partition": 0, "offset": 7}], "wait_ms": 30_000});
            // It is cut off: whatever comes of it is no matter here.
            let request = ureq::post(format!("http://{asked}/v1/vectors/v/lookup")).header("content-type", "application/json");
            drop(request.send(body.to_string().as_bytes()));
        });
        wait_for("the lookup to wait", || {
            let metrics = ureq::get(format!("http://{address}/metrics")).call().ok()?.body_mut().read_to_string().ok()?;
            metrics.contains("\nforebay_waiting_lookups 1").then_some(())
        });
        send("-TERM", server.id());
        if second {
            std::thread::sleep(Duration::from_millis(200));
            // It may have ended already.
            drop(Command::new("kill").args(["-TERM", &server.id().to_string()]).stderr(Stdio::null()).status());
            let asked = Instant::now();
            let _ = wait_for("an end", || server.try_wait().expect("its own child"));
            assert!(asked.elapsed() < Duration::from_secs(2), "a second signal took {:?}", asked.elapsed());
        } else {
            assert_eq!(ended(&mut server), Some(0));
        }
        waiting.join().expect("the request ended");
    }
    let _ = project.run_with_input(&["push", "events", "-"], ndjson(&events(3)).as_bytes()).ok();
    let server = project.serve();
    server.wait_for_seq(13);
    assert_eq!(server.stop(), Some(0));
}
