//! Who has a data folder open for writing, and where that process answers: the owner holds `<data>/lock` locked, and
//! `<data>/server.json` names its address. A copy of a folder contains both files but no owner. Must never accept an address unless
//! the process behind it owns this folder.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::about::{io_error, new_identity};
use crate::error::{Error, Result};

const LOCK: &str = "lock";
const FILE: &str = "server.json";
/// A server on the same machine accepts within this, unless it is gone.
const CONNECT: Duration = Duration::from_millis(500);
/// Whoever looks whether the lock is taken holds it for a moment, which is waited for.
const LOOKED_AT: Duration = Duration::from_millis(10);
const LOOKED_AT_TIMES: usize = 20;

/// The right to write to a folder; it goes with the process.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// What no other start has.
    pub run: String,
}

impl Lock {
    /// # Errors
    /// `Conflict` where another process has it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| io_error("write", &path, &error))?;
        for _ in 1..LOOKED_AT_TIMES {
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Self::taken(folder, file);
            }
            std::thread::sleep(LOOKED_AT);
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Self::taken(folder, file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::conflict(format!(
                "the data folder {} is in use by another process; end that process or choose another folder with --data",
                folder.display()
            ))),
            Err(error) => Err(io_error("lock", &path, &error.into())),
        }
    }

    fn taken(folder: &Path, file: File) -> Result<Self> {
        // Of the process that had the folder before, or that has the one which this is a copy of.
        let stale = folder.join(FILE);
        match fs::remove_file(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error("remove", &stale, &error)),
            _ => {}
        }
        Ok(Self { file, run: new_identity()?.to_string() })
    }

    /// Whether a process has it. A folder that cannot be looked at is nobody's.
    pub fn is_taken(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join(LOCK)) else { return false };
        matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
    }

    fn inode(&self, folder: &Path) -> Result<u64> {
        let inode = self.file.metadata().map(|about| about.ino());
        inode.map_err(|error| io_error("look at", &folder.join(LOCK), &error))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: u32,
    listen: SocketAddr,
    run: String,
    /// The inode of the lock: that of a copy is another.
    lock: u64,
}

/// The file of a server that runs; it goes away with this.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
}

/// A server that owns a folder: where it answers, and what requests for the folder carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub address: SocketAddr,
    pub run: String,
}

impl Presence {
    pub(super) fn announce(folder: &Path, lock: &Lock, listen: SocketAddr) -> Result<Self> {
        let path = folder.join(FILE);
        let record = Record { pid: std::process::id(), listen: reachable(listen), run: lock.run.clone(), lock: lock.inode(folder)? };
        let text = serde_json::to_string(&record).map_err(|error| Error::internal(format!("{FILE}: {error}")))?;
        let partial = folder.join("server.json.partial");
        let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| io_error("write", &path, &error))?;
        Ok(Self { path })
    }

    /// The server of a folder; `None` when none has it.
    #[must_use]
    pub fn find(folder: &Path) -> Option<Running> {
        let record: Record = serde_json::from_str(&fs::read_to_string(folder.join(FILE)).ok()?).ok()?;
        let is_here = fs::metadata(folder.join(LOCK)).is_ok_and(|lock| lock.ino() == record.lock);
        if !is_here || !Lock::is_taken(folder) {
            return None;
        }
        TcpStream::connect_timeout(&record.listen, CONNECT).ok()?;
        Some(Running { address: record.listen, run: record.run })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A file that stays behind is of a process that holds no lock, which `find` notices.
        let _ = fs::remove_file(&self.path);
    }
}

/// A server on all addresses is reached by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_by_its_folder_and_by_no_copy_of_it() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Presence::find(data.path()), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lock = Lock::take(data.path()).unwrap();
        let presence = Presence::announce(data.path(), &lock, address).unwrap();
        let running = Running { address, run: lock.run.clone() };
        assert_eq!(Presence::find(data.path()), Some(running.clone()));
        let elsewhere = tempfile::tempdir().unwrap();
        let (copy, link) = (elsewhere.path().join("copy"), elsewhere.path().join("link"));
        fs::create_dir(&copy).unwrap();
        for file in [LOCK, FILE] {
            fs::copy(data.path().join(file), copy.join(file)).unwrap();
        }
        assert_eq!(Presence::find(&copy), None, "nobody holds the lock of a copy");
        std::os::unix::fs::symlink(data.path(), &link).unwrap();
        assert_eq!(Presence::find(&link), Some(running), "the folder by another name");
        let other = Lock::take(&copy).unwrap();
        assert!(!copy.join(FILE).exists(), "the owner of a copy has not announced itself");
        fs::copy(data.path().join(FILE), copy.join(FILE)).unwrap();
        assert_eq!(Presence::find(&copy), None, "an address of before");
        drop((other, lock));
        assert_eq!(Presence::find(data.path()), None, "a file that was left behind");
        drop(presence);
        assert!(!data.path().join(FILE).exists());
    }

    #[test]
    fn one_process_writes() {
        let data = tempfile::tempdir().unwrap();
        assert!(!Lock::is_taken(data.path()));
        let lock = Lock::take(data.path()).unwrap();
        assert!(Lock::is_taken(data.path()));
        let refused = Lock::take(data.path()).unwrap_err();
        assert_eq!(refused.kind(), crate::error::ErrorKind::Conflict);
        drop(lock);
        assert!(Lock::take(data.path()).is_ok());
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:7".parse().unwrap()), "127.0.0.1:7".parse().unwrap());
        assert_eq!(reachable("[::]:7".parse().unwrap()), "[::1]:7".parse().unwrap());
    }
}
