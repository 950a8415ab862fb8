//! Acceptance: lateness, events in the future, duplicates, retractions. Pure: values in, verdicts out, so that a replay of the same
//! log decides alike. Must never read a clock: the timestamp of the log is the only present here.

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::engine::intake::key_columns::{self, KeyColumns};
use crate::error::Result;
use crate::id::Seq;
use crate::online::{AcceptedIds, Place};
use crate::plan::Source;
use crate::time::{EventTime, Span};

/// What a source's clauses say of acceptance.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub lateness: Span,
    pub max_ahead: Span,
    /// With `dedup by`: how far apart in event time equal ids are one event.
    pub dedup_within: Option<Span>,
    /// Where events can be retracted: how far behind the frontier an event may be retracted.
    pub history: Option<Span>,
}

impl Rules {
    pub fn of(source: &Source) -> Self {
        Self {
            lateness: source.lateness,
            max_ahead: source.max_ahead,
            dedup_within: source.dedup.as_ref().map(|dedup| dedup.within),
            history: source.retracts().then_some(source.history),
        }
    }

    /// How far behind the frontier ids decide something.
    pub fn ids_kept(&self) -> Span {
        let Some(within) = self.dedup_within else { return Span(0) };
        let comparable = Span(self.lateness.0.saturating_add(within.0));
        self.history.map_or(comparable, |history| comparable.max(history))
    }

    /// Ids of events before this time decide nothing any more.
    fn oldest(&self, frontier: EventTime, within: Span) -> EventTime {
        let comparable = frontier.minus(self.lateness).minus(within);
        self.history.map_or(comparable, |history| comparable.min(frontier.minus(history)))
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

/// The verdict on a retraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retraction {
    /// Of the event at this time and place of the partition.
    Accept(EventTime, Place),
    /// No accepted event has its id.
    Unknown,
    /// Its event was retracted already.
    Repeated,
    /// What it names is before this time: its raw form may be forgotten.
    Forgotten(EventTime),
    /// Its event has other keys.
    OtherKeys,
}

/// The columns of a source that a admission remembers something of, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdColumns {
    pub event_time: String,
    pub dedup: Vec<String>,
    /// What keys of the source's views are made of.
    pub keys: Vec<String>,
    /// Whether tombstones need the keys themselves.
    pub keeps_keys: bool,
}

/// Where a row of ids is stored: the first `seq` of its commit, and its place among that commit's rows.
pub type IdsAt = (Seq, u32);

/// An accepted event whose id is known.
#[derive(Clone, Copy, Debug)]
struct Known {
    time: i64,
    place: Place,
}

/// The place of an event that was accepted when nothing could be retracted, and keys that were not hashed of today's
/// columns; `AdmissionState::link` learns the real ones.
const UNKNOWN: u64 = u64::MAX;

impl Known {
    fn is_at(&self, time: i64, offset: u64) -> bool {
        self.place.offset == offset || (self.place.offset == UNKNOWN && self.time == time)
    }
}

/// What one partition remembers in order to judge its next event.
#[derive(Debug, Default)]
pub struct AdmissionState {
    /// The highest event time accepted so far.
    pub frontier: Option<EventTime>,
    seen: HashMap<u128, SmallVec<[Known; 1]>>,
    /// Times of events that were retracted.
    retracted: HashMap<u128, SmallVec<[i64; 1]>>,
    /// Per row of ids: where it is, the highest event time among them, their number.
    commits: VecDeque<(IdsAt, i64, usize)>,
    /// Ids of commits that were forgotten but are still in `seen`.
    stale: usize,
    /// Whether some id's place is not known, or what a tombstone needs of its event.
    unlinked: bool,
    /// Whether ids were stored of other columns than today's.
    outdated: bool,
    /// Ids of events up to this time, microseconds, may not be stored, because they were not kept when their events came.
    pub unlearnt: Option<i64>,
    /// Of the events in `seen`, where tombstones retract some.
    pub kept: KeyColumns,
}

