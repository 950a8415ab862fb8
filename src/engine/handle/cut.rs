//! Copies everything that a running engine stores, as of one moment. A start over the copy continues as after a crash at that
//! moment. Must never hold writers up for longer than that moment, which takes milliseconds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::copying::Way;
use crate::engine::shared::Shared;
use crate::error::{Error, Result};

/// How long writers were held back for a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause(pub Duration);

/// Copies into `folder`, which is there and empty.
///
/// # Errors
/// `Conflict` where the engine was opened to read only; `Unavailable` where the disk does not take it.
pub fn cut(shared: &Shared, folder: &Path) -> Result<Pause> {
    let offline = shared.offline.get().ok_or_else(|| Error::conflict("this engine only reads: the one that writes makes copies"))?;
    let way = Way::between(&shared.folder, folder)?;
    let embedded = &shared.logs.embedded;
    let mut online = shared.store.copying(&folder.join("online"), way)?;
    let mut log = embedded.copying(&folder.join("log"), way)?;
    let (parquet, paused) = {
        // What Parquet holds does not move between the copies, nor does what the publisher remembers in the log: no output is
        // in neither of them, and none of the log has a number that the state would give again.
        let _parquet = offline.hold()?;
        let _log = embedded.hold()?;
        let _online = shared.store.hold();
        let started = Instant::now();
        let parquet = offline.pin()?;
        online.take()?;
        log.take()?;
        (parquet, started.elapsed())
    };
    online.finish()?;
    log.finish()?;
    parquet.copy_into(&folder.join("offline"), way)?;
    copy(&shared.folder.join("definitions"), &folder.join("definitions"))?;
    Ok(Pause(paused))
}

/// Copies a file, or a folder with all that is in it; nothing where there is none.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::unavailable(format!("cannot copy {} to {}: {error}", from.display(), to.display()));
    if from.is_dir() {
        fs::create_dir(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.exists() {
        fs::copy(from, to).map_err(failed)?;
    }
    Ok(())
}
