//! A copy of the event log as of one moment, while it is written. Must never copy what no manifest names.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::manifest::{Manifest, located};
use super::{Snapshot, io_error};
use crate::copying::Way;
use crate::error::Result;

/// A state of the log whose files stay on the disk while this is there.
#[derive(Debug)]
pub struct Pinned {
    pub(super) snapshot: Snapshot,
    pub(super) _pin: Arc<()>,
}

impl Pinned {
    /// Copies files and manifest into a folder that is not there yet.
    pub fn copy_into(&self, folder: &Path, way: Way) -> Result<()> {
        let Snapshot { folder: from, manifest } = &self.snapshot;
        fs::create_dir_all(folder).map_err(|error| io_error("make", folder, &error))?;
        for file in &manifest.files {
            let (source, target) = (located(from, &file.path), located(folder, &file.path));
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(|error| io_error("make", parent, &error))?;
            }
            let copied = match way {
                Way::Links => fs::hard_link(&source, &target),
                Way::Copies => fs::copy(&source, &target).map(drop),
            };
            copied.map_err(|error| io_error("copy", &source, &error))?;
        }
        let mut manifest = Manifest::clone(manifest);
        // Files that are kept for older readers have none here.
        manifest.retired.clear();
        manifest.publish(folder)
    }
}