impl AdmissionState {
    /// Judges an event. `place` is what a retraction of it will need.
    pub fn judge(&mut self, rules: &Rules, time: EventTime, record_timestamp: i64, id: Option<u128>, place: Place) -> Verdict {
        if time.0 > record_timestamp.saturating_add(rules.max_ahead.0) {
            return Verdict::TooFarAhead;
        }
        if let Some(frontier) = self.frontier
            && time < frontier.minus(rules.lateness)
        {
            return Verdict::TooLate { frontier };
        }
        if let (Some(within), Some(id)) = (rules.dedup_within, id) {
            let events = self.seen.entry(id).or_default();
            if events.iter().any(|seen| is_near(seen.time, time, within)) {
                return Verdict::Duplicate;
            }
            events.push(Known { time: time.0, place });
        }
        self.frontier = self.frontier.max(Some(time));
        Verdict::Accept
    }

    /// Judges a retraction at `time` of the event with that id nearest to it, whose `keys` it repeats. State before
    /// `horizon` may be forgotten whatever this partition's frontier is.
    pub fn retract(&mut self, rules: &Rules, horizon: EventTime, time: EventTime, id: Option<u128>, keys: u64) -> Retraction {
        let (Some(within), Some(history), Some(frontier)) = (rules.dedup_within, rules.history, self.frontier) else {
            return Retraction::Unknown;
        };
        let kept = horizon.max(frontier.minus(history));
        if time.plus(within) < kept {
            return Retraction::Forgotten(kept);
        }
        let Some(id) = id else { return Retraction::Unknown };
        // What is older is forgotten sooner or later: it must not matter when.
        let oldest = rules.oldest(frontier, within).0;
        let is_named = |seen: i64| seen >= oldest && is_near(seen, time, within);
        let named = self.linked(id).filter(|seen| is_named(seen.time));
        let Some(event) = named.min_by_key(|seen| (seen.time.abs_diff(time.0), seen.time)).copied() else {
            let again = self.retracted.get(&id).is_some_and(|times| times.iter().any(|seen| is_named(*seen)));
            return if again { Retraction::Repeated } else { Retraction::Unknown };
        };
        if event.time < kept.0 {
            return Retraction::Forgotten(kept);
        }
        if event.place.keys != keys {
            return Retraction::OtherKeys;
        }
        self.take_back(id, event)
    }

    /// Judges a tombstone: it retracts the latest event that had that id, unless that was retracted already.
    pub fn retract_latest(&mut self, rules: &Rules, horizon: EventTime, id: u128) -> Retraction {
        let (Some(within), Some(history), Some(frontier)) = (rules.dedup_within, rules.history, self.frontier) else {
            return Retraction::Unknown;
        };
        let oldest = rules.oldest(frontier, within).0;
        let known = self.linked(id).filter(|seen| seen.time >= oldest);
        let latest = known.max_by_key(|seen| (seen.time, seen.place.offset)).copied();
        let retracted = self.retracted.get(&id).into_iter().flatten().copied().filter(|time| *time >= oldest).max();
        let event = match (latest, retracted) {
            (Some(event), retracted) if retracted.is_none_or(|time| time <= event.time) => event,
            (_, Some(_)) => return Retraction::Repeated,
            (_, None) => return Retraction::Unknown,
        };
        let kept = horizon.max(frontier.minus(history));
        if event.time < kept.0 {
            return Retraction::Forgotten(kept);
        }
        self.take_back(id, event)
    }

    /// The events with that id that can be retracted.
    fn linked(&self, id: u128) -> impl Iterator<Item = &Known> {
        self.seen.get(&id).into_iter().flatten().filter(|seen| seen.place.keys != UNKNOWN)
    }

    fn take_back(&mut self, id: u128, event: Known) -> Retraction {
        self.seen.entry(id).or_default().retain(|seen| !seen.is_at(event.time, event.place.offset));
        self.retracted.entry(id).or_default().push(event.time);
        Retraction::Accept(EventTime(event.time), event.place)
    }

