//! The lines that the documents show are run: `curl` against a real server, whose answers are compared with what docs/api.md
//! says, and the runbook of late events, command by command.

use std::fs;

use forebay_integration::answers::read_json;
use forebay_integration::documents::{blocks, document, initial, runbook, shell};
use forebay_integration::golden::mask;

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
    let steps = runbook("Events too late");
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
