//! Acceptance: lateness, events from the future, duplicates. Pure: values in, verdicts out, so that a replay of the
//! same log decides alike. Must never read a clock: the log's own timestamp is the only present there is here.

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::id::Seq;
use crate::plan::Source;
use crate::time::{EventTime, Span};

/// What a source's clauses say of acceptance.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub lateness: Span,
    pub max_ahead: Span,
    /// With `dedup by`: how far apart in event time equal ids are one event.
    pub dedup_within: Option<Span>,
}

impl Rules {
    pub fn of(source: &Source) -> Self {
        Self { lateness: source.lateness, max_ahead: source.max_ahead, dedup_within: source.dedup.as_ref().map(|dedup| dedup.within) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Older than the partition's frontier less `lateness`.
    TooLate {
        frontier: EventTime,
    },
    /// Further ahead of its record's timestamp than `max ahead`.
    TooFarAhead,
    Duplicate,
}

/// Where a row of ids is stored: the first `seq` of its commit, and its place among that commit's rows.
pub type IdsAt = (Seq, u32);

/// What one partition remembers in order to judge its next event.
#[derive(Debug, Default)]
pub struct Gate {
    /// The highest event time accepted so far.
    pub frontier: Option<EventTime>,
    seen: HashMap<u128, SmallVec<[i64; 1]>>,
    /// Per row of ids: where it is, the highest event time among them, their number.
    commits: VecDeque<(IdsAt, i64, usize)>,
    /// Ids of commits that were forgotten but are still in `seen`.
    stale: usize,
}

impl Gate {
    pub fn judge(&mut self, rules: &Rules, time: EventTime, record_timestamp: i64, id: Option<u128>) -> Verdict {
        if time.0 > record_timestamp.saturating_add(rules.max_ahead.0) {
            return Verdict::TooFarAhead;
        }
        if let Some(frontier) = self.frontier
            && time < frontier.minus(rules.lateness)
        {
            return Verdict::TooLate { frontier };
        }
        if let (Some(within), Some(id)) = (rules.dedup_within, id) {
            let times = self.seen.entry(id).or_default();
            if times.iter().any(|seen| seen.abs_diff(time.0) <= within.0.unsigned_abs()) {
                return Verdict::Duplicate;
            }
            times.push(time.0);
        }
        self.frontier = self.frontier.max(Some(time));
        Verdict::Accept
    }

    /// Takes in the ids of a commit that was read back at a start.
    pub fn restore(&mut self, at: IdsAt, ids: &[(u128, i64)]) {
        for (id, time) in ids {
            self.seen.entry(*id).or_default().push(*time);
        }
        self.remember(at, ids);
    }

    /// Notes where these ids, judged before, are stored.
    pub fn remember(&mut self, at: IdsAt, ids: &[(u128, i64)]) {
        if let Some(latest) = ids.iter().map(|(_, time)| *time).max() {
            self.commits.push_back((at, latest, ids.len()));
        }
    }

    /// Forgets ids that no acceptable event can equal any more; returns the rows of ids that went.
    pub fn forget(&mut self, rules: &Rules) -> Vec<IdsAt> {
        let Some(within) = rules.dedup_within else {
            self.seen.clear();
            return self.commits.drain(..).map(|(at, ..)| at).collect();
        };
        let Some(frontier) = self.frontier else { return Vec::new() };
        let limit = frontier.minus(rules.lateness).minus(within).0;
        let mut gone = Vec::new();
        while let Some((at, latest, count)) = self.commits.front().copied() {
            if latest >= limit {
                break;
            }
            gone.push(at);
            self.stale += count;
            self.commits.pop_front();
        }
        // The map is swept once half of it is stale, so that a sweep costs a constant per id.
        if self.stale * 2 > self.seen.len() {
            self.seen.retain(|_, times| {
                times.retain(|time| *time >= limit);
                !times.is_empty()
            });
            self.stale = 0;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { lateness: Span(100), max_ahead: Span(50), dedup_within: Some(Span(30)) };

    fn judge(gate: &mut Gate, time: i64, id: u128) -> Verdict {
        gate.judge(&RULES, EventTime(time), 10_000, Some(id))
    }

    #[test]
    fn lateness_is_measured_from_the_partitions_own_frontier() {
        let mut gate = Gate::default();
        assert_eq!(judge(&mut gate, 1000, 1), Verdict::Accept);
        assert_eq!(judge(&mut gate, 900, 2), Verdict::Accept);
        assert_eq!(judge(&mut gate, 899, 3), Verdict::TooLate { frontier: EventTime(1000) });
        assert_eq!(gate.frontier, Some(EventTime(1000)));
    }

    #[test]
    fn an_event_from_the_future_does_not_move_the_frontier() {
        let mut gate = Gate::default();
        assert_eq!(judge(&mut gate, 10_051, 1), Verdict::TooFarAhead);
        assert_eq!(gate.frontier, None);
        assert_eq!(judge(&mut gate, 10_050, 1), Verdict::Accept);
    }

    #[test]
    fn equal_ids_are_one_event_within_the_distance_only() {
        let mut gate = Gate::default();
        assert_eq!(judge(&mut gate, 1000, 7), Verdict::Accept);
        assert_eq!(judge(&mut gate, 1030, 7), Verdict::Duplicate);
        assert_eq!(judge(&mut gate, 970, 7), Verdict::Duplicate);
        assert_eq!(judge(&mut gate, 1031, 7), Verdict::Accept);
        // The distance is to any accepted event of that id, and duplicates are none.
        assert_eq!(judge(&mut gate, 1061, 7), Verdict::Duplicate);
    }

    #[test]
    fn ids_are_forgotten_only_when_no_acceptable_event_can_equal_them() {
        let mut gate = Gate::default();
        judge(&mut gate, 1000, 7);
        gate.remember((Seq(1), 0), &[(7, 1000)]);
        judge(&mut gate, 1130, 8);
        gate.remember((Seq(2), 0), &[(8, 1130)]);
        assert!(gate.forget(&RULES).is_empty());
        judge(&mut gate, 1131, 9);
        gate.remember((Seq(3), 0), &[(9, 1131)]);
        assert_eq!(gate.forget(&RULES), [(Seq(1), 0)]);
        assert_eq!(judge(&mut gate, 1131, 9), Verdict::Duplicate);
        let mut restored = Gate { frontier: Some(EventTime(1131)), ..Gate::default() };
        restored.restore((Seq(2), 0), &[(8, 1130)]);
        assert_eq!(judge(&mut restored, 1120, 8), Verdict::Duplicate);
    }
}
