//! The lines that the documents show are run: `curl` against a real server, whose answers are compared with what docs/api.md
//! says, and the runbook of late events, command by command.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use forebay_integration::answers::read_json;
use forebay_integration::folders::here;
use forebay_integration::golden::mask;
use forebay_integration::harness::{Project, binary};

fn document(name: &str) -> String {
    fs::read_to_string(here("../docs").join(name)).expect("a document")
}

/// The project that `forebay init` writes.
fn initial() -> Project {
    let project = Project::new("");
    fs::remove_dir_all(project.path("features")).expect("a folder");
    let made = Command::new(binary()).arg("init").current_dir(project.path("")).output().expect("the binary can be started");
    assert!(made.status.success(), "{made:?}");
    project
}

/// A line for the shell, with the binary on its path.
fn shell(folder: &Path, line: &str) -> Output {
    let binary = binary();
    let path = format!("{}:{}", binary.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FOREBAY_")) {
        command.env_remove(name);
    }
    command.args(["-ec", line]).env("PATH", path).current_dir(folder).output().expect("a shell can be started")
}

/// The blocks of a language below a heading, up to the next one of the same depth or less.
fn blocks(text: &str, heading: &str, language: &str) -> Vec<String> {
    let level = heading.split(' ').next().unwrap_or_default();
    let below = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("there is no {heading}"));
    let end =
        below.lines().position(|line| line.starts_with('#') && line.split(' ').next().is_some_and(|hashes| hashes.len() <= level.len()));
    let lines: Vec<&str> = below.lines().take(end.unwrap_or(usize::MAX)).collect();
    let (mut found, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in lines {
        match &mut open {
            None if line.trim() == format!("```{language}") => open = Some(String::new()),
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some(block) => block.push_str(&format!("{}\n", line.trim_start())),
            None => {}
        }
    }
    found
}

/// Each command of a session with what it is to print.
fn session(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => {
                commands.push((command.to_owned(), String::new()));
                goes_on = command.ends_with('\\');
            }
            (None, Some((command, _))) if goes_on => {
                command.push_str(&format!("\n{line}"));
                goes_on = line.ends_with('\\');
            }
            (None, Some((_, answer))) => answer.push_str(&format!("{line}\n")),
            (None, None) => panic!("{line} comes before a command"),
        }
    }
    commands
}

#[test]
fn curl_lines_answer_as_documented() {
    let project = initial();
    let server = project.serve();
    let blocks = blocks(&document("api.md"), "## From a shell", "console");
    let commands: Vec<(String, String)> = blocks.iter().flat_map(|block| session(block)).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for (command, expected) in commands {
        if command.contains("deadletters") {
            // What was set aside a moment ago is published beside.
            forebay_integration::harness::wait_for("the dead letter", || {
                let listed = shell(&project.path(""), "forebay topics list --output json");
                String::from_utf8_lossy(&listed.stdout).contains("payments.dead").then_some(())
            });
        }
        let output = shell(&project.path(""), &command.replace("127.0.0.1:8090", &server.address));
        assert!(output.status.success(), "{command}: {output:?}");
        let (mut answer, mut expected) = (read_json(&String::from_utf8_lossy(&output.stdout)), read_json(&expected));
        for json in [&mut answer, &mut expected] {
            mask(json, &["staleness_ms"]);
        }
        assert_eq!(answer, expected, "{command}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_runbook_of_late_events_brings_them_back() {
    let project = initial();
    let text = document("operations.md");
    let steps = blocks(&text, "### Events too late", "sh");
    assert_eq!(steps.len(), 4, "{steps:?}");
    let folder = project.path("");
    let run = |line: &str| {
        let output = shell(&folder, line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run("forebay push payments payments.ndjson");
    let late = r#"{"payment_id":"p9","user_id":7,"amount":1.5,"status":"approved","event_time":"2026-01-12T12:00:00Z"}"#;
    fs::write(project.path("late.ndjson"), format!("{late}\n")).expect("a file");
    run("forebay push payments late.ndjson");
    assert!(run("forebay serve --until-caught-up").starts_with("caught up: 3 events in; payments: 1 too_late; "));
    let seen = run(&steps[0]);
    assert!(seen.contains("1 too_late") && seen.contains("p9"), "{seen}");
    assert!(run(&steps[1]).contains("1 left, too_late"));
    let definitions = project.read("features/payments.bay");
    fs::write(project.path("features/payments.bay"), definitions.replace("lateness '10 minutes'", "lateness '30 days'")).expect("a file");
    run(&steps[2]);
    let done = run(&steps[3]);
    assert!(done.contains("1 record put back into payments") && done.contains("caught up: 1 event in; "), "{done}");
    assert!(
        run("forebay deadletters replay payments")
            .starts_with("0 records put back into payments, in the order of their event times; 1 before")
    );
}
