//! What the stored state of a view holds, and whether that is enough for a declaration of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Feature, Source, View, WindowBounds};
use crate::id::Identity;
use crate::time::Span;

/// What the rows of a view hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    folds: BTreeSet<Identity>,
    /// What is kept of forgotten events, for windows that are not bounded in time: folds, runs and last rows. And the
    /// histories of a stream's sources after the first, which must be the same.
    lifetime: BTreeSet<Identity>,
    /// How far behind the frontier raw events are kept: the longest window and the source's history.
    reach: Span,
}

impl Contents {
    /// What rows hold that are written under this declaration.
    #[must_use]
    pub fn of(view: &View, sources: &[Source]) -> Self {
        let history = |source: usize| sources[source].history;
        let others = view.rows.sources().enumerate().skip(1);
        let others = others.map(|(at, source)| Identity::of(&format!("source {at} with a history of {}", history(source).0)));
        Self {
            folds: view.folds.iter().map(|fold| fold.id).collect(),
            lifetime: view.features.iter().flat_map(|feature| lifetime(view, feature)).chain(others).collect(),
            reach: Span(view.window_max().0.saturating_add(view.rows.sources().next().map_or(0, |source| history(source).0))),
        }
    }

    /// Whether rows that hold this serve a declaration that needs `needed`, without a rebuild.
    #[must_use]
    pub fn serve(&self, needed: &Self) -> bool {
        self.folds.is_superset(&needed.folds) && self.lifetime.is_superset(&needed.lifetime) && self.reach >= needed.reach
    }
}

/// What a feature needs of events that are forgotten.
fn lifetime(view: &View, feature: &Feature) -> Vec<Identity> {
    let fold = &view.folds[feature.fold];
    let filter = fold.filter.map_or("", |filter| view.filters[filter].text.as_ref());
    let rows = feature.window.limit.map(|rows| Identity::of(&format!("the last {rows} rows where {filter}")));
    match (&feature.window.frame, rows) {
        (WindowBounds::All, None) => vec![fold.id],
        (WindowBounds::All, Some(rows)) => vec![rows],
        (WindowBounds::Session { gap }, rows) => {
            let run = Identity::of(&format!("the run of {} in {}", fold.id, gap.0));
            rows.into_iter().chain([run]).collect()
        }
        (WindowBounds::Range { .. } | WindowBounds::Hop { .. } | WindowBounds::Calendar { .. } | WindowBounds::Last { .. }, _) => {
            Vec::new()
        }
    }
}
