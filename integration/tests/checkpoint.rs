//! Checkpoints: copies of a data folder that is written to, from which an engine goes on as if nothing had been, whatever
//! happens on the way: a kill, a full disk, a file system without links, damage, a second restore.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Ended, Project, Server, binary, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

#[path = "checkpoint/buckets.rs"]
mod buckets;
#[path = "checkpoint/former.rs"]
mod former;
#[path = "checkpoint/runbooks.rs"]
mod runbooks;

const BATCH: usize = 20;
const KEYS: usize = 30;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const SECOND: i64 = 1_000_000;

/// One partition, so that an engine that was disturbed and one that was not see events in one order.
const DEFINITIONS: &str = "
source events (id bigint, k bigint, x double, t timestamp)
from log 'events' partitions 1
format json
event time t
lateness '1 hour' history '60 days'
dedup by id within '1 hour';

entity thing (k bigint);

features things of thing from events (
  n = count(*) over 10m,
  spend = sum(x) over 1h,
  most = max(x) over 1h,
  spread = stddev_pop(x) over all as spread,
  ever = count(*) over all as ever,
  newest = last(id) over all as newest,
);

vector v on events (things.n_10m, things.spend_1h, things.max_x_1h, x);
vector everything on events (things.*);

model linear from 'models/linear_4.onnx' takes v
  score events into topic 'predictions';
";

/// Every record can be made again from its number. One in fifty is none, one in thirty comes twice.
fn record(number: usize) -> Json {
    if number % 50 == 49 {
        return json!({"id": number, "k": "none", "t": "never"});
    }
    let id = if number % 30 == 29 { number - 1 } else { number };
    let mut chance = Chance::new(id as u64);
    let time = START + id as i64 * SECOND - chance.between(0, 300) * SECOND;
    json!({"id": id, "k": chance.below(KEYS), "x": chance.between(0, 10_000) as f64 / 100.0, "t": rfc3339(time)})
}

fn records(from: usize, to: usize) -> Vec<Json> {
    (from..to).map(record).collect()
}

fn project() -> Project {
    let project = Project::new(&DEFINITIONS.replace("max(x) over 1h,", "max(x) over 1h as max_x_1h,"));
    project.write("features/models/linear_4.onnx", fs::read(here("fixtures/linear_4.onnx")).expect("a fixture"));
    project
}

/// A project whose data and definitions are those of a checkpoint, and nothing else.
fn restored(from: &str, arguments: &[&str], environment: &[(&str, String)]) -> (Project, Ended) {
    let project = Project::new("");
    fs::remove_dir_all(project.path("features")).expect("its features");
    let mut all = vec!["restore", from, "data", "--output", "json"];
    all.extend(arguments);
    let mut command = project.command(&all);
    let ended = ended(command.envs(environment.iter().map(|(name, value)| (*name, value))));
    if ended.code == Some(0) {
        fs::rename(project.data().join("features"), project.path("features")).expect("the features of the checkpoint");
    }
    (project, ended)
}

fn ended(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Pushes to a server until told to stop; how many records were acknowledged.
fn while_events_come<T>(server: &Server, from: usize, work: impl FnOnce(&AtomicUsize) -> T) -> (T, usize) {
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(from));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let next = count.load(Ordering::SeqCst);
                let _ = server.push("events", &records(next, next + BATCH));
                count.store(next + BATCH, Ordering::SeqCst);
            }
        });
        let result = work(&count);
        stop.store(true, Ordering::SeqCst);
        result
    });
    (result, count.load(Ordering::SeqCst))
}

