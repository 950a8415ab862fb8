//! Where checkpoints go and come from: what a folder and a bucket have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::bucket::Bucket;
use super::folder::Folder;
use super::manifest::Manifest;
use crate::error::{Error, Result};

/// How an object store is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// As the variables `AWS_*` name them, in lower case and without that prefix: `endpoint`, `region`, `access_key_id`.
    pub s3: BTreeMap<String, String>,
    /// How long a step is tried again.
    pub patience: Duration,
}

/// Whether to go on, and how far it is.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    moved: Arc<AtomicU64>,
}

impl Watch {
    /// Ends what is under way, soon.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One that ends with this and counts by itself.
    pub fn of_another(&self) -> Self {
        Self { stop: Arc::clone(&self.stop), moved: Arc::default() }
    }

    /// Bytes that went to or came from the target so far.
    pub fn bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

/// A place that holds checkpoints of one data folder.
pub trait Target: Send {
    /// As it is written.
    fn name(&self) -> String;

    /// The numbers of all checkpoints, ascending.
    fn numbers(&self) -> Result<Vec<u64>>;

    /// # Errors
    /// `NotFound` when there is none of that number, `Corrupt` when it is not what was written.
    fn manifest(&self, number: u64) -> Result<Manifest>;

    /// Takes the files of a copy, and then its manifest: from then on the checkpoint is there.
    ///
    /// # Errors
    /// `Conflict` when there is one of that number.
    fn write(&self, copy: &Path, manifest: &Manifest) -> Result<()>;

    /// Brings the files of a checkpoint into a folder, durably, each compared with the manifest.
    ///
    /// # Errors
    /// `Corrupt` when one is missing or not what was written.
    fn fetch(&self, manifest: &Manifest, into: &Path) -> Result<()>;

    /// Makes a checkpoint one that never was.
    fn remove(&self, number: u64) -> Result<()>;

    /// Removes what interrupted checkpoints and removed ones left; how many bytes that frees. Only for who has the turn.
    fn sweep(&self) -> Result<u64>;
}

/// The target of that name: `s3://bucket/prefix`, or a folder.
///
/// # Errors
/// `Input` for anything else.
pub fn open(name: &str, options: &Options, watch: &Watch) -> Result<Box<dyn Target>> {
    if name.is_empty() {
        return Err(Error::input("no place for checkpoints is named: give a folder or s3://bucket/prefix, or set checkpoint_to"));
    }
    match name.split_once("://") {
        Some(("s3", rest)) => Ok(Box::new(Bucket::open(rest, options, watch)?)),
        Some((other, _)) => Err(Error::input(format!("{name}: checkpoints go to a folder or to s3://bucket/prefix, not to {other}://"))),
        None => Ok(Box::new(Folder::new(Path::new(name), watch))),
    }
}
