//! A data folder whose parts do not belong together, or that is a copy of one in use: each command says so, or does what it is
//! asked to this very folder.

use std::fs;

use forebay_integration::folders::{copy, damage_largest};
use forebay_integration::harness::{Ended, Project};
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source ev (id bigint, k bigint, x double, t timestamp)
from log 'ev' format json
event time t lateness '1 hour' history '60 days';
entity thing (k bigint);
features f of thing from ev (n = count(*) over 30d);
vector v on ev (f.*);
";

fn events(ids: std::ops::Range<u64>) -> Vec<Json> {
    let event = |id: u64| json!({"id": id, "k": id % 3, "x": 1.5, "t": format!("2024-05-01T00:{:02}:{:02}Z", id / 60 % 60, id % 60)});
    ids.map(event).collect()
}

fn end_of(topics: &Ended) -> Option<u64> {
    let rows: Json = serde_json::from_str(&topics.stdout).ok()?;
    rows.as_array()?.iter().find(|row| row["topic"] == "ev")?["end"].as_u64()
}

fn at(project: &Project, data: &str, arguments: &[&str]) -> Ended {
    let all: Vec<&str> = arguments.iter().copied().chain(["--output", "json", "--data", data, "--features", "features"]).collect();
    let mut command = std::process::Command::new(forebay_integration::harness::binary());
    let output = command.current_dir(project.path("")).args(all).output().expect("the binary can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_copy_of_a_running_folder_is_no_way_into_it() {
    let project = Project::new(DEFINITIONS);
    let _ = project.push("ev", &events(0..10)).ok();
    let server = project.serve();
    server.wait_for_seq(10);
    project.write("more.ndjson", forebay_integration::harness::ndjson(&events(10..15)));
    copy(&project.data(), &project.path("copied"));
    std::os::unix::fs::symlink(project.data(), project.path("linked")).expect("a link");
    let pushed = at(&project, "copied", &["push", "ev", "more.ndjson"]).ok();
    assert!(pushed.stdout.contains("\"accepted\": 5") || pushed.stdout.contains("\"accepted\":5"), "{pushed:?}");
    assert_eq!(end_of(&at(&project, "copied", &["topics", "list"]).ok()), Some(15));
    assert_eq!(end_of(&at(&project, "data", &["topics", "list"]).ok()), Some(10), "the original has what it had");
    let _ = at(&project, "linked", &["push", "ev", "more.ndjson"]).ok();
    assert_eq!(end_of(&at(&project, "data", &["topics", "list"]).ok()), Some(15), "by another name it is the same folder");
    assert_eq!(server.stop(), Some(0));
}

/// Each part away: no command answers from what is left.
#[test]
fn no_command_answers_without_a_part() {
    let project = Project::new(DEFINITIONS);
    let _ = project.push("ev", &events(0..50)).ok();
    project.catch_up();
    project.write("spine.ndjson", "{\"k\":1,\"t\":\"2024-05-02T00:00:00Z\"}\n");
    let commands: [&[&str]; 8] = [
        &["serve", "--until-caught-up"],
        &["push", "ev", "spine.ndjson"],
        &["lookup", "v", "k=1"],
        &["training-set", "v", "--spine", "spine.ndjson", "--time", "t", "--out", "out.parquet"],
        &["explain", "v.n_30d", "k=1"],
        &["verify"],
        &["state"],
        &["topics", "list"],
    ];
    for part in ["log", "online", "offline"] {
        let (here, away) = (project.data().join(part), project.path("away"));
        fs::rename(&here, &away).expect("a part");
        for command in commands {
            let refused = project.run(command);
            assert_eq!(refused.code, Some(1), "{part} {command:?}: {refused:?}");
            assert!(refused.stderr.contains(&format!("{part}/ is missing")), "{part} {command:?}: {refused:?}");
        }
        assert!(!here.exists(), "{part} was made anew");
        fs::rename(&away, &here).expect("a part");
    }
    let _ = project.run(&["verify"]).ok();
    project.write("data/folder.json", r#"{"version":9,"written_by":"7.0.0","identity":"","parts":[]}"#);
    for command in commands {
        let refused = project.run(command);
        assert!(refused.code == Some(1) && refused.stderr.contains("written by forebay 7.0.0"), "{command:?}: {refused:?}");
    }
}

/// A killed server's write-ahead logs, with a byte flipped or an end cut off at many places: all that was acknowledged is there,
/// or the start refuses by name.
#[test]
fn a_damaged_write_ahead_log_loses_nothing_in_silence() {
    let project = Project::new(DEFINITIONS);
    let server = project.serve();
    for step in 0..20 {
        let _ = server.push("ev", &events(step * 10..step * 10 + 10));
    }
    server.wait_for_seq(200);
    server.kill();
    let whole = project.path("whole");
    fs::rename(project.data(), &whole).expect("the folder");
    let [mut refused, mut kept] = [0, 0];
    for part in ["log", "online"] {
        let files = fs::read_dir(whole.join(part)).expect("a part").map(|entry| entry.expect("a file").path());
        for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
            let bytes = fs::read(&file).expect("a file");
            let places = (0..bytes.len()).step_by((bytes.len() / 6).max(1));
            for (place, is_cut) in places.flat_map(|place| [(place, false), (place, true)]) {
                let _ = fs::remove_dir_all(project.data());
                copy(&whole, &project.data());
                let mut bad = bytes.clone();
                if is_cut {
                    bad.truncate(place)
                } else {
                    bad[place] ^= 0x10
                }
                fs::write(project.data().join(part).join(file.file_name().expect("a name")), bad).expect("a file");
                let topics = at(&project, "data", &["topics", "list"]);
                match topics.code {
                    Some(0) => {
                        assert_eq!(end_of(&topics), Some(200), "{part} {place} {is_cut}");
                        let sources: Json = serde_json::from_str(&at(&project, "data", &["sources"]).ok().stdout).expect("sources");
                        assert_eq!(sources[0]["accepted"], json!(200), "{part} {place} {is_cut}");
                        kept += 1;
                    }
                    _ => {
                        let said = ["restore the whole data folder", "forebay rebuild state"];
                        assert!(said.iter().any(|said| topics.stderr.contains(said)), "{part} {place} {is_cut}: {topics:?}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 0, "nothing was refused, {kept} were kept");
}

/// Records of one push: enough for a block that lies in a file of blobs.
const EACH: u64 = 200;

/// What a damaged log is without what cannot be read of it: the command says what that is, drops it only when it is given up, and
/// all goes on behind it.
#[test]
fn a_damaged_log_is_made_again_without_what_it_says() {
    for (read_all, kind) in [(true, "log"), (false, "log"), (true, "blob"), (false, "blob")] {
        let project = Project::new(DEFINITIONS);
        for step in 0..20 {
            let _ = project.push("ev", &events(step * EACH..(step + 1) * EACH)).ok();
        }
        let _ = project.run(&["rebuild", "log"]).ok();
        if read_all {
            project.catch_up();
        }
        if kind == "log" {
            // Killed, so that what was written last lies in the write-ahead log.
            let server = project.serve();
            for step in 20..40 {
                let _ = server.push("ev", &events(step * EACH..(step + 1) * EACH));
            }
            server.wait_for_seq(40 * EACH as usize);
            server.kill();
        }
        damage_largest(&project.data().join("log"), kind);
        let events_before = if kind == "log" { 40 * EACH } else { 20 * EACH };
        let refused = project.run(&["rebuild", "log"]);
        assert_eq!(refused.code, Some(1), "{read_all} {kind}: {refused:?}");
        assert!(
            refused.stderr.contains("forebay rebuild log --give-up") && refused.stderr.contains("topic ev partition 0 offsets"),
            "{refused:?}"
        );
        let dropped = project.run(&["rebuild", "log", "--give-up", "--output", "json"]).ok();
        let dropped: Json = serde_json::from_str(&dropped.stdout).expect("an object");
        let told: Vec<&str> =
            dropped["lost"].as_array().expect("what was lost").iter().filter_map(|lost| lost["meaning"].as_str()).collect();
        let unread: u64 = told
            .iter()
            .filter_map(|meaning| meaning.split_once(" of them were not read yet")?.0.strip_prefix("up to ")?.parse::<u64>().ok())
            .sum();
        assert_eq!(unread > 0, !read_all && kind == "blob", "{dropped}");
        let _ = project.run(&["check-data"]).ok();
        let _ = project.push("ev", &events(40 * EACH..41 * EACH)).ok();
        project.catch_up();
        let counted = project.run(&["sources", "--output", "json"]).ok();
        let counted: Json = serde_json::from_str(&counted.stdout).expect("sources");
        assert_eq!(counted[0]["accepted"], json!(events_before - unread + EACH), "{read_all} {kind}: {dropped}");
        let _ = project.run(&["verify"]).ok();
        let _ = project.run(&["check-data"]).ok();
        let nothing = project.run(&["rebuild", "log"]).ok();
        assert!(nothing.stdout.contains("nothing was changed"), "{nothing:?}");
    }
}

/// The same where small blocks of several partitions and topics lie in one block of a table.
#[test]
fn a_damaged_table_of_the_log_costs_what_it_held() {
    let project = Project::new(&DEFINITIONS.replace("from log 'ev'", "from log 'ev' partitions 2"));
    let server = project.serve();
    for id in 0..300 {
        let _ = server.push("ev", &events(id..id + 1));
        if id % 10 == 0 {
            let _ = server.push("ev", &[json!({"id": "none"})]);
        }
    }
    server.wait_for_seq(300);
    assert_eq!(server.stop(), Some(0));
    let whole = project.path("whole");
    fs::rename(project.data(), &whole).expect("the folder");
    let files = fs::read_dir(whole.join("log")).expect("a log").map(|entry| entry.expect("a file").path());
    let tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "sst")).collect();
    let mut mended = 0;
    for table in &tables {
        let bytes = fs::read(table).expect("a table");
        for part in 0..4 {
            let _ = fs::remove_dir_all(project.data());
            copy(&whole, &project.data());
            let mut bad = bytes.clone();
            bad[bytes.len() * part / 4 + 20] ^= 0x10;
            fs::write(project.data().join("log").join(table.file_name().expect("a name")), bad).expect("a file");
            let about = format!("{} {part}", table.display());
            let refused = project.run(&["rebuild", "log"]);
            let made = project.run(&["rebuild", "log", "--give-up"]);
            if made.code != Some(0) {
                // What says which topics there are: only a copy helps, and both say so.
                assert!(refused.stderr.contains("restore") && made.stderr.contains("restore"), "{about}: {refused:?} {made:?}");
                continue;
            }
            mended += usize::from(refused.code != Some(0));
            let _ = project.run(&["check-data"]).ok();
            let _ = project.push("ev", &events(300..320)).ok();
            project.catch_up();
            let counted: Json = serde_json::from_str(&project.run(&["sources", "--output", "json"]).ok().stdout).expect("sources");
            assert_eq!(counted[0]["accepted"], json!(320), "{about}");
            let _ = project.run(&["verify"]).ok();
            let nothing = project.run(&["rebuild", "log"]).ok();
            assert!(nothing.stdout.contains("nothing was changed"), "{about}: {nothing:?}");
        }
    }
    assert!(mended > 0, "no damage of {tables:?} was met");
}

/// Parquet that is gone, or is what it was before: built again from the log, it holds what it held.
#[test]
fn parquet_that_is_gone_or_older_is_built_again() {
    let project = Project::new(DEFINITIONS);
    let _ = project.push("ev", &events(0..100)).ok();
    project.catch_up();
    let [offline, older, whole] = ["data/offline", "older", "whole"].map(|name| project.path(name));
    copy(&offline, &older);
    let _ = project.push("ev", &events(100..250)).ok();
    project.catch_up();
    project.write("spine.ndjson", "{\"k\":1,\"t\":\"2024-05-02T00:00:00Z\"}\n");
    let trained = || {
        let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--time", "t", "--out", "out.ndjson"]).ok();
        project.read("out.ndjson")
    };
    let before = trained();
    copy(&offline, &whole);
    for older in [None, Some(&older)] {
        fs::remove_dir_all(&offline).expect("a part");
        if let Some(older) = older {
            copy(older, &offline);
        }
        let refused = project.run(&["verify"]);
        assert!(refused.code == Some(1) && refused.stderr.contains("forebay rebuild offline"), "{older:?}: {refused:?}");
        let built = project.run(&["rebuild", "offline"]).ok();
        assert!(built.stdout.contains("250 events"), "{older:?}: {built:?}");
        assert_eq!(trained(), before, "{older:?}");
        let _ = project.run(&["verify"]).ok();
        let _ = project.run(&["check-data"]).ok();
    }
    // Both that are derived: the log begins again.
    fs::remove_dir_all(&offline).expect("a part");
    fs::remove_dir_all(project.path("data/online")).expect("a part");
    let refused = project.run(&["rebuild", "state"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("forebay rebuild offline"), "{refused:?}");
    let _ = project.run(&["rebuild", "offline"]).ok();
    let _ = project.run(&["rebuild", "state"]).ok();
    project.catch_up();
    assert_eq!(trained(), before);
    let _ = project.run(&["verify"]).ok();
}
