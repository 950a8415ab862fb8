//! Calendar units by counting days from 1970, in UTC or in Berlin's summer and winter time. Must never use a library of
//! dates or of time zones.

const SECOND: i128 = 1_000_000;
const HOUR: i128 = 3_600 * SECOND;
const DAY: i128 = 24 * HOUR;

/// What clocks show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    Utc,
    /// One hour ahead; two from one o'clock UTC of the last Sunday in March until that in October, as since 1996.
    Berlin,
}

/// A unit of the calendar, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub unit: &'static str,
    pub clocks: Clocks,
}

/// The number of days from 1970-01-01 to that date: years and leap days before it, then months.
fn days(year: i128, month: usize, day: i128) -> i128 {
    let leaps = |year: i128| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let is_leap = leaps(year) != leaps(year - 1);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + lengths[..month - 1].iter().sum::<i128>() + day - 1
}

/// The year and month that hold a day.
fn month_of(day: i128) -> (i128, usize) {
    let mut year = 1970 + day.div_euclid(366) - 1;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    (year, month)
}

/// The last Sunday of a month; 1970-01-01 was a Thursday.
fn last_sunday(year: i128, month: usize) -> i128 {
    let last = days(year, month + 1, 1) - 1;
    last - (last + 4).rem_euclid(7)
}

impl Clocks {
    /// How far they are ahead at that moment.
    fn ahead(self, time: i128) -> i128 {
        if self == Self::Utc {
            return 0;
        }
        let (year, _) = month_of(time.div_euclid(DAY));
        let summer = last_sunday(year, 3) * DAY + HOUR..last_sunday(year, 10) * DAY + HOUR;
        if summer.contains(&time) { 2 * HOUR } else { HOUR }
    }
}

impl Calendar {
    /// When the unit that holds `time` began; both in microseconds since the epoch. Clocks never change at midnight here.
    #[must_use]
    pub fn start(self, time: i128) -> i128 {
        let local = time + self.clocks.ahead(time);
        let day = local.div_euclid(DAY);
        let (year, month) = month_of(day);
        let first = match self.unit {
            "minute" => return time - local.rem_euclid(60 * SECOND),
            "hour" => return time - local.rem_euclid(HOUR),
            "day" => day,
            "week" => day - (day + 3).rem_euclid(7),
            "month" => days(year, month, 1),
            "quarter" => days(year, (month - 1) / 3 * 3 + 1, 1),
            "year" => days(year, 1, 1),
            other => panic!("{other} is no unit"),
        };
        // Midnight by the clocks, whichever of the two offsets they had then.
        let offsets = if self.clocks == Clocks::Utc { [0, 0] } else { [2 * HOUR, HOUR] };
        let midnight = offsets.map(|ahead| first * DAY - ahead).into_iter().find(|start| start + self.clocks.ahead(*start) == first * DAY);
        midnight.expect("a midnight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(1969, 12, 31), -1);
        assert_eq!(month_of(11_016), (2000, 2));
        assert_eq!(month_of(-1), (1969, 12));
        assert_eq!(last_sunday(2024, 3), days(2024, 3, 31));
        assert_eq!(last_sunday(2024, 10), days(2024, 10, 27));
    }

    #[test]
    fn units_begin_at_midnights_of_their_clocks() {
        let berlin = |unit, time| Calendar { unit, clocks: Clocks::Berlin }.start(time);
        let noon = days(2024, 3, 31) * DAY + 12 * HOUR;
        assert_eq!(berlin("day", noon), days(2024, 3, 30) * DAY + 23 * HOUR);
        assert_eq!(berlin("month", noon), days(2024, 2, 29) * DAY + 23 * HOUR);
        assert_eq!(berlin("week", noon + DAY), days(2024, 3, 31) * DAY + 22 * HOUR);
    }
}
