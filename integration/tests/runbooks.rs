//! The runbooks of `docs/operations.md`, followed command by command where what they are for has happened. Those of checkpoints
//! and of late events are followed where these are tested.

use std::fs;
use std::process::Command;

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::documents::{blocks, document, initial, runbook, shell};
use forebay_integration::folders::{damage_largest, here};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

/// 2026-01-31T00:00:00Z
const START: i64 = 1_769_817_600_000_000;

/// A payment of the project that `forebay init` writes.
fn payment(number: usize) -> Json {
    let time = rfc3339(START + number as i64 * 1_000_000);
    json!({"payment_id": format!("p{number}"), "user_id": number % 7, "amount": 1.5, "status": "approved", "event_time": time})
}

fn payments(from: usize, to: usize) -> Vec<Json> {
    (from..to).map(payment).collect()
}

/// That project, with events in Parquet and in the write-ahead log.
fn project() -> Project {
    let project = initial();
    let _ = project.push("payments", &payments(0, 2_000)).ok();
    project.catch_up();
    project
}

/// Runs the commands of a step, which are to end with that code.
fn step(project: &Project, step: &str, code: i32) -> String {
    let output = shell(&project.path(""), step);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{step}: {said}");
    said
}

/// What is looked up of every key.
fn values(project: &Project) -> Vec<String> {
    let value = |user: usize| {
        let user = format!("user_id={user}");
        let asked = ["lookup", "payment_v1", &user, "--request", "amount=20", "--as-of", "2026-01-31T00:20:00Z", "--output", "json"];
        let mut answer = read_json(&project.run(&asked).ok().stdout);
        answer["values"].take().to_string()
    };
    (0..7).map(value).collect()
}

#[test]
fn every_runbook_is_followed_by_a_test() {
    let text = document("operations.md");
    let runbooks = text.split("\n## Runbooks\n").nth(1).expect("runbooks").split("\n## ").next().expect("their end");
    let headings: Vec<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(headings.len() >= 10, "{headings:?}");
    let tests: String = ["tests/runbooks.rs", "tests/checkpoint/runbooks.rs", "tests/api_docs.rs"]
        .map(|file| fs::read_to_string(here(file)).expect("a test"))
        .concat();
    for heading in headings {
        assert!(tests.contains(&format!("\"{heading}\"")), "no test follows the runbook {heading}");
    }
}

#[test]
fn damaged_parts_are_found_and_built_again() {
    let project = project();
    let before = values(&project);
    let _ = step(&project, "forebay checkpoint backup", 0);
    let find = &runbook("Damage")[0];
    let clean = step(&project, find, 0);
    assert!(clean.contains("every checksum matches"), "{clean}");
    damage_largest(&project.data().join("offline"), "parquet");
    assert!(step(&project, find, 1).contains("forebay rebuild offline"));
    let rebuild = runbook("Build Parquet again");
    let _ = step(&project, &rebuild[0], 0);
    let _ = step(&project, find, 0);
    // Where everything is there, nothing is given up.
    let _ = step(&project, &rebuild[1], 0);
    damage_largest(&project.data().join("online"), "sst");
    assert!(step(&project, find, 1).contains("forebay rebuild state"));
    let _ = step(&project, &runbook("Build the state again")[0], 0);
    let _ = step(&project, find, 0);
    assert_eq!(values(&project), before);
    damage_largest(&project.data().join("log"), "blob");
    let found = step(&project, find, 1);
    assert!(found.contains("forebay rebuild log"), "{found}");
    let give_up = runbook("The log without what cannot be read");
    let said = step(&project, &give_up[0], 1);
    assert!(said.contains("topic payments partition") && said.contains("they were read"), "{said}");
    let dropped = step(&project, &give_up[1], 0);
    assert!(dropped.contains("log.damaged"), "{dropped}");
    let _ = step(&project, find, 0);
    assert_eq!(values(&project), before);
    let _ = project.push("payments", &payments(2_000, 2_010)).ok();
    project.catch_up();
    let _ = project.run(&["verify"]).ok();
    // It still is the folder that its checkpoints are of.
    let _ = step(&project, "forebay checkpoint backup", 0);
}

#[test]
fn a_stopped_folder_is_moved_by_a_copy() {
    let project = project();
    let before = values(&project);
    for commands in runbook("Move to another machine by a copy") {
        let _ = step(&project, &commands, 0);
    }
    fs::rename(project.data(), project.path("gone")).expect("the folder of before");
    fs::rename(project.path("elsewhere"), project.data()).expect("the copy");
    assert_eq!(values(&project), before);
    let _ = project.push("payments", &payments(2_000, 2_010)).ok();
    project.catch_up();
}

/// Whether a test may mount a disk of its own. Says so when not.
fn has_own_disks() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        println!("skipped: this machine lets nobody mount a disk of their own (unshare -rm mount -t tmpfs)");
    }
    may
}

