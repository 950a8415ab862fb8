//! Calendar units in a time zone: where the one that holds a moment starts. Must never read the clock or the zone of
//! the machine: zones are those of the IANA database that this build carries.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc};
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
    utc.naive_utc().checked_add_offset(ahead(zone, utc.naive_utc()))
}

/// The first year of which the database's tables say nothing: the rules of the years before it go on.
const BEYOND: i32 = 2100;
/// From this year on the clocks of zones that change them at the end of the tables follow one rule, and each kind of year (by
/// its first weekday, and whether it is a leap year) stands between the two.
const CYCLE: i32 = 2072;

/// How far clocks of the zone are ahead of UTC.
fn ahead(zone: Zone, utc: NaiveDateTime) -> FixedOffset {
    let of = |utc: &NaiveDateTime| zone.0.offset_from_utc_datetime(utc).fix();
    if utc.year() < BEYOND {
        return of(&utc);
    }
    let last = |month: u32| NaiveDate::from_ymd_opt(BEYOND - 1, month, 15).map(|day| of(&day.and_time(NaiveTime::MIN)));
    if last(1) == last(7) {
        return of(&utc);
    }
    let first = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1);
    let alike =
        |year: &i32| first(*year).zip(first(utc.year())).is_some_and(|(a, b)| a.leap_year() == b.leap_year() && a.weekday() == b.weekday());
    let other = (CYCLE..BEYOND).find(alike).and_then(|year| utc.with_year(year));
    of(&other.unwrap_or(utc))
}

/// The first moment at which clocks show midnight of that day, or later where midnight was skipped.
fn day_start(zone: Zone, day: NaiveDate) -> Option<i64> {
    let midnight = day.and_time(NaiveTime::MIN);
    let near = midnight.and_utc().timestamp_micros();
    let first = match day.year() < BEYOND {
        true => zone.0.from_local_datetime(&midnight).earliest().map(|first| first.timestamp_micros()),
        false => {
            let offsets = [near.checked_sub(Span::DAY.0)?, near.checked_add(Span::DAY.0)?].map(|time| {
                let utc = DateTime::from_timestamp_micros(time)?.naive_utc();
                Some(i64::from(ahead(zone, utc).local_minus_utc()) * Span::SECOND.0)
            });
            let shows = |time: &i64| DateTime::from_timestamp_micros(*time).and_then(|utc| local(zone, utc)) == Some(midnight);
            offsets.into_iter().flatten().filter_map(|ahead| near.checked_sub(ahead)).filter(shows).min()
        }
    };
    if first.is_some() {
        return first;
    }
    // Clocks jump over midnight once within these two days.
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

/// What clocks and calendars show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub year: i32,
    pub month: u32,
    pub day: u32,
    /// From 1.
    pub day_of_year: u32,
    /// From 1, which is Monday, to 7.
    pub day_of_week: u32,
    pub hour: u32,
    pub minute: u32,
}

impl Zone {
    /// What they show at `time`, in microseconds since the epoch; `None` beyond the years of the calendar.
    #[must_use]
    pub fn local(self, time: i64) -> Option<Local> {
        let local = local(self, DateTime::from_timestamp_micros(time)?)?;
        Some(Local {
            year: local.year(),
            month: local.month(),
            day: local.day(),
            day_of_year: local.ordinal(),
            day_of_week: local.weekday().number_from_monday(),
            hour: local.hour(),
            minute: local.minute(),
        })
    }

    /// When that year begins.
    #[must_use]
    pub fn year_start(self, year: i32) -> Option<i64> {
        day_start(self, NaiveDate::from_ymd_opt(year, 1, 1)?)
    }

    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of that name: `Europe/Berlin`, letter for letter.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Tz::from_str(name).ok().map(Self)
    }

    /// What clocks of the zone show at a time, as if they showed UTC: microseconds both. `None` beyond the calendar.
    #[must_use]
    pub fn shows(self, time: i64) -> Option<i64> {
        Some(local(self, DateTime::from_timestamp_micros(time)?)?.and_utc().timestamp_micros())
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
    fn clocks_change_in_years_far_out() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let hour = |time: &str| zone.local(EventTime::parse(time).unwrap().0).unwrap().hour;
        // The last Sundays of March and October of 3000 are the 30th and the 26th, as in 2098.
        assert_eq!(["3000-03-30T00:59:59Z", "3000-03-30T01:00:00Z"].map(hour), [1, 3]);
        assert_eq!(["3000-10-26T00:30:00Z", "3000-10-26T01:30:00Z"].map(hour), [2, 2]);
        assert_eq!(start(Unit::Day, "Europe/Berlin", "3000-07-01T12:00:00Z"), "3000-06-30T22:00:00Z");
        assert_eq!(start(Unit::Year, "Europe/Berlin", "9999-07-01T12:00:00Z"), "9998-12-31T23:00:00Z");
        assert_eq!(start(Unit::Month, "Africa/Casablanca", "2400-07-04T12:00:00Z"), "2400-06-30T23:00:00Z");
        assert_eq!(Zone::UTC.local(i64::MAX), None);
    }

    #[test]
    fn zones_are_known_by_name() {
        assert_eq!(Zone::parse("Europe/Berlin").map(Zone::name), Some("Europe/Berlin"));
        assert_eq!(Zone::parse("Europe/Berlen"), None);
        assert!(Zone::names().contains(&"America/New_York"));
    }
}
