//! Drift: how far the last window's columns and scores are from a reference profile.
//!
//! A profile is made once from a training set: bins and categories with the reference's counts. Observing counts
//! values into the same bins; a report compares the shares. Must never read a clock or a file, and must never keep
//! the values that it counted.

mod breach;
mod distance;
mod intervals;
mod observed;
mod profile;
mod summary;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::id::Seq;
use crate::time::EventTime;

pub use self::breach::{Breach, COUNT_MIN, breaches};
pub use self::distance::{kolmogorov_smirnov, kolmogorov_smirnov_p_value, population_stability};
pub use self::intervals::{Intervals, OPEN_MAX, Rows};
pub use self::observed::{Counts, Measure};
pub use self::profile::{Misfit, Origin, Profile};
pub use self::summary::Described;

/// What a report calls the model's own scores, which follow the columns.
pub const SCORE: &str = "score";

/// How one column of a window differs from the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnDrift {
    pub column: String,
    /// Rows seen in the window, those with a missing value included.
    pub count: u64,
    /// Values that are not missing, here and in the reference.
    pub values: u64,
    pub values_reference: u64,
    /// Population stability index; `None` without values that are not missing, here or in the reference.
    pub psi: Option<f64>,
    /// Kolmogorov-Smirnov statistic, 0 to 1; `None` as for `psi`, and for columns without an order.
    pub ks: Option<f64>,
    pub ks_p_value: Option<f64>,
    /// Share of nulls and NaNs, 0 to 1.
    pub missing_rate: f64,
    pub missing_rate_reference: f64,
    /// Of numbers and times (microseconds since 1970), here and in the reference.
    pub described: Option<Described>,
    pub reference: Option<Described>,
    pub kind: Kind,
}

/// What of a column can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    Numbers,
    /// As numbers: microseconds since 1970.
    Times,
    /// Texts and booleans: they have no order.
    Categories,
    /// Lists, maps and structs: only whether they are there.
    Uncounted,
}

/// A report of one interval, as of the moment at which it ended, or ended once more for rows that came late.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub from: EventTime,
    pub to: EventTime,
    /// Counts up from 1.
    pub revision: u64,
    /// Whether counting went on all through the interval, and every partition has passed its end.
    pub is_complete: bool,
    pub first: Seq,
    pub last: Seq,
    pub rows: u64,
    /// Rows of all intervals that came, since the last report, after theirs was forgotten.
    pub rows_too_late: u64,
    /// The versions of the model that scored the rows.
    pub versions: Vec<String>,
    pub columns: Vec<ColumnDrift>,
}
