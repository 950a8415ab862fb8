//! Windows: which events count, for a query time `q`; see `docs/semantics.md`.

use std::fmt;

use crate::time::{EventTime, Span, Unit, Zone};

/// Which events count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub frame: Frame,
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
pub enum Frame {
    /// `q - length <= t <= q`, or `q - length < t <= q` when `open`.
    Range { length: Span, open: bool },
    /// `floor(q - length, hop) <= t <= q`: the start moves by the hop, a divisor of time since the epoch.
    Hop { length: Span, hop: Span },
    /// From the start of the unit that holds `q`.
    Calendar { unit: Unit, zone: Zone },
    /// The run of events, at most `gap` apart, that ends at the last one, where that is at most `gap` before `q`.
    Session { gap: Span },
    /// `t <= q`
    All,
}

impl Window {
    /// A frame without modifiers.
    #[must_use]
    pub const fn of(frame: Frame) -> Self {
        Self { frame, before: false, excluding_current: false, offset: Span(0), limit: None }
    }

    /// How long before `q` its raw events may lie. Where the frame has no bound in time, that of its upper end.
    #[must_use]
    pub fn reach(&self) -> Span {
        let frame = match &self.frame {
            Frame::Range { length, .. } => *length,
            Frame::Hop { length, hop } => Span(length.0.saturating_add(hop.0)),
            Frame::Calendar { unit, .. } => unit.length_max(),
            Frame::Session { .. } | Frame::All => Span(0),
        };
        Span(frame.0.saturating_add(self.offset.0))
    }

    /// The earliest time at which its events may lie, for queries from `first` on.
    #[must_use]
    pub fn earliest(&self, first: EventTime) -> EventTime {
        match self.frame {
            Frame::Session { .. } | Frame::All => EventTime::MIN,
            Frame::Range { .. } | Frame::Hop { .. } | Frame::Calendar { .. } => first.minus(self.reach()),
        }
    }
}

impl Frame {
    /// The first time that counts at `query`, the query time less the offset, in microseconds; `None` where the frame's
    /// start is not a matter of time alone, and where the query time lies beyond the calendar.
    #[must_use]
    pub fn start(&self, query: i128) -> Option<i128> {
        match self {
            Self::Range { length, open } => Some(query - i128::from(length.0) + i128::from(*open)),
            Self::Hop { length, hop } => {
                let earliest = query - i128::from(length.0);
                Some(earliest - earliest.rem_euclid(i128::from(hop.0)))
            }
            Self::Calendar { unit, zone } => unit.start(i64::try_from(query).ok()?, *zone).map(i128::from),
            Self::Session { .. } | Self::All => None,
        }
    }
}

/// As `over` takes it, in the words of the language.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.frame, self.limit) {
            (Frame::Range { length, open }, _) => write!(f, "{length}{}", if *open { " open" } else { "" })?,
            (Frame::Hop { length, hop }, _) => write!(f, "{length} hop {hop}")?,
            (Frame::Calendar { unit, zone }, _) if *zone == Zone::UTC => f.write_str(unit.name())?,
            (Frame::Calendar { unit, zone }, _) => write!(f, "{} in '{}'", unit.name(), zone.name())?,
            (Frame::Session { gap }, _) => write!(f, "session {gap}")?,
            (Frame::All, Some(rows)) => write!(f, "{rows} rows")?,
            (Frame::All, None) => f.write_str("all")?,
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
            Some(rows) if self.frame != Frame::All => write!(f, " limit {rows} rows"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Window};
    use crate::time::{Span, Unit, Zone};

    #[test]
    fn starts_are_floored_toward_the_past() {
        let hop = Frame::Hop { length: Span(25), hop: Span(10) };
        let starts = [24, 25, 34, 35, -1, 0, 5].map(|query| hop.start(query));
        assert_eq!(starts, [-10, 0, 0, 10, -30, -30, -20].map(Some));
        let day = Frame::Calendar { unit: Unit::Day, zone: Zone::UTC };
        assert_eq!(day.start(-1), Some(i128::from(-Span::DAY.0)));
        assert_eq!(day.start(i128::MAX), None);
        assert_eq!(Frame::All.start(0), None);
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        let rows = Window { limit: Some(10), before: true, ..Window::of(Frame::All) };
        assert_eq!(rows.to_string(), "10 rows before");
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let month = Window { limit: Some(3), offset: Span::DAY, ..Window::of(Frame::Calendar { unit: Unit::Month, zone }) };
        assert_eq!(month.to_string(), "month in 'Europe/Berlin' offset 1d limit 3 rows");
    }
}
