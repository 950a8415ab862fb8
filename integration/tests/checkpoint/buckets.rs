//! Checkpoints in an object store: that only what is new goes there, and what a store that is away, slow or refuses does to
//! them and to the engine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use forebay_integration::buckets::{Buckets, Door};

use super::*;

/// The arguments with the variables by which the store is reached.
fn run(project: &Project, store: &Buckets, arguments: &[&str]) -> Ended {
    let mut command = project.command(arguments);
    command.envs(store.environment()).env("FOREBAY_CHECKPOINT_PATIENCE", "2s");
    ended(&mut command)
}

fn made(project: &Project, store: &Buckets, to: &str) -> Json {
    read_json(&run(project, store, &["checkpoint", to, "--output", "json"]).ok().stdout)
}

#[test]
fn only_what_is_new_goes_to_a_bucket_and_all_of_it_comes_back() {
    let Some(store) = Buckets::start() else { return };
    let (project, place) = (project(), store.place("one"));
    let server = project.serve();
    let _ = server.push("events", &records(0, 3_000));
    let first = made(&project, &store, &place);
    let _ = server.push("events", &records(3_000, 3_100));
    let second = made(&project, &store, &place);
    let (new, all) = (first["new_bytes"].as_u64().expect("bytes"), first["bytes"].as_u64().expect("bytes"));
    assert!(new <= all && new > all / 10 * 9, "all but equal files: {first}");
    assert!(second["new_bytes"].as_u64() < second["bytes"].as_u64(), "what the first holds is not sent again: {first} {second}");
    server.kill();
    let (copy, ended) = restored(&place, &[], &store.environment());
    let answer = read_json(&ended.ok().stdout);
    assert_eq!(answer["checkpoint"], "00000002");
    copy.catch_up();
    assert_same(&copy, &undisturbed(3_100), 3_100, "from a bucket");

    // Another data folder does not mix with them.
    let other = self::project();
    let _ = other.push("events", &records(0, 10)).ok();
    other.catch_up();
    let refused = run(&other, &store, &["checkpoint", &place]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("holds checkpoints of another data folder"), "{}", refused.stderr);

    // A damaged part of the newest alone: the one before it is taken.
    let parts = store.names("one/parts");
    let of = |at: &str| {
        let mut command = project.command(&["restore", &place, "elsewhere", "--at", at, "--output", "json"]);
        let ended = self::ended(command.envs(store.environment()));
        drop(fs::remove_dir_all(project.path("elsewhere")));
        ended.code
    };
    assert_eq!((of("1"), of("2")), (Some(0), Some(0)));
    // Parts that the first checkpoint does not need.
    let newest = parts.iter().find(|part| {
        let before = store.content(part);
        store.overwrite(part, b"damaged");
        let is_of_the_second = of("1") == Some(0) && of("2") == Some(1);
        if !is_of_the_second {
            store.overwrite(part, &before);
        }
        is_of_the_second
    });
    assert!(newest.is_some(), "the second checkpoint has a part of its own");
    let (_, fallen) = restored(&place, &[], &store.environment());
    let fallen = fallen.ok();
    assert!(fallen.stderr.contains("checkpoint 00000002 is damaged"), "{}", fallen.stderr);

    // What no checkpoint needs goes.
    let kept = read_json(&run(&project, &store, &["checkpoint", &place, "--keep", "1", "--output", "json"]).ok().stdout);
    assert_eq!(kept["removed"], json!(["00000001", "00000002"]));
    assert_eq!(store.names("one/checkpoints"), ["one/checkpoints/00000003.json"]);
    let manifest = read_json(&String::from_utf8(store.content("one/checkpoints/00000003.json")).expect("text"));
    let needed = manifest["files"].as_array().expect("files").iter();
    let needed: BTreeSet<String> = needed.map(|file| format!("one/parts/{}", file["sha256"].as_str().expect("a hash"))).collect();
    assert_eq!(store.names("one/parts").into_iter().collect::<BTreeSet<_>>(), needed);
}

#[test]
fn a_store_that_is_away_slow_or_refuses_is_said_and_disturbs_nothing() {
    let Some(store) = Buckets::start() else { return };
    let (project, place) = (project(), store.place("two"));
    let toml = format!(
        "checkpoint_to = '{place}'\ncheckpoint_every = '1s'\ncheckpoint_patience = '1s'\n[s3]\nendpoint_url = '{}'\nregion = 'us-east-1'\naccess_key_id = 'one'\nsecret_access_key = 'two'\n",
        store.environment()[0].1
    );
    project.write("forebay.toml", toml);
    let shown = project.run(&["config"]).ok();
    assert!(shown.stdout.contains("s3.region") && !shown.stdout.contains("two\n"), "secrets are not shown: {}", shown.stdout);
    let server = project.serve();
    let mut next = 0;
    let mut push = || {
        let started = Instant::now();
        let _ = server.push("events", &records(next, next + 50));
        next += 50;
        assert!(started.elapsed() < Duration::from_secs(5), "pushes go on");
    };
    for door in [Door::Shut, Door::Silent] {
        push();
        store.door(door);
        let said = wait_for("a problem", || problem(&server));
        assert!(said.contains(&place), "{said}");
        push();
        store.door(Door::Open);
        wait_for("the problem to go", || problem(&server).is_none().then_some(()));
    }
    // While one waits for a store that says nothing, a stop is soon over.
    store.door(Door::Silent);
    std::thread::sleep(Duration::from_millis(1_500));
    let started = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    store.door(Door::Open);

    // Interrupted uploads are no checkpoints.
    let before = store.names("two/checkpoints").len();
    let mut child = project
        .command(&["checkpoint", &store.place("three")])
        .envs(store.environment())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let passed = store.passed();
    wait_for("a first part", || (store.passed() > passed + 5_000).then_some(()));
    store.door(Door::Silent);
    drop(child.kill());
    drop(child.wait());
    store.door(Door::Open);
    assert_eq!((store.names("three/checkpoints").len(), store.names("two/checkpoints").len()), (0, before));
    let _ = run(&project, &store, &["checkpoint", &store.place("three")]).ok();
    let (copy, ended) = restored(&store.place("three"), &[], &store.environment());
    let _ = ended.ok();
    copy.catch_up();
    assert_eq!(read_topic(&copy, "events").len(), next);

    let nowhere = run(&project, &store, &["checkpoint", "s3://no-such-bucket/x"]);
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stdout);
    assert!(nowhere.stderr.contains("s3://no-such-bucket/x: there is no such bucket"), "{}", nowhere.stderr);
    let wrong = run(&project, &store, &["checkpoint", "ftp://somewhere/x"]);
    assert!(wrong.stderr.contains("not to ftp://"), "{}", wrong.stderr);
}
