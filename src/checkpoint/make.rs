//! From a copy of a data folder to a checkpoint: what is in the copy is looked at and hashed, it goes to the target, and its
//! manifest last.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::alongside::Alongside;
use super::files::{below, failed, hash, is_never_changed};
use super::manifest::{FileSum, Manifest};
use super::target::{Target, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::log::embedded;
use crate::online;
use crate::time::IngestTime;

/// A checkpoint that was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub manifest: Manifest,
    /// Bytes that went to the target: the others were there, or are links.
    pub moved: u64,
    /// Numbers of older checkpoints that were removed, and bytes that went with them.
    pub removed: Vec<u64>,
    pub freed: u64,
    /// Why older ones stay that should have gone; the checkpoint counts all the same.
    pub unswept: Option<Error>,
}

/// What a file is known by as long as nobody writes to it: device, inode, length, time of its last change.
type Known = (u64, u64, u64, i64, i64);

/// Makes checkpoints of one data folder, and remembers the hashes of files that never change.
#[derive(Debug, Default)]
pub struct Maker {
    hashes: HashMap<Known, String>,
}

impl Maker {
    /// Makes a checkpoint of the copy in `copy`, and leaves the newest `keep` of the target.
    ///
    /// # Errors
    /// `Conflict` when the target holds checkpoints of another data folder; `Corrupt` when the copy cannot be read; those of
    /// the target.
    pub fn make(
        &mut self,
        copy: &Path,
        alongside: &Alongside,
        now: IngestTime,
        target: &dyn Target,
        keep: Option<usize>,
        watch: &Watch,
    ) -> Result<Made> {
        let last = target.numbers()?.pop();
        let mut manifest = Manifest::new(last.map_or(1, |last| last + 1), crate::time::EventTime(now.0).to_string());
        look_at(copy, &mut manifest)?;
        let identities = embedded::identities(&copy.join("log"))?;
        refuse_another(target, last, &identities)?;
        manifest.folder = identities.into_iter().next();
        alongside.lay(copy, &mut manifest)?;
        manifest.files = self.sums(copy, watch)?;
        target.write(copy, &manifest)?;
        let mut made = Made { manifest, moved: watch.bytes(), removed: Vec::new(), freed: 0, unswept: None };
        if let Some(keep) = keep {
            made.unswept = forget(target, keep, &mut made.removed, &mut made.freed).err();
        }
        Ok(made)
    }

    fn sums(&mut self, copy: &Path, watch: &Watch) -> Result<Vec<FileSum>> {
        let (mut sums, mut hashes) = (Vec::new(), HashMap::new());
        for (path, file) in below(copy)? {
            let known = known(&file)?;
            let remembered = self.hashes.get(&known).filter(|_| is_never_changed(&file));
            let sha256 = match remembered {
                Some(sha256) => sha256.clone(),
                None => hash(&file, watch)?.1,
            };
            hashes.insert(known, sha256.clone());
            sums.push(FileSum { path, bytes: known.2, sha256 });
        }
        self.hashes = hashes;
        Ok(sums)
    }
}

/// Removes all but the last so many.
fn forget(target: &dyn Target, keep: usize, removed: &mut Vec<u64>, freed: &mut u64) -> Result<()> {
    let numbers = target.numbers()?;
    for number in &numbers[..numbers.len().saturating_sub(keep.max(1))] {
        target.remove(*number)?;
        removed.push(*number);
    }
    *freed = target.sweep()?;
    Ok(())
}

fn known(path: &PathBuf) -> Result<Known> {
    let found = fs::metadata(path).map_err(|error| failed("read", path, &error))?;
    Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

/// Whose copy it is and how far, which also tells whether it can be opened at all.
fn look_at(copy: &Path, manifest: &mut Manifest) -> Result<()> {
    let online = copy.join("online");
    if online.join("CURRENT").exists() {
        manifest.seq = Some(online::Store::open_read_only(&online, 8 << 20)?.progress()?.committed.0);
    }
    Ok(())
}

/// Checkpoints of two data folders in one place would fall back on one another.
fn refuse_another(target: &dyn Target, last: Option<u64>, identities: &[String]) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    let last = match target.manifest(last) {
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
        last => last?,
    };
    match (&last.folder, identities.first()) {
        (Some(theirs), Some(ours)) if !identities.contains(theirs) => Err(Error::conflict(format!(
            "{} holds checkpoints of another data folder ({theirs}, this one is {ours}): name another place",
            target.name()
        ))),
        _ => Ok(()),
    }
}
