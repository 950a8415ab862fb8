//! Files that are copied, hashed and made durable.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::target::Watch;
use crate::error::{Error, Result};

/// What is read at once.
pub const CHUNK: usize = 1 << 20;
/// Endings of files that are written once and never again: links to them are copies.
const NEVER_CHANGED: [&str; 3] = ["sst", "blob", "parquet"];

pub fn is_never_changed(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| NEVER_CHANGED.contains(&extension))
}

/// Locks and logs of a process, which are of no use elsewhere.
pub fn is_of_a_process(name: &str) -> bool {
    name == "LOCK" || name == "LOG" || name.starts_with("LOG.old")
}

/// Every file below a folder that belongs in a copy, by its path with `/`, sorted.
pub fn below(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    collect(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| failed("read", folder, &error))? {
        let entry = entry.map_err(|error| failed("read", folder, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Error::input(format!("{} holds a file whose name is no text: {}", folder.display(), entry.path().display())));
        };
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), found)?;
        } else if !is_of_a_process(name) {
            found.push((path, entry.path()));
        }
    }
    Ok(())
}

/// Where a path with `/` lies below a folder.
pub fn located(folder: &Path, path: &str) -> PathBuf {
    path.split('/').fold(folder.to_owned(), |folder, part| folder.join(part))
}

/// Length and SHA-256 of a file.
pub fn hash(path: &Path, watch: &Watch) -> Result<(u64, String)> {
    read(path, watch, |_| Ok(())).map_err(|error| failed("read", path, &error))
}

/// Copies a file, durably; length and SHA-256 of what was copied. It counts as moved.
pub fn copy(from: &Path, to: &Path, watch: &Watch) -> Result<(u64, String)> {
    make_parent(to)?;
    let mut file = File::create(to).map_err(|error| failed("write", to, &error))?;
    let copied = read(from, watch, |bytes| {
        watch.moved(bytes.len() as u64);
        file.write_all(bytes)
    });
    let copied = copied.map_err(|error| failed("copy", from, &error).context(format!("to {}", to.display())))?;
    file.sync_all().map_err(|error| failed("write", to, &error))?;
    Ok(copied)
}

fn read(path: &Path, watch: &Watch, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut digest, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        if watch.is_stopped() {
            return Err(io::Error::other("stopped"));
        }
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok((bytes, hexadecimal(&digest.finalize())));
        }
        digest.update(&chunk[..length]);
        each(&chunk[..length])?;
        bytes += length as u64;
    }
}

/// Writes a small file, durably.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_parent(path)?;
    let written = File::create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| failed("write", path, &error))
}

pub fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(|error| failed("make", parent, &error)))
}

/// Makes the entries of a folder and of all below it durable.
pub fn sync_folders(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| failed("read", folder, &error))? {
        let path = entry.map_err(|error| failed("read", folder, &error))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}

pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| failed("sync", folder, &error))
}

/// Removes a folder with all that is in it, where there is one.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder, &error)),
        _ => Ok(()),
    }
}

pub fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind as Io;
    let remedy = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => "; free some space and try again",
        Io::PermissionDenied | Io::ReadOnlyFilesystem => "; give this user the right to do that, or choose another folder",
        _ => "",
    };
    Error::unavailable(format!("cannot {doing} {}: {error}{remedy}", path.display()))
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