/// A disk of its own, as small as that, on which a server is pushed to until it ends.
#[test]
fn a_full_disk_loses_nothing_and_goes_on() {
    if !has_own_disks() {
        return;
    }
    let project = initial();
    for round in 0..60 {
        let pad = |number: usize| {
            let mut payment = payment(number);
            // What no compression makes smaller.
            let mut chance = Chance::new(number as u64);
            payment["payment_id"] = json!((0..40).map(|_| format!("{:016x}", chance.bits())).collect::<String>());
            payment
        };
        project.write(&format!("round-{round}.ndjson"), ndjson(&(round * 1_000..(round + 1) * 1_000).map(pad).collect::<Vec<_>>()));
    }
    let fill = "
mkdir -p data
mount -t tmpfs -o size=40m none data
forebay serve --listen 127.0.0.1:0 > said 2>&1 &
server=$!
for wait in $(seq 200); do test -e data/server.json && break; sleep 0.05; done
pushed=0
for round in $(seq 0 59); do
  forebay push payments round-$round.ndjson > pushed 2>&1 || break
  pushed=$((pushed + 1))
done
code=0
wait $server || code=$?
echo $pushed $code > ended
mount -o remount,size=400m data
";
    let steps = runbook("Disk full").join("\n");
    let after = "forebay sources --output json > sources.json\nforebay check-data\nforebay verify\n";
    project.write("script", format!("set -eux\n{fill}{steps}\n{after}"));
    let output = shell(&project.path(""), "unshare -rm bash ./script");
    let said = || format!("{}\n{}\n{output:?}", project.read("said"), project.read("pushed"));
    assert!(output.status.success(), "{}", said());
    let ended = project.read("ended");
    let (pushed, code) = ended.trim().split_once(' ').expect("two numbers");
    let pushed: u64 = pushed.parse().expect("a number");
    assert_eq!(code, "1", "{}", said());
    assert!(pushed > 0 && pushed < 60, "{}", said());
    let sources = read_json(&project.read("sources.json"));
    let accepted = sources[0]["accepted"].as_u64().expect("a number");
    assert!((pushed * 1_000..=(pushed + 1) * 1_000).contains(&accepted), "{accepted} of {pushed} pushes: {}", said());
    assert!(project.read("said").contains("free some space"), "{}", said());
}

#[test]
fn topics_are_trimmed_as_shown() {
    let project = project();
    assert_eq!(project.push("payments", &[json!({"payment_id": 1})]).code, Some(1), "it goes to the dead letters");
    project.catch_up();
    let _ = project.run_with_input(&["topics", "write", "predictions", "-"], b"{\"score\":1}\n").ok();
    let shown = blocks(&document("operations.md"), "### What grows, and what bounds it", "sh").concat();
    let any_time = shown.replace("--before 2026-01-31", "--before 2999-01-31");
    assert_ne!(shown, any_time);
    let said = step(&project, &any_time, 0);
    assert!(said.contains("payments.dead: 1 record dropped") && said.contains("predictions: 0 records dropped"), "{said}");
    let _ = step(&project, &shown, 0);
}

/// A push that finds the disk full ends an idle server too: its log takes nothing more until it is opened again.
#[test]
fn a_push_to_an_idle_server_that_finds_the_disk_full_ends_it() {
    if !has_own_disks() {
        return;
    }
    let project = initial();
    let pad = |number: usize| {
        let mut chance = Chance::new(number as u64);
        let mut payment = payment(number);
        payment["payment_id"] = json!((0..40).map(|_| format!("{:016x}", chance.bits())).collect::<String>());
        payment
    };
    project.write("first.ndjson", ndjson(&payments(0, 100)));
    project.write("large.ndjson", ndjson(&(100..4_100).map(pad).collect::<Vec<_>>()));
    let script = "set -eux
mkdir -p data
mount -t tmpfs -o size=60m none data
forebay push payments first.ndjson
forebay serve --until-caught-up
forebay serve --listen 127.0.0.1:0 > said 2>&1 &
server=$!
for wait in $(seq 200); do test -e data/server.json && break; sleep 0.05; done
dd if=/dev/zero of=data/ballast bs=64k || true
forebay push payments large.ndjson > pushed 2>&1 && exit 9
code=0
wait $server || code=$?
echo $code > ended
rm data/ballast
forebay push payments large.ndjson
forebay serve --until-caught-up
forebay sources --output json > sources.json
forebay verify
";
    project.write("script", script);
    let output = shell(&project.path(""), "unshare -rm bash ./script");
    let said = || format!("{}\n{}\n{output:?}", project.read("said"), project.read("pushed"));
    assert!(output.status.success(), "{}", said());
    assert_eq!(project.read("ended").trim(), "1", "{}", said());
    assert!(project.read("said").contains("free some space"), "{}", said());
    assert_eq!(read_json(&project.read("sources.json"))[0]["accepted"], json!(4_100), "{}", said());
}
