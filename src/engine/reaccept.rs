//! Acceptance decided once more from a log's start: what a source's log holds now gives the same events, because nothing but the
//! order of offsets decides. Must never write anything, nor apply an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::accept::Rules;
use super::intake::Intake;
use super::lane::{Lane, Taken};
use super::models::Loaded;
use super::outbox::Outbox;
use super::reader;
use super::retention::Kept;
use super::shared::{Applied, Bounds, Definitions, Shared};
use super::work::events_of;
use super::{embedded, logs};
use crate::config::Config;
use crate::decode::Decoder;
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
    let logs = logs(config, plan, log);
    let unloaded = |model: &Model| -> Result<Loaded> { Err(Error::internal(format!("model {} scores nothing here", model.name))) };
    let models = plan.models.iter().map(unloaded).collect();
    let bounds = Bounds { intake: Arc::new(Intake::new(config.intake_bytes)), kept: Kept::new(&config.retention, plan) };
    let definitions = Arc::new(Definitions::new(Arc::new(plan.clone()), 1, usize::MAX));
    let shared = Arc::new(Shared::new(
        definitions,
        scratch,
        logs,
        models,
        Applied::default(),
        bounds,
        clock,
        Metrics::new(),
        config.data.clone(),
        Outbox::new(None, 0, config.outbox_bytes_max),
        config.ready_when,
    ));
    let declared = &plan.sources[source];
    let mut reader = shared.logs.reader(declared)?;
    let mut decoder = Decoder::new(declared);
    let rules = Rules::of(declared);
    let mut lanes: BTreeMap<Partition, Lane> = BTreeMap::new();
    let mut ends: BTreeMap<Partition, u64> = BTreeMap::new();
    for (partition, end) in reader.record_ends()? {
        let end = upto.get(&partition.0).map_or(end.0, |upto| end.0.min(*upto));
        ends.insert(partition, end);
        reader.seek(partition, Offset(0))?;
        let mut lane = Lane::new();
        lane.gate.frontier = frontiers.get(&partition.0).copied().map(EventTime);
        lanes.insert(partition, lane);
    }
    let (mut next_seq, mut number) = (1, 0);
    let is_read = |lanes: &BTreeMap<Partition, Lane>| ends.iter().all(|(partition, end)| lanes[partition].next.0 >= *end);
    while !is_read(&lanes) {
        let runs = reader.poll(AT_ONCE, Duration::from_secs(5))?;
        let _trimmed = reader.take_problems();
        if runs.iter().all(|run| run.records.is_empty()) {
            return Err(Error::unavailable(format!("the log of source {} gives nothing more before its end", declared.name)));
        }
        for run in runs {
            let Some(last) = run.last() else { continue };
            let partition = run.partition;
            for incoming in reader::decode(&shared, source, &mut decoder, run, Offset(last.offset.0 + 1))? {
                let Some(lane) = lanes.get_mut(&partition) else { continue };
                let now = shared.clock.now();
                let Taken { segment, ids, .. } = lane.take(&shared, &rules, EventTime::MIN, incoming, &mut next_seq, now)?;
                number += 1;
                lane.gate.remember((Seq(number), 0), &ids);
                lane.gate.forget(&rules);
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
