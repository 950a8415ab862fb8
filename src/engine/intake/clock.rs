//! Compares the clock with other sources of time: the steady clock of the machine, the last commit, and arriving records. Must
//! never change anything: the order of events is their `seq`, and an ingest time is what the clock said ([decision
//! 37](../../../docs/decisions/0037-ingest-times-say-what-the-clock-said.md)).

use std::time::{Duration, Instant};

use crate::engine::handle::problems::Kind;
use crate::engine::shared::Shared;
use crate::plan::Source;
use crate::time::{EventTime, IngestTime, Span};

/// A clock that is kept right by small corrections never differs by so much from one look to the next.
const STEP: Span = Span(5 * Span::SECOND.0);
/// How long a step is told of.
const TOLD: Duration = Duration::from_hours(1);
/// How often it is judged anew whether the events of a source lie in the future.
const JUDGED: Duration = Duration::from_secs(5);
/// Records that a topic takes in now are stamped by clocks that differ by less than this.
const STAMPED_AHEAD: Span = Span::MINUTE;
/// Those of a transaction become visible together, some time after they were stamped.
const STAMPED_BEHIND: Span = Span::HOUR;

/// The clock as of the last look.
#[derive(Debug)]
pub struct ClockWatch {
    last: (IngestTime, Instant),
    /// All steps that are told of together, and when the last one was seen.
    step: Option<(Span, IngestTime, Instant)>,
}

impl ClockWatch {
    /// As a start finds it, where the last commit said that it was made at `committed`.
    pub fn new(committed: Option<IngestTime>, now: IngestTime, at: Instant) -> Self {
        let back = committed.map(|committed| Span(now.0.saturating_sub(committed.0))).filter(|behind| behind.0 < -STEP.0);
        Self { last: (now, at), step: back.map(|back| (back, now, at)) }
    }

    /// Compares what the clock says at `at` with what it said before: by how much it was set since.
    pub fn look(&mut self, now: IngestTime, at: Instant) -> Option<Span> {
        let (before, looked) = std::mem::replace(&mut self.last, (now, at));
        let passed = i64::try_from(at.saturating_duration_since(looked).as_micros()).unwrap_or(i64::MAX);
        let step = Span(now.0.saturating_sub(before.0).saturating_sub(passed));
        let noticed = step.0.abs() > STEP.0;
        if noticed {
            let all = Span(self.step.map_or(0, |(all, ..)| all.0).saturating_add(step.0));
            // A step that is undone is none any more.
            self.step = (all.0.abs() > STEP.0).then_some((all, now, at));
        }
        self.step = self.step.filter(|(_, _, seen)| at.saturating_duration_since(*seen) < TOLD);
        noticed.then_some(step)
    }

    /// The steps that are told of, added up; ahead is above zero.
    pub fn step(&self) -> Span {
        self.step.map_or(Span(0), |(step, ..)| step)
    }

    /// What a person should know of them.
    pub fn problem(&self) -> Option<String> {
        let (step, now, _) = self.step?;
        let (size, now) = (rounded(step), EventTime(now.0));
        Some(if step.0 > 0 {
            format!(
                "it was set ahead by {size}, to {now}: where that is wrong, windows of lookups that name no as_of are that much too \
                 late and may be empty; set the clock right (a machine that slept shows the same). Until that was told for an hour, \
                 the log forgets nothing by age"
            )
        } else {
            format!(
                "it was set back by {size}, to {now}: where that is wrong, events of the present are further ahead than max ahead and \
                 go to the dead letters; where it is right now, it ran ahead before, and training sets that are read as known at a \
                 time are off for that while"
            )
        })
    }
}

/// Looks at the clock, and tells what it finds.
pub fn watch(shared: &Shared, watch: &mut ClockWatch, at: Instant) {
    let (measures, had) = (&shared.measures, watch.step());
    if let Some(step) = watch.look(shared.clock.now(), at) {
        if step.0 > 0 { &measures.clock_steps_ahead } else { &measures.clock_steps_back }.inc();
    }
    if watch.step() != had {
        tell(shared, watch);
    }
}

