//! The command line: the tree of commands and their dispatch. Each command has a file; nothing else lives here.

mod answer;
mod apply;
mod assignment;
mod check;
mod check_data;
mod checkpoint;
mod client;
mod completions;
mod config;
mod context;
mod dead_letters;
mod definitions;
mod explain;
mod fmt;
mod generate;
mod in_force;
mod init;
mod logs;
mod lookup;
mod models;
mod order;
mod output;
mod plan;
mod progress;
mod push;
mod rebuild;
mod restore;
mod score;
mod serve;
mod signals;
mod sources;
mod state;
mod status;
mod store;
mod summary;
#[cfg(test)]
mod tests;
mod topics;
mod training_set;
mod verify;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Layers;
use crate::error::Result;
use crate::telemetry::{LogFormat, start_logging};
use crate::time::Clock;

use context::Context;

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// What was compared is not the same.
    Differences,
    /// Some rows could not be dealt with; the others were.
    Incomplete,
}

/// Exit codes.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const DIFFERENCES: u8 = 2;
const WRONG_USAGE: u8 = 64;

/// Streaming feature store and online scoring engine. A served value equals the value that the model was trained on, bit for bit.
#[derive(Parser)]
#[command(name = "forebay", version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    /// Folder that holds all stored data [setting: data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// Folder of the definition files, *.bay [setting: features]
    #[arg(long, global = true, value_name = "DIR")]
    features: Option<String>,
    /// Settings file [default: forebay.toml, if the file exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Format of the printed results [setting: output]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<OutputArgument>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutputArgument {
    Table,
    Json,
    Ndjson,
}

#[derive(Subcommand)]
enum Command {
    /// Write a small project that runs: a source, a feature view, a vector, three records and a forebay.toml
    Init(init::Arguments),
    /// Report every error and warning in the definition files
    Check(check::Arguments),
    /// Rewrite definition files in the standard format
    Fmt(fmt::Arguments),
    /// Show the changes that applying the definitions would make
    Plan(plan::Arguments),
    /// Record the definitions of the features folder as applied
    Apply(apply::Arguments),
    /// Append the records of a file to the log of a source
    Push(push::Arguments),
    /// Run the engine and its HTTP server
    Serve(serve::Arguments),
    /// Look up one row of a vector
    Lookup(lookup::Arguments),
    /// Compute a training set: the point-in-time features of every row of a spine
    TrainingSet(training_set::Arguments),
    /// Score one row, or every row of a spine, with a model
    Score(score::Arguments),
    /// Prove that served and training values are equal: compute samples three ways and compare their bits
    Verify(verify::Arguments),
    /// Show the events and the calculation that give one value
    Explain(explain::Arguments),
    /// Show the progress of the engine, the counts of dead letters and the current problems
    Status(status::Arguments),
    /// Count the records of each source by outcome, and show the lateness that would have accepted the events that were too late
    Sources(sources::Arguments),
    /// Show the size of the stored state by view, window and tile, and the heaviest keys
    State(state::Arguments),
    /// Verify every checksum of the data folder, and report each damaged part and the command that rebuilds the part
    CheckData(check_data::Arguments),
    /// Rebuild a damaged part of the data folder from the data that remains
    #[command(subcommand)]
    Rebuild(rebuild::Command),
    /// Copy the data folder as of one moment: events, state, definitions and models. A server may be running
    Checkpoint(checkpoint::Arguments),
    /// List the checkpoints of a folder or a bucket
    #[command(subcommand)]
    Checkpoints(checkpoint::Command),
    /// Create a data folder from a checkpoint
    Restore(restore::Arguments),
    /// List, show and replay dead letters, the records that were not accepted
    #[command(subcommand, name = "deadletters")]
    DeadLetters(dead_letters::Command),
    /// List, read, write and trim topics
    #[command(subcommand)]
    Topics(topics::Command),
    /// List models, and create reference profiles for drift
    #[command(subcommand)]
    Models(models::Command),
    /// Print the settings in force and the origin of each setting
    Config(config::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Generate records for demonstrations and benchmarks
    #[command(subcommand)]
    Generate(generate::Command),
}

impl Command {
    /// Whether it looks into the data folder, which has to be whole for that.
    fn reads_data(&self) -> bool {
        let reads_none = matches!(
            self,
            Self::Init(_)
                | Self::Fmt(_)
                | Self::Restore(_)
                | Self::Checkpoints(_)
                | Self::Config(_)
                | Self::Completions(_)
                | Self::Generate(_)
        );
        !reads_none
    }
}

/// Runs the command line and returns the exit code. `environment` are the process' variables.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Vec<(String, String)>, clock: Arc<dyn Clock>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refused) => {
            // Help and version are printed by the same way, and are no mistake. A closed pipe is nobody's fault.
            let _ = refused.print();
            return if refused.use_stderr() { WRONG_USAGE } else { DONE };
        }
    };
    match dispatch(arguments, environment, clock) {
        Ok(Outcome::Done) => DONE,
        Ok(Outcome::Differences) => DIFFERENCES,
        Ok(Outcome::Incomplete) => FAILED,
        Err(error) => {
            output::complain(&format!("error: {error}\n"));
            FAILED
        }
    }
}