/// All values, predictions, dead letters and counts of two projects are the same.
fn assert_same(one: &Project, other: &Project, last: usize, which: &str) {
    let without_when = |topic: &str, project: &Project| {
        let clean = |mut value: Json| {
            if let Some(object) = value.as_object_mut() {
                object.retain(|name, _| name != "latency_us");
            }
            value
        };
        read_topic(project, topic).into_iter().map(|record| (record.offset, clean(record.value))).collect::<Vec<_>>()
    };
    for topic in ["events", "predictions", "events.dead"] {
        let (ours, theirs) = (without_when(topic, one), without_when(topic, other));
        assert_eq!(ours.len(), theirs.len(), "{which}: records of {topic}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{which}: {topic}");
        }
    }
    let sources = |project: &Project| read_json(&project.run(&["sources", "--output", "json"]).ok().stdout)[0].clone();
    let (ours, theirs) = (sources(one), sources(other));
    for name in ["accepted", "duplicate", "too_late", "rejected"] {
        assert_eq!(ours[name], theirs[name], "{which}: {name}");
    }
    let (one, other) = (one.serve(), other.serve());
    let mut chance = Chance::new(4);
    for _ in 0..10 {
        let keys: Vec<Json> = (0..KEYS).map(|k| json!({"k": k})).collect();
        let request = json!({"keys": keys, "as_of": rfc3339(chance.between(START, START + last as i64 * SECOND))});
        assert_eq!(one.lookup("everything", &request), other.lookup("everything", &request), "{which}: {}", request["as_of"]);
    }
    assert_eq!((one.stop(), other.stop()), (Some(0), Some(0)));
}

/// An engine that nothing happened to.
fn undisturbed(count: usize) -> Project {
    let project = project();
    let _ = project.push("events", &records(0, count)).ok();
    project.catch_up();
    project
}

fn checkpoint(project: &Project, to: &str) -> Json {
    read_json(&project.run(&["checkpoint", to, "--output", "json"]).ok().stdout)
}

#[test]
fn an_engine_goes_on_from_a_checkpoint_that_was_made_while_events_came() {
    if !onnx_runtime() {
        return;
    }
    let project = project();
    let server = project.serve();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let elsewhere = memory.path().display().to_string();
    let ((), count) = while_events_come(&server, 0, |count| {
        for round in 1..=3 {
            wait_for("events", || (count.load(Ordering::SeqCst) > round * 300).then_some(()));
            let made = checkpoint(&project, "backup");
            assert_eq!(made["checkpoint"], format!("{round:08}"));
            println!("writers waited for {} ms, {} s in all", made["paused_ms"], made["seconds"]);
            assert!(made["paused_ms"].as_f64().expect("a pause") < 5_000.0);
        }
        let first = checkpoint(&project, &elsewhere);
        let second = checkpoint(&project, &elsewhere);
        assert!(second["new_bytes"].as_u64() < first["bytes"].as_u64(), "what the first holds is not copied again: {first} {second}");
    });
    assert!(!project.data().join("checkpoint").exists(), "nothing is left of them beside the data");
    server.kill();
    let total = count + 500;
    let reference = undisturbed(total);
    for (from, at) in [("backup", "1"), ("backup", "00000003"), (elsewhere.as_str(), "2")] {
        let path = project.path(from).display().to_string();
        let (copy, ended) = restored(&path, &["--at", at], &[]);
        let _ = ended.ok();
        let held = read_topic(&copy, "events").len();
        assert!(held > 0 && held <= count && held.is_multiple_of(BATCH), "{held} of {count}: whole batches, as they were acknowledged");
        // Its definitions lie elsewhere than where they were restored to.
        let _ = copy.run(&["apply"]).ok();
        let verified = copy.run(&["verify", "everything"]).ok();
        assert!(verified.stdout.contains("the same bits"), "{}", verified.stdout);
        let server = copy.serve();
        for batch in records(held, total).chunks(BATCH) {
            let _ = server.push("events", batch);
        }
        assert_eq!(server.stop(), Some(0));
        copy.catch_up();
        assert_same(&copy, &reference, total, &format!("{from} at {at}"));
    }
}

/// What the status says of checkpoints that are not made.
fn problem(server: &Server) -> Option<String> {
    let status = read_json(&server.get("/v1/status").1);
    let mut problems = status["problems"].as_array().into_iter().flatten().filter_map(Json::as_str);
    problems.find(|text| text.starts_with("checkpoints: ")).map(str::to_owned)
}

