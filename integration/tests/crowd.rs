//! Lookups among pushes and among one another: every answer is of one cut, long or small; waiting is bounded and refuses what
//! can never come; ready means caught up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forebay_integration::answers::read_json;
use forebay_integration::harness::{Project, Server, wait_for};
use serde_json::{Value as Json, json};

/// Keys of the view that long lookups read whole: more rows than are tried on the spot.
const KEYS: u64 = 1_500;
/// Keys of the view that small ones read whole.
const BUCKETS: u64 = 20;
const AS_OF: &str = "2024-05-02T00:00:00Z";

const DEFINITIONS: &str = "
    source events (id bigint, k bigint, bucket bigint, device text, x double, t timestamp) from log 'events'
      event time t lateness '10 hours' history '1 day';
    entity key (k bigint);
    entity bucket (bucket bigint);
    features by_key of key from events (n = count(*) over 1d, x = sum(x) over 1d);
    features by_bucket of bucket from events (n = count(*) over 1d, devices = count_distinct(device) over 1d, middle = median(x) over 1d);
    vector keys (by_key.*);
    vector buckets (by_bucket.*);
    vector both (by_key.*, by_bucket.* as bucket_*);
";

fn event(id: u64) -> Json {
    // Neighbours lie far apart, and a third of all events are of a few keys.
    let k = if id.is_multiple_of(3) { id % 7 } else { id.wrapping_mul(7_919) % KEYS };
    let (seconds, millis) = (id / 1_000 % 3_600, id % 1_000);
    let t = format!("2024-05-01T10:{:02}:{:02}.{millis:03}Z", seconds / 60, seconds % 60);
    json!({"id": id, "k": k, "bucket": k % BUCKETS, "device": format!("d{}", id % 97), "x": (id % 10) as f64 + 0.25, "t": t})
}

fn events(from: u64, count: u64) -> Vec<Json> {
    (from..from + count).map(event).collect()
}

fn all_of(name: &str, keys: u64) -> Json {
    json!({"keys": (0..keys).map(|key| json!({name: key})).collect::<Vec<_>>(), "as_of": AS_OF})
}

/// The sum of the first value of all rows, and the cut.
fn counted(server: &Server, vector: &str, request: &Json) -> (u64, u64) {
    let (status, answer) = server.post(&format!("/v1/vectors/{vector}/lookup"), request);
    assert_eq!(status, 200, "{answer}");
    let rows = answer["values"].as_array().expect("values");
    (rows.iter().filter_map(|row| row[0].as_u64()).sum(), answer["seq"].as_u64().expect("a cut"))
}

