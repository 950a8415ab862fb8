//! Putting what was built again in the place of what was damaged, which is kept aside. Killed at any moment it goes on or begins
//! again: nothing half made ever stands in a part's place.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// In a folder that is wholly built.
const BUILT: &str = "BUILT";

/// A part of a data folder on its way to be replaced.
pub struct Replacement {
    part: PathBuf,
    made: PathBuf,
}

impl Replacement {
    /// Where a new one is to be made, empty. A run that was killed before everything was made begins again; one that was killed
    /// while it took the part's place is ended: then there is nothing left to do, and `None` comes back.
    pub fn begin(part: &Path) -> Result<Option<Self>> {
        let replacement = Self { part: part.to_owned(), made: beside(part, "rebuilding") };
        if replacement.made.join(BUILT).exists() && !part.exists() {
            replacement.take_place()?;
            return Ok(None);
        }
        // What is wholly built is nobody's to remove.
        if replacement.made.join(BUILT).exists()
            && let Some(kept) = (0..=u16::MAX).map(|number| aside(&replacement.made, number)).find(|path| !path.exists())
        {
            fs::rename(&replacement.made, &kept).map_err(|error| failed("rename", &replacement.made, &error))?;
        }
        match fs::remove_dir_all(&replacement.made) {
            Err(error) if error.kind() != IoKind::NotFound => return Err(failed("remove", &replacement.made, &error)),
            _ => {}
        }
        fs::create_dir_all(&replacement.made).map_err(|error| failed("make", &replacement.made, &error))?;
        Ok(Some(replacement))
    }

    /// Where it is made.
    pub fn folder(&self) -> &Path {
        &self.made
    }

    /// What was made is not wanted.
    pub fn give_up(self) -> Result<()> {
        fs::remove_dir_all(&self.made).map_err(|error| failed("remove", &self.made, &error))
    }

    /// Says that all of it is made and durable, and puts it in the part's place. Where the part is now; `None` where there was
    /// none.
    pub fn finish(self) -> Result<Option<PathBuf>> {
        let mark = self.made.join(BUILT);
        fs::write(&mark, "").and_then(|()| sync(&self.made)).map_err(|error| failed("write", &mark, &error))?;
        let kept = self.part.exists().then(|| (0..=u16::MAX).map(|number| aside(&self.part, number)).find(|path| !path.exists())).flatten();
        if let Some(kept) = &kept {
            fs::rename(&self.part, kept).map_err(|error| failed("rename", &self.part, &error))?;
        }
        self.take_place()?;
        Ok(kept)
    }

    fn take_place(&self) -> Result<()> {
        let place = || {
            fs::rename(&self.made, &self.part)?;
            fs::remove_file(self.part.join(BUILT))?;
            self.part.parent().map_or(Ok(()), sync)
        };
        place().map_err(|error| failed("rename", &self.made, &error))
    }
}

/// `online` becomes `online.damaged`, the next `online.damaged-1`.
fn aside(part: &Path, number: u16) -> PathBuf {
    let suffix = if number == 0 { "damaged".to_owned() } else { format!("damaged-{number}") };
    beside(part, &suffix)
}

fn beside(part: &Path, suffix: &str) -> PathBuf {
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    part.with_file_name(format!("{name}.{suffix}"))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

pub(super) fn failed(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!(
        "cannot {doing} {}: {error}; see that there is room and that it may be written, and begin again",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_whole_and_what_was_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("online");
        fs::create_dir(&part).unwrap();
        for round in 0..3 {
            fs::write(part.join("which"), format!("{round}")).unwrap();
            // Killed half-way: what was made is not taken.
            let begun = Replacement::begin(&part).unwrap().unwrap();
            fs::write(begun.folder().join("half"), "").unwrap();
            drop(begun);
            let begun = Replacement::begin(&part).unwrap().unwrap();
            assert!(!begun.folder().join("half").exists());
            fs::write(begun.folder().join("which"), "new").unwrap();
            let kept = begun.finish().unwrap().unwrap();
            assert_eq!(fs::read_to_string(kept.join("which")).unwrap(), format!("{round}"));
            assert_eq!(fs::read_to_string(part.join("which")).unwrap(), "new");
            assert!(!part.join(BUILT).exists());
        }
        // Killed between the part's going aside and the new one's coming.
        let begun = Replacement::begin(&part).unwrap().unwrap();
        fs::write(begun.folder().join("which"), "last").unwrap();
        fs::write(begun.folder().join(BUILT), "").unwrap();
        fs::rename(&part, folder.path().join("gone")).unwrap();
        drop(begun);
        assert!(Replacement::begin(&part).unwrap().is_none());
        assert_eq!(fs::read_to_string(part.join("which")).unwrap(), "last");
    }
}
