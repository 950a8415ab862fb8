//! Every command answers by the definitions that were applied, or says that the folder's say something else of what is asked.

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::harness::{Ended, Project};
use serde_json::{Value as Json, json};

const BASE: &str = "
source pays (k bigint, x double, t timestamp) from log 'pays' event time t lateness '1 day' history '30 days';
entity thing (k bigint);
features f of thing from pays (total = sum(x) over 7d, n = count(*) over 7d);
vector v (f.total_7d);
vector w (f.n_7d);
";
const AT: &str = "2024-05-03T00:00:00Z";

fn project() -> Project {
    let project = Project::new(BASE);
    let event = |x: f64, hour: i64| json!({"k": 1, "x": x, "t": format!("2024-05-01T{hour:02}:00:00Z")});
    let _ = project.push("pays", &[event(12.5, 1), event(80.0, 2)]).ok();
    project.write("spine.ndjson", format!("{}\n", json!({"k": 1, "q": AT})));
    project
}

fn run(project: &Project, command: &str, vector: &str, more: &[&str]) -> Ended {
    let column = format!("{vector}.{}", if vector == "w" { "n_7d" } else { "total_7d" });
    let arguments: Vec<&str> = match command {
        "lookup" => vec!["lookup", vector, "k=1", "--as-of", AT, "--output", "json"],
        "explain" => vec!["explain", &column, "k=1", "--as-of", AT, "--output", "json"],
        "training-set" => vec!["training-set", vector, "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"],
        other => vec![other, vector],
    };
    project.run(&[&arguments[..], more].concat())
}

fn value(project: &Project, command: &str, more: &[&str]) -> Json {
    let ended = run(project, command, "v", more).ok();
    match command {
        "lookup" => read_json(&ended.stdout)["values"][0][0].clone(),
        "explain" => read_json(&ended.stdout)["value"].clone(),
        _ => read_ndjson(&project.read("set.ndjson"))[0]["total_7d"].clone(),
    }
}

const VALUES: [&str; 3] = ["lookup", "explain", "training-set"];

#[test]
fn a_folder_that_says_something_else_is_not_passed_over() {
    let project = project();
    for command in VALUES {
        let refused = run(&project, command, "v", &[]);
        assert!(refused.code == Some(1) && refused.stderr.contains("nothing was applied to data yet"), "{command}: {refused:?}");
    }
    // A training set of what was never applied is of events that were never read.
    let unread = run(&project, "training-set", "v", &["--definitions", "features"]);
    assert!(unread.stderr.starts_with("definitions: features (not applied)\n"), "{unread:?}");
    project.catch_up();
    for command in VALUES {
        assert_eq!(value(&project, command, &[]), json!(92.5));
        let line = run(&project, command, "v", &[]).ok().stderr;
        assert!(line.starts_with("definitions: applied 20") && line.lines().count() == 1, "{command}: {line}");
        let features = run(&project, command, "v", &["--definitions", "features"]).ok().stderr;
        assert!(features.starts_with("definitions: features (as applied 20"), "{command}: {features}");
    }
    // Another meaning of v; that of w stays.
    project.write("features/test.bay", BASE.replace("sum(x) over 7d", "sum(x) where x < 50.0 over 7d"));
    for command in VALUES.into_iter().chain(["verify"]) {
        let refused = run(&project, command, "v", &[]);
        assert!(refused.code == Some(1) && refused.stdout.is_empty(), "{command}: {refused:?}");
        assert!(
            refused.stderr.contains("vector v is declared otherwise in features than it was applied")
                && refused.stderr.contains("--definitions applied or --definitions features"),
            "{command}: {refused:?}"
        );
        let same = run(&project, command, "w", &[]).ok();
        assert!(same.stderr.contains("; other things differ in the folder: see `forebay plan`"), "{command}: {same:?}");
        let _ = run(&project, command, "v", &["--definitions", "applied"]).ok();
    }
    assert_eq!(project.run(&["verify"]).code, Some(1), "one of its vectors is another");
    for command in VALUES {
        assert_eq!(value(&project, command, &["--definitions", "applied"]), json!(92.5), "{command}");
    }
    assert_eq!(value(&project, "training-set", &["--definitions", "features"]), json!(12.5));
    let refused = run(&project, "verify", "v", &["--definitions", "features"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("definitions that are not applied serve nothing"), "{refused:?}");
    let refused = run(&project, "lookup", "v", &["--definitions", "features"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("not of these definitions"), "its state is not built: {refused:?}");
    // A folder with errors means nothing, and what is stored is still counted.
    project.write("features/test.bay", "vector v (nothing.*);");
    let refused = run(&project, "lookup", "v", &[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("have errors, which `forebay check` shows"), "{refused:?}");
    for command in ["sources", "state", "status"] {
        let _ = project.run(&[command]).ok();
    }
    std::fs::remove_dir_all(project.path("features")).expect("a folder");
    assert_eq!(value(&project, "lookup", &[]), json!(92.5), "a machine that only serves has no folder");
}

/// A server goes on with what it started with, also where something else was applied since.
#[test]
fn a_server_with_other_definitions_is_not_asked() {
    let project = project();
    let server = project.serve();
    server.wait_for_seq(2);
    assert_eq!(value(&project, "lookup", &[]), json!(92.5));
    project.write("features/test.bay", BASE.replace("sum(x) over 7d", "sum(x) where x < 50.0 over 7d"));
    let _ = project.run(&["apply"]).ok();
    let refused = run(&project, "lookup", "v", &[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("vector v is another one for the server of data"), "{refused:?}");
    let _ = run(&project, "lookup", "w", &[]).ok();
    assert_eq!(server.stop(), Some(0));
    let server = project.serve();
    assert_eq!(value(&project, "lookup", &[]), json!(12.5));
    assert_eq!(server.stop(), Some(0));
}
