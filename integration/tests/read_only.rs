//! A data folder that may only be read, on a disk that is mounted so and by its permissions: what only reads answers as it does
//! otherwise, what writes is refused by the folder's name with a way out, and nothing in the folder changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forebay_integration::harness::{Ended, Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source payments (id bigint, k bigint, x double, t timestamp)
from log 'payments' partitions 2 by k format json
event time t lateness '10 minutes' history '30 days';

entity thing (k bigint);
features things of thing from payments (n = count(*) over 1h, spend = sum(x) over 1d);
vector v on payments (things.*, x);
";

/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const AS_OF: &str = "2024-05-01T00:20:00Z";

const READS: &[&[&str]] = &[
    &["check"],
    &["plan"],
    &["sources"],
    &["state"],
    &["lookup", "v", "k=3", "--request", "x=2.5", "--as-of", AS_OF],
    &["explain", "v.spend_1d", "k=3", "--as-of", AS_OF],
    &["verify"],
    &["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"],
    &["topics", "list"],
    &["topics", "read", "payments", "--max", "5"],
    &["deadletters", "list"],
    &["deadletters", "show", "payments"],
    &["deadletters", "replay", "payments", "--dry-run"],
    &["check-data"],
    &["checkpoints", "list", "backup"],
    &["models", "list"],
];

const WRITES: &[&[&str]] = &[
    &["serve", "--until-caught-up", "--listen", "127.0.0.1:0"],
    &["serve", "--listen", "127.0.0.1:0"],
    &["push", "payments", "more.ndjson"],
    &["apply"],
    &["topics", "write", "others", "more.ndjson"],
    &["topics", "trim", "payments", "--keep", "1KiB"],
    &["deadletters", "replay", "payments"],
    &["rebuild", "state"],
    &["rebuild", "offline"],
    &["rebuild", "log"],
    &["checkpoint", "backup"],
    &["restore", "backup", "data"],
];

fn payment(id: usize) -> Json {
    json!({"id": id, "k": id % 7, "x": id as f64 / 4.0, "t": rfc3339(START + id as i64 * 1_000_000)})
}

/// Events in Parquet and in the state, a dead letter, a checkpoint.
fn project() -> Project {
    let project = Project::new(DEFINITIONS);
    let mut events: Vec<Json> = (0..1_000).map(payment).collect();
    events.push(json!({"id": 1, "k": "none"}));
    let _ = project.push("payments", &events).ok();
    project.catch_up();
    let _ = project.run(&["checkpoint", "backup"]).ok();
    project.write("spine.ndjson", ndjson(&[json!({"k": 3, "x": 1.0, "q": AS_OF})]));
    project.write("more.ndjson", ndjson(&[payment(1_000)]));
    project
}

/// Runs a command of this project behind words that make its folder one that may only be read.
fn behind(words: &[&str], project: &Project, arguments: &[&str]) -> Ended {
    let inner = project.command(arguments);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(inner.get_program()).args(inner.get_args()).current_dir(project.path(""));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Every file and folder below, with its size and when it was changed.
fn listing(folder: &Path) -> Vec<(PathBuf, u64, (i64, i64))> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let about = fs::symlink_metadata(&path).expect("an entry");
        found.push((path.clone(), about.len(), (about.mtime(), about.mtime_nsec())));
        if about.is_dir() {
            found.extend(listing(&path));
        }
    }
    found.sort();
    found
}

fn nothing_is_written(project: &Project, words: &[&str]) {
    let expected: Vec<Ended> = READS.iter().map(|arguments| project.run(arguments)).collect();
    let before = listing(&project.data());
    let mut wrong = Vec::new();
    for (arguments, expected) in READS.iter().zip(expected) {
        let ended = behind(words, project, arguments);
        if (ended.code, &ended.stdout) != (Some(0), &expected.stdout) {
            wrong.push(format!("{arguments:?}: {ended:?}, otherwise {expected:?}"));
        }
    }
    for arguments in WRITES {
        let ended = behind(words, project, arguments);
        let is_named = ["error: ", "data", "or choose another folder"].iter().all(|part| ended.stderr.contains(part));
        if ended.code != Some(1) || !is_named || ended.stderr.contains("panicked") {
            wrong.push(format!("{arguments:?}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(listing(&project.data()), before, "nothing changed");
}

#[test]
fn on_a_disk_that_is_mounted_read_only() {
    const MOUNT: &str = "mount --bind data data && mount -o remount,bind,ro data && exec \"$0\" \"$@\"";
    let words = ["unshare", "-rm", "sh", "-c", MOUNT];
    let project = project();
    let tried = Command::new(words[0]).args(&words[1..]).arg("true").current_dir(project.path("")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: this machine lets nobody mount a folder read only (unshare -rm mount --bind)");
        return;
    }
    nothing_is_written(&project, &words);
}

/// The bits bind root too once it has given up the right to pass over them.
#[test]
fn with_permissions_that_allow_no_writing() {
    let as_root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let gives_up = Command::new(as_root[0]).args(&as_root[1..]).arg("true").output().is_ok_and(|tried| tried.status.success());
    let words: &[&str] = if gives_up { &as_root } else { &["env"] };
    let project = project();
    let below = || listing(&project.data()).into_iter().map(|(path, ..)| path).chain([project.data()]);
    let permit = |write: u32| {
        for path in below() {
            let mode = fs::metadata(&path).expect("an entry").permissions().mode();
            fs::set_permissions(&path, fs::Permissions::from_mode((mode & !0o222) | write)).expect("its own file");
        }
    };
    permit(0);
    let tried = Command::new(words[0]).args(&words[1..]).args(["touch", "data/new"]).current_dir(project.path("")).output();
    if tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: permissions do not bind this user, and setpriv does not change that");
        return;
    }
    nothing_is_written(&project, words);
    permit(0o200);
}