/// Says which steps stand.
pub fn tell(shared: &Shared, watch: &ClockWatch) {
    shared.measures.clock_step.set(watch.step().0 as f64 / 1e6);
    shared.set_clock_is_ahead(watch.step().0 > 0);
    shared.set_problem(Kind::Clock, "the clock", watch.problem());
}

/// How many events of a source lie in the future, since that was judged last.
#[derive(Debug, Default)]
pub struct Ahead {
    rows: u64,
    ahead: u64,
    furthest: Span,
    judged: Option<Instant>,
    stands: bool,
}

impl Ahead {
    /// Counts a run's event times; whether most of what came lately lies further ahead of the clock than `max_ahead`, where
    /// that is due to be judged.
    pub fn count(&mut self, times: &[i64], max_ahead: Span, now: IngestTime, at: Instant) -> Option<bool> {
        let latest = *times.iter().max()?;
        self.rows += times.len() as u64;
        self.furthest = self.furthest.max(Span(latest.saturating_sub(now.0)));
        if latest > now.0.saturating_add(max_ahead.0) {
            self.ahead += times.iter().filter(|time| **time > now.0.saturating_add(max_ahead.0)).count() as u64;
        }
        let first = !self.stands && self.ahead * 2 > self.rows;
        if !first && self.judged.is_some_and(|judged| at.saturating_duration_since(judged) < JUDGED) {
            return None;
        }
        self.stands = self.ahead * 2 > self.rows;
        let stands = self.stands;
        *self = Self { judged: Some(at), stands, furthest: self.furthest, ..Self::default() };
        Some(stands)
    }

    /// The furthest that an event was ahead, once.
    fn take_furthest(&mut self) -> Span {
        rounded(std::mem::take(&mut self.furthest))
    }
}

/// Looks at the event times of a run that the committer took.
pub fn watch_events(shared: &Shared, ahead: &mut Ahead, source: usize, times: &[i64], now: IngestTime, at: Instant) {
    let declared = &shared.plan().sources[source];
    if let Some(latest) = times.iter().max() {
        shared.measures.sources[source].event_time_ahead.set(latest.saturating_sub(now.0) as f64 / 1e6);
    }
    let about = || format!("event times of source {}", declared.name);
    match ahead.count(times, declared.max_ahead, now, at) {
        Some(true) => {
            let furthest = ahead.take_furthest();
            shared.set_problem(Kind::Clock, &about(), Some(in_the_future(declared, furthest)));
        }
        Some(false) => shared.set_problem(Kind::Clock, &about(), None),
        None => {}
    }
}

fn in_the_future(source: &Source, furthest: Span) -> String {
    format!(
        "most of what came lately lies further ahead of this machine's clock than max ahead ({}), up to {furthest}, and goes to the dead \
         letters where its records are stamped by this clock too: set the clock right if it is behind, else look at those who send",
        source.max_ahead
    )
}

/// Looks at the stamp of a record that a topic took in just now, by a clock that is not this machine's.
pub fn watch_stamp(shared: &Shared, source: &Source, stamp: i64) {
    let about = format!("timestamps of topic {}", source.topic());
    shared.set_problem(Kind::Clock, &about, stamped(stamp, shared.clock.now()));
}

fn stamped(stamp: i64, now: IngestTime) -> Option<String> {
    let ahead = stamp.saturating_sub(now.0);
    if ahead > STAMPED_AHEAD.0 {
        let by = rounded(Span(ahead));
        return Some(format!("records that come now are stamped {by} ahead of this machine's clock: one of the two clocks is wrong"));
    }
    (ahead < -STAMPED_BEHIND.0).then(|| {
        let by = rounded(Span(ahead));
        format!(
            "records that come now are stamped {by} before this machine's clock: it is ahead, so that windows of lookups that name no \
             as_of are too late, or the records are copies of older ones"
        )
    })
}