/// A stopped project with a checkpoint of two moments in `backup`.
fn with_two() -> Project {
    let project = project();
    for (from, to) in [(0, 200), (200, 400)] {
        let _ = project.push("events", &records(from, to)).ok();
        project.catch_up();
        checkpoint(&project, "backup");
    }
    project
}

#[test]
fn a_stopped_folder_is_copied_bit_for_bit_by_links() {
    let project = with_two();
    let files = files_below(&project.data());
    let (copies, originals): (Vec<_>, Vec<_>) = (files_below(&project.path("backup/00000002")), files);
    let never_changed = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "sst" || extension == "parquet");
    let inodes =
        |paths: &[PathBuf]| paths.iter().filter(never_changed).map(|path| fs::metadata(path).expect("a file").ino()).collect::<Vec<_>>();
    let (mut ours, mut theirs) = (inodes(&copies), inodes(&originals));
    ours.sort_unstable();
    theirs.sort_unstable();
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs, "tables and Parquet are links");
    let listed = project.run(&["checkpoints", "list", "backup", "--output", "json"]).ok();
    let listed = read_json(&listed.stdout);
    assert_eq!((&listed[0]["checkpoint"], &listed[1]["checkpoint"]), (&json!("00000001"), &json!("00000002")));
    let kept = project.run(&["checkpoint", "backup", "--keep", "2"]).ok();
    assert!(kept.stdout.contains("1 older ones are removed"), "{}", kept.stdout);
    assert!(!project.path("backup/00000001").exists());
    // One that cannot be removed: the new one counts all the same.
    fs::create_dir_all(project.path("backup/00000002.partial/in the way")).expect("a folder");
    let made = project.run(&["checkpoint", "backup", "--keep", "2"]).ok();
    assert!(made.stdout.contains("older ones cannot be removed") && project.path("backup/00000004").exists(), "{}", made.stdout);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so() {
    let project = with_two();
    let backup = project.path("backup").display().to_string();
    // A file of its own: of a link, the first checkpoint would be damaged too.
    let manifest = project.path("backup/00000002/online/CURRENT");
    let content = fs::read(&manifest).expect("a file");
    fs::remove_file(&manifest).expect("a file");
    fs::write(&manifest, [&content[..5], b"0", &content[6..]].concat()).expect("a file");
    let (_, exact) = restored(&backup, &["--exact"], &[]);
    assert_eq!(exact.code, Some(1));
    assert!(exact.stderr.contains("CURRENT is not what was written"), "{}", exact.stderr);
    let (copy, fallen) = restored(&backup, &[], &[]);
    let fallen = fallen.ok();
    assert!(fallen.stderr.contains("warning: checkpoint 00000002 is damaged, an older one is restored"), "{}", fallen.stderr);
    let answer = read_json(&fallen.stdout);
    assert_eq!((&answer["checkpoint"], &answer["damaged"][0]["checkpoint"]), (&json!("00000001"), &json!("00000002")));
    copy.catch_up();
    assert_eq!(read_topic(&copy, "events").len(), 200);

    // Each kind of damage, in each kind of file.
    for file in files_below(&project.path("backup/00000001")) {
        let content = fs::read(&file).expect("a file");
        let flipped =
            || content.iter().enumerate().map(|(at, byte)| if at == content.len() / 2 { byte ^ 1 } else { *byte }).collect::<Vec<u8>>();
        let damages = [None, Some(content[..content.len() / 2].to_vec()), Some(flipped())];
        fs::remove_file(&file).expect("a file");
        for damage in damages.into_iter().filter(|damage| damage.as_ref() != Some(&content)) {
            if let Some(bytes) = &damage {
                fs::write(&file, bytes).expect("a file");
            }
            let (copy, ended) = restored(&backup, &["--at", "1"], &[]);
            assert_eq!(ended.code, Some(1), "{}", file.display());
            assert!(!copy.data().join("online").exists(), "{}: nothing that could be served is left", file.display());
        }
        fs::write(&file, content).expect("a file");
    }
}

