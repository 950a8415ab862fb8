//! The documents, read for what they show: blocks of commands, which tests run as a reader would.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::folders::here;
use crate::harness::{Project, binary};

/// A file of `docs/`.
///
/// # Panics
/// When there is none of that name.
#[must_use]
pub fn document(name: &str) -> String {
    fs::read_to_string(here("../docs").join(name)).expect("a document")
}

/// The project that `forebay init` writes.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn initial() -> Project {
    let project = Project::new("");
    fs::remove_dir_all(project.path("features")).expect("a folder");
    let made = Command::new(binary()).arg("init").current_dir(project.path("")).output().expect("the binary can be started");
    assert!(made.status.success(), "{made:?}");
    project
}

/// A line for the shell, with the binary on its path.
///
/// # Panics
/// When there is no shell.
#[must_use]
pub fn shell(folder: &Path, line: &str) -> Output {
    let binary = binary();
    let path = format!("{}:{}", binary.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FOREBAY_")) {
        command.env_remove(name);
    }
    command.args(["-ec", line]).env("PATH", path).current_dir(folder).output().expect("a shell can be started")
}

/// The blocks of a language below a heading, up to the next one of the same depth or less.
///
/// # Panics
/// When there is no such heading.
#[must_use]
pub fn blocks(text: &str, heading: &str, language: &str) -> Vec<String> {
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

/// The commands of a runbook of `docs/operations.md`, a text for each block.
///
/// # Panics
/// When there is no such runbook, or it has no commands.
#[must_use]
pub fn runbook(heading: &str) -> Vec<String> {
    let steps = blocks(&document("operations.md"), &format!("### {heading}"), "sh");
    assert!(!steps.is_empty(), "{heading} has no commands");
    steps
}
