//! Which columns of a report are beyond which thresholds. Must never see values.

use super::{ColumnDrift, Kind};
use crate::plan::{Alerts, DriftMetric};

/// A distance of fewer values breaches no alert: ten bins of fewer values each are noise. With 200 values of an unchanged
/// distribution, PSI over 10 bins is about 9/200 (its limit is chi-squared with 9 degrees of freedom, over the count), and
/// passes 0.2 once in about 100,000 windows.
pub const COUNT_MIN: u64 = 200;

/// A metric of a column above an alert's threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    pub column: String,
    /// `psi`, `ks` or `missing_rate`
    pub metric: DriftMetric,
    /// `None` where there is nothing to measure: all values are missing in the window and not in the reference, or the
    /// other way round.
    pub value: Option<f64>,
    pub threshold: f64,
}

/// Which columns breach which alerts, in the order of the report, each metric once.
#[must_use]
pub fn breaches(report: &[ColumnDrift], alerts: &Alerts) -> Vec<Breach> {
    const METRICS: [DriftMetric; 3] = [DriftMetric::Psi, DriftMetric::Ks, DriftMetric::MissingRate];
    let of_column = |column: &ColumnDrift| METRICS.into_iter().filter_map(|metric| breach(column, metric, alerts)).collect::<Vec<_>>();
    report.iter().flat_map(of_column).collect()
}

fn breach(column: &ColumnDrift, metric: DriftMetric, alerts: &Alerts) -> Option<Breach> {
    let threshold = threshold(column, metric, alerts)?;
    let count_min = alerts.unless_rows_below.unwrap_or(COUNT_MIN);
    let found = |value| Some(Breach { column: column.column.clone(), metric, value, threshold });
    if column.count < count_min {
        return None;
    }
    if metric == DriftMetric::MissingRate {
        // Values that are there now and were not are as far from the reference as the other way round.
        let value = column.missing_rate - column.missing_rate_reference;
        return if value.abs() > threshold { found(Some(value)) } else { None };
    }
    let is_measured = match column.kind {
        Kind::Numbers | Kind::Times => true,
        Kind::Categories => metric == DriftMetric::Psi,
        Kind::Uncounted => false,
    };
    if !is_measured {
        return None;
    }
    if (column.values == 0) != (column.values_reference == 0) {
        return found(None);
    }
    let value = if metric == DriftMetric::Psi { column.psi } else { column.ks }?;
    let is_chance = metric == DriftMetric::Ks && alerts.unless_p_value_above.zip(column.ks_p_value).is_some_and(|(most, p)| p > most);
    if value > threshold && column.values >= count_min && !is_chance { found(Some(value)) } else { None }
}

/// The threshold that holds for a column: one that names it, else the least of those for all, where the column is not
/// excepted. A time goes on: its distance from the reference says something only where it is asked for by name.
fn threshold(column: &ColumnDrift, metric: DriftMetric, alerts: &Alerts) -> Option<f64> {
    let of_metric = alerts.alerts.iter().filter(|alert| alert.metric == metric);
    let names = |names: &[String]| names.contains(&column.column);
    let least = |thresholds: &mut dyn Iterator<Item = f64>| thresholds.reduce(f64::min);
    let named = least(&mut of_metric.clone().filter(|alert| names(&alert.columns)).map(|alert| alert.threshold));
    let is_left_out = names(&alerts.except) || (column.kind == Kind::Times && metric != DriftMetric::MissingRate);
    let general = least(&mut of_metric.filter(|alert| alert.columns.is_empty()).map(|alert| alert.threshold));
    named.or(general.filter(|_| !is_left_out))
}
