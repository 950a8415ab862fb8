//! The models of a running engine, loaded before it is ready. The stream and requests have a session each, so that a request never
//! waits for a batch of the stream. Must never decide what becomes of a row without a score.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::model::{Given, Session, version_of};
use crate::plan::Plan;

/// What a request's rows may take for it to be answered on a thread that others wait for.
const QUICK: Duration = Duration::from_millis(1);

/// A model that loaded.
pub struct Loaded {
    session: Session,
    /// Of a model that scores the stream. Its memory is taken once more.
    for_requests: Option<Session>,
    /// What a row of the last request took, in nanoseconds.
    row_nanos: AtomicU64,
    path: PathBuf,
    file: Mutex<Seen>,
}

/// A model's files when they were last looked at. They are read again when the length or the time of one is another.
struct Seen {
    stamps: Vec<Option<(u64, SystemTime)>>,
    version: Result<String>,
}

impl Loaded {
    pub fn version(&self) -> &str {
        self.session.version()
    }

    /// That the file holds another model by now, or none.
    pub fn file_changed(&self) -> Option<String> {
        let mut seen = self.file.lock();
        let stamps = self.session.files().iter().map(|file| stamp(file)).collect();
        if seen.stamps != stamps {
            *seen = Seen { stamps, version: version_of(&self.path) };
        }
        let loaded = self.version();
        match &seen.version {
            Ok(version) if version == loaded => None,
            Ok(version) => Some(format!(
                "its file has changed since it was loaded: {loaded} scores, the file holds {version}; restart the server to score with that"
            )),
            Err(error) => Some(format!("its file has changed since it was loaded: {loaded} scores, and {error}")),
        }
    }

    /// For each row of the stream its score, or why it has none, which `unread` says of rows that could not be read.
    ///
    /// # Errors
    /// As `Session::run`.
    pub fn score_stream(&self, columns: &RecordBatch, unread: &dyn Fn(usize) -> Option<Error>) -> Result<Vec<Result<Given>>> {
        run(&self.session, columns, unread)
    }

    /// The same for a request. Those of one model take turns.
    ///
    /// # Errors
    /// As `Session::run`.
    pub fn score_request(&self, columns: &RecordBatch, unread: &dyn Fn(usize) -> Option<Error>) -> Result<Vec<Result<Given>>> {
        let started = Instant::now();
        let scores = run(self.for_requests.as_ref().unwrap_or(&self.session), columns, unread);
        let rows = columns.num_rows().max(1) as u128;
        self.row_nanos.store(u64::try_from(started.elapsed().as_nanos() / rows).unwrap_or(u64::MAX), Ordering::Relaxed);
        scores
    }

    /// Whether so many rows of a request are likely to be scored at once. Not known before the first.
    pub fn is_quick(&self, rows: usize) -> bool {
        u128::from(self.row_nanos.load(Ordering::Relaxed)) * (rows as u128) < QUICK.as_nanos()
    }
}

fn run(session: &Session, columns: &RecordBatch, unread: &dyn Fn(usize) -> Option<Error>) -> Result<Vec<Result<Given>>> {
    let unread: Vec<Option<Error>> = (0..columns.num_rows()).map(unread).collect();
    let readable = only(columns, unread.iter().map(Option::is_none))?;
    let mut scores = session.run_whole(&readable)?.into_iter();
    let of_row = |unread: Option<Error>| match unread {
        None => scores.next().unwrap_or_else(|| Err(Error::internal("a model gave fewer scores than it was given rows"))),
        Some(error) => Err(error),
    };
    Ok(unread.into_iter().map(of_row).collect())
}

/// Those rows of a batch.
pub fn only(columns: &RecordBatch, rows: impl Iterator<Item = bool> + Clone) -> Result<RecordBatch> {
    if rows.clone().all(|taken| taken) {
        return Ok(columns.clone());
    }
    Ok(filter_record_batch(columns, &rows.map(Some).collect::<BooleanArray>())?)
}

/// Loads the models of a plan; each that does not load says why.
pub fn load(plan: &Plan) -> Vec<Result<Loaded>> {
    let load = |model: &crate::plan::Model| {
        let open = || Session::open(model, &plan.vectors[model.vector]);
        let session = open()?;
        let for_requests = model.score.as_ref().map(|_| open()).transpose()?;
        if for_requests.as_ref().is_some_and(|other| other.version() != session.version()) {
            return Err(Error::unavailable(format!("model file {} changed while it was loaded: start again", model.path.display())));
        }
        // They may have changed since they were read: the first look is at what they hold.
        let file = Mutex::new(Seen { stamps: Vec::new(), version: Ok(session.version().to_owned()) });
        Ok(Loaded { session, for_requests, row_nanos: AtomicU64::new(u64::MAX), path: model.path.clone(), file })
    };
    plan.models.iter().map(load).collect()
}

/// `None` where there is no file.
fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