#[test]
fn a_folder_is_restored_once_and_counts_only_when_it_is_whole() {
    let project = with_two();
    let backup = project.path("backup").display().to_string();
    let (copy, ended) = restored(&backup, &[], &[]);
    let _ = ended.ok();
    let again = copy.run(&["restore", &backup, "data"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("data is not empty"), "{}", again.stderr);

    // Two at once: one makes it, and the other is refused.
    let both = Project::new("");
    let start = || both.command(&["restore", &backup, "data"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let outputs = [start(), start()].map(|child| child.wait_with_output().expect("it ends"));
    let codes: Vec<_> = outputs.iter().map(|output| output.status.code()).collect();
    assert!(codes == [Some(0), Some(1)] || codes == [Some(1), Some(0)], "{outputs:?}");

    // One that was killed leaves a folder that nothing opens.
    let halves = Project::new("source s (t timestamp) from log 's' format json event time t;");
    fs::create_dir_all(halves.data()).expect("a folder");
    fs::write(halves.data().join("restoring.json"), "{\"pid\":1}").expect("a mark");
    for arguments in [&["serve", "--until-caught-up"][..], &["push", "s", "nothing.ndjson"], &["state"], &["restore", &backup, "data"]] {
        halves.write("nothing.ndjson", "{\"t\":\"2024-05-01T00:00:00Z\"}\n");
        let refused = halves.run(arguments);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("data is not restored to its end"), "{arguments:?}: {}", refused.stderr);
    }
}

#[test]
fn a_checkpoint_that_is_interrupted_is_none_and_leaves_nothing_in_the_way() {
    let project = project();
    let server = project.serve();
    let _ = server.push("events", &records(0, 2_000));
    let mut chance = Chance::for_test(44);
    for _ in 0..8 {
        let mut child = project.command(&["checkpoint", "backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(chance.below(700) as u64));
        drop(child.kill());
        drop(child.wait());
        let listed = read_json(&project.run(&["checkpoints", "list", "backup", "--output", "json"]).ok().stdout);
        assert!(listed.as_array().expect("a list").iter().all(|one| one["manifest"] == "ok"), "{listed}");
    }
    checkpoint(&project, "backup");
    assert!(!project.data().join("checkpoint").exists());
    let _ = project.run(&["checkpoint", "backup", "--prune"]).ok();
    let left = fs::read_dir(project.path("backup")).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("partial")));
    // The server itself is killed while it copies: its folder is as it was, and what was copied is removed at the start.
    let mut child = project.command(&["checkpoint", "backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(60));
    server.kill();
    drop(child.wait());
    let server = project.serve();
    assert!(!project.data().join("checkpoint").exists());
    assert_eq!(server.stop(), Some(0));
    let backup = project.path("backup").display().to_string();
    let (copy, ended) = restored(&backup, &[], &[]);
    let _ = ended.ok();
    assert_eq!(read_topic(&copy, "events").len(), 2_000);
}

#[test]
fn nobody_but_who_has_the_lock_has_a_server_copy() {
    let project = project();
    let server = project.serve();
    let _ = server.push("events", &records(0, 100));
    checkpoint(&project, "backup");
    let stale = fs::read_to_string(project.data().join("checkpoint.lock")).expect("the lock of the last one");
    for nonce in [stale.as_str(), "", "../../elsewhere", "00000000000000000000000000000000"] {
        let (status, answer) = server.post("/v1/admin/copy", &json!({"nonce": nonce}));
        assert_eq!(status, 409, "{answer}");
    }
    assert_eq!(server.post("/v1/admin/copy", &json!([1])).0, 400);
    assert!(!project.data().join("checkpoint").exists());
    assert_eq!(server.stop(), Some(0));
}

/// A file system that refuses links, as far as that can be had without privileges.
#[test]
fn where_there_are_no_links_files_are_copied() {
    let project = project();
    let source = project.write("no_links.c", "#include <errno.h>\nint link(const char *a, const char *b) { errno = EPERM; return -1; }\nint linkat(int a, const char *b, int c, const char *d, int e) { errno = EPERM; return -1; }\n");
    let library = project.path("no_links.so");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.expect("a C compiler, which the build needs too").success());
    let preload = [("LD_PRELOAD", library.display().to_string())];
    let command = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.envs(preload.iter().map(|(name, value)| (*name, value)));
        command
    };
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = serving.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let address = wait_for("the server", || {
        let announced = read_json(&fs::read_to_string(project.data().join("server.json")).ok()?);
        announced["listen"].as_str().map(str::to_owned)
    });
    let _ = wait_for("events to be taken", || {
        let sent = ureq::post(format!("http://{address}/v1/sources/events/events"));
        let lines: String = records(0, 400).iter().map(|record| format!("{record}\n")).collect();
        sent.header("content-type", "application/x-ndjson").send(lines.as_bytes()).ok()
    });
    for _ in 0..2 {
        let _ = self::ended(&mut command(&["checkpoint", "backup"])).ok();
    }
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill is there");
    assert!(stopped.success() && child.wait().expect("it ends").success());
    let _ = self::ended(&mut command(&["checkpoint", "backup"])).ok();
    for at in ["1", "3"] {
        let (copy, ended) = restored(&project.path("backup").display().to_string(), &["--at", at], &[]);
        let _ = ended.ok();
        copy.catch_up();
        assert_eq!(read_topic(&copy, "events").len(), 400, "at {at}");
    }
}

/// No file may grow past a limit, at each step: beside the data, in the place of checkpoints, in the folder to restore into.
#[test]
fn a_disk_that_is_full_ends_no_server_and_leaves_no_half_checkpoint() {
    let project = with_two();
    let limited = |arguments: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 4; exec {} {arguments} --data data --features features", binary().display());
        ended(Command::new("bash").arg("-c").arg(script).current_dir(project.path("")))
    };
    for arguments in ["checkpoint /dev/shm/forebay-nowhere/../forebay-full", "restore backup restored"] {
        let refused = limited(arguments);
        assert_eq!(refused.code, Some(1), "{arguments}: {}", refused.stderr);
        assert!(refused.stderr.contains("error: ") && !refused.stderr.contains("panicked"), "{arguments}: {}", refused.stderr);
    }
    let left =
        fs::read_dir("/dev/shm/forebay-full").into_iter().flatten().flatten().filter(|entry| entry.path().join("checkpoint.json").exists());
    assert_eq!(left.count(), 0);
    let _ = fs::remove_dir_all("/dev/shm/forebay-full");
    assert!(fs::read_dir(project.path("restored")).is_ok_and(|mut entries| entries.next().is_none()), "the folder is empty again");
    let _ = project.run(&["restore", "backup", "restored"]).ok();
}

#[test]
fn a_running_server_makes_them_by_itself_and_keeps_so_many() {
    let project = project();
    project.write("forebay.toml", "checkpoint_to = 'backup'\ncheckpoint_every = '1s'\ncheckpoint_keep = 2\n");
    let server = project.serve();
    let _ = server.push("events", &records(0, 100));
    let numbers = || {
        let entries = fs::read_dir(project.path("backup")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    wait_for("the fourth checkpoint", || numbers().contains(&"00000004".to_owned()).then_some(()));
    wait_for("the first two to go", || numbers().iter().all(|name| name.as_str() > "00000002").then_some(()));
    assert_eq!(read_json(&server.get("/v1/status").1)["problems"], json!([]));
    assert!(server.metric("forebay_checkpoint_timestamp_seconds", "") > 1.7e9);
    // A place that cannot be written is a problem until it can be again.
    fs::rename(project.path("backup"), project.path("kept")).expect("a folder");
    fs::write(project.path("backup"), "in the way").expect("a file");
    let said = wait_for("a problem", || problem(&server));
    assert!(said.contains("backup"), "{said}");
    let _ = server.push("events", &records(100, 200));
    fs::remove_file(project.path("backup")).expect("a file");
    fs::rename(project.path("kept"), project.path("backup")).expect("a folder");
    wait_for("the problem to go", || problem(&server).is_none().then_some(()));
    assert_eq!(server.stop(), Some(0));
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
