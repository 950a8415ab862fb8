//! The log without what of it cannot be read: the one part that nothing else holds again, so that what goes is said first, and
//! goes only when it is given up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::aside::{Replacement, failed};
use super::{Lost, Rebuilt};
use crate::config::Config;
use crate::copying::link_or_copy;
use crate::error::{Error, ErrorKind, Result};
use crate::folder::{Folder, OUTBOX_WRITER, Part, extent, read_positions};
use crate::id::{Offset, Partition};
use crate::log::embedded::{Known, Log, Loss, Mended, Mode};
use crate::online::Store;
use crate::time::Clock;

/// Makes the log anew without what cannot be read of it, and puts it in the place of the one that is there. Says that nothing
/// was lost (`Rebuilt::default`) where all of it can be read.
///
/// # Errors
/// `Conflict` where a server runs; `Corrupt` names what would be dropped where that is not given up.
pub fn rebuild_log(config: &Config, clock: Arc<dyn Clock>, gives_up: bool) -> Result<Rebuilt> {
    let folder = Folder::open_to_write(&config.data).map_err(|error| error.context("rebuilding the log"))?;
    let (part, known) = (folder.part(Part::Log), known(&folder)?);
    let Some(replacement) = Replacement::begin(&part)? else { return Ok(Rebuilt::default()) };
    match Log::open(&part, Mode::ReadOnly, Arc::clone(&clock)) {
        Ok(log) if log.faults(|_| ()).is_empty() && reaches(&log, &known)? => {
            replacement.give_up()?;
            return Ok(Rebuilt::default());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let damaged = replacement.folder().join("damaged");
    copy(&part, &damaged)?;
    let Mended { log, lost, strays, writes } = Log::mend(&damaged, replacement.folder(), clock, &known)?;
    let still = log.faults(|_| ());
    drop(log);
    fs::remove_dir_all(&damaged).map_err(|error| failed("remove", &damaged, &error))?;
    if let Some(fault) = still.into_iter().next() {
        return Err(fault.context("the log that was made of what can be read cannot be read either: see to the disk"));
    }
    let mut said: Vec<Lost> = lost.iter().map(|loss| told(loss, &known)).collect();
    if strays {
        said.push(Lost::new("records of a topic whose name is lost", "none of them is kept"));
    }
    if writes > 0 {
        said.push(Lost::new(
            format!("the last {writes} acknowledged writes"),
            "what they held cannot be known: whoever pushed last pushes again, which a source that declares `dedup by` counts once",
        ));
    }
    if !gives_up && !said.is_empty() {
        replacement.give_up()?;
        let said: Vec<String> = said.iter().map(|lost| format!("{}: {}", lost.what, lost.meaning)).collect();
        return Err(Error::corrupt(format!(
            "what cannot be read of the log is in no other place: restore a checkpoint that has it (`forebay restore`), or give it up with \
             `forebay rebuild log --give-up`, which drops\n{}",
            said.join("\n")
        )));
    }
    Ok(Rebuilt { events: None, lost: said, kept: replacement.finish()? })
}

/// What the online store knows of the log; nothing where it is damaged itself, and to be built again after the log.
fn known(folder: &Folder) -> Result<Known> {
    let Ok(online) = Store::open_read_only(&folder.part(Part::Online), 8 << 20) else { return Ok(Known::default()) };
    let mut next: BTreeMap<(String, Partition), Offset> = BTreeMap::new();
    for read in read_positions(&online, None)? {
        let reached = next.entry((read.topic, read.partition)).or_default();
        *reached = (*reached).max(read.next);
    }
    Ok(Known { next, written: Some((OUTBOX_WRITER.to_owned(), online.published()?)).filter(|(_, upto)| *upto > 0) })
}

/// Whether the log ends where it is known to have come, or behind.
fn reaches(log: &Log, known: &Known) -> Result<bool> {
    let is_read = known.next.iter().all(|((topic, partition), next)| extent(log, topic, *partition).end >= *next);
    let written = match &known.written {
        Some((writer, upto)) => log.remembered(writer)?.unwrap_or_default() >= *upto,
        None => true,
    };
    Ok(is_read && written)
}

fn told(loss: &Loss, known: &Known) -> Lost {
    let Loss { topic, partition, from, to } = loss;
    let what = format!("topic {topic} partition {} offsets {} to {}", partition.0, from.0, to.0 - 1);
    let meaning = match known.next.get(&(topic.clone(), *partition)) {
        Some(next) if next >= to => "they were read: their events are in online and offline".to_owned(),
        Some(next) => {
            format!(
                "up to {} of them were not read yet: they are lost, push them again where their sender has them",
                to.0 - from.0.max(next.0)
            )
        }
        None => format!(
            "up to {} of them were not read yet by a source: push them again where it is the topic of one; who else reads it does not get them",
            to.0 - from.0
        ),
    };
    Lost::new(what, meaning)
}

/// Files that RocksDB never changes are linked where that can be done, all others copied.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| failed("make", to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| failed("read", from, &error))? {
        let path = entry.map_err(|error| failed("read", from, &error))?.path();
        let Some(name) = path.file_name().filter(|name| path.is_file() && *name != "LOCK") else { continue };
        let to = to.join(name);
        let is_fixed = path.extension().is_some_and(|kind| kind == "sst" || kind == "blob");
        let copied = if is_fixed { link_or_copy(&path, &to) } else { fs::copy(&path, &to).map(drop) };
        copied.map_err(|error| failed("copy", &path, &error))?;
    }
    Ok(())
}
