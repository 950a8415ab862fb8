//! Reads every byte of the log, the online store and the event log that matters, and says what is wrong with each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::folder;
use crate::id::Identity;
use crate::log::embedded;
use crate::offline;
use crate::online;
use crate::plan::Plan;
use crate::time::Clock;
use crate::window::{KeyState, Layout};

/// What was found of one part of a data folder.
#[derive(Clone, Debug)]
pub struct PartCheck {
    /// Its folder's name.
    pub part: &'static str,
    /// How many bytes were read, as they are once they are unpacked.
    pub bytes: u64,
    pub faults: Vec<Error>,
    /// What holds no checksum that it could be compared with.
    pub unverified: Vec<String>,
    /// The command that builds it again, and from what.
    pub rebuilt: Option<(&'static str, &'static str)>,
}

impl PartCheck {
    fn new(part: &'static str, rebuilt: Option<(&'static str, &'static str)>) -> Self {
        Self { part, bytes: 0, faults: Vec::new(), unverified: Vec::new(), rebuilt }
    }
}

/// Reads the parts of a data folder. `plan` is that of the definitions in force, where there is one: it says what state rows
/// mean. `progress` is told how many bytes were read so far.
pub fn check(config: &Config, plan: Option<&Plan>, clock: Arc<dyn Clock>, mut progress: impl FnMut(u64)) -> Vec<PartCheck> {
    let mut read = 0;
    let mut each = |bytes: u64| {
        read += bytes;
        progress(read);
    };
    let log = check_log(&config.data.join("log"), clock, &mut each);
    let online = check_online(&config.data.join("online"), plan, &mut each);
    let offline = check_offline(&config.data.join("offline"), &mut each);
    let mut folder = PartCheck::new("folder", None);
    folder.faults = folder::faults(&config.data);
    vec![folder, log, online, offline]
}

fn check_log(folder: &Path, clock: Arc<dyn Clock>, each: &mut impl FnMut(u64)) -> PartCheck {
    let mut found = PartCheck::new("log", Some(("forebay rebuild log", "what can be read of it, and says first what cannot")));
    match embedded::Log::open(folder, embedded::Mode::ReadOnly, clock) {
        Ok(log) => {
            found.faults = log.faults(|bytes| {
                found.bytes += bytes;
                each(bytes);
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !folder.exists() => {}
        Err(error) => found.faults.push(error),
    }
    found
}

fn check_online(folder: &Path, plan: Option<&Plan>, each: &mut impl FnMut(u64)) -> PartCheck {
    let mut found = PartCheck::new("online", Some(("forebay rebuild state", "offline and log")));
    let store = match online::Store::open_read_only(folder, 32 << 20) {
        Ok(store) => store,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound || folder.exists() {
                found.faults.push(error);
            }
            return found;
        }
    };
    let layouts: HashMap<Identity, (&str, Layout)> =
        plan.iter().flat_map(|plan| &plan.views).map(|view| (view.id, (view.name.as_str(), Layout::new(view)))).collect();
    let is_readable = |view: Identity, _key: &[u8], row: &[u8]| match layouts.get(&view) {
        Some((name, layout)) => KeyState::decode(layout, row).map(drop).map_err(|error| error.context(format!("view {name}"))),
        None => Ok(()),
    };
    found.faults = store.faults(
        |bytes| {
            found.bytes += bytes;
            each(bytes);
        },
        is_readable,
    );
    found
}

fn check_offline(folder: &Path, each: &mut impl FnMut(u64)) -> PartCheck {
    let mut found = PartCheck::new("offline", Some(("forebay rebuild offline", "what is whole of it, online and log")));
    let mut count = |bytes: u64| {
        found.bytes += bytes;
        each(bytes);
    };
    let mut attempt = || -> Result<(Vec<Error>, Vec<String>)> {
        let mut faults = offline::manifest_faults(folder)?;
        let log = offline::Store::open_read_only(folder)?;
        let snapshot = log.snapshot();
        let mut without = 0;
        for file in snapshot.all_files() {
            let verified = snapshot.open(file).and_then(|open| open.verify(&mut count)).and_then(|is_summed| match is_summed {
                true => Ok(true),
                // Without checksums, that it can be decoded is all that can be told.
                false => snapshot.read_stored(file).map(|_| false),
            });
            match verified {
                Ok(true) => {}
                Ok(false) => without += 1,
                // A server beside merged it.
                Err(error)
                    if error.kind() == ErrorKind::Unavailable
                        && !offline::Store::open_read_only(folder)?.snapshot().all_files().iter().any(|now| now.path == file.path) => {}
                Err(error) => faults.push(error),
            }
        }
        faults.extend(snapshot.miscounted());
        let unverified = (without > 0).then(|| {
            format!(
                "{without} files were written before there were checksums: they can be decoded, and no more is known; `forebay rebuild offline` \
                 gives them some"
            )
        });
        Ok((faults, unverified.into_iter().collect()))
    };
    match attempt() {
        Ok((faults, unverified)) => (found.faults, found.unverified) = (faults, unverified),
        Err(error) => found.faults.push(error),
    }
    found
}
