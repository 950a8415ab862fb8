//! Appends to the log of a data folder while no engine runs. Must never run beside an engine: the log has one writer.

use std::sync::Arc;

use crate::config::Config;
use crate::engine::PushReceipt;
use crate::engine::append::push::{self, Frontiers};
use crate::engine::logs::Logs;
use crate::error::{Error, Result};
use crate::folder::{Folder, Written};
use crate::id::Partition;
use crate::online::Progress;
use crate::plan::{Plan, Source};
use crate::time::{Clock, EventTime};

/// The log of one source, open to append to.
pub struct Appender {
    logs: Logs,
    source: Source,
    frontiers: Frontiers,
    /// Open to write for as long as this is there.
    _folder: Folder,
}

impl Appender {
    /// Opens the log, and asks what was committed how far each partition of the source has come.
    ///
    /// # Errors
    /// `NotFound` for an unknown source; `Conflict` when another process has the folder open, or its
    /// parts do not belong together.
    pub fn open(config: &Config, plan: &Plan, source: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let Some((_, source)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no source {source}; there are: {}", known.join(", "))));
        };
        let (folder, log, progress) = Written::log(&config.data, clock)?;
        let frontiers = stored_frontiers(&progress, &source.name);
        Ok(Self { logs: Logs::new(config, plan, log), source: source.clone(), frontiers, _folder: folder })
    }

    /// Appends records; durable when it returns.
    pub fn push<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<PushReceipt> {
        push::push(&self.logs, &self.source, payloads, &mut self.frontiers)
    }
}

/// Appends records once.
pub fn push_without_engine<P: AsRef<[u8]>>(
    config: &Config,
    plan: &Plan,
    source: &str,
    payloads: &[P],
    clock: Arc<dyn Clock>,
) -> Result<PushReceipt> {
    Appender::open(config, plan, source, clock)?.push(payloads)
}

/// The frontiers of a source's partitions as of the last commit; none where there was none.
pub fn stored_frontiers(progress: &Progress, source: &str) -> Frontiers {
    let of_source = progress.partitions.iter().filter(|partition| partition.source == source);
    of_source.filter_map(|partition| Some((Partition(partition.partition), EventTime(partition.frontier?)))).collect()
}
