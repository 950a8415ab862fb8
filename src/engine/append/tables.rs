//! Appends the rows of the files of tables to their logs, each file once, also across crashes. A file is known by its name and
//! content. The write that appends also stores how far the file was appended. Must never end the engine because of a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use xxhash_rust::xxh3::Xxh3Default;

use crate::decode::{self, Payload};
use crate::engine::handle::problems::Kind;
use crate::engine::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Identity, Partition};
use crate::plan::Source;
use crate::record::NewRecord;
use crate::time::Epoch;

/// How often is looked for new files.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(20);
/// What is remembered of a file: in the upper bits which of its contents was taken in last, counted from 1, and in these how
/// many rows of it are in the log.
const ROWS_BITS: u32 = 40;
/// All of them.
const WHOLE: u64 = (1 << ROWS_BITS) - 1;

/// A file's size and time of change: where they stay, the file is not looked into again.
type Stamp = (u64, Option<SystemTime>);

/// What is known of files since the start: those that are in the log, and why others cannot be.
#[derive(Default)]
pub struct Loader {
    files: BTreeMap<(usize, PathBuf), (Stamp, Option<String>)>,
}

impl Loader {
    /// Looks again and again until the engine stops.
    pub fn run(mut self, shared: &Shared) {
        let mut looked = Instant::now();
        while !shared.is_stopping() {
            std::thread::sleep(WAIT);
            if looked.elapsed() > LOOK_EVERY {
                self.look(shared);
                looked = Instant::now();
            }
        }
    }

    /// Appends what is new in the files of every table. What cannot be read is a problem that the status shows.
    pub fn look(&mut self, shared: &Shared) {
        for (index, source) in shared.plan().sources.iter().enumerate() {
            let Some(path) = &source.files else { continue };
            let problem = match files_of(path) {
                Ok(files) => {
                    let problems: Vec<String> = files.into_iter().filter_map(|file| self.look_into(shared, index, source, file)).collect();
                    (!problems.is_empty()).then(|| problems.join("; "))
                }
                Err(error) => Some(error.to_string()),
            };
            shared.set_problem(Kind::Table, &format!("table {}", source.name), problem);
        }
    }

    /// Appends a file's rows, where they are not in the log; why not, where that cannot be.
    fn look_into(&mut self, shared: &Shared, index: usize, source: &Source, path: PathBuf) -> Option<String> {
        let stamp = match fs::metadata(&path) {
            Ok(file) => (file.len(), file.modified().ok()),
            Err(error) => return Some(format!("{}: cannot be read: {error}", path.display())),
        };
        let known = (index, path);
        if let Some((_, problem)) = self.files.get(&known).filter(|(before, _)| *before == stamp) {
            return problem.clone();
        }
        match load(shared, source, &known.1) {
            Ok(true) => {
                self.files.insert(known, (stamp, None));
                None
            }
            Ok(false) => None,
            Err(error) => {
                // A log that does not take the rows may take them later; a file stays as it is.
                if error.kind() == ErrorKind::Input {
                    self.files.insert(known, (stamp, Some(error.to_string())));
                }
                Some(error.to_string())
            }
        }
    }
}

/// The files of a table, by name.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("{shown}: there is no such file or folder")),
        _ => Error::input(format!("{shown}: cannot be read: {error}")),
    };
    if fs::metadata(path).map_err(failed)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")));
    // One that cannot be looked at, such as a link to nothing, is named when it is read.
    files.retain(|file| fs::metadata(file).map_or(true, |file| file.is_file()));
    files.sort();
    Ok(files)
}

