//! `forebay restore`

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::checkpoint::{self, Choice, Manifest, Watch, name_of, number_of};
use crate::error::{Error, Result};

use super::Outcome;
use super::checkpoint::{as_json, target, watched};
use super::context::Context;
use super::definitions::Applied;
use super::output::complain;

#[derive(Args)]
#[command(after_help = "Examples:
  forebay restore /mnt/backup/forebay data
  forebay restore s3://backups/forebay data --at 00000012
  forebay serve --data data --features data/features")]
pub(super) struct Arguments {
    /// Place of the checkpoints: a folder, or s3://bucket/prefix
    from: String,
    /// Data folder to create; the folder must be empty or not exist yet
    to: PathBuf,
    /// Number of the checkpoint to restore [default: the newest checkpoint]
    #[arg(long, value_name = "CHECKPOINT")]
    at: Option<String>,
    /// Fail if the newest checkpoint is damaged, instead of restoring an older checkpoint
    #[arg(long)]
    exact: bool,
}

#[expect(clippy::disallowed_methods, reason = "says how long it took")]
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let (started, watch) = (Instant::now(), Watch::default());
    let number = |name: &String| {
        number_of(name).ok_or_else(|| Error::input(format!("--at {name}: expected the number of a checkpoint, such as 00000012")))
    };
    let number = arguments.at.as_ref().map(number).transpose()?;
    let target = target(context, Some(&arguments.from), &watch)?;
    let choice = Choice { number, exact: arguments.exact || number.is_some() };
    let restored = watched(&watch, || checkpoint::restore(target.as_ref(), &arguments.to, choice, move_definitions))?;
    let manifest = &restored.manifest;
    for (number, what) in &restored.damaged {
        complain(&format!("warning: checkpoint {} is damaged, an older one is restored: {what}\n", name_of(*number)));
    }
    for warning in &manifest.warnings {
        complain(&format!("warning: {warning}\n"));
    }
    let to = arguments.to.display();
    let mut text = format!(
        "{to} is checkpoint {} of {}, up to event {}: {} bytes, {:.1} s",
        name_of(manifest.number),
        manifest.made_at,
        manifest.seq.unwrap_or_default(),
        manifest.bytes(),
        started.elapsed().as_secs_f64()
    );
    if let Some(features) = &manifest.features {
        text += &format!("\nit goes on with: forebay serve --data {to} --features {to}/{features}");
    }
    let mut object = as_json(manifest);
    object["data"] = json!(arguments.to);
    object["features"] = json!(manifest.features.as_ref().map(|features| arguments.to.join(features)));
    object["damaged"] =
        json!(restored.damaged.iter().map(|(number, what)| json!({"checkpoint": name_of(*number), "why": what})).collect::<Vec<_>>());
    context.print.one(&text, &object)?;
    Ok(Outcome::Done)
}

/// The definitions that were applied lie elsewhere now.
fn move_definitions(data: &Path, manifest: &Manifest) -> Result<()> {
    let Some(were) = &manifest.features_were else { return Ok(()) };
    let data = std::path::absolute(data).map_err(|error| Error::unavailable(format!("{}: {error}", data.display())))?;
    Applied::moved(&data, Path::new(were), &data.join("features"))
}