/// Pushes and lookups of both kinds go on together. Every event counts once in each view, so that in every answer the counts
/// of all keys add up to the cut; little memory makes keys leave it and come back from the store meanwhile.
#[test]
fn every_answer_is_of_one_cut() {
    let project = Project::new(DEFINITIONS);
    project.write("forebay.toml", "state_memory = \"300KiB\"\nflush_interval = \"50ms\"\nbatch_events_max = 2000\n");
    let server = project.serve();
    server.push("events", &events(0, 500));
    server.wait_for_seq(500);
    let (over, pushed, answered) = (AtomicBool::new(false), AtomicU64::new(500), AtomicU64::new(0));
    let (long, small) = (all_of("k", KEYS), all_of("bucket", BUCKETS));
    let until = Instant::now() + Duration::from_secs(12);
    thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < until {
                let from = pushed.fetch_add(700, Ordering::SeqCst);
                server.push("events", &events(from, 700));
            }
            over.store(true, Ordering::SeqCst);
        });
        for (vector, request) in [("keys", &long), ("keys", &long), ("buckets", &small), ("buckets", &small)] {
            let (server, over, answered) = (&server, &over, &answered);
            scope.spawn(move || {
                let mut last = 0;
                while !over.load(Ordering::SeqCst) {
                    let (sum, seq) = counted(server, vector, request);
                    assert_eq!(sum, seq, "{vector}: all rows are of the cut that the answer names");
                    assert!(seq >= last, "{vector}: cuts go on");
                    last = seq;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let events = pushed.into_inner();
    server.wait_for_seq(events as usize);
    assert_eq!(counted(&server, "keys", &long), (events, events));
    assert_eq!(counted(&server, "buckets", &small), (events, events));
    assert!(answered.into_inner() > 20, "lookups were answered while {events} events were pushed");
}

/// A long lookup and as many small ones say the same, row by row, also where rows ask for the same keys.
#[test]
fn long_and_small_answers_are_the_same() {
    let project = Project::new(DEFINITIONS);
    let server = project.serve();
    server.push("events", &events(0, 4_000));
    server.wait_for_seq(4_000);
    let keys: Vec<Json> = (0..1_200_u64).map(|row| row * 31 % 400).map(|k| json!({"k": k, "bucket": k % BUCKETS})).collect();
    let all = server.lookup("both", &json!({"keys": keys, "as_of": AS_OF}));
    assert_eq!(all.len(), keys.len());
    for (row, key) in keys.iter().enumerate().step_by(7) {
        assert_eq!(server.lookup("both", &json!({"keys": [key], "as_of": AS_OF}))[0], all[row], "{key}");
    }
    let refused = json!({"keys": keys, "as_of": "2001-01-01T00:00:00Z"});
    let (long, small) = (server.post("/v1/vectors/both/lookup", &refused), json!({"keys": [keys[0]], "as_of": "2001-01-01T00:00:00Z"}));
    assert_eq!((long.0, long), (400, server.post("/v1/vectors/both/lookup", &small)));
}

/// Events of the one busy key: reading them takes many times what a lookup may take on a socket's thread.
const BUSY: u64 = 60_000;

/// A key that is slow to read is left to the threads of long lookups once that is known, in the store as in memory. What a work keeps
/// of how it was before counts as state.
#[test]
fn a_busy_key_is_a_long_lookup_also_after_a_restart() {
    let project = Project::new(DEFINITIONS);
    let of_one_bucket = |id: u64| {
        let mut event = event(id);
        (event["bucket"], event["x"]) = (json!(0), json!(id.wrapping_mul(2_654_435_761) % 1_000_003));
        event
    };
    let request = json!({"keys": [{"bucket": 0}], "as_of": AS_OF});
    let done = |server: &Server| server.metric("forebay_long_requests_done_total", "");
    // The first finds out on the spot how long it takes.
    let asked = |server: &Server| {
        let before = done(server);
        let answers = [server.lookup("buckets", &request), server.lookup("buckets", &request), server.lookup("buckets", &request)];
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(done(server) - before, 2.0, "the second and the third are long");
        answers[0].clone()
    };
    // Nothing leaves memory by itself.
    project.write("forebay.toml", "flush_interval = \"1h\"\n");
    let server = project.serve();
    for from in (0..BUSY).step_by(10_000) {
        server.push("events", &(from..from + 10_000).map(of_one_bucket).collect::<Vec<_>>());
    }
    let push_one = |id: u64| {
        server.push("events", &[of_one_bucket(id)]);
        server.wait_for_seq(id as usize + 1);
        server.metric("forebay_state_bytes", "")
    };
    server.wait_for_seq(BUSY as usize);
    let bytes = push_one(BUSY);
    let _ = asked(&server);
    // Since lookups look on, each work keeps what the keys that it changes were before.
    let mut next = BUSY + 1..;
    wait_for("what was before a work to count", || {
        let _ = server.lookup("buckets", &request);
        (push_one(next.next()?) > 1.3 * bytes).then_some(())
    });
    let in_memory = server.lookup("buckets", &request);
    assert_eq!(server.stop(), Some(0));

    let server = project.serve();
    server.wait_until_ready();
    assert_eq!(server.metric("forebay_state_keys", ""), 0.0, "nothing is in memory");
    assert_eq!(asked(&server), in_memory);
    assert_eq!(server.metric("forebay_state_keys", ""), 0.0, "a lookup takes no key into memory");
    assert_eq!(server.stop(), Some(0));
}

/// Waiting takes no thread, ends when the time is over with how far the partition is, and is bounded; what can never come is
/// refused at once. The second source's broker is away: what is waited for there may still come.
#[test]
fn waiting_is_bounded_and_what_cannot_come_is_refused() {
    let away = "source far (k bigint, t timestamp) from kafka 'far' event time t;\n";
    let project = Project::new(&format!("{DEFINITIONS}{away}"));
    project.write("forebay.toml", "waiting_lookups_max = 40\n[kafka]\nbootstrap = \"127.0.0.1:1\"\n");
    let server = project.serve();
    let receipt = server.push("events", &events(0, 10));
    let path = "/v1/vectors/keys/lookup";
    let ask = |after: Json, wait: u64| server.post(path, &json!({"keys": [{"k": 1}], "as_of": AS_OF, "after": after, "wait_ms": wait}));
    assert_eq!(ask(receipt["positions"].clone(), 5_000).0, 200);
    let position = |source: &str, partition: u64, offset: u64| json!([{"source": source, "partition": partition, "offset": offset}]);
    for (after, field) in [
        (position("nowhere", 0, 1), "after[0].source"),
        (position("events", 1, 1), "after[0].partition"),
        (position("events", 0, 11), "after[0].offset"),
    ] {
        let started = Instant::now();
        let (status, answer) = ask(after, 60_000);
        assert_eq!((status, &answer["error"]["field"]), (400, &json!(field)), "{answer}");
        assert_eq!(answer["error"]["code"], "unknown_position");
        assert!(started.elapsed() < Duration::from_secs(30), "it is refused at once");
    }
    let (status, answer) = ask(position("far", 0, 7), 50);
    assert_eq!(status, 503);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("partition 0 of source far is applied up to offset 0 of 7"), "{message}");
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        let waits = || {
            while !seen.load(Ordering::SeqCst) {
                assert_eq!(ask(position("far", 0, 7), 3_000).0, 503);
            }
        };
        (0..40).for_each(|_| drop(scope.spawn(waits)));
        // Once all of them wait, the next is refused; what need not wait is answered all along.
        wait_for("a refusal", || {
            assert_eq!(ask(json!([]), 0).0, 200);
            let (status, answer) = ask(position("far", 0, 7), 1);
            let message = answer["error"]["message"].as_str()?;
            (status == 503 && message.contains("raise waiting_lookups_max")).then_some(())
        });
        wait_for("all that wait", || (server.metric("forebay_waiting_lookups", "") == 40.0).then_some(()));
        assert_eq!(server.get("/health/live").0, 200);
        assert_eq!(ask(receipt["positions"].clone(), 0).0, 200, "what is in already need not wait");
        seen.store(true, Ordering::SeqCst);
    });
    assert_eq!(server.metric("forebay_waiting_lookups", ""), 0.0);
    // A log that cannot be reached does not hold readiness back for ever.
    let readiness = || read_json(&server.get("/health/ready").1);
    server.wait_until_ready();
    assert_eq!(readiness()["state"], "caught_up");
}

