//! `forebay checkpoint`, `forebay checkpoints`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::checkpoint::{self, Alongside, Content, Maker, Options, Target, Turn, Watch, name_of};
use crate::error::Result;
use crate::language::SourceFile;
use crate::model;
use crate::plan::Plan;

use super::Outcome;
use super::client::Client;
use super::context::Context;
use super::definitions::{self, Applied};
use super::output::complain;
use super::progress::Progress;

#[derive(Args)]
#[command(after_help = "Examples:
  forebay checkpoint /mnt/backup/forebay
  forebay checkpoint s3://backups/forebay --keep 14
  forebay checkpoints list s3://backups/forebay
  forebay restore s3://backups/forebay data-restored")]
pub(super) struct Arguments {
    /// Place of the checkpoints: a folder, or s3://bucket/prefix [setting: checkpoint_to]
    to: Option<String>,
    /// Number of newest checkpoints that stay at the place; older checkpoints are removed afterwards
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Make no checkpoint; remove the files that interrupted and removed checkpoints left at the place
    #[arg(long, conflicts_with = "keep")]
    prune: bool,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the checkpoints of a place
    #[command(after_help = "Examples:\n  forebay checkpoints list s3://backups/forebay")]
    List(ListArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    /// Place of the checkpoints: a folder, or s3://bucket/prefix [setting: checkpoint_to]
    from: Option<String>,
}

#[expect(clippy::disallowed_methods, reason = "says how long it took")]
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let (started, watch) = (Instant::now(), Watch::default());
    let target = target(context, arguments.to.as_deref(), &watch)?;
    let turn = Turn::take(&context.config.data)?;
    if arguments.prune {
        let freed = target.sweep()?;
        context.print.one(&format!("{}: {freed} bytes are removed that no checkpoint needs", target.name()), &json!({"freed": freed}))?;
        return Ok(Outcome::Done);
    }
    // Before anything is copied: a place that cannot be read cannot be written either.
    target.numbers()?;
    let alongside = alongside(context);
    let paused = copy(context, &turn)?;
    let now = context.clock.now();
    let keep = arguments.keep.map(|keep| keep as usize);
    let made = watched(&watch, || Maker::default().make(turn.staging(), &alongside, now, target.as_ref(), keep, &watch))?;
    let (manifest, seconds) = (&made.manifest, started.elapsed().as_secs_f64());
    for warning in &manifest.warnings {
        complain(&format!("warning: {warning}\n"));
    }
    let mut text = format!(
        "checkpoint {} in {}: {} bytes in {} files, {} bytes of them new; {seconds:.1} s",
        name_of(manifest.number),
        target.name(),
        manifest.bytes(),
        manifest.files.len(),
        made.moved
    );
    if let Some(paused) = paused {
        text += &format!(", writers waited for {paused:.1} ms");
    }
    if let Some(error) = &made.unswept {
        text += &format!("\nolder ones cannot be removed: {error}");
    }
    if !made.removed.is_empty() {
        text += &format!("\n{} older ones are removed", made.removed.len());
    }
    let mut object = as_json(manifest);
    object["new_bytes"] = json!(made.moved);
    object["seconds"] = json!(seconds);
    object["paused_ms"] = json!(paused);
    object["unswept"] = json!(made.unswept.as_ref().map(ToString::to_string));
    object["removed"] = json!(made.removed.iter().copied().map(name_of).collect::<Vec<_>>());
    context.print.one(&text, &object)?;
    Ok(Outcome::Done)
}

pub(super) fn list(context: &Context, command: &Command) -> Result<Outcome> {
    let Command::List(arguments) = command;
    let target = target(context, arguments.from.as_deref(), &Watch::default())?;
    let mut rows = Vec::new();
    for number in target.numbers()? {
        let row = match target.manifest(number) {
            Ok(manifest) => {
                vec![json!(name_of(number)), json!(manifest.made_at), json!(manifest.seq), json!(manifest.bytes()), json!("ok")]
            }
            Err(error) => vec![json!(name_of(number)), Json::Null, Json::Null, Json::Null, json!(error.to_string())],
        };
        rows.push(row);
    }
    context.print.rows(&["checkpoint", "made_at", "seq", "bytes", "manifest"], rows)?;
    Ok(Outcome::Done)
}

