//! Looking for damage beside a server that is written to, and building parts again by commands that are killed at any moment:
//! at the end everything answers as before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::copy;
use forebay_integration::harness::{Project, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source events (id bigint, k bigint, x double, t timestamp)
from log 'events' partitions 2 by k format json
event time t lateness '1 hour' history '60 days'
dedup by id within '1 hour';

entity thing (k bigint);
features things of thing from events (
  n = count(*) over 1h,
  spend = sum(x) over 1d,
  spread = stddev_pop(x) over all as spread,
);
vector v on events (things.*, x);
";

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const MINUTE: i64 = 60_000_000;
/// Of which a rebuild takes long enough to be killed within.
const EVENTS: usize = 12_000;
const KEYS: usize = 40;
/// How often a command is killed before it runs to its end.
const KILLS: usize = 8;

/// A minute apart, so that Parquet has several days.
fn event(id: usize) -> Json {
    let mut chance = Chance::new(id as u64);
    let time = START + id as i64 * MINUTE - chance.between(0, 1_800) * 1_000_000;
    json!({"id": id, "k": chance.below(KEYS), "x": chance.between(0, 10_000) as f64 / 100.0, "t": rfc3339(time)})
}

fn events(from: usize, to: usize) -> Vec<Json> {
    (from..to).map(event).collect()
}

fn project() -> Project {
    let project = Project::new(DEFINITIONS);
    for part in 0..3 {
        let _ = project.push("events", &events(part * EVENTS / 3, (part + 1) * EVENTS / 3)).ok();
        project.catch_up();
    }
    let row = |row: usize| json!({"k": row % KEYS, "x": 1.5, "q": rfc3339(START + row as i64 * 60 * MINUTE)});
    project.write("spine.ndjson", ndjson(&(0..200).map(row).collect::<Vec<_>>()));
    project
}

/// Values of the state and of Parquet; what was refused, where something was.
fn answers(project: &Project) -> Result<(Vec<String>, String), String> {
    let mut lookups = Vec::new();
    for k in 0..4 {
        let key = format!("k={k}");
        let as_of = rfc3339(START + EVENTS as i64 * MINUTE);
        let ended = project.run(&["lookup", "v", &key, "--request", "x=1", "--as-of", &as_of, "--output", "json"]);
        if ended.code != Some(0) {
            return Err(ended.stderr);
        }
        lookups.push(read_json(&ended.stdout)["values"].to_string());
    }
    let ended = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]);
    if ended.code == Some(0) { Ok((lookups, project.read("set.ndjson"))) } else { Err(ended.stderr) }
}

fn below(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path, kind));
        } else if path.extension().is_some_and(|ending| ending == kind) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).expect("a file");
}

#[test]
fn data_are_checked_beside_a_server_that_is_written_to() {
    let project = project();
    let server = project.serve();
    let (stop, rounds) = (AtomicBool::new(false), 6);
    let pushed = std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            let mut next = EVENTS;
            while !stop.load(Ordering::SeqCst) {
                let _ = server.push("events", &events(next, next + 50));
                next += 50;
            }
            next
        });
        let found: Vec<_> = (0..rounds).map(|_| project.run(&["check-data", "--output", "json"])).collect();
        stop.store(true, Ordering::SeqCst);
        let pushed = pusher.join().expect("it pushes");
        for ended in found {
            assert!(ended.code == Some(0) && read_json(&ended.stdout)["clean"] == true, "{ended:?}");
        }
        pushed
    });
    server.wait_for_seq(pushed);
    let of_day = below(&project.data().join("offline"), "parquet").swap_remove(0);
    flip(&of_day);
    let found = project.run(&["check-data"]);
    let name = of_day.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(found.code == Some(1) && found.stdout.contains(&name) && found.stdout.contains("forebay rebuild offline"), "{found:?}");
    for part in ["state", "offline"] {
        let refused = project.run(&["rebuild", part]);
        assert!(refused.code == Some(1) && refused.stderr.contains("is in use by another process"), "{refused:?}");
    }
    let _ = server.push("events", &events(pushed, pushed + 1));
    server.wait_for_seq(pushed + 1);
    assert_eq!(server.stop(), Some(0));
    let _ = project.run(&["rebuild", "offline"]).ok();
    let _ = project.run(&["check-data"]).ok();
}

