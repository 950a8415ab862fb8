//! A clock that is wrong, or set while the engine runs: it is named with what to do, and nothing else breaks. The server runs
//! under libfaketime, so this is also the test that a library loaded before all others finds the system's allocator.

use std::fs;
use std::path::{Path, PathBuf};

use forebay_integration::answers::read_json;
use forebay_integration::folders::watching;
use forebay_integration::harness::{Project, Server, wait_for};
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
    source payments (payment_id bigint, user_id bigint, amount double, at timestamp)
      from log 'payments' format json event time at lateness '60 days' history '60 days' max ahead '1 hour'
      dedup by payment_id within '1 day';
    entity user (user_id bigint);
    features activity of user from payments (n = count(*) over 1h, spend = sum(amount) default 0 over 1h);
    vector v (activity.*);";

/// A project whose commands see a clock that the returned file sets, by an offset such as `-30d`. The steady clock stays: waits
/// would never end otherwise.
fn project(offset: &str) -> Option<(Project, PathBuf)> {
    let library = watching("libfaketimeMT.so.1")?;
    let mut project = Project::new(DEFINITIONS);
    let clock = project.write("clock", offset);
    for (name, value) in [("DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_NO_CACHE", "1"), ("NO_FAKE_STAT", "1")] {
        project.set(name, value);
    }
    project.set("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("a path that is text"));
    project.set("LD_PRELOAD", library.to_str().expect("a path that is text"));
    Some((project, clock))
}

fn set(clock: &Path, offset: &str) {
    let new = clock.with_extension("new");
    fs::write(&new, offset).and_then(|()| fs::rename(&new, clock)).expect("the clock can be set");
}

/// A payment of the true present.
fn payment(id: i64) -> Json {
    let micros = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    json!({"payment_id": id, "user_id": 7, "amount": 2.5, "at": micros as i64})
}

fn pushed(server: &Server, ids: std::ops::Range<i64>) -> Json {
    let receipt = server.push("payments", &ids.map(payment).collect::<Vec<_>>());
    wait_for("the records", || (server.metric("forebay_lag_records", "") == 0.0).then_some(()));
    receipt
}

/// Payments of the last hour, by the server's own clock.
fn recent(server: &Server) -> Json {
    server.lookup("v", &json!({"keys": [{"user_id": 7}]}))[0]["n_1h"].clone()
}

fn problems(server: &Server) -> Vec<String> {
    let status = read_json(&server.get("/v1/status").1);
    status["problems"].as_array().expect("problems").iter().map(|problem| problem.as_str().expect("a text").to_owned()).collect()
}

fn problem(server: &Server, words: &str) {
    wait_for(words, || problems(server).iter().any(|problem| problem.contains(words)).then_some(()));
    assert!(server.metric("forebay_problems", "clock") >= 1.0);
}

#[test]
fn a_preloaded_library_changes_no_answer() {
    let Some((mut project, _)) = project("-1d") else { return };
    let faked = project.run(&["config"]).ok();
    project.set("LD_PRELOAD", "");
    assert_eq!(faked.stdout, project.run(&["config"]).ok().stdout);
}

#[test]
fn a_clock_that_is_behind_is_named_before_anybody_misses_what_was_set_aside() {
    let Some((project, clock)) = project("-30d") else { return };
    let server = project.serve();
    let _ = pushed(&server, 0..20);
    assert_eq!(server.metric("forebay_events_rejected_total", "too_far_ahead"), 20.0);
    assert!(server.metric("forebay_event_time_ahead_seconds", "payments") > 29.0 * 86_400.0);
    problem(
        &server,
        "event times of source payments: most of what came lately lies further ahead of this machine's clock than max ahead (1h), up to 30d",
    );
    set(&clock, "+0");
    problem(&server, "the clock: it was set ahead by 30d");
    let _ = pushed(&server, 20..40);
    assert_eq!(recent(&server), 20);
    wait_for("the times to be right again", || {
        let _ = pushed(&server, 40..41);
        problems(&server).iter().all(|problem| problem.starts_with("the clock: ")).then_some(())
    });
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_clock_that_is_set_while_the_engine_runs_breaks_nothing() {
    let Some((project, clock)) = project("+0") else { return };
    let server = project.serve();
    let _ = pushed(&server, 0..10);
    assert_eq!(recent(&server), 10);
    assert_eq!(problems(&server), Vec::<String>::new());
    set(&clock, "+30d");
    problem(&server, "the clock: it was set ahead by 30d");
    assert_eq!(recent(&server), 0, "a window of the future is empty");
    assert!(server.metric("forebay_clock_step_seconds", "") > 29.0 * 86_400.0);
    let _ = pushed(&server, 10..20);
    // Back, and past where it began.
    set(&clock, "-2d");
    problem(&server, "the clock: it was set back by 2d");
    set(&clock, "+0");
    wait_for("a clock that is right", || problems(&server).iter().all(|problem| !problem.starts_with("the clock: ")).then_some(()));
    let _ = pushed(&server, 20..30);
    assert_eq!(recent(&server), 30, "what came while the clock was ahead is there");
    assert_eq!((server.metric("forebay_clock_steps_total", "ahead"), server.metric("forebay_clock_steps_total", "back")), (2.0, 1.0));
    assert_eq!(server.metric("forebay_clock_step_seconds", ""), 0.0);
    assert_eq!(server.stop(), Some(0));
    let _ = project.run(&["verify"]).ok();
}

#[test]
fn a_start_before_the_last_commit_is_named() {
    let Some((project, clock)) = project("+0") else { return };
    let _ = project.push("payments", &[payment(1)]).ok();
    project.catch_up();
    set(&clock, "-3d");
    let server = project.serve();
    problem(&server, "the clock: it was set back by 3d");
    let _ = pushed(&server, 2..3);
    assert_eq!(server.metric("forebay_events_rejected_total", "too_far_ahead"), 1.0);
    assert_eq!(server.stop(), Some(0));
    set(&clock, "+0");
    let server = project.serve();
    assert_eq!(problems(&server), Vec::<String>::new(), "it may have been stopped for so long");
    let _ = pushed(&server, 3..4);
    assert_eq!(recent(&server), 2);
}