/// The place that is named, or that of the settings.
pub(super) fn target(context: &Context, name: Option<&str>, watch: &Watch) -> Result<Box<dyn Target>> {
    checkpoint::open(name.unwrap_or(&context.config.checkpoint.to), &options(context), watch)
}

pub(super) fn options(context: &Context) -> Options {
    Options { s3: context.config.s3.clone(), patience: context.config.checkpoint.patience }
}

/// What is in force, with the files that it names. Where that does not compile any more, because it was moved, what the
/// features folder holds.
pub(super) fn alongside(context: &Context) -> Alongside {
    let features = absolute(&context.config.features);
    let applied = Applied::load(context);
    if let Ok(Some(applied)) = &applied
        && let Some(plan) = applied.plan()
    {
        return of_definitions(features, &applied.files, &plan);
    }
    let mut along = match definitions::current(context) {
        Ok((plan, files)) => of_definitions(features, &files, &plan),
        Err(error) => Alongside { features, files: Vec::new(), warnings: vec![format!("without definitions: {error}")] },
    };
    match applied {
        Ok(Some(applied)) if !same_texts(&applied.files, &along) => {
            along
                .warnings
                .push("the definitions that were applied do not compile any more: those of the features folder are copied".to_owned());
        }
        Err(error) => along.warnings.push(error.to_string()),
        _ => {}
    }
    along
}

fn same_texts(files: &[SourceFile], along: &Alongside) -> bool {
    let texts = along.files.iter().filter_map(|(_, content)| match content {
        Content::Text(text) => Some(text.as_str()),
        Content::OfTheFile => None,
    });
    texts.eq(files.iter().map(|file| file.text.as_str()))
}

/// The texts of definitions as they are in force, and the files of their models and profiles as they lie there.
pub(super) fn of_definitions(features: PathBuf, files: &[SourceFile], plan: &Plan) -> Alongside {
    let mut along = Alongside { features, ..Alongside::default() };
    along.files.extend(files.iter().map(|file| (absolute(&file.path), Content::Text(file.text.clone()))));
    for declared in &plan.models {
        match model::files_of(&declared.path) {
            Ok(files) => along.files.extend(files.iter().map(|file| (absolute(file), Content::OfTheFile))),
            Err(error) => along.warnings.push(format!("without model {}: {error}", declared.name)),
        }
        let profile = declared.watch.iter().map(|watch| (absolute(&watch.profile), Content::OfTheFile));
        along.files.extend(profile);
    }
    along.files.sort_by(|one, other| one.0.cmp(&other.0));
    along.files.dedup_by(|one, other| one.0 == other.0);
    along
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Copies the data folder: its server does, where one runs. How many milliseconds writers waited.
fn copy(context: &Context, turn: &Turn) -> Result<Option<f64>> {
    match Client::of_running(context) {
        Some(server) => {
            let answer = server.post("/v1/admin/copy", &json!({"nonce": turn.nonce()}))?;
            Ok(answer["paused_ms"].as_f64())
        }
        None => {
            turn.begin()?;
            checkpoint::copy_stopped(&context.config.data, turn.staging())?;
            Ok(None)
        }
    }
}

/// Shows how far it is while it works.
pub(super) fn watched<T>(watch: &Watch, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ended = Arc::clone(&done);
        scope.spawn(move || {
            let mut progress = Progress::new("copying", "bytes");
            while !ended.load(std::sync::atomic::Ordering::SeqCst) {
                progress.at(watch.bytes(), None);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let result = work();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        result
    })
}

pub(super) fn as_json(manifest: &checkpoint::Manifest) -> Json {
    json!({
        "checkpoint": name_of(manifest.number),
        "made_at": manifest.made_at,
        "seq": manifest.seq,
        "bytes": manifest.bytes(),
        "files": manifest.files.len(),
        "warnings": manifest.warnings,
    })
}
