//! Times that are probably not meant: integers that count something else than is declared. Must never change one: what is
//! not sure is said.

use std::fmt;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::Value as Json;

use super::Decoded;
use crate::plan::Source;
use crate::record::RecordRun;
use crate::time::{Epoch, EventTime};
use crate::value::DataType;

/// 1970-02-01T00:00:00Z
const FEBRUARY_1970: i64 = 2_678_400_000_000;
/// 2200-01-01T00:00:00Z
const YEAR_2200: i64 = 7_258_118_400_000_000;
/// The times of our days: from 1990-01-01T00:00:00Z to before 2100-01-01T00:00:00Z.
const OUR_DAYS: std::ops::Range<i64> = 631_152_000_000_000..4_102_444_800_000_000;
/// Of so many times all but one are odd.
const NEARLY_ALL: usize = 20;

/// What to declare of a field with such an integer; its name where it is not said already.
pub(super) fn remedy(number: i64, name: &str) -> Option<String> {
    let space = if name.is_empty() { "" } else { " " };
    likely(number).map(|epoch| format!("are they {epoch}? then declare `{name}{space}timestamp {}`", epoch.spelling()))
}

/// What an integer counts, if it stands for a time of our days.
fn likely(number: i64) -> Option<Epoch> {
    Epoch::ALL.into_iter().find(|epoch| epoch.micros(number).is_some_and(|micros| OUR_DAYS.contains(&micros)))
}

/// What is odd about the times of a field. As text it names one of them; its summary is the same for all runs of records.
#[derive(Debug)]
pub struct OddTimes {
    which: String,
    first: String,
    remedy: String,
}

impl OddTimes {
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}: {}", self.which, self.remedy)
    }
}

impl fmt::Display for OddTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, the first {}: {}", self.which, self.first, self.remedy)
    }
}

/// Says so where nearly all times of a field lie in January 1970 or beyond 2200, and are integers that would be times of our
/// days by another unit than the declared one.
#[must_use]
pub fn odd_times(source: &Source, run: &RecordRun, decoded: &Decoded) -> Option<OddTimes> {
    (0..source.fields.len()).find_map(|field| odd_times_of(source, field, run, decoded))
}

fn odd_times_of(source: &Source, field: usize, run: &RecordRun, decoded: &Decoded) -> Option<OddTimes> {
    let name = &source.fields[field].name;
    if source.fields[field].data_type != DataType::Timestamp {
        return None;
    }
    let times = decoded.batch.column(field).as_primitive::<TimestampMicrosecondType>();
    let is_odd = |time: i64| (0..FEBRUARY_1970).contains(&time) || time >= YEAR_2200;
    if !times.values().iter().any(|time| is_odd(*time)) {
        return None;
    }
    let (mut known, mut odd, mut first) = (0, 0, None);
    for (row, time) in times.iter().enumerate().filter_map(|(row, time)| time.map(|time| (row, time))) {
        known += 1;
        if is_odd(time) {
            odd += 1;
            first = first.or(Some((row, time)));
        }
    }
    let (row, time) = first?;
    if (known - odd) * NEARLY_ALL > known {
        return None;
    }
    let payload = run.value(*decoded.records.get(row)? as usize)?;
    let number = serde_json::from_slice::<Json>(payload).ok()?.get(name)?.as_i64()?;
    let remedy = remedy(number, name).filter(|_| likely(number) != Some(source.epoch(field)))?;
    let (when, first) = (if time < FEBRUARY_1970 { "in January 1970" } else { "beyond 2200" }, EventTime(time));
    let counted = source.epoch(field);
    let (which, first) = (format!("nearly all times of {name} lie {when}"), format!("({number} {counted}) at {first}"));
    Some(OddTimes { which, first, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_of_our_days_tells_its_unit() {
        for (number, epoch) in [
            (1_553_372_469, Some(Epoch::Seconds)),
            (1_553_372_469_000, Some(Epoch::Millis)),
            (1_553_372_469_000_000, Some(Epoch::Micros)),
            (1_553_372_469_000_000_000, Some(Epoch::Nanos)),
            (0, None),
            (86_400, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(likely(number), epoch, "{number}");
        }
    }
}
