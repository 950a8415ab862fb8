use std::sync::Arc;

use clap::{CommandFactory, Parser};

use super::{Arguments, DONE, FAILED, WRONG_USAGE, run};
use crate::time::{Clock, IngestTime};

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> IngestTime {
        IngestTime(0)
    }
}

fn code(arguments: &[&str]) -> u8 {
    let arguments = std::iter::once("forebay").chain(arguments.iter().copied()).map(Into::into);
    run(arguments, Vec::new(), Arc::new(Stopped))
}

#[test]
fn the_tree_of_commands_is_sound() {
    Arguments::command().debug_assert();
}

/// The commands at the ends of the tree.
fn leaves(command: &clap::Command) -> Vec<clap::Command> {
    let below: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    if below.is_empty() { vec![command.clone()] } else { below.into_iter().flat_map(leaves).collect() }
}

/// The lines of a command's help that say how it is used.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let behind = help.split("Examples:\n").nth(1).unwrap_or_default();
    behind.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_command_has_examples_that_are_understood() {
    for command in leaves(&Arguments::command()) {
        let examples = examples(&command);
        let is_own = |example: &String| example.split(' ').any(|word| word == command.get_name());
        assert!(examples.iter().any(is_own), "{} has no example of its own below `Examples:` in its help", command.get_name());
        for example in examples {
            let words: Vec<&str> = example.split(' ').take_while(|word| *word != "<").collect();
            assert_eq!(words[0], "forebay", "{example}");
            if let Err(refused) = Arguments::try_parse_from(&words) {
                panic!("{example}: {refused}");
            }
        }
    }
}

#[test]
fn wrong_usage_failure_and_help_have_their_codes() {
    assert_eq!(code(&["--help"]), DONE);
    assert_eq!(code(&["--version"]), DONE);
    assert_eq!(code(&["nonsense"]), WRONG_USAGE);
    assert_eq!(code(&[]), WRONG_USAGE);
    assert_eq!(code(&["lookup"]), WRONG_USAGE);
    assert_eq!(code(&["lookup", "fraud_v1", "user_id"]), WRONG_USAGE);
    assert_eq!(code(&["check", "--output", "xml"]), WRONG_USAGE);
    assert_eq!(code(&["check", "--config", "nowhere/forebay.toml"]), FAILED);
    assert_eq!(code(&["check", "--features", "nowhere"]), FAILED);
}

#[test]
fn a_score_is_of_keys_or_of_a_spine() {
    let parsed = |arguments: &[&str]| Arguments::try_parse_from(std::iter::once("forebay").chain(arguments.iter().copied())).is_ok();
    assert!(parsed(&["score", "fraud", "user_id=7", "--request", "amount=2"]));
    assert!(parsed(&["score", "fraud", "--spine", "s.parquet", "--out", "o.parquet", "--event", "payments", "--as-known"]));
    // Of a vector without keys.
    assert!(parsed(&["score", "risk", "--request", "amount=2"]));
    assert!(!parsed(&["score"]));
    assert!(!parsed(&["score", "fraud", "--spine", "s.parquet"]));
    assert!(!parsed(&["score", "fraud", "user_id=7", "--spine", "s.parquet", "--out", "o.parquet"]));
}
