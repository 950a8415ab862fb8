//! A data folder: where its parts are, whose it is, its version, who has it open, and whether its parts belong together. Every
//! command that opens a folder goes through here. Must never read more of a part than its positions.

mod about;
mod belonging;
mod owner;
mod parts;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::about::io_error;
pub use self::belonging::{Extent, LogPart, OfflinePart, OnlinePart, Parts, ReadPosition, Stands, objections};
pub use self::owner::{Presence, Running};
pub use self::parts::{OUTBOX_WRITER, Stored, Written, extent, faults, next_output, none_missing, read_positions};

use self::about::About;
use self::owner::Lock;
use crate::error::{Error, Result};
use crate::id::Identity;

/// What a data folder consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Log,
    Online,
    Offline,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Log, Self::Online, Self::Offline];

    /// The name of its folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }

    /// The files of which one is there once the part is.
    fn opens_with(self) -> &'static [&'static str] {
        match self {
            Self::Log | Self::Online => &["CURRENT"],
            Self::Offline => &["manifest.json", "manifest.copy.json"],
        }
    }
}

/// A data folder of a version that this program knows.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `None` in a folder of before, and in one that is empty.
    about: Option<About>,
    /// Held by the one process that writes.
    lock: Option<Lock>,
}

impl Folder {
    /// Opens a folder to write, for one process at a time. Makes it where it is missing.
    ///
    /// # Errors
    /// `Conflict` where another process has it or a newer version wrote it; `Input` where this user may not write.
    pub fn open_to_write(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| about::io_error("make the folder", path, &error))?;
        // Before anything is made in a folder that another version would understand otherwise.
        About::load(path)?;
        let lock = Lock::take(path)?;
        Ok(Self { path: path.to_owned(), about: About::load(path)?, lock: Some(lock) })
    }

    /// Opens a folder to read, also beside the process that writes.
    ///
    /// # Errors
    /// `Conflict` where a newer version wrote it.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), about: About::load(path)?, lock: None })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a part lies.
    #[must_use]
    pub fn part(&self, part: Part) -> PathBuf {
        self.path.join(part.name())
    }

    /// `None` in a folder of before, which the next start gives one, and in one that is empty.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.about.as_ref().map(|about| about.identity)
    }

    /// Whether a part is there.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        part.opens_with().iter().any(|file| self.part(part).join(file).exists())
    }

    /// The parts that were made here and are gone.
    #[must_use]
    pub fn missing(&self) -> Vec<Part> {
        let made = self.about.iter().flat_map(|about| about.parts.iter().copied());
        made.filter(|part| !self.has(*part)).collect()
    }

    /// Whether the parts are there that another one is built again from.
    ///
    /// # Errors
    /// `Conflict` where one was made here and is gone.
    pub fn has_all(&self, sources: &[Part]) -> Result<()> {
        let gone = self.missing().into_iter().find(|part| sources.contains(part));
        gone.map_or(Ok(()), |part| {
            let (data, name) = (self.path.display(), part.name());
            let first = if part == Part::Log { "restore a checkpoint" } else { "build it again first (`forebay rebuild offline`)" };
            Err(Error::conflict(format!("{name}/ of {data} is missing: put it back, or {first}")))
        })
    }

    /// Whether a process has the folder open to write, this one included.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.lock.is_some() || Lock::is_taken(&self.path)
    }

    /// Says that this process answers at `listen` for the folder, until the returned value goes.
    pub fn announce(&self, listen: std::net::SocketAddr) -> Result<Presence> {
        match &self.lock {
            Some(lock) => Presence::announce(&self.path, lock, listen),
            None => Err(Error::internal(format!("{} is not open to write", self.path.display()))),
        }
    }

    /// What no other start of a process has: requests for this folder carry it. Empty where the folder is open to read.
    #[must_use]
    pub fn run(&self) -> &str {
        self.lock.as_ref().map_or("", |lock| &lock.run)
    }

    /// Notes which parts the folder has now, under this identity.
    fn note(&mut self, identity: Identity, parts: &[Part]) -> Result<()> {
        let mut about = self.about.take().unwrap_or_else(|| About::new(identity));
        about.parts.extend(parts);
        if self.about.as_ref() != Some(&about) {
            about.store(&self.path)?;
        }
        self.about = Some(about);
        Ok(())
    }
}
