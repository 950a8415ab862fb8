//! The examples that `--help` shows, run as they stand in the project that `forebay init` writes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use forebay_integration::harness::binary;

/// Where an example needs what a small project does not have: a model and its predictions, dead letters, a broker, a file of its own; or never ends.
const LEFT_OUT: [&str; 8] =
    ["score ", "topics trim", "models profile", "serve --listen", "init shop", "s3://", "/mnt/backup", "serve --data"];

fn run(folder: &Path, line: &str) -> Output {
    let (line, input) = match line.split_once(" < ") {
        Some((line, file)) => (line, Stdio::from(fs::File::open(folder.join(file)).expect("the example's file"))),
        None => (line, Stdio::null()),
    };
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FOREBAY_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(line.split(' ').skip(1)).stdin(input).output().expect("the binary can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The commands that a help lists below `Commands:`.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default().lines().take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// All examples, in the order of the commands.
fn examples(folder: &Path, above: &str) -> Vec<String> {
    let help = said(&run(folder, &format!("{above} --help")));
    let own = help.split("Examples:\n").nth(1).unwrap_or_default();
    let mut found: Vec<String> = own.lines().map(|line| line.trim().to_owned()).filter(|line| line.starts_with("forebay ")).collect();
    for command in commands(&help) {
        found.extend(examples(folder, &format!("{above} {command}")));
    }
    found
}

#[test]
fn examples_run_as_they_stand() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert!(run(folder, "forebay init").status.success());
    fs::write(folder.join("spine.csv"), "user_id,amount,event_time\n7,20.0,2026-01-31T12:10:00Z\n").expect("a spine");
    let all = examples(folder, "forebay");
    assert!(all.len() > 40, "{all:?}");
    // What reads the state comes after what makes it, where it stands earlier in the list.
    let makes = ["forebay push payments payments.ndjson", "forebay serve --until-caught-up"];
    makes.iter().for_each(|line| assert!(run(folder, line).status.success(), "{line}"));
    let mut left_out: Vec<&str> = LEFT_OUT.to_vec();
    for line in &all {
        if let Some(which) = LEFT_OUT.iter().find(|part| line.contains(*part)) {
            left_out.retain(|part| part != which);
            continue;
        }
        let output = run(folder, line);
        // `plan` and `fmt --check` end with 2 where they found something; here there is nothing to find.
        assert!(output.status.success(), "{line}: {}", said(&output));
    }
    assert!(left_out.is_empty(), "no example has {left_out:?}");
}
