//! Gauges that are read when metrics are requested: backlogs, ledgers, sizes, problems. Must never wait for the applier.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::handle::Handle;
use crate::engine::handle::api::SourceReport;
use crate::engine::handle::problems::Kind;
use crate::engine::shared::{Applied, Shared};
use crate::id::Partition;
use crate::record::PartitionEnds;
use crate::telemetry::names;
use crate::time::Span;

/// How old sizes of views may be: asking the store for them reads its indexes.
const SIZES_AGE: Duration = Duration::from_mins(1);

impl Handle {
    /// Brings the metrics up to date that are read off. Reads files: not on a thread that others wait for.
    pub fn refresh_metrics(&self) {
        let (shared, metrics) = (&self.shared, &self.shared.metrics);
        let applied = shared.applied();
        // A store that cannot be read ends the engine, which says so.
        self.sources().unwrap_or_default().iter().for_each(|report| ledger(shared, report));
        for source in self.freshness(&applied, |_| true) {
            if let Some(staleness) = source.staleness_ms {
                metrics.set(names::STALENESS, &[("source", &source.source)], staleness as f64 / 1e3);
            }
        }
        for (index, source) in shared.plan().sources.iter().enumerate() {
            metrics.set(names::LAG_RECORDS, &[("source", &source.name)], lag(shared, &applied, index) as f64);
        }
        let committed = shared.measures.committed.get();
        metrics.set(names::UNAPPLIED_EVENTS, &[], (committed - applied.seq.0 as f64).max(0.0));
        let offline = shared.offline_upto.load(Ordering::Acquire);
        metrics.set(names::OFFLINE_PENDING, &[], (committed - offline as f64).max(0.0));
        metrics.set(names::OUTBOX_RECORDS, &[], shared.outbox.waiting() as f64);
        metrics.set(names::OUTBOX_BYTES, &[], shared.outbox.bytes() as f64);
        metrics.set(names::INTAKE_BYTES, &[], shared.bounds.intake.bytes() as f64);
        metrics.set(names::READY, &[], f64::from(self.is_ready()));
        let mut problems: BTreeMap<Kind, u32> = Kind::ALL.into_iter().map(|kind| (kind, 0)).collect();
        for (kind, _) in shared.problems() {
            *problems.entry(kind).or_default() += 1;
        }
        for (kind, count) in problems {
            metrics.set(names::PROBLEMS, &[("kind", kind.name())], f64::from(count));
        }
        disk(shared);
    }
}

/// Records in the log of a source, as its end was last known, that lookups do not see yet.
pub(in crate::engine) fn lag(shared: &Shared, applied: &Applied, source: usize) -> u64 {
    let next = |partition| applied.partitions.get(&(source, partition)).map_or(0, |(next, _)| next.0);
    let origin = &shared.plan().sources[source].origin;
    let held = shared.logs.of(origin.system).ok().and_then(|system| system.known_partitions(&origin.topic));
    if let Some(held) = held.filter(|held| !held.is_empty()) {
        let of = |(index, (start, end)): (u32, &PartitionEnds)| end.0.saturating_sub(next(Partition(index)).max(start.0));
        return (0..).zip(&held).map(of).sum();
    }
    shared.ends[source].lock().iter().map(|(partition, end)| end.0.saturating_sub(next(*partition))).sum()
}

fn ledger(shared: &Shared, report: &SourceReport) {
    let metrics = &shared.metrics;
    let source = ("source", report.freshness.source.as_str());
    let ledger = &report.ledger;
    metrics.reach(names::EVENTS_ACCEPTED, &[source], ledger.accepted);
    metrics.reach(names::EVENTS_LATE, &[source], ledger.late);
    metrics.reach(names::EVENTS_DUPLICATE, &[source], ledger.duplicates);
    metrics.reach(names::EVENTS_RETRACTED, &[source], ledger.retracted);
    for (reason, rejected) in &ledger.rejected {
        metrics.reach(names::EVENTS_REJECTED, &[source, ("reason", reason)], *rejected);
    }
    let seconds = |span: Span| span.0 as f64 / 1e6;
    metrics.set(names::LATENESS_MAX, &[source, ("outcome", "accepted")], seconds(ledger.late_max));
    metrics.set(names::LATENESS_MAX, &[source, ("outcome", "too_late")], seconds(ledger.too_late.longest()));
    for (share, per_mille) in [("0.999", 999), ("1", 1000)] {
        if let Some(wanted) = ledger.too_late.covering(per_mille) {
            metrics.set(names::LATENESS_WANTED, &[source, ("share", share)], seconds(wanted));
        }
    }
}

/// What lies on the disk, and what it has left.
fn disk(shared: &Shared) {
    let metrics = &shared.metrics;
    if let Ok(stat) = rustix::fs::statvfs(&shared.folder) {
        metrics.set(names::DISK_FREE, &[], stat.f_bavail as f64 * stat.f_frsize as f64);
        metrics.set(names::DISK_SIZE, &[], stat.f_blocks as f64 * stat.f_frsize as f64);
    }
    for part in ["log", "online"] {
        metrics.set(names::DATA_BYTES, &[("part", part)], bytes_of(&shared.folder.join(part)) as f64);
    }
    for topic in shared.logs.embedded.topics() {
        let labels = [("topic", topic.name.as_str())];
        let records: u64 = topic.partitions.iter().map(|partition| partition.end.0 - partition.start.0).sum();
        let bytes: u64 = topic.partitions.iter().map(|partition| partition.bytes).sum();
        metrics.set(names::TOPIC_RECORDS, &labels, records as f64);
        metrics.set(names::TOPIC_BYTES, &labels, bytes as f64);
    }
    let mut sized = shared.views_sized.lock();
    if sized.is_none_or(|at| at.elapsed() > SIZES_AGE) {
        for view in &shared.plan().views {
            if let Ok(bytes) = shared.store.view_bytes(view.id) {
                metrics.set(names::VIEW_BYTES, &[("view", &view.name)], bytes as f64);
            }
        }
        *sized = Some(Instant::now());
    }
}

/// The bytes of the files of a folder that has no folders in it, as RocksDB's have none.
fn bytes_of(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    // A file that went away meanwhile has none.
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}
