//! Drift: the alerts against the vector's columns, the profile against the vector and the model.

use std::fs;
use std::path::Path;

use super::Checker;
use crate::drift::{Profile, SCORE};
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{Alert as WrittenAlert, Clause, Name, Watch as WrittenWatch};
use crate::plan::{Alert, Alerts, DriftMetric, Model, Vector, Watch};
use crate::value::DataType;

const METRICS: [DriftMetric; 3] = [DriftMetric::Psi, DriftMetric::Ks, DriftMetric::MissingRate];

impl Checker<'_> {
    /// What is written of drift, but for the profile's file.
    pub(super) fn watch(&mut self, file: usize, clause: &Clause<WrittenWatch>, vector: Option<usize>, scores: bool) -> Watch {
        let watch = &clause.value;
        self.topic(&watch.topic);
        let vector = vector.map(|vector| self.plan.vectors[vector].clone());
        let alerts = self.alerts(watch, vector.as_ref());
        let profile = self.beside(file, &watch.profile);
        if !scores {
            let message = "drift is of the rows that a model scores, and this one scores no source";
            let problem = Diagnostic::warning(codes::WATCH_WITHOUT_SCORE, clause.at, message, "nothing is counted for this");
            self.report(problem.help("write `score source into topic '..'`"));
        }
        Watch { every: watch.every, profile, alerts, topic: watch.topic.text.clone() }
    }

    fn alerts(&mut self, watch: &WrittenWatch, vector: Option<&Vector>) -> Alerts {
        let mut alerts = Alerts::default();
        for written in &watch.alerts {
            let Some(metric) = self.metric(&written.metric) else { continue };
            let columns: Vec<String> = written.columns.iter().filter_map(|name| self.alert_column(name, vector, Some(metric))).collect();
            if columns.len() == written.columns.len() {
                alerts.alerts.push(Alert { metric, columns, threshold: written.threshold });
            }
        }
        alerts.except = watch.except.iter().filter_map(|name| self.alert_column(name, vector, None)).collect();
        for unless in &watch.unless {
            let read = if unless.what.text.eq_ignore_ascii_case("rows") {
                unless.number.text.parse().map(|rows| alerts.unless_rows_below = Some(rows)).is_ok()
            } else {
                unless.number.text.parse().map(|p: f64| alerts.unless_p_value_above = Some(p)).is_ok()
            };
            if !read {
                let message = format!("`{}` is no number of rows", unless.number.text);
                self.report(Diagnostic::error(codes::EXPECTED, unless.number.at, message, "a whole number here"));
            }
        }
        if let Some(vector) = vector {
            self.times_that_go_on(watch, vector);
        }
        alerts
    }

    fn metric(&mut self, metric: &Name) -> Option<DriftMetric> {
        let wanted = metric.text.to_lowercase();
        let found = METRICS.into_iter().find(|metric| metric.name() == wanted);
        if found.is_none() {
            let message = format!("there is no drift metric `{}`", metric.text);
            let problem = Diagnostic::error(codes::UNKNOWN_METRIC, metric.at, message, "unknown metric");
            self.report(problem.suggest(&wanted, &METRICS.map(DriftMetric::name), "metric"));
        }
        found
    }

    /// A column that an alert names, which has to be one of the vector, and of a type that has the metric.
    fn alert_column(&mut self, name: &Name, vector: Option<&Vector>, metric: Option<DriftMetric>) -> Option<String> {
        let Some(vector) = vector else { return Some(name.text.clone()) };
        let column = vector.columns.iter().find(|column| column.name == name.text);
        if column.is_none() && name.text != SCORE {
            let message = format!("vector `{}` has no column `{}`", vector.name, name.text);
            let problem = Diagnostic::error(codes::ALERT_COLUMN, name.at, message, "no column of the vector");
            let known: Vec<&str> = vector.columns.iter().map(|column| column.name.as_str()).chain([SCORE]).collect();
            self.report(problem.suggest(&name.text, &known, "column"));
            return None;
        }
        if let (Some(column), Some(metric)) = (column, metric)
            && !has_metric(&column.data_type, metric)
        {
            let message = format!("`{}` is {}, which has no {}", column.name, column.data_type, metric.name());
            let problem = Diagnostic::error(codes::ALERT_METRIC, name.at, message, "never above the threshold");
            self.report(problem.help("ks is of numbers and times, psi of these, texts and booleans, missing_rate of all"));
            return None;
        }
        Some(name.text.clone())
    }

    /// A time is further from its reference with every day: of that nobody wants to hear, so it is left out of what is said
    /// of all columns.
    fn times_that_go_on(&mut self, watch: &WrittenWatch, vector: &Vector) {
        let of_all = |alert: &&WrittenAlert| alert.columns.is_empty() && !alert.metric.text.eq_ignore_ascii_case("missing_rate");
        let Some(general) = watch.alerts.iter().find(of_all) else { return };
        let is_named = |column: &str| {
            let named = watch.alerts.iter().flat_map(|alert| &alert.columns).chain(&watch.except);
            named.into_iter().any(|name| name.text == column)
        };
        let times: Vec<&str> =
            vector.columns.iter().filter(|column| column.data_type == DataType::Timestamp).map(|column| column.name.as_str()).collect();
        let times: Vec<&str> = times.into_iter().filter(|column| !is_named(column)).collect();
        if times.is_empty() {
            return;
        }
        let (shown, metric) = (times.join("`, `"), general.metric.text.to_lowercase());
        let message = format!("times go on, so that their distance from a profile only grows: `{shown}` breaches no alert on {metric}");
        let problem = Diagnostic::warning(codes::ALERT_ON_TIME, general.metric.at, message, "leaves times out");
        let (all, first) = (times.join(", "), times[0]);
        self.report(problem.help(format!("write `except ({all})` behind the alerts, or name it: `{metric}({first}) > number`")));
    }

    /// The profile is there, and is of this model and of its vector.
    pub(super) fn profile(&mut self, path: &Path, written: &Name, model: &Model) {
        let vector = self.plan.vectors[model.vector].clone();
        let shown = path.display();
        let again = "make it from a training set with `forebay models profile`";
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(_) => {
                let message = format!("the drift profile {shown} is missing: drift is not measured");
                return self.report(Diagnostic::warning(codes::MISSING_PROFILE, written.at, message, "this file").help(again));
            }
        };
        let profile = match Profile::parse(&bytes) {
            Ok(profile) => profile,
            Err(error) => {
                let message = format!("the drift profile {shown} cannot be read, so that drift is not measured: {error}");
                return self.report(Diagnostic::warning(codes::BAD_PROFILE, written.at, message, "this file").help(again));
            }
        };
        let misfits = profile.misfits(&vector.columns);
        if !misfits.is_empty() {
            let found: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            let message = format!("the drift profile {shown} does not fit the vector: {}", found.join("; "));
            let problem = Diagnostic::warning(codes::PROFILE_COLUMNS, written.at, message, "what it lacks is not watched");
            self.report(problem.help("make it again with `forebay models profile`, from a training set of today's vector"));
        }
        let Some(origin) = profile.origin() else { return };
        if !model.version.is_empty() && model.version != origin.model_version {
            let (of, found) = (short(&origin.model_version), short(&model.version));
            let message = format!("the drift profile {shown} is of another model: of {of}, and the file is {found}");
            let problem = Diagnostic::warning(codes::PROFILE_MODEL, written.at, message, "its scores are those of another model");
            self.report(problem.help("make it again with `forebay models profile`, from what the model was trained with"));
        } else if misfits.is_empty() && vector.id.to_string() != origin.vector_identity {
            let message = format!("the drift profile {shown} is of another definition of the vector `{}`", vector.name);
            let problem = Diagnostic::warning(codes::PROFILE_MODEL, written.at, message, "columns meant something else then");
            self.report(problem.help("make it again with `forebay models profile`, from a training set of today's vector"));
        }
    }
}

fn has_metric(data_type: &DataType, metric: DriftMetric) -> bool {
    match metric {
        DriftMetric::MissingRate => true,
        DriftMetric::Psi => data_type.is_single(),
        DriftMetric::Ks => data_type.is_numeric() || *data_type == DataType::Timestamp,
    }
}

/// So much of a hash tells it apart.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
