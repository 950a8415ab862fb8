//! `forebay fmt`

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::error::{Error, Result};
use crate::language::{self, SourceFile};

use super::Outcome;
use super::context::Context;
use super::definitions::{colored, counted};
use super::output::complain;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay fmt\n  forebay fmt --check")]
pub(super) struct Arguments {
    /// List the files that are not in the standard format, change nothing, and exit with 2 if there are any
    #[arg(long)]
    check: bool,
    /// Files to format [default: all files of the features folder]
    files: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let files = match arguments.files.as_slice() {
        [] => language::load(&context.config.features)?,
        named => named.iter().map(read).collect::<Result<_>>()?,
    };
    let mut changed = Vec::new();
    let mut unreadable = 0;
    for file in &files {
        match language::format(file) {
            Ok(text) if text == file.text => {}
            Ok(text) => {
                if !arguments.check {
                    write(file, &text)?;
                }
                changed.push(vec![json!(file.path.display().to_string())]);
            }
            Err(diagnostics) => {
                // Places in these diagnostics are of the one file.
                complain(&language::render(&diagnostics, std::slice::from_ref(file), colored()));
                unreadable += 1;
            }
        }
    }
    let count = changed.len();
    if count > 0 || !context.print.for_people() {
        context.print.rows(&[if arguments.check { "not formatted" } else { "formatted" }], changed)?;
    }
    if unreadable > 0 {
        return Err(Error::input(format!("{} cannot be read and stayed as they were", counted(unreadable, "file"))));
    }
    Ok(if arguments.check && count > 0 { Outcome::Differences } else { Outcome::Done })
}

fn read(path: &PathBuf) -> Result<SourceFile> {
    let text = fs::read_to_string(path).map_err(|error| Error::input(format!("cannot read {}: {error}", path.display())))?;
    Ok(SourceFile { path: path.clone(), text })
}

/// Writes beside the file and then takes its place, so that a full disk leaves the old text.
fn write(file: &SourceFile, text: &str) -> Result<()> {
    let partial = file.path.with_extension("bay.partial");
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &file.path));
    written.map_err(|error| Error::unavailable(format!("cannot write {}: {error}", file.path.display())))
}
