//! Models: the file and its pinned hash, its inputs against the vector, scoring and drift.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Checker;
use super::signature::mismatches;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{Clause, Kind, ModelBody, Name, Watch as WrittenWatch};
use crate::plan::{Alert, DriftMetric, Model, Score, Watch};

const METRICS: [(&str, DriftMetric); 3] = [("psi", DriftMetric::Psi), ("ks", DriftMetric::Ks), ("missing_rate", DriftMetric::MissingRate)];

impl Checker<'_> {
    pub(super) fn model(&mut self, file: usize, name: &Name, body: &ModelBody) -> Option<usize> {
        for (missing, clause, example) in
            [(body.from.is_none(), "from", "from 'models/file.onnx'"), (body.takes.is_none(), "takes", "takes <vector>")]
        {
            if missing {
                let problem = Diagnostic::error(
                    codes::MISSING_CLAUSE,
                    name.at,
                    format!("model `{}` has no `{clause}`", name.text),
                    format!("no `{clause}`"),
                );
                self.report(problem.help(format!("write `{example}`")));
            }
        }
        let vector = body.takes.as_ref().and_then(|clause| self.names.find(Kind::Vector, &clause.value, self.problems));
        let sha256 = body.sha256.as_ref().and_then(|clause| self.hash(&clause.value));
        let path = body.from.as_ref().map(|clause| self.beside(file, &clause.value));
        let score = body.score.as_ref().map(|clause| {
            self.topic(&clause.value.topic);
            let source = self.source_named(&clause.value.source, "a model scores the events of a source")?;
            if let Some(vector) = vector {
                self.scored_source(vector, source, &clause.value.source);
            }
            Some(Score { source, topic: clause.value.topic.text.clone() })
        });
        let watch = body.watch.as_ref().map(|clause| self.watch(file, clause));
        let version = match (&path, &body.from) {
            (Some(path), Some(clause)) => self.model_file(path, &clause.value, sha256.as_deref(), body, vector),
            _ => String::new(),
        };
        let score = match score {
            Some(score) => Some(score?),
            None => None,
        };
        self.plan.models.push(Model { name: name.text.clone(), path: path?, sha256, version, vector: vector?, score, watch });
        Some(self.plan.models.len() - 1)
    }

    /// A path as written, taken from the folder of the file that writes it.
    pub(super) fn beside(&self, file: usize, path: &Name) -> PathBuf {
        self.files[file].path.parent().map_or_else(PathBuf::new, PathBuf::from).join(&path.text)
    }

    fn hash(&mut self, hash: &Name) -> Option<String> {
        let text = hash.text.to_lowercase();
        if text.len() == 64 && text.bytes().all(|letter| letter.is_ascii_hexdigit()) {
            return Some(text);
        }
        let problem = Diagnostic::error(codes::BAD_HASH, hash.at, "this is no SHA-256", "not 64 hexadecimal digits");
        self.report(problem.help("`sha256sum` prints it; or leave `sha256` out, and any file is taken"));
        None
    }

    /// The file is there, is the pinned one, can be read, and takes the vector. Returns its hash.
    fn model_file(
        &mut self,
        path: &std::path::Path,
        written: &Name,
        pinned: Option<&str>,
        body: &ModelBody,
        vector: Option<usize>,
    ) -> String {
        let shown = path.display();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let problem = Diagnostic::error(
                    codes::MODEL_FILE,
                    written.at,
                    format!("the model file {shown} cannot be read: {}", kind(&error)),
                    "this file",
                );
                self.report(problem.help("train and export it there, or correct the path; it is taken from the folder of this file"));
                return String::new();
            }
        };
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if let (Some(pinned), Some(clause)) = (pinned, &body.sha256)
            && found != pinned
        {
            let problem = Diagnostic::error(
                codes::MODEL_HASH,
                clause.value.at,
                format!("the model file {shown} is not the pinned one"),
                "another hash",
            );
            self.report(problem.help(format!("if the file is meant, write sha256 '{found}'")));
            return found;
        }
        let signature = match (self.signature)(path) {
            Ok(signature) => signature,
            Err(error) => {
                self.report(Diagnostic::error(
                    codes::MODEL_UNREADABLE,
                    written.at,
                    format!("the model file {shown} cannot be used: {error}"),
                    "this file",
                ));
                return found;
            }
        };
        let (Some(vector), Some(takes)) = (vector, &body.takes) else { return found };
        let misfits = mismatches(&self.plan.vectors[vector], &signature);
        if misfits.is_empty() {
            return found;
        }
        let shown = misfits.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("; ");
        let rest = misfits.len().saturating_sub(8);
        let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
        let problem = Diagnostic::error(
            codes::MODEL_INPUTS,
            takes.value.at,
            format!("the model does not take this vector: {shown}{more}"),
            "does not fit the model's inputs",
        );
        self.report(
            problem.help("inputs are matched by name, one per column of shape [N] or [N, 1], or are one float tensor [N, columns]"),
        );
        found
    }

    fn scored_source(&mut self, vector: usize, source: usize, written: &Name) {
        let on = self.plan.vectors[vector].on;
        if on == Some(source) {
            return;
        }
        let vector = self.plan.vectors[vector].name.clone();
        let (message, help) = match on {
            Some(on) => {
                let on = self.plan.sources[on].name.clone();
                (
                    format!("vector `{vector}` is on `{on}`, not on `{}`", written.text),
                    format!("write `score {on}`, or a vector on `{}`", written.text),
                )
            }
            None => (format!("vector `{vector}` is on no source"), format!("declare the vector as `{vector} on {}`", written.text)),
        };
        self.report(Diagnostic::error(codes::SCORE_SOURCE, written.at, message, "not the vector's source").help(help));
    }

    fn watch(&mut self, file: usize, clause: &Clause<WrittenWatch>) -> Watch {
        let watch = &clause.value;
        self.topic(&watch.topic);
        let mut alerts = Vec::new();
        for (metric, threshold) in &watch.alerts {
            let wanted = metric.text.to_lowercase();
            match METRICS.iter().find(|(spelling, _)| *spelling == wanted) {
                Some((_, metric)) => alerts.push(Alert { metric: *metric, threshold: *threshold }),
                None => {
                    let problem = Diagnostic::error(
                        codes::UNKNOWN_METRIC,
                        metric.at,
                        format!("there is no drift metric `{}`", metric.text),
                        "unknown metric",
                    );
                    self.report(problem.suggest(&wanted, &METRICS.map(|(spelling, _)| spelling), "metric"));
                }
            }
        }
        let profile = self.beside(file, &watch.profile);
        if !profile.is_file() {
            let message = format!("the drift profile {} is missing: drift is not measured", profile.display());
            let problem = Diagnostic::warning(codes::MISSING_PROFILE, watch.profile.at, message, "this file");
            self.report(problem.help("make it from a training set with `forebay models profile`"));
        }
        Watch { every: watch.every, profile, alerts, topic: watch.topic.text.clone() }
    }
}

/// A short reason that is the same on every system.
fn kind(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file",
        std::io::ErrorKind::PermissionDenied => "permission denied",
        std::io::ErrorKind::IsADirectory => "it is a folder",
        _ => "reading failed",
    }
}