fn dispatch(arguments: Arguments, environment: Vec<(String, String)>, clock: Arc<dyn Clock>) -> Result<Outcome> {
    let mut flags = Vec::new();
    flags.extend(arguments.data.map(|data| ("data", data)));
    flags.extend(arguments.features.map(|features| ("features", features)));
    flags.extend(arguments.output.and_then(|output| output.to_possible_value()).map(|output| ("output", output.get_name().to_owned())));
    if let Command::Serve(serve) = &arguments.command {
        flags.extend(serve.listen.clone().map(|listen| ("listen", listen)));
    }
    let columns = environment.iter().find(|(name, _)| name == "COLUMNS").and_then(|(_, columns)| columns.parse().ok());
    let settings = Layers { file: arguments.config, environment, flags }.config()?;
    let format = if settings.log_json { LogFormat::Json } else { LogFormat::Text };
    // Several commands of one process, as tests run them, share the log of the first.
    let _ = start_logging(&settings.log, format, std::io::stderr().is_terminal(), || progress::Above);
    let context = Context::new(settings, clock, columns);
    if arguments.command.reads_data() {
        crate::checkpoint::unfinished(&context.config.data)?;
    }
    match arguments.command {
        Command::Init(arguments) => init::run(&context, &arguments),
        Command::Check(arguments) => check::run(&context, &arguments),
        Command::Fmt(arguments) => fmt::run(&context, &arguments),
        Command::Plan(arguments) => plan::run(&context, &arguments),
        Command::Apply(arguments) => apply::run(&context, &arguments),
        Command::Push(arguments) => push::run(&context, &arguments),
        Command::Serve(arguments) => serve::run(&context, &arguments),
        Command::Lookup(arguments) => lookup::run(&context, &arguments),
        Command::TrainingSet(arguments) => training_set::run(&context, &arguments),
        Command::Score(arguments) => score::run(&context, &arguments),
        Command::Verify(arguments) => verify::run(&context, &arguments),
        Command::Explain(arguments) => explain::run(&context, &arguments),
        Command::Status(arguments) => status::run(&context, &arguments),
        Command::DeadLetters(command) => dead_letters::run(&context, &command),
        Command::Sources(arguments) => sources::run(&context, &arguments),
        Command::State(arguments) => state::run(&context, &arguments),
        Command::CheckData(arguments) => check_data::run(&context, &arguments),
        Command::Rebuild(command) => rebuild::run(&context, &command),
        Command::Checkpoint(arguments) => checkpoint::run(&context, &arguments),
        Command::Checkpoints(command) => checkpoint::list(&context, &command),
        Command::Restore(arguments) => restore::run(&context, &arguments),
        Command::Topics(command) => topics::run(&context, &command),
        Command::Models(command) => models::run(&context, &command),
        Command::Config(arguments) => config::run(&context, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Generate(command) => generate::run(&command),
    }
}
