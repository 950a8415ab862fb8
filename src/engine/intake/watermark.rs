//! Decides for which partitions of a source an interval of drift waits before it ends. Pure: knowledge of each partition in,
//! partitions out. Must never read a clock.

use std::collections::BTreeMap;

use crate::engine::PartitionStates;
use crate::engine::intake::partition::PartitionState;
use crate::id::{Offset, Partition};
use crate::plan::Plan;
use crate::time::{EventTime, Span};

/// What is known of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub partition: Partition,
    pub frontier: Option<EventTime>,
    /// The next record to read.
    pub next: Offset,
    /// Where its records ended when its log was last asked; `None` before.
    pub end: Option<Offset>,
    /// It gave nothing for long while others of its source went on.
    pub is_idle: bool,
}

/// What is known of a source's partitions: of those that were read, and of those whose logs ended somewhere when last asked.
pub fn known(states: &PartitionStates, source: usize, ends: &BTreeMap<Partition, Offset>) -> Vec<Known> {
    let read = states.range((source, Partition(0))..=(source, Partition(u32::MAX)));
    let unread = ends.keys().filter(|partition| !states.contains_key(&(source, **partition)));
    let of = |partition: Partition, state: Option<&PartitionState>| Known {
        partition,
        frontier: state.and_then(|state| state.admission.frontier),
        next: state.map_or(Offset(0), |state| state.next),
        end: ends.get(&partition).copied(),
        is_idle: state.is_some_and(|state| state.idle_since.is_some()),
    };
    read.map(|((_, partition), state)| of(*partition, Some(state))).chain(unread.map(|partition| of(*partition, None))).collect()
}

/// The partitions whose events may still come. One with unread records is waited for, also when it gave no event yet; one
/// that is read to its end is, unless it is empty, or lies further than `patience` behind what the others held when that
/// end was looked up. A partition that comes back is waited for again.
pub fn awaited(known: &[Known], patience: Span) -> Vec<Partition> {
    // What was read since may be newer than what is known of the others.
    let were_there = known.iter().filter(|known| known.end.is_some_and(|end| known.next <= end));
    let furthest = were_there.filter_map(|known| known.frontier).max();
    let is_awaited = |known: &&Known| {
        if known.is_idle {
            return false;
        }
        let (Some(end), Some(frontier)) = (known.end, known.frontier) else {
            return known.frontier.is_some() || known.end.is_some_and(|end| known.next < end);
        };
        known.next < end || furthest.is_none_or(|furthest| frontier.plus(patience) >= furthest)
    };
    known.iter().filter(is_awaited).map(|known| known.partition).collect()
}

/// How long a partition that is read to its end is waited for: as long as its own events may come late, and at least one
/// interval.
pub fn patience(plan: &Plan) -> BTreeMap<usize, Span> {
    let mut patience = BTreeMap::new();
    for model in &plan.models {
        if let (Some(watch), Some(score)) = (&model.watch, &model.score) {
            let own = patience.entry(score.source).or_insert(plan.sources[score.source].lateness);
            *own = (*own).max(watch.every);
        }
    }
    patience
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(partition: u32, frontier: Option<i64>, next: u64, end: Option<u64>) -> Known {
        let (frontier, end) = (frontier.map(EventTime), end.map(Offset));
        Known { partition: Partition(partition), frontier, next: Offset(next), end, is_idle: false }
    }

    fn awaited_of(known: &[Known]) -> Vec<u32> {
        awaited(known, Span(100)).into_iter().map(|partition| partition.0).collect()
    }

    #[test]
    fn unread_records_are_waited_for_however_far_behind() {
        assert_eq!(awaited_of(&[known(0, Some(10_000), 50, Some(50)), known(1, Some(5), 7, Some(8))]), [0, 1]);
        assert_eq!(awaited_of(&[known(0, Some(10_000), 50, Some(50)), known(1, None, 0, Some(8))]), [0, 1]);
    }

    #[test]
    fn a_partition_without_events_is_not_waited_for() {
        assert_eq!(awaited_of(&[known(0, Some(10), 5, Some(5)), known(1, None, 0, Some(0)), known(2, None, 4, Some(4))]), [0]);
    }

    #[test]
    fn a_partition_at_its_end_is_left_behind_when_its_patience_is_over() {
        assert_eq!(awaited_of(&[known(0, Some(200), 5, Some(5)), known(1, Some(100), 3, Some(3))]), [0, 1]);
        assert_eq!(awaited_of(&[known(0, Some(201), 5, Some(5)), known(1, Some(100), 3, Some(3))]), [0]);
    }

    /// Partition 0 was read beyond what was there when the ends were looked up: 1 may have got as much since.
    #[test]
    fn newer_records_than_the_known_ends_leave_nobody_behind() {
        assert_eq!(awaited_of(&[known(0, Some(9_000), 6, Some(5)), known(1, Some(100), 3, Some(3))]), [0, 1]);
        assert_eq!(awaited_of(&[known(0, Some(9_000), 6, None), known(1, Some(100), 3, None)]), [0, 1]);
    }

    #[test]
    fn an_idle_partition_is_not_waited_for() {
        let idle = Known { is_idle: true, ..known(1, Some(5), 7, Some(8)) };
        assert_eq!(awaited_of(&[known(0, Some(10), 5, Some(5)), idle]), [0]);
    }
}
