//! What a run of the engine did: how far it has come, and what became of the records since it started.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::shared::Applied;
use crate::error::Result;
use crate::id::{Offset, Partition};
use crate::online::{Ledger, Progress};
use crate::time::Span;

/// Where a run began.
pub(in crate::engine) struct Began {
    ledgers: BTreeMap<String, Ledger>,
    next: BTreeMap<(usize, Partition), Offset>,
}

impl Began {
    pub fn new(progress: &Progress, applied: &Applied) -> Self {
        let next = applied.partitions.iter().map(|(key, (next, _))| (*key, *next)).collect();
        Self { ledgers: progress.ledgers.clone(), next }
    }
}

/// What came of the records since the start.
#[derive(Clone, Debug)]
pub struct Summary {
    pub sources: Vec<SourceSummary>,
    /// Rows of the stream that models gave a score.
    pub scored: u64,
    /// Those that they gave none.
    pub unscored: u64,
}

#[derive(Clone, Debug)]
pub struct SourceSummary {
    pub source: String,
    /// Since the start.
    pub ledger: Ledger,
    pub lateness: Span,
    /// The `lateness` that would have accepted all that ever came too late; `None` where none did.
    pub lateness_wanted: Option<Span>,
}

impl Engine {
    /// Records applied since the start, of those that are waited for, and how many these are; `None` while nothing is waited
    /// for.
    #[must_use]
    pub fn caught_up(&self) -> Option<(u64, u64)> {
        let wanted = self.wanted.lock().clone();
        if wanted.is_empty() {
            return None;
        }
        let applied = self.shared.applied();
        let (mut done, mut all) = (0, 0);
        for (key, end) in wanted {
            let began = self.began.next.get(&key).copied().unwrap_or_default().0;
            let next = applied.partitions.get(&key).map_or(began, |(next, _)| next.0);
            done += next.min(end.0).saturating_sub(began);
            all += end.0.saturating_sub(began);
        }
        Some((done, all))
    }

    /// What came of the records since the start, as of the last commit.
    pub fn summary(&self) -> Result<Summary> {
        let ledgers = self.shared.store.progress()?.ledgers;
        let nothing = Ledger::default();
        let of_source = |source: &crate::plan::Source| {
            let (now, then) = (ledgers.get(&source.name), self.began.ledgers.get(&source.name));
            let now = now.unwrap_or(&nothing);
            SourceSummary {
                source: source.name.clone(),
                ledger: now.since(then.unwrap_or(&nothing)),
                lateness: source.lateness,
                lateness_wanted: now.too_late.covering(1000),
            }
        };
        let models = &self.shared.measures.models;
        Ok(Summary {
            sources: self.shared.plan().sources.iter().map(of_source).collect(),
            scored: models.iter().map(|model| model.scored.get()).sum(),
            unscored: models.iter().map(|model| model.failed.get()).sum(),
        })
    }
}
