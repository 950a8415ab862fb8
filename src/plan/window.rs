//! Windows: which events count, for a query time `q`; see `docs/semantics.md`.

use std::fmt;

use crate::time::{EventTime, Span, Unit, Zone};

/// Which events count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub frame: WindowBounds,
    /// Only `t < q` (after the offset).
    pub before: bool,
    /// Leaves out the event that is scored or that is the spine row itself.
    pub excluding_current: bool,
    /// Moves `q` into the past.
    pub offset: Span,
    /// Only the last so many of the events that pass the feature's filter.
    pub limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowBounds {
    /// `q - length <= t <= q`, or `q - length < t <= q` when `open`.
    Range { length: Span, open: bool },
    /// `floor(q - length, hop) <= t <= q`: the start moves by the hop, a divisor of time since the epoch.
    Hop { length: Span, hop: Span },
    /// From the start of the unit that holds `q`.
    Calendar { unit: Unit, zone: Zone },
    /// The whole unit before the one that holds `q`.
    Last { unit: Unit, zone: Zone },
    /// The run of events, at most `gap` apart, that ends at the last one, where that is at most `gap` before `q`.
    Session { gap: Span },
    /// `t <= q`
    All,
}

impl Window {
    /// A frame without modifiers.
    #[must_use]
    pub const fn of(frame: WindowBounds) -> Self {
        Self { frame, before: false, excluding_current: false, offset: Span(0), limit: None }
    }

    /// How long before `q` its raw events may lie. Where the frame has no bound in time, that of its upper end.
    #[must_use]
    pub fn reach(&self) -> Span {
        let frame = match &self.frame {
            WindowBounds::Range { length, .. } => *length,
            WindowBounds::Hop { length, hop } => Span(length.0.saturating_add(hop.0)),
            WindowBounds::Calendar { unit, .. } => unit.length_max(),
            WindowBounds::Last { unit, .. } => Span(2 * unit.length_max().0),
            WindowBounds::Session { .. } | WindowBounds::All => Span(0),
        };
        Span(frame.0.saturating_add(self.offset.0))
    }

    /// The earliest time at which its events may lie, for queries from `first` on.
    #[must_use]
    pub fn earliest(&self, first: EventTime) -> EventTime {
        match self.frame {
            WindowBounds::Session { .. } | WindowBounds::All => EventTime::MIN,
            WindowBounds::Range { .. } | WindowBounds::Hop { .. } | WindowBounds::Calendar { .. } | WindowBounds::Last { .. } => {
                first.minus(self.reach())
            }
        }
    }
}

impl WindowBounds {
    /// The moment at which the frame ends, in microseconds: `query`, the query time less the offset, or when the unit began
    /// that holds it, which does not count itself. `None` where that lies beyond the calendar: nothing counts.
    #[must_use]
    pub fn end(&self, query: i128) -> Option<i128> {
        match self {
            Self::Last { unit, zone } => unit.start(i64::try_from(query).ok()?, *zone).map(i128::from),
            _ => Some(query),
        }
    }

    /// Whether the moment at which it ends does not count.
    #[must_use]
    pub const fn ends_before(&self) -> bool {
        matches!(self, Self::Last { .. })
    }

    /// The first time that counts of a frame that ends at `end`, in microseconds; `None` where the frame's start is not a
    /// matter of time alone, and where its end lies beyond the calendar.
    #[must_use]
    pub fn start(&self, end: i128) -> Option<i128> {
        match self {
            Self::Range { length, open } => Some(end - i128::from(length.0) + i128::from(*open)),
            Self::Hop { length, hop } => {
                let earliest = end - i128::from(length.0);
                Some(earliest - earliest.rem_euclid(i128::from(hop.0)))
            }
            Self::Calendar { unit, zone } => unit.start(i64::try_from(end).ok()?, *zone).map(i128::from),
            // The last moment before the unit that follows.
            Self::Last { unit, zone } => unit.start(i64::try_from(end - 1).ok()?, *zone).map(i128::from),
            Self::Session { .. } | Self::All => None,
        }
    }
}