/// Appends the rows of a file that are not in the log. `false` when the engine stops before the last.
fn load(shared: &Shared, source: &Source, path: &Path) -> Result<bool> {
    let named = |name: &str| shared.logs.embedded.sink(name);
    let Some(content) = content_of(path, &|| shared.is_stopping())? else { return Ok(false) };
    let file = remembered_as(source, path);
    let mut writer = named(&file)?;
    let last = writer.committed()?.map_or((0, 0), |upto| (upto >> ROWS_BITS, upto & WHOLE));
    let content_at = |count: u64| named(&format!("{file} {count} {content}"));
    // A file that is put back to what it was before is another content again.
    let (count, done) = if last.0 > 0 && content_at(last.0)?.committed()?.is_some() {
        last
    } else {
        content_at(last.0 + 1)?.append(&[], 1)?;
        (last.0 + 1, 0)
    };
    if done == WHOLE {
        return Ok(true);
    }
    let mut rows = 0;
    for batch in decode::table_to_records(source, path)? {
        if shared.is_stopping() {
            return Ok(false);
        }
        let batch = batch?;
        let begun = usize::try_from(done.saturating_sub(rows)).unwrap_or(usize::MAX).min(batch.len());
        rows += batch.len() as u64;
        let record = |payload: Payload| NewRecord {
            topic: source.topic().to_owned(),
            partition: Some(Partition(0)),
            value: Some(payload.bytes),
            ..NewRecord::default()
        };
        let records: Vec<NewRecord> = batch.into_iter().skip(begun).map(record).collect();
        writer.append(&records, count << ROWS_BITS | rows)?;
    }
    writer.append(&[], count << ROWS_BITS | WHOLE)?;
    tracing::info!(table = source.name, "took in {rows} rows of {}", path.display());
    Ok(true)
}

/// The name under which the log remembers a file: with what is taken of it, so that a table with a new column, or with
/// another key, takes its files in again.
fn remembered_as(source: &Source, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("table {} {} {name}", source.topic(), taken(source))
}

/// Of what is taken of a table's files.
pub fn taken(source: &Source) -> Identity {
    taken_with(source, source.epoch(source.event_time))
}

/// The same, where integers of the table's time counted that.
pub fn taken_with(source: &Source, of_time: Epoch) -> Identity {
    let mut taken: Vec<String> = source.fields.iter().map(|field| format!("{} {}", field.name, field.data_type)).collect();
    let epoch = |column: usize| if column == source.event_time { of_time } else { source.epoch(column) };
    let epochs = source.fields.iter().enumerate().map(|(column, field)| (field, epoch(column)));
    let epochs = epochs.filter(|(_, epoch)| *epoch != Epoch::default());
    taken.extend(epochs.map(|(field, epoch)| format!("{} {}", field.name, epoch.spelling())));
    taken.sort();
    taken.push(format!("time {}", source.fields[source.event_time].name));
    taken.extend(source.expects.iter().map(|expect| expect.condition.text.to_string()));
    Identity::of(&taken.join("\n"))
}

/// A file's length and the hash of its bytes; `None` where it `stops` before.
fn content_of(path: &Path, stops: &dyn Fn() -> bool) -> Result<Option<String>> {
    let failed = |error: std::io::Error| Error::input(format!("{}: cannot be read: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut length, mut buffer) = (Xxh3Default::new(), 0, vec![0; 1 << 20]);
    loop {
        if stops() {
            return Ok(None);
        }
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            bytes => {
                hash.update(&buffer[..bytes]);
                length += bytes as u64;
            }
        }
    }
    Ok(Some(format!("{length} {:032x}", hash.digest128())))
}

/// Waits until all that the logs of tables hold now is applied, so that the first event already sees it.
pub fn wait_until_applied(shared: &Shared) -> Result<()> {
    let mut wanted = Vec::new();
    for (index, source) in shared.plan().sources.iter().enumerate().filter(|(_, source)| source.files.is_some()) {
        for (partition, end) in shared.logs.reader(&source.origin)?.record_ends()? {
            wanted.push(((index, partition), end));
        }
    }
    while !shared.is_stopping() {
        let applied = shared.applied();
        if wanted.iter().all(|(key, end)| applied.partitions.get(key).is_some_and(|(next, _)| next >= end)) {
            break;
        }
        std::thread::sleep(WAIT);
    }
    Ok(())
}
