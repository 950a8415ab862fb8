//! Decides acceptance again from the start of a log. The log yields the same events, because only the order of offsets decides.
//! Must never write anything, nor apply an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::decode::Decoder;
use crate::engine::embedded;
use crate::engine::intake::accept::Rules;
use crate::engine::intake::batch::events_of;
use crate::engine::intake::budget::Intake;
use crate::engine::intake::partition::{AdmittedRun, PartitionState};
use crate::engine::intake::reader;
use crate::engine::logs::Logs;
use crate::engine::output::models::Loaded;
use crate::engine::output::outbox::Outbox;
use crate::engine::output::retention::Kept;
use crate::engine::shared::{Applied, Bounds, Definitions, Foundation, Shared};
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::{Offset, Partition, Seq};
use crate::online::Store;
use crate::plan::{Model, Plan};
use crate::telemetry::Metrics;
use crate::time::{Clock, EventTime};

/// Records that are read at once.
const AT_ONCE: usize = 20_000;

/// The events that the log of a source gives, partition by partition in their order, up to these offsets, or to its end where a
/// partition has none. Their `seq` and when they were taken in mean nothing. `frontiers` are those of partitions whose log begins
/// late, at its beginning. `scratch` is an empty store.
pub fn accepted_again(
    config: &Config,
    plan: &Plan,
    source: usize,
    (scratch, log): (Store, embedded::Log),
    clock: Arc<dyn Clock>,
    (upto, frontiers): (&BTreeMap<u32, u64>, &BTreeMap<u32, i64>),
    mut each: impl FnMut(EventBatch) -> Result<()>,
) -> Result<()> {
    let logs = Logs::new(config, plan, log);
    let unloaded = |model: &Model| -> Result<Loaded> { Err(Error::internal(format!("model {} scores nothing here", model.name))) };
    let models = plan.models.iter().map(unloaded).collect();
    let bounds = Bounds { intake: Arc::new(Intake::new(config.intake_bytes)), kept: Kept::new(&config.retention, plan) };
    let definitions = Arc::new(Definitions::new(Arc::new(plan.clone()), 1, usize::MAX));
    let shared = Arc::new(Shared::new(Foundation {
        definitions,
        store: scratch,
        logs,
        models,
        applied: Applied::default(),
        bounds,
        clock,
        metrics: Metrics::new(),
        folder: config.data.clone(),
        outbox: Outbox::new(BTreeMap::new(), config.outbox_bytes_max),
        ready_when: config.ready_when,
    }));
    let declared = &plan.sources[source];
    let mut reader = shared.logs.reader(&declared.origin)?;
    let mut decoder = Decoder::new(declared);
    let rules = Rules::of(declared);
    let mut states: BTreeMap<Partition, PartitionState> = BTreeMap::new();
    let mut ends: BTreeMap<Partition, u64> = BTreeMap::new();
    for (partition, end) in reader.record_ends()? {
        let end = upto.get(&partition.0).map_or(end.0, |upto| end.0.min(*upto));
        ends.insert(partition, end);
        reader.seek(partition, Offset(0))?;
        let mut state = PartitionState::new();
        state.admission.frontier = frontiers.get(&partition.0).copied().map(EventTime);
        states.insert(partition, state);
    }
    let (mut next_seq, mut number) = (1, 0);
    let is_read = |states: &BTreeMap<Partition, PartitionState>| ends.iter().all(|(partition, end)| states[partition].next.0 >= *end);
    while !is_read(&states) {
        let runs = reader.poll(AT_ONCE, Duration::from_secs(5))?;
        let _trimmed = reader.take_problems();
        if runs.iter().all(|run| run.records.is_empty()) {
            return Err(Error::unavailable(format!("the log of source {} gives nothing more before its end", declared.name)));
        }
        for run in runs {
            let Some(last) = run.last() else { continue };
            let partition = run.partition;
            for incoming in reader::decode(&shared, source, &mut decoder, run, Offset(last.offset.0 + 1))? {
                let Some(state) = states.get_mut(&partition) else { continue };
                let now = shared.clock.now();
                let AdmittedRun { segment, ids, .. } = state.take(&shared, &rules, EventTime::MIN, incoming, &mut next_seq, now)?;
                number += 1;
                state.admission.remember((Seq(number), 0), &ids);
                state.admission.forget(&rules);
                if !segment.rows.is_empty() {
                    for batch in events_of(plan, std::slice::from_ref(&segment))? {
                        each(batch)?;
                    }
                }
            }
        }
    }
    Ok(())
}