/// As `over` takes it, in the words of the language.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.frame, self.limit) {
            (WindowBounds::Range { length, open }, _) => write!(f, "{length}{}", if *open { " open" } else { "" })?,
            (WindowBounds::Hop { length, hop }, _) => write!(f, "{length} hop {hop}")?,
            (WindowBounds::Calendar { unit, zone }, _) if *zone == Zone::UTC => f.write_str(unit.name())?,
            (WindowBounds::Calendar { unit, zone }, _) => write!(f, "{} in '{}'", unit.name(), zone.name())?,
            (WindowBounds::Last { unit, zone }, _) if *zone == Zone::UTC => write!(f, "last {}", unit.name())?,
            (WindowBounds::Last { unit, zone }, _) => write!(f, "last {} in '{}'", unit.name(), zone.name())?,
            (WindowBounds::Session { gap }, _) => write!(f, "session {gap}")?,
            (WindowBounds::All, Some(rows)) => write!(f, "{rows} rows")?,
            (WindowBounds::All, None) => f.write_str("all")?,
        }
        if self.before {
            f.write_str(" before")?;
        }
        if self.excluding_current {
            f.write_str(" excluding current")?;
        }
        if self.offset != Span(0) {
            write!(f, " offset {}", self.offset)?;
        }
        match self.limit {
            Some(rows) if self.frame != WindowBounds::All => write!(f, " limit {rows} rows"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Window, WindowBounds};
    use crate::time::{EventTime, Span, Unit, Zone};

    #[test]
    fn starts_are_floored_toward_the_past() {
        let hop = WindowBounds::Hop { length: Span(25), hop: Span(10) };
        let starts = [24, 25, 34, 35, -1, 0, 5].map(|query| hop.start(query));
        assert_eq!(starts, [-10, 0, 0, 10, -30, -30, -20].map(Some));
        let day = WindowBounds::Calendar { unit: Unit::Day, zone: Zone::UTC };
        assert_eq!(day.start(-1), Some(i128::from(-Span::DAY.0)));
        assert_eq!(day.start(i128::MAX), None);
        assert_eq!(WindowBounds::All.start(0), None);
    }

    #[test]
    fn whole_units_end_where_the_next_begins() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let bounds = |unit, text: &str| {
            let last = WindowBounds::Last { unit, zone };
            let time = |micros: i128| EventTime(i64::try_from(micros).unwrap()).to_string();
            let end = last.end(i128::from(EventTime::parse(text).unwrap().0)).unwrap();
            (time(last.start(end).unwrap()), time(end))
        };
        let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        // The days of 23 and of 25 hours, seen from the day behind them, from its first moment on.
        let short = pair("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z");
        assert_eq!(bounds(Unit::Day, "2024-03-31T22:00:00Z"), short);
        assert_eq!(bounds(Unit::Day, "2024-04-01T21:59:59.999999Z"), short);
        let long = pair("2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z");
        assert_eq!(bounds(Unit::Day, "2024-10-28T12:00:00Z"), long);
        assert_eq!(bounds(Unit::Day, "2024-10-27T22:30:00Z"), pair("2024-10-25T22:00:00Z", "2024-10-26T22:00:00Z"));
        assert_eq!(bounds(Unit::Month, "2024-10-31T10:00:00Z"), pair("2024-08-31T22:00:00Z", "2024-09-30T22:00:00Z"));
        assert_eq!(bounds(Unit::Year, "2024-01-01T00:00:00Z"), pair("2022-12-31T23:00:00Z", "2023-12-31T23:00:00Z"));
        // The hour that comes twice is two.
        assert_eq!(bounds(Unit::Hour, "2024-10-27T01:30:00Z"), pair("2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z"));
        // Samoa had no 30th of December.
        let apia = WindowBounds::Last { unit: Unit::Day, zone: Zone::parse("Pacific/Apia").unwrap() };
        let end = apia.end(i128::from(EventTime::parse("2011-12-30T12:00:00Z").unwrap().0)).unwrap();
        assert_eq!(apia.start(end).map(|start| end - start), Some(i128::from(Span::DAY.0)));
        assert_eq!(apia.end(i128::from(i64::MAX)), None);
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        let rows = Window { limit: Some(10), before: true, ..Window::of(WindowBounds::All) };
        assert_eq!(rows.to_string(), "10 rows before");
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let month = Window { limit: Some(3), offset: Span::DAY, ..Window::of(WindowBounds::Calendar { unit: Unit::Month, zone }) };
        assert_eq!(month.to_string(), "month in 'Europe/Berlin' offset 1d limit 3 rows");
        let yesterday = Window { before: true, ..Window::of(WindowBounds::Last { unit: Unit::Day, zone }) };
        assert_eq!(yesterday.to_string(), "last day in 'Europe/Berlin' before");
    }
}
