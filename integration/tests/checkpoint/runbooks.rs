//! The commands of the runbooks that are about checkpoints, as `docs/operations.md` has them.

use forebay_integration::documents::{runbook, shell};

use super::*;

/// Runs them in a project's folder, each of which has to succeed.
fn follow(project: &Project, heading: &str) {
    for step in runbook(heading) {
        let output = shell(&project.path(""), &step);
        assert!(output.status.success(), "{heading}: {step}: {output:?}");
    }
}

#[test]
fn the_commands_of_the_runbooks_do_what_these_say() {
    if !onnx_runtime() {
        return;
    }
    let project = project();
    let server = project.serve();
    let _ = server.push("events", &records(0, 200));
    follow(&project, "Backup");
    assert_eq!(server.stop(), Some(0));
    for (heading, made) in [("Restore", "data"), ("Move to another machine by a checkpoint", "moved"), ("Upgrade, and back", "former")] {
        follow(&project, heading);
        let moved = Project::new("");
        fs::rename(project.path(made), moved.data()).expect("the folder that was made");
        assert_eq!(read_topic(&moved, "events").len(), 200, "{heading}");
        if made == "data" {
            fs::rename(project.path("data.before"), project.data()).expect("the folder of before");
        }
    }
}
