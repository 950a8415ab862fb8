//! What readings of a feature cost that grows with its events: where tiles save nothing. Decided by the plan alone.

use std::fmt;

use super::{Feature, View, WindowBounds};

/// What each reading of a feature goes through event by event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// All events of the window: tiles keep nothing of the aggregate.
    Window,
    /// The events within the source's history: of those before it one result is kept.
    History,
    /// The events of the session, to find where it begins.
    Session,
}

impl Scan {
    /// `None` where tiles answer for all but the edges of the window.
    #[must_use]
    pub fn of(view: &View, feature: &Feature) -> Option<Self> {
        let is_tiled = view.folds.get(feature.fold).is_none_or(|fold| fold.aggregate.is_tiled());
        match (&feature.window.frame, feature.window.limit) {
            (WindowBounds::Session { .. }, _) if is_tiled => Some(Self::Session),
            _ if is_tiled => None,
            (WindowBounds::All, None) => Some(Self::History),
            _ => Some(Self::Window),
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::History => "history",
            Self::Session => "session",
        }
    }
}

/// As the end of a sentence that begins with the feature.
impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "each reading folds the events of its window one by one, so that it costs more the more there are",
            Self::History => "each reading folds the events within the history one by one, so that it costs more the more there are",
            Self::Session => "each reading goes back through the events of the session, so that it costs more the more there are",
        })
    }
}
