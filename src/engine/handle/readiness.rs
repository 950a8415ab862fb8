//! Decides whether lookups may be sent to this server: the state is restored, and everything is applied that the logs contained at
//! the start. Must never wait long for a log that cannot be reached: every answer says how old it is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::ReadyWhen;
use crate::engine::handle::Handle;
use crate::engine::handle::api::{Readiness, Waiting};
use crate::engine::shared::Shared;
use crate::id::{Offset, Partition};

/// How long a log that fails at the start is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Handle {
    /// Whether lookups may be sent here, or what is waited for.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let shared = &*self.shared;
        if let Err(error) = shared.check() {
            return Readiness { ready: false, state: "failed", problem: Some(error.to_string()), waiting: Vec::new() };
        }
        if !shared.is_ready() {
            return Readiness { ready: false, state: "restoring", problem: None, waiting: Vec::new() };
        }
        if let Some((_, aside)) = shared.definitions.views_aside().next() {
            return Readiness { ready: false, state: "damaged", problem: Some(aside.to_string()), waiting: Vec::new() };
        }
        let waiting = shared.behind_the_start();
        let state = if waiting.is_empty() { "caught_up" } else { "catching_up" };
        let ready = waiting.is_empty() || shared.ready_when == ReadyWhen::Restored;
        Readiness { ready, state, problem: None, waiting }
    }

    /// Whether lookups may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness().ready
    }
}

impl Shared {
    /// Notes where the log of a source ended when its reading began.
    pub fn note_start(&self, source: usize, ends: Vec<(Partition, Offset)>) {
        // Reading begins again after a topic was gone: what counts is how it was first.
        let _ = self.starts[source].set(ends);
    }

    /// Goes on without a log that could not be read since then.
    pub fn pass_over(&self, source: usize, since: Instant) {
        if since.elapsed() > PATIENCE && self.starts[source].get().is_none() {
            tracing::warn!(
                source = self.plan().sources[source].name,
                "ready without this log, which cannot be read: its events are not in"
            );
            self.note_start(source, Vec::new());
        }
    }

    /// Nothing is read from logs here.
    pub fn nothing_to_catch_up(&self) {
        self.caught_up.store(true, Ordering::SeqCst);
    }

    /// The sources of which records that were in the log at the start are not applied. Once there are none, there never are.
    fn behind_the_start(&self) -> Vec<Waiting> {
        if self.caught_up.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let applied = self.applied();
        let mut waiting = Vec::new();
        for (place, source) in self.plan().sources.iter().enumerate() {
            let left = |(partition, end): &(Partition, Offset)| {
                let next = applied.partitions.get(&(place, *partition)).map_or(0, |(next, _)| next.0);
                end.0.saturating_sub(next)
            };
            let records = self.starts[place].get().map(|ends| ends.iter().map(left).sum());
            if records != Some(0) {
                waiting.push(Waiting { source: source.name.clone(), records });
            }
        }
        if waiting.is_empty() {
            self.caught_up.store(true, Ordering::SeqCst);
        }
        waiting
    }
}