    /// Takes in a row of ids that was read back at a start, as far as it is of the same columns as `today`'s.
    pub fn restore(&mut self, at: IdsAt, row: &AcceptedIds, today: &IdColumns) -> Result<()> {
        self.remember(at, row);
        let is_other = |stored: &[String], today: &[String]| !stored.is_empty() && stored != today;
        if is_other(&row.dedup, &today.dedup) || (!row.event_time.is_empty() && row.event_time != today.event_time) {
            self.outdated = true;
            return Ok(());
        }
        let has_keys = row.key_columns == today.keys;
        for (index, (id, time)) in row.ids.iter().enumerate() {
            let mut place = row.places.get(index).copied().unwrap_or(Place { offset: UNKNOWN, keys: UNKNOWN });
            if !has_keys {
                place.keys = UNKNOWN;
            }
            self.unlinked |= place.keys == UNKNOWN;
            self.seen.entry(*id).or_default().push(Known { time: *time, place });
        }
        if today.keeps_keys && has_keys && !row.kept.is_empty() {
            let offsets: Vec<u64> = row.places.iter().map(|place| place.offset).collect();
            self.kept.push(&offsets, key_columns::from_bytes(&row.kept)?)?;
        } else {
            self.unlinked |= today.keeps_keys && !row.ids.is_empty();
        }
        for (id, time, offset) in &row.retracted {
            if let Some(events) = self.seen.get_mut(id) {
                events.retain(|seen| !seen.is_at(*time, *offset));
            }
            self.retracted.entry(*id).or_default().push(*time);
        }
        Ok(())
    }

    /// Whether something has to be learnt from the events: ids of today's columns; places, where events can be retracted.
    pub fn needs_events(&self, rules: &Rules) -> bool {
        self.outdated || self.unlearnt.is_some() || (self.unlinked && rules.history.is_some())
    }

    /// The earliest time of which ids decide something; `None` before the first event.
    pub fn oldest(&self, rules: &Rules) -> Option<EventTime> {
        Some(rules.oldest(self.frontier?, rules.dedup_within?))
    }

    /// Learns from an accepted event what is not known of it; `false` where its id decides nothing any more.
    pub fn learn(&mut self, rules: &Rules, id: u128, time: EventTime, place: Place, is_retracted: bool) -> bool {
        let (Some(within), Some(frontier)) = (rules.dedup_within, self.frontier) else { return false };
        let is_missing = (self.outdated || self.unlearnt.is_some()) && time >= rules.oldest(frontier, within);
        if is_retracted {
            if is_missing {
                self.retracted.entry(id).or_default().push(time.0);
            }
            return false;
        }
        let known = self.seen.get_mut(&id).into_iter().flatten().filter(|seen| seen.is_at(time.0, place.offset));
        if known.map(|seen| seen.place = place).count() > 0 {
            return true;
        }
        if is_missing {
            self.seen.entry(id).or_default().push(Known { time: time.0, place });
        }
        is_missing
    }

    /// Notes where these ids, judged before, are stored.
    pub fn remember(&mut self, at: IdsAt, row: &AcceptedIds) {
        let times = row.ids.iter().map(|(_, time)| *time).chain(row.retracted.iter().map(|(_, time, _)| *time));
        if let Some(latest) = times.max() {
            self.commits.push_back((at, latest, row.ids.len()));
        }
    }

    /// Forgets ids that no acceptable event can equal, or retract, any more; returns the rows of ids that went.
    pub fn forget(&mut self, rules: &Rules) -> Vec<IdsAt> {
        let Some(within) = rules.dedup_within else {
            self.seen.clear();
            self.retracted.clear();
            return self.commits.drain(..).map(|(at, ..)| at).collect();
        };
        let Some(frontier) = self.frontier else { return Vec::new() };
        let limit = rules.oldest(frontier, within).0;
        self.kept.forget(limit);
        self.unlearnt = self.unlearnt.filter(|latest| *latest >= limit);
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
            self.seen.retain(|_, events| {
                events.retain(|seen| seen.time >= limit);
                !events.is_empty()
            });
            self.retracted.retain(|_, times| {
                times.retain(|time| *time >= limit);
                !times.is_empty()
            });
            self.stale = 0;
        }
        gone
    }
}

