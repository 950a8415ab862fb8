//! What all benchmarks share: the definitions, the payments, a data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use forebay::config::{Config, Layers};
use forebay::demo::payments::{Generator, Options};
use forebay::language::{self, SourceFile};
use forebay::plan::Plan;
use forebay::{Clock, Error, IngestTime, Result};

/// The system's clock.
pub struct System;

impl Clock for System {
    fn now(&self) -> IngestTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        IngestTime(since.as_micros() as i64)
    }
}

pub struct Setting {
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub files: Vec<SourceFile>,
    pub payloads: Vec<Vec<u8>>,
}

impl Setting {
    /// So many payments of so many users.
    pub fn new(events: u64, users: u32) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::unavailable(format!("no temporary folder: {error}")))?;
        let data = folder.path().join("data").display().to_string();
        let config = Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config()?;
        let files = language::load(&definitions())?;
        let mut payloads = Vec::new();
        for payment in Generator::new(Options { events, users, ..Options::default() }) {
            let mut payload = Vec::with_capacity(192);
            payment.to_json(&mut payload);
            payloads.push(payload);
        }
        Ok(Self { folder, config, files, payloads })
    }

    pub fn plan(&self) -> Result<Plan> {
        plan_of(&self.files)
    }

    /// Events per second, where all of them took so long.
    pub fn rate(&self, seconds: f64) -> f64 {
        self.payloads.len() as f64 / seconds
    }

    pub fn clock() -> Arc<dyn Clock> {
        Arc::new(System)
    }
}

pub fn plan_of(files: &[SourceFile]) -> Result<Plan> {
    let compiled = language::compile_with(files, &forebay::model::Inspector);
    compiled.plan.ok_or_else(|| Error::input(language::render(&compiled.diagnostics, files, false)))
}

fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions")
}

/// Seconds that `work` took, and what it gave.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let started = Instant::now();
    let result = work()?;
    Ok((started.elapsed().as_secs_f64(), result))
}
