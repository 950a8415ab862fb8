//! Calendar units in a time zone: where the one that holds a moment starts. Must never read the clock or the zone of
//! the machine: zones are those of the IANA database that this build carries.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::Span;

/// A unit of the calendar. Weeks are those of ISO 8601 and start on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// A time zone of the IANA database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Unit {
    /// From the shortest to the longest.
    pub const ALL: [Self; 7] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// How it is written: `day`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// A length that no such unit exceeds in any zone; two days more than by the calendar, because zones have crossed
    /// the date line.
    #[must_use]
    pub const fn length_max(self) -> Span {
        let days = match self {
            Self::Minute => return Span::MINUTE,
            Self::Hour => return Span::HOUR,
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 31,
            Self::Quarter => 92,
            Self::Year => 366,
        };
        Span((days + 2) * Span::DAY.0)
    }

    /// When the unit that holds `time` began, both in microseconds since the epoch. Minutes and hours are cut by the
    /// offset from UTC that is in force at `time`. From days on, a unit begins at its first local midnight: the earlier
    /// of two, or the first moment after a midnight that was skipped. `None` beyond the years of the calendar (262,000
    /// in both directions).
    #[must_use]
    pub fn start(self, time: i64, zone: Zone) -> Option<i64> {
        let utc = DateTime::<Utc>::from_timestamp_micros(time)?;
        let local = local(zone, utc)?;
        let micros = match self {
            Self::Minute => Span::MINUTE.0,
            Self::Hour => Span::HOUR.0,
            _ => return self.first_day(local.date()).and_then(|day| day_start(zone, day)),
        };
        time.checked_sub(local.and_utc().timestamp_micros().rem_euclid(micros))
    }

    fn first_day(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Week => date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday()))),
            Self::Month => date.with_day(1),
            Self::Quarter => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1),
            Self::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1),
            Self::Minute | Self::Hour | Self::Day => Some(date),
        }
    }
}

/// What clocks of the zone show.
fn local(zone: Zone, utc: DateTime<Utc>) -> Option<NaiveDateTime> {
    utc.naive_utc().checked_add_offset(zone.0.offset_from_utc_datetime(&utc.naive_utc()).fix())
}

/// The first moment at which clocks show midnight of that day, or later where midnight was skipped.
fn day_start(zone: Zone, day: NaiveDate) -> Option<i64> {
    let midnight = day.and_time(NaiveTime::MIN);
    if let Some(first) = zone.0.from_local_datetime(&midnight).earliest() {
        return Some(first.timestamp_micros());
    }
    // Clocks jump over midnight once within these two days.
    let near = midnight.and_utc().timestamp_micros();
    let (mut before, mut after) = (near.checked_sub(Span::DAY.0)?, near.checked_add(Span::DAY.0)?);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if local(zone, DateTime::from_timestamp_micros(middle)?)? < midnight {
            before = middle;
        } else {
            after = middle;
        }
    }
    Some(after)
}

impl Zone {
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of that name: `Europe/Berlin`, letter for letter.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Tz::from_str(name).ok().map(Self)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The names of all zones.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::{Unit, Zone};
    use crate::time::EventTime;

    fn start(unit: Unit, zone: &str, time: &str) -> String {
        let (zone, time) = (Zone::parse(zone).unwrap(), EventTime::parse(time).unwrap());
        EventTime(unit.start(time.0, zone).unwrap()).to_string()
    }