#[test]
fn ready_means_caught_up_with_what_the_logs_held() {
    const HELD: u64 = 40_000;
    let project = Project::new(DEFINITIONS);
    for from in (0..HELD).step_by(10_000) {
        let pushed = project.push("events", &events(from, 10_000));
        assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    }
    let server = project.start(&[]);
    let mut waited = Vec::new();
    wait_for("readiness", || {
        let (status, body) = server.try_get("/health/ready")?;
        let answer = read_json(&body);
        assert_eq!(answer["ready"], status == 200, "{answer}");
        if status == 503 && answer["state"] == "catching_up" {
            assert_eq!(answer["waiting"][0]["source"], "events", "{answer}");
            waited.extend(answer["waiting"][0]["records"].as_u64());
            return None;
        }
        (status == 200).then_some(())
    });
    let (_, seq) = counted(&server, "keys", &all_of("k", 1));
    assert_eq!(seq, HELD, "ready is caught up");
    assert!(waited.is_sorted_by(|a, b| a >= b) && waited.first().is_some_and(|first| *first > 0), "it said how far: {waited:?}");
    assert_eq!(server.stop(), Some(0));

    // Another backlog; this one does not wait for it, and its answers say how far behind they are.
    let pushed = project.push("events", &events(HELD, 10_000));
    assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    project.write("forebay.toml", "ready_when = \"restored\"\n");
    let server = project.start(&[]);
    let behind = wait_for("an answer", || {
        let (status, body) = server.try_get("/health/ready")?;
        if body.contains("\"restoring\"") {
            return None;
        }
        assert_eq!(status, 200, "{body}");
        let (status, answer) = server.post("/v1/vectors/keys/lookup", &all_of("k", 1));
        assert_eq!(status, 200, "{answer}");
        let behind = answer["sources"][0]["records_behind"].as_u64()?;
        assert!(behind + answer["seq"].as_u64()? <= HELD + 10_000, "{answer}");
        (answer["seq"] == HELD + 10_000).then_some(behind)
    });
    assert_eq!(behind, 0);
}
