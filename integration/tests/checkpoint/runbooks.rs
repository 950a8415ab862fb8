//! The commands of the runbooks that are about checkpoints, as `docs/operations.md` has them.

use forebay_integration::folders::workspace;

use super::*;

/// The shell blocks below a heading.
fn commands(heading: &str) -> String {
    let text = fs::read_to_string(workspace().join("docs/operations.md")).expect("the page");
    let section = text.split("\n### ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("docs/operations.md has no runbook {heading}"));
    let blocks = section.split("```sh\n").skip(1).filter_map(|block| block.split_once("```"));
    let commands: String = blocks.map(|(block, _)| block).collect();
    assert!(!commands.is_empty(), "{heading} has no commands");
    commands
}

/// Runs them in a project's folder, each of which has to succeed.
fn follow(project: &Project, heading: &str) {
    let folder = binary().parent().expect("a folder").display().to_string();
    let script = format!("set -eu\nexport PATH={folder}:$PATH\n{}", commands(heading));
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(project.path(""));
    let _ = ended(&mut command).ok();
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
