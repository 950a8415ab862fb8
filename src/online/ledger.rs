//! What became of the records of one source since its data folder was created. Part of the progress: a committed record counts
//! once, whatever ends the process. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Counts of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Events.
    pub accepted: u64,
    /// Of these, those that were behind the frontier of their partition.
    pub late: u64,
    /// The furthest that one of these was behind.
    pub late_max: Span,
    pub duplicates: u64,
    /// Retractions that were accepted.
    pub retracted: u64,
    /// Records in the dead-letter topic, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// How far events that were too late were behind their partition's frontier.
    pub too_late: Spans,
}

/// The reasons of records that came too late or too early.
pub const TOO_LATE: &str = "too_late";
pub const TOO_FAR_AHEAD: &str = "too_far_ahead";

impl Ledger {
    /// Counts an accepted event that was `behind` the frontier, if it was.
    pub fn accept(&mut self, behind: Option<Span>) {
        self.accepted += 1;
        if let Some(behind) = behind {
            self.late += 1;
            self.late_max = self.late_max.max(behind);
        }
    }

    pub fn reject(&mut self, reason: &str) {
        *self.rejected.entry(reason.to_owned()).or_default() += 1;
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.late += other.late;
        self.late_max = self.late_max.max(other.late_max);
        self.duplicates += other.duplicates;
        self.retracted += other.retracted;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
        self.too_late.add(&other.too_late);
    }

    /// What was counted since it was `before`. The furthest of all stays that of all.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut rejected = self.rejected.clone();
        rejected.iter_mut().for_each(|(reason, count)| *count = count.saturating_sub(before.rejected_for(reason)));
        rejected.retain(|_, count| *count > 0);
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            late: self.late.saturating_sub(before.late),
            late_max: self.late_max,
            duplicates: self.duplicates.saturating_sub(before.duplicates),
            retracted: self.retracted.saturating_sub(before.retracted),
            rejected,
            too_late: self.too_late.clone(),
        }
    }

    /// How many records have that reason.
    #[must_use]
    pub fn rejected_for(&self, reason: &str) -> u64 {
        self.rejected.get(reason).copied().unwrap_or_default()
    }
}

/// Spans in buckets of a quarter of a power of two, so that the upper end of a bucket is at most a quarter above any
/// span in it, and the longest exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    buckets: BTreeMap<u8, u64>,
    longest: Span,
}

impl Spans {
    pub fn record(&mut self, span: Span) {
        *self.buckets.entry(bucket(span.0.unsigned_abs())).or_default() += 1;
        self.longest = self.longest.max(span);
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.longest = self.longest.max(other.longest);
    }

    /// The longest; nothing where there is none.
    #[must_use]
    pub fn longest(&self) -> Span {
        self.longest
    }

    /// A span that is not exceeded by `per_mille` of a thousand of them, at most a quarter above the least that is not;
    /// `None` where there is none.
    #[must_use]
    pub fn covering(&self, per_mille: u64) -> Option<Span> {
        let count: u64 = self.buckets.values().sum();
        let wanted = (u128::from(count) * u128::from(per_mille)).div_ceil(1000);
        let mut covered = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            covered += u128::from(*count);
            (covered >= wanted).then(|| Span(upper(*bucket)).min(self.longest))
        })
    }
}

/// The bucket of a number of microseconds: its highest three bits, and how many follow them.
fn bucket(us: u64) -> u8 {
    if us < 4 {
        return us as u8;
    }
    let highest = us.ilog2();
    (4 * (highest - 1) + (us >> (highest - 2) & 3) as u32) as u8
}

/// The largest number of microseconds in a bucket.
fn upper(bucket: u8) -> i64 {
    let (power, quarter) = (u32::from(bucket) / 4, u128::from(bucket) % 4);
    if power == 0 {
        return i64::from(bucket);
    }
    i64::try_from(((5 + quarter) << (power - 1)) - 1).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_lies_in_its_bucket_and_its_bucket_is_narrow() {
        let mut last = 0;
        for us in (0..5_000).chain((13..63).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + (1 << (power - 2)) - 1])) {
            let bucket = bucket(us);
            let upper = upper(bucket);
            assert!(bucket >= last && upper >= us as i64, "{us} in {bucket} up to {upper}");
            assert!(upper as u128 * 4 <= us as u128 * 5 + 3, "{us} in {bucket} up to {upper}");
            last = bucket;
        }
        assert_eq!(upper(bucket(u64::MAX)), i64::MAX);
    }

    #[test]
    fn a_share_is_covered_by_the_end_of_its_bucket() {
        let mut spans = Spans::default();
        assert_eq!(spans.covering(1000), None);
        (1..=2_000).for_each(|seconds| spans.record(Span(seconds * Span::SECOND.0)));
        spans.record(Span::DAY);
        assert_eq!(spans.covering(1000), Some(Span::DAY));
        let most = spans.covering(999).unwrap();
        assert!(most >= Span(1_999 * Span::SECOND.0) && most <= Span(2_500 * Span::SECOND.0), "{most}");
        let half = spans.covering(500).unwrap();
        assert!(half >= Span(1_001 * Span::SECOND.0) && half <= Span(1_252 * Span::SECOND.0), "{half}");
    }

    #[test]
    fn ledgers_add_up() {
        let mut one = Ledger::default();
        one.accept(None);
        one.accept(Some(Span(5)));
        one.reject("empty");
        let mut sum = one.clone();
        sum.too_late.record(Span(9));
        sum.add(&one);
        assert_eq!((sum.accepted, sum.late, sum.late_max, sum.rejected_for("empty")), (4, 2, Span(5), 2));
        assert_eq!((sum.too_late.longest(), sum.rejected_for(TOO_LATE)), (Span(9), 0));
    }
}