fn is_near(seen: i64, time: EventTime, within: Span) -> bool {
    seen.abs_diff(time.0) <= within.0.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { lateness: Span(100), max_ahead: Span(50), dedup_within: Some(Span(30)), history: Some(Span(110)) };

    /// An event whose offset is its time, and whose keys are its id's.
    fn judge(admission: &mut AdmissionState, time: i64, id: u128) -> Verdict {
        admission.judge(&RULES, EventTime(time), 10_000, Some(id), Place { offset: time as u64, keys: id as u64 })
    }

    fn retract(admission: &mut AdmissionState, time: i64, id: u128) -> Retraction {
        admission.retract(&RULES, EventTime::MIN, EventTime(time), Some(id), id as u64)
    }

    fn taken(time: i64, id: u64) -> Retraction {
        Retraction::Accept(EventTime(time), Place { offset: time as u64, keys: id })
    }

    fn today(key: &str) -> IdColumns {
        IdColumns { event_time: "t".into(), dedup: vec!["id".into()], keys: vec![key.into()], keeps_keys: false }
    }

    fn row(ids: &[(u128, i64)]) -> AcceptedIds {
        let places = ids.iter().map(|(id, time)| Place { offset: *time as u64, keys: *id as u64 }).collect();
        AcceptedIds { ids: ids.to_vec(), key_columns: vec!["k".into()], places, ..AcceptedIds::default() }
    }

    #[test]
    fn lateness_is_measured_from_the_partitions_own_frontier() {
        let mut admission = AdmissionState::default();
        assert_eq!(judge(&mut admission, 1000, 1), Verdict::Accept);
        assert_eq!(judge(&mut admission, 900, 2), Verdict::Accept);
        assert_eq!(judge(&mut admission, 899, 3), Verdict::TooLate { frontier: EventTime(1000) });
        assert_eq!(admission.frontier, Some(EventTime(1000)));
    }

    #[test]
    fn nothing_is_late_or_ahead_where_both_are_unbounded() {
        let rules = Rules { lateness: Span::MAX, max_ahead: Span::MAX, dedup_within: None, history: None };
        let mut admission = AdmissionState::default();
        for time in [0, i64::MAX, -1, i64::MIN, 1] {
            let verdict = admission.judge(&rules, EventTime(time), 10_000, None, Place { offset: 0, keys: 0 });
            assert_eq!(verdict, Verdict::Accept, "{time}");
        }
        assert_eq!(admission.frontier.map(|frontier| frontier.minus(Span::MAX)), Some(EventTime::MIN));
    }

    #[test]
    fn an_event_from_the_future_does_not_move_the_frontier() {
        let mut admission = AdmissionState::default();
        assert_eq!(judge(&mut admission, 10_051, 1), Verdict::TooFarAhead);
        assert_eq!(admission.frontier, None);
        assert_eq!(judge(&mut admission, 10_050, 1), Verdict::Accept);
    }

    #[test]
    fn equal_ids_are_one_event_within_the_distance_only() {
        let mut admission = AdmissionState::default();
        assert_eq!(judge(&mut admission, 1000, 7), Verdict::Accept);
        assert_eq!(judge(&mut admission, 1030, 7), Verdict::Duplicate);
        assert_eq!(judge(&mut admission, 970, 7), Verdict::Duplicate);
        assert_eq!(judge(&mut admission, 1031, 7), Verdict::Accept);
        // The distance is to any accepted event of that id, and duplicates are none.
        assert_eq!(judge(&mut admission, 1061, 7), Verdict::Duplicate);
    }

    #[test]
    fn ids_are_forgotten_only_when_no_acceptable_event_can_equal_them() {
        let mut admission = AdmissionState::default();
        judge(&mut admission, 1000, 7);
        admission.remember((Seq(1), 0), &row(&[(7, 1000)]));
        judge(&mut admission, 1130, 8);
        admission.remember((Seq(2), 0), &row(&[(8, 1130)]));
        assert!(admission.forget(&RULES).is_empty());
        judge(&mut admission, 1131, 9);
        admission.remember((Seq(3), 0), &row(&[(9, 1131)]));
        assert_eq!(admission.forget(&RULES), [(Seq(1), 0)]);
        assert_eq!(judge(&mut admission, 1131, 9), Verdict::Duplicate);
        let mut restored = AdmissionState { frontier: Some(EventTime(1131)), ..AdmissionState::default() };
        restored.restore((Seq(2), 0), &row(&[(8, 1130)]), &today("k")).unwrap();
        assert_eq!(judge(&mut restored, 1120, 8), Verdict::Duplicate);
    }

    #[test]
    fn a_retraction_names_the_nearest_event_and_frees_its_id() {
        let mut admission = AdmissionState::default();
        assert_eq!(retract(&mut admission, 1000, 7), Retraction::Unknown);
        judge(&mut admission, 1000, 7);
        judge(&mut admission, 1031, 7);
        assert_eq!(retract(&mut admission, 1062, 7), Retraction::Unknown, "too far from both");
        assert_eq!(retract(&mut admission, 1016, 7), taken(1031, 7));
        assert_eq!(admission.retract(&RULES, EventTime::MIN, EventTime(1016), None, 7), Retraction::Unknown);
        assert_eq!(admission.retract(&RULES, EventTime::MIN, EventTime(1016), Some(7), 8), Retraction::OtherKeys);
        assert_eq!(retract(&mut admission, 1016, 7), taken(1000, 7));
        assert_eq!(retract(&mut admission, 1016, 7), Retraction::Repeated);
        assert_eq!(judge(&mut admission, 1016, 7), Verdict::Accept);
        assert_eq!(retract(&mut admission, 1016, 7), taken(1016, 7));
        assert_eq!(admission.frontier, Some(EventTime(1031)), "a retraction does not move it");
    }

    #[test]
    fn a_tombstone_retracts_the_latest_event_of_its_id() {
        let mut admission = AdmissionState::default();
        let latest = |admission: &mut AdmissionState, horizon: i64| admission.retract_latest(&RULES, EventTime(horizon), 7);
        assert_eq!(latest(&mut admission, 0), Retraction::Unknown);
        for time in [1000, 1062, 1031] {
            judge(&mut admission, time, 7);
        }
        judge(&mut admission, 1090, 8);
        assert_eq!(latest(&mut admission, 1063), Retraction::Forgotten(EventTime(1063)));
        assert_eq!(latest(&mut admission, 0), taken(1062, 7));
        assert_eq!(latest(&mut admission, 0), Retraction::Repeated, "the log's compaction asks for no more");
        judge(&mut admission, 1062, 7);
        assert_eq!(latest(&mut admission, 0), taken(1062, 7), "its id was free");
        assert_eq!(latest(&mut admission, 0), Retraction::Repeated, "the one of 1000 is another event");
        assert_eq!(retract(&mut admission, 1090, 8), taken(1090, 8));
    }

    #[test]
    fn what_may_be_forgotten_is_not_retracted() {
        let mut admission = AdmissionState::default();
        judge(&mut admission, 1000, 7);
        judge(&mut admission, 1110, 8);
        assert_eq!(admission.retract(&RULES, EventTime(1001), EventTime(1000), Some(7), 7), Retraction::Forgotten(EventTime(1001)));
        judge(&mut admission, 1111, 9);
        assert_eq!(retract(&mut admission, 1000, 7), Retraction::Forgotten(EventTime(1001)));
        assert_eq!(retract(&mut admission, 970, 7), Retraction::Forgotten(EventTime(1001)), "whatever it names");
    }

    #[test]
    fn retractions_survive_a_restart() {
        let mut admission = AdmissionState { frontier: Some(EventTime(1031)), ..AdmissionState::default() };
        admission.restore((Seq(1), 0), &row(&[(7, 1000), (8, 1001)]), &today("k")).unwrap();
        admission.restore((Seq(2), 0), &AcceptedIds { retracted: vec![(7, 1000, 1000)], ..row(&[(7, 1031)]) }, &today("k")).unwrap();
        assert!(!admission.needs_events(&RULES));
        assert_eq!(retract(&mut admission, 1001, 8), taken(1001, 8));
        assert_eq!(retract(&mut admission, 1000, 7), Retraction::Repeated);
        assert_eq!(judge(&mut admission, 1000, 7), Verdict::Accept);
    }

    #[test]
    fn an_event_that_took_anothers_place_in_one_commit_survives_a_restart() {
        let place = |offset| Place { offset, keys: 7 };
        let again = AcceptedIds { retracted: vec![(7, 1000, 3)], places: vec![place(3), place(5)], ..row(&[(7, 1000), (7, 1000)]) };
        for key in ["k", "other"] {
            let mut admission = AdmissionState { frontier: Some(EventTime(1000)), ..AdmissionState::default() };
            admission.restore((Seq(1), 0), &again, &today(key)).unwrap();
            admission.learn(&RULES, 7, EventTime(1000), place(3), false);
            admission.learn(&RULES, 7, EventTime(1000), place(5), false);
            assert_eq!(judge(&mut admission, 1000, 7), Verdict::Duplicate);
            assert_eq!(retract(&mut admission, 1000, 7), Retraction::Accept(EventTime(1000), place(5)));
            assert_eq!(retract(&mut admission, 1000, 7), Retraction::Repeated);
        }
    }

    #[test]
    fn ids_of_other_columns_are_learnt_as_far_as_they_decide() {
        let mut admission = AdmissionState { frontier: Some(EventTime(1110)), ..AdmissionState::default() };
        let stored = AcceptedIds { dedup: vec!["other".into()], event_time: "t".into(), ..row(&[(7, 1000)]) };
        admission.restore((Seq(1), 0), &stored, &today("k")).unwrap();
        assert!(admission.needs_events(&RULES) && admission.seen.is_empty());
        let place = |offset: u64| Place { offset, keys: 7 };
        let mut learn =
            |id: u128, time: i64, is_retracted: bool| admission.learn(&RULES, id, EventTime(time), place(time as u64), is_retracted);
        assert_eq!(
            [(1, 900, false), (2, 900, true), (8, 1000, false), (8, 1000, false), (9, 1001, true)]
                .map(|(id, time, gone)| learn(id, time, gone)),
            [false, false, true, true, false]
        );
        assert_eq!((admission.seen.len(), admission.retracted.len()), (1, 1), "the whole log went by, and only what matters stays");
        assert_eq!(judge(&mut admission, 1020, 8), Verdict::Duplicate);
        assert_eq!(
            admission.retract(&RULES, EventTime::MIN, EventTime(1000), Some(8), 7),
            Retraction::Accept(EventTime(1000), place(1000))
        );
        assert_eq!(admission.retract(&RULES, EventTime::MIN, EventTime(1001), Some(9), 7), Retraction::Repeated);
        let mut linked = AdmissionState { frontier: Some(EventTime(1110)), ..AdmissionState::default() };
        linked.restore((Seq(1), 0), &row(&[(7, 1000)]), &today("other")).unwrap();
        assert!(!linked.learn(&RULES, 8, EventTime(1000), place(1), false) && linked.seen.len() == 1);
    }

    #[test]
    fn ids_of_before_are_linked_before_they_are_retracted() {
        let mut admission = AdmissionState { frontier: Some(EventTime(1000)), ..AdmissionState::default() };
        admission.restore((Seq(1), 0), &row(&[(7, 1000)]), &today("other")).unwrap();
        assert!(admission.needs_events(&RULES));
        assert_eq!(retract(&mut admission, 1000, 7), Retraction::Unknown);
        admission.learn(&RULES, 7, EventTime(1000), Place { offset: 1000, keys: 7 }, false);
        assert_eq!(retract(&mut admission, 1000, 7), taken(1000, 7));
    }
}