    #[test]
    fn units_start_where_clocks_say() {
        let now = "2024-05-15T13:47:31.5Z"; // a Wednesday
        for (unit, first) in [
            (Unit::Minute, "2024-05-15T13:47:00Z"),
            (Unit::Hour, "2024-05-15T13:00:00Z"),
            (Unit::Day, "2024-05-15T00:00:00Z"),
            (Unit::Week, "2024-05-13T00:00:00Z"),
            (Unit::Month, "2024-05-01T00:00:00Z"),
            (Unit::Quarter, "2024-04-01T00:00:00Z"),
            (Unit::Year, "2024-01-01T00:00:00Z"),
        ] {
            assert_eq!(start(unit, "UTC", now), first);
        }
        assert_eq!(start(Unit::Day, "Europe/Berlin", now), "2024-05-14T22:00:00Z");
        assert_eq!(start(Unit::Year, "Europe/Berlin", now), "2023-12-31T23:00:00Z");
        assert_eq!(start(Unit::Hour, "Asia/Kolkata", now), "2024-05-15T13:30:00Z");
        assert_eq!(start(Unit::Day, "Europe/Berlin", "2024-05-14T22:00:00Z"), "2024-05-14T22:00:00Z");
        assert_eq!(start(Unit::Day, "Europe/Berlin", "2024-05-14T21:59:59.999999Z"), "2024-05-13T22:00:00Z");
        assert_eq!(start(Unit::Week, "UTC", "1969-12-31T23:00:00Z"), "1969-12-29T00:00:00Z");
        assert_eq!(start(Unit::Minute, "UTC", "1969-12-31T23:59:59Z"), "1969-12-31T23:59:00Z");
    }

    #[test]
    fn days_of_other_lengths() {
        // 23 and 25 hours.
        assert_eq!(start(Unit::Day, "Europe/Berlin", "2024-03-31T21:59:00Z"), "2024-03-30T23:00:00Z");
        assert_eq!(start(Unit::Day, "Europe/Berlin", "2024-10-27T22:59:00Z"), "2024-10-26T22:00:00Z");
        // The hour that comes twice is two hours.
        assert_eq!(start(Unit::Hour, "Europe/Berlin", "2024-10-27T00:30:00Z"), "2024-10-27T00:00:00Z");
        assert_eq!(start(Unit::Hour, "Europe/Berlin", "2024-10-27T01:30:00Z"), "2024-10-27T01:00:00Z");
        // Midnight was skipped: clocks went from 00:00 to 01:00.
        assert_eq!(start(Unit::Day, "America/Sao_Paulo", "2018-11-04T12:00:00Z"), "2018-11-04T03:00:00Z");
        // Midnight came twice: clocks went from 01:00 back to 00:00.
        assert_eq!(start(Unit::Day, "America/Havana", "2024-11-03T12:00:00Z"), "2024-11-03T04:00:00Z");
        // A day that never was: Samoa went from the 29th to the 31st.
        assert_eq!(start(Unit::Day, "Pacific/Apia", "2011-12-30T12:00:00Z"), "2011-12-30T10:00:00Z");
        assert_eq!(start(Unit::Month, "Pacific/Apia", "2011-12-30T12:00:00Z"), "2011-12-01T10:00:00Z");
    }

    #[test]
    fn no_unit_is_longer_than_it_may_be() {
        let zones = ["UTC", "Europe/Berlin", "Pacific/Apia", "America/Sao_Paulo", "Asia/Manila", "America/Juneau", "Australia/Lord_Howe"];
        for zone in zones.map(|name| Zone::parse(name).unwrap()) {
            for unit in Unit::ALL {
                let mut before = i64::MIN;
                for step in 0..20_000 {
                    // Every six hours and a bit, from 1830 on.
                    let time = -4_417_977_600_000_000 + step * 97 * 3_600_000_000 * 3 + step * 7_777_777;
                    let start = unit.start(time, zone).unwrap();
                    assert!(start <= time && time - start <= unit.length_max().0, "{unit:?} {zone:?} {}", EventTime(time));
                    assert!(start >= before, "starts rise with time");
                    before = start;
                }
            }
        }
        assert_eq!(Unit::Year.start(i64::MAX, Zone::UTC), None);
        assert_eq!(Unit::Minute.start(i64::MIN, Zone::UTC), None);
    }

    #[test]
    fn zones_are_known_by_name() {
        assert_eq!(Zone::parse("Europe/Berlin").map(Zone::name), Some("Europe/Berlin"));
        assert_eq!(Zone::parse("Europe/Berlen"), None);
        assert!(Zone::names().contains(&"America/New_York"));
    }
}
