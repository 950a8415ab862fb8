//! `forebay check-data`

use clap::Args;
use serde_json::{Value as Json, json};

use crate::error::Error;
use crate::folder::{Folder, Part};
use crate::integrity::{self, PartCheck};

use super::Outcome;
use super::context::Context;
use super::definitions::{Applied, counted};
use super::output::table;
use super::progress::Progress;
use crate::error::Result;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay check-data\n  forebay check-data --output json")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _arguments: &Arguments) -> Result<Outcome> {
    let data = context.existing_data()?;
    let mut definitions = PartCheck { part: "definitions", bytes: 0, faults: Vec::new(), unverified: Vec::new(), rebuilt: None };
    let plan = match Applied::load(context) {
        Ok(Some(applied)) => {
            definitions.bytes = applied.files.iter().map(|file| file.text.len() as u64).sum();
            applied.plan()
        }
        Ok(None) => {
            if Folder::open_read_only(data).is_ok_and(|folder| folder.has(Part::Online)) {
                definitions
                    .faults
                    .push(Error::corrupt("what was applied is missing: run `forebay apply` with the definitions of the state"));
            }
            None
        }
        Err(error) => {
            definitions.faults.push(error);
            None
        }
    };
    let mut progress = Progress::new("checking", "bytes");
    let mut parts = integrity::check(&context.config, plan.as_ref(), context.clock.clone(), |bytes| progress.at(bytes, None));
    drop(progress);
    parts.push(definitions);
    let faults: usize = parts.iter().map(|part| part.faults.len()).sum();
    context.print.one(&text(&parts, faults), &object(&parts, faults))?;
    // What a script looks at: damaged is failed.
    Ok(if faults == 0 { Outcome::Done } else { Outcome::Incomplete })
}

fn text(parts: &[PartCheck], faults: usize) -> String {
    let row = |part: &PartCheck| vec![json!(part.part), json!(part.bytes), json!(part.faults.len()), json!(part.unverified.len())];
    let mut text = table(&["part", "bytes read", "faults", "unverified"], &parts.iter().map(row).collect::<Vec<_>>());
    for part in parts {
        for fault in &part.faults {
            text += &format!("\n{}: {fault}\n", part.part);
        }
        for unverified in &part.unverified {
            text += &format!("\n{}: {unverified}\n", part.part);
        }
        if let (Some((command, from)), false) = (part.rebuilt, part.faults.is_empty()) {
            text += &format!("  `{command}` builds it again from {from}\n");
        }
    }
    if faults == 0 { text + "\nevery checksum matches\n" } else { text + &format!("\n{}\n", counted(faults, "fault")) }
}

fn object(parts: &[PartCheck], faults: usize) -> Json {
    let part = |part: &PartCheck| {
        json!({
            "part": part.part, "bytes": part.bytes,
            "faults": part.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "unverified": part.unverified,
            "rebuild": part.rebuilt.map(|(command, _)| command), "from": part.rebuilt.map(|(_, from)| from),
        })
    };
    json!({"clean": faults == 0, "parts": parts.iter().map(part).collect::<Vec<_>>()})
}