/// How long a span is, in a unit that makes it a number of two digits or so: what is said does not change from moment to moment.
fn rounded(span: Span) -> Span {
    let length = span.0.saturating_abs();
    let unit = [Span::DAY, Span::HOUR, Span::MINUTE].into_iter().find(|unit| length >= 2 * unit.0).unwrap_or(Span::SECOND);
    Span((length + unit.0 / 2) / unit.0 * unit.0)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a steady clock to count from")]
mod tests {
    use super::*;

    const NOON: IngestTime = IngestTime(1_700_000_000_000_000);

    fn after(span: Span) -> IngestTime {
        IngestTime(NOON.0 + span.0)
    }

    #[test]
    fn steps_are_told_apart_from_time_that_passes_and_are_forgotten() {
        let start = Instant::now();
        let mut watch = ClockWatch::new(None, NOON, start);
        let second = Duration::from_secs(1);
        assert_eq!(watch.look(after(Span(Span::SECOND.0 + 20_000)), start + second), None, "a correction");
        assert_eq!(watch.look(after(Span::DAY), start + 2 * second), Some(Span(Span::DAY.0 - 2 * Span::SECOND.0 - 20_000)));
        assert!(watch.problem().is_some_and(|problem| problem.contains("set ahead by")));
        assert!(watch.look(after(Span(3 * Span::SECOND.0)), start + 3 * second).is_some_and(|step| step.0 < 0));
        assert_eq!((watch.problem(), watch.step()), (None, Span(0)), "undone");
        let _ = watch.look(after(Span(-Span::HOUR.0)), start + 4 * second);
        assert!(watch.problem().is_some_and(|problem| problem.contains("set back by")));
        assert_eq!(watch.look(after(Span(0)), start + 4 * second + TOLD), None);
        assert_eq!(watch.problem(), None, "an hour later");
    }

    #[test]
    fn a_start_before_the_last_commit_is_a_step_back() {
        let at = Instant::now();
        assert_eq!(ClockWatch::new(Some(after(Span::DAY)), NOON, at).step(), Span(-Span::DAY.0));
        assert_eq!(ClockWatch::new(Some(after(Span::SECOND)), NOON, at).problem(), None);
        assert_eq!(ClockWatch::new(Some(after(Span(-Span::DAY.0))), NOON, at).problem(), None, "it was stopped for a day");
    }

    #[test]
    fn events_of_the_future_are_noticed_at_once_and_let_go_by_most_of_the_others() {
        let (mut ahead, start) = (Ahead::default(), Instant::now());
        let (now, far) = (NOON.0, NOON.0 + 30 * Span::DAY.0);
        let mut count = |times: &[i64], seconds| ahead.count(times, Span::HOUR, NOON, start + Duration::from_secs(seconds));
        assert_eq!(count(&[], 0), None);
        assert_eq!(count(&[now, now, far], 0), Some(false));
        assert_eq!(count(&[now, now, now], 1), None);
        assert_eq!(count(&[far; 9], 2), Some(true));
        assert_eq!(count(&[far, now, now], 3), None, "judged a second ago");
        assert_eq!(count(&[now], 8), Some(false));
    }

    #[test]
    fn stamps_differ_by_minutes_or_are_named() {
        for (ahead, word) in [
            (Span(0), None),
            (Span::SECOND, None),
            (Span::HOUR, Some("ahead of")),
            (Span(-Span::MINUTE.0), None),
            (Span(-Span::DAY.0), Some("before")),
        ] {
            let said = stamped(after(ahead).0, NOON);
            assert_eq!(said.is_some(), word.is_some(), "{ahead}");
            assert!(word.is_none_or(|word| said.is_some_and(|said| said.contains(word))), "{ahead}");
        }
    }
}
