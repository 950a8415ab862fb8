//! Drift: how far the last window's columns and scores are from a reference profile.
//!
//! A profile is made once from a training set: bins and categories with the reference's counts. Observing counts
//! values into the same bins; a report compares the shares. Must never read a clock or a file, and must never keep
//! the values that it counted.

mod distance;
mod observed;
mod profile;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::plan::{Alert, DriftMetric};

pub use self::distance::{kolmogorov_smirnov, population_stability};
pub use self::observed::Observed;
pub use self::profile::Profile;

/// What a report calls the model's own scores, which follow the columns.
pub const SCORE: &str = "score";

/// A window with fewer values breaches no alert on a distance: ten bins of fewer values each are noise. With 200
/// values of an unchanged distribution, PSI over 10 bins is about 9/200 (its limit is chi-squared with 9 degrees of
/// freedom, over the count), and passes 0.2 once in about 100,000 windows.
pub const COUNT_MIN: u64 = 200;

/// How one column of a window differs from the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnDrift {
    pub column: String,
    /// Values seen in the window, missing ones included.
    pub count: u64,
    /// Population stability index; `None` without values that are not missing, here or in the reference.
    pub psi: Option<f64>,
    /// Kolmogorov-Smirnov statistic, 0 to 1; `None` as for `psi`, and for columns without an order.
    pub ks: Option<f64>,
    /// Share of nulls and NaNs, 0 to 1.
    pub missing_rate: f64,
    pub missing_rate_reference: f64,
}

/// A metric of a column above an alert's threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breach {
    pub column: String,
    /// `psi`, `ks` or `missing_rate`
    pub metric: &'static str,
    pub value: f64,
    pub threshold: f64,
}

/// Which columns breach which alerts, in the order of the report. Columns with fewer than `COUNT_MIN` values never do.
#[must_use]
pub fn breaches(report: &[ColumnDrift], alerts: &[Alert]) -> Vec<Breach> {
    let breach = |column: &ColumnDrift, alert: &Alert| {
        let (metric, value) = match alert.metric {
            DriftMetric::Psi => ("psi", column.psi?),
            DriftMetric::Ks => ("ks", column.ks?),
            DriftMetric::MissingRate => ("missing_rate", column.missing_rate - column.missing_rate_reference),
        };
        let is_breach = value > alert.threshold && column.count >= COUNT_MIN;
        is_breach.then(|| Breach { column: column.column.clone(), metric, value, threshold: alert.threshold })
    };
    report.iter().flat_map(|column| alerts.iter().filter_map(move |alert| breach(column, alert))).collect()
}
