//! A copy of a data folder that nobody has open: bit for bit, of whichever version. Nothing of it is opened, so that a folder
//! of a former version stays one, and can be had back. Must never copy what a process may be writing.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::files::{copy, failed, is_never_changed, is_of_a_process, located, make_parent};
use super::target::Watch;
use crate::copying::Way;
use crate::error::{Error, Result};
use crate::folder::{Folder, none_missing};

/// The parts of a data folder, and the lock of each that has one.
const PARTS: [(&str, bool); 4] = [("online", true), ("log", true), ("offline", false), ("definitions", false)];

/// Copies into a folder that is there and empty.
///
/// # Errors
/// `Conflict` while a process has the folder open, and where a part of it is missing; `NotFound` when there is nothing to copy.
pub fn copy_stopped(data: &Path, into: &Path) -> Result<()> {
    // A copy of a folder that lost a part is none that anybody could go on from.
    none_missing(&Folder::open_read_only(data)?)?;
    let mut locks = Vec::new();
    for (part, _) in PARTS.iter().filter(|(_, is_locked)| *is_locked) {
        locks.extend(lock(data, &data.join(part).join("LOCK"))?);
    }
    let way = Way::between(data, into)?;
    let mut is_empty = true;
    for (part, _) in PARTS {
        let (from, to) = (data.join(part), into.join(part));
        if from.is_dir() {
            fs::create_dir(&to).map_err(|error| failed("make", &to, &error))?;
            for (path, file) in super::files::below(&from)? {
                place(&file, &located(&to, &path), way)?;
            }
            is_empty = false;
        }
    }
    drop(locks);
    if is_empty {
        return Err(Error::not_found(format!("{} holds nothing to copy: name another folder with --data", data.display())));
    }
    Ok(())
}

fn place(from: &Path, to: &Path, way: Way) -> Result<()> {
    make_parent(to)?;
    if way == Way::Links && is_never_changed(from) {
        return fs::hard_link(from, to).map_err(|error| failed("link", from, &error));
    }
    copy(from, to, &Watch::default()).map(drop)
}

/// The lock that whoever opens the store takes; none where there is no store.
fn lock(data: &Path, path: &Path) -> Result<Option<File>> {
    if !path.parent().is_some_and(Path::is_dir) {
        return Ok(None);
    }
    debug_assert!(path.file_name().and_then(|name| name.to_str()).is_some_and(is_of_a_process));
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    let lock = opened.map_err(|error| failed("lock", path, &error))?;
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::conflict(format!(
            "the data folder {} is in use by a process that does not serve: wait for it to end, and ask again",
            data.display()
        ))
    })?;
    Ok(Some(lock))
}