#[test]
fn a_rebuild_that_is_killed_at_any_moment_is_given_again() {
    let project = project();
    let before = answers(&project).expect("a whole folder answers");
    let whole = project.path("whole");
    copy(&project.data(), &whole);
    let mut chance = Chance::for_test(83);
    for (part, folder, kind) in [("state", "online", "sst"), ("offline", "offline", "parquet")] {
        fs::remove_dir_all(project.data()).expect("a folder");
        copy(&whole, &project.data());
        let damage = || below(&project.data().join(folder), kind).iter().for_each(|file| flip(file));
        damage();
        let start = Instant::now();
        let _ = project.run(&["rebuild", part]).ok();
        let mut whole_run = usize::try_from(start.elapsed().as_millis()).expect("a short time");
        let rebuilt = answers(&project).unwrap_or_else(|refused| panic!("{part} was built again: {refused}"));
        assert!(rebuilt == before, "{part}: the same values");
        damage();
        let (mut kill, mut cut_off) = (0, 0);
        // As many more as it takes to meet it at work: how fast this machine is changes from run to run.
        while kill < KILLS || cut_off <= KILLS / 4 {
            assert!(kill < 10 * KILLS, "{part}: {cut_off} of {kill} were cut off");
            let mut command = project.command(&["rebuild", part]);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
            // The last ones where one part takes the other's place, and what follows.
            let earliest = if kill % 2 == 0 { 0 } else { whole_run / 2 };
            std::thread::sleep(Duration::from_millis((earliest + chance.below(whole_run - earliest)) as u64));
            match child.try_wait().expect("its own child") {
                None => cut_off += 1,
                Some(_) => whole_run = (whole_run * 7 / 8).max(8),
            }
            child.kill().expect("its own child");
            child.wait().expect("its own child");
            match answers(&project) {
                Ok(after) => assert!(after == before, "{part}: another value after a kill"),
                Err(refused) => assert!(refused.contains("forebay ") || refused.contains("restore"), "{part}: {refused}"),
            }
            if project.run(&["check-data"]).code == Some(0) {
                damage();
            }
            kill += 1;
        }
        let _ = project.run(&["rebuild", part]).ok();
        assert!(answers(&project).expect("it is built again") == before, "{part}: the same values");
        let _ = project.run(&["check-data"]).ok();
        half_way(&project, part, folder, &before);
        let left = below(&project.data(), "rebuilding");
        assert!(left.is_empty() && !project.data().join(format!("{folder}.rebuilding")).exists(), "{left:?}");
        let server = project.serve();
        let _ = server.push("events", &events(EVENTS, EVENTS + 10));
        wait_for("new events", || (server.metric("forebay_committed_seq", "") >= (EVENTS + 10) as f64).then_some(()));
        assert_eq!(server.stop(), Some(0));
    }
}

/// Killed between the one rename and the other: nothing takes the folder for one that never had that part.
fn half_way(project: &Project, part: &str, folder: &str, before: &(Vec<String>, String)) {
    let (place, made) = (project.data().join(folder), project.data().join(format!("{folder}.rebuilding")));
    fs::rename(&place, &made).expect("the part");
    fs::write(made.join("BUILT"), "").expect("its mark");
    let refused = answers(project).expect_err("a part is missing");
    assert!(refused.contains("forebay ") || refused.contains("restore"), "{part}: {refused}");
    let catch_up = ["serve", "--until-caught-up", "--listen", "127.0.0.1:0"];
    for arguments in [&catch_up[..], &["push", "events", "spine.ndjson"], &["checkpoint", "backup"]] {
        let ended = project.run(arguments);
        assert!(ended.code == Some(1) && made.exists() && !place.exists(), "{part}: {arguments:?}: {ended:?}");
    }
    let ended = project.run(&["rebuild", part]).ok();
    assert!(ended.stdout.contains("was built by a run that was ended before it was in its place"), "{ended:?}");
    assert!(answers(project).expect("it is ended") == *before, "{part}: the same values");
}
