//! Appending to the log of a data folder where no engine runs. Must never run beside one: the log has one writer.

use std::sync::Arc;

use super::logs;
use super::push::{self, Frontiers};
use super::shared::Logs;
use super::{PushReceipt, has_state};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::Partition;
use crate::log::embedded::{Log, Mode};
use crate::online::Store;
use crate::plan::{Plan, Source};
use crate::time::{Clock, EventTime};

/// The log of one source, open to append to.
pub struct Appender {
    logs: Logs,
    source: Source,
    frontiers: Frontiers,
}

impl Appender {
    /// Opens the log, and asks what was committed how far each partition of the source has come.
    ///
    /// # Errors
    /// `NotFound` for an unknown source; `Conflict` when another process has the folder open.
    pub fn open(config: &Config, plan: &Plan, source: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let Some((_, source)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Error::not_found(format!("there is no source {source}; there are: {}", known.join(", "))));
        };
        let embedded = Log::open(&config.data.join("log"), Mode::ReadWrite, clock)?;
        Ok(Self { logs: logs(config, plan, embedded), source: source.clone(), frontiers: stored_frontiers(config, &source.name)? })
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

/// The frontiers of a source's partitions as of the last commit; none where there is no state.
pub fn stored_frontiers(config: &Config, source: &str) -> Result<Frontiers> {
    if !has_state(&config.data) {
        return Ok(Frontiers::new());
    }
    let progress = Store::open_read_only(&config.data.join("online"), 8 << 20)?.progress()?;
    let of_source = progress.partitions.into_iter().filter(|partition| partition.source == source);
    Ok(of_source.filter_map(|partition| Some((Partition(partition.partition), EventTime(partition.frontier?)))).collect())
}
