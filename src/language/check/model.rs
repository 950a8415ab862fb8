//! Models: the file and its pinned hash, its inputs against the vector, scoring.

use std::fs::File;
use std::path::PathBuf;

use super::Checker;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{Kind, ModelBody, Name, Runs};
use crate::language::source::At;
use crate::plan::{CHANCE_REMEDY, Fault, INPUTS_REMEDY, Inspection, Model, NEIGHBOURS_REMEDY, Score, Usage};

impl Checker<'_> {
    pub(super) fn model(&mut self, file: usize, name: &Name, body: &ModelBody) -> Option<usize> {
        for (missing, clause, example) in
            [(body.from.is_none(), "from", "from 'models/file.onnx'"), (body.takes.is_none(), "takes", "takes <vector>")]
        {
            if missing && !body.unread.may_be(clause) {
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
        let watch = body.watch.as_ref().map(|clause| self.watch(file, clause, vector, body.score.is_some()));
        let usage = usage(body);
        // Also where the vector or the score is not sound: a file that is not there is a problem of its own.
        let file = path.as_ref().zip(body.from.as_ref()).and_then(|(path, clause)| self.opened(path, &clause.value));
        let score = match score {
            Some(score) => Some(score?),
            None => None,
        };
        let (path, written) = (path?, &body.from.as_ref()?.value);
        file?;
        let version = String::new();
        let mut model = Model { name: name.text.clone(), path, sha256, version, usage, vector: vector?, score, watch };
        self.model_file(&mut model, written, body);
        if let (Some(watch), Some(clause)) = (&model.watch, &body.watch) {
            self.profile(&watch.profile, &clause.value.profile, &model);
        }
        self.plan.models.push(model);
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

    fn opened(&mut self, path: &std::path::Path, written: &Name) -> Option<File> {
        let error = match File::open(path).and_then(|file| file.metadata().map(|of| (file, of.is_dir()))) {
            Ok((file, false)) => return Some(file),
            Ok((_, true)) => std::io::ErrorKind::IsADirectory.into(),
            Err(error) => error,
        };
        let message = format!("the model file {} cannot be read: {}", path.display(), kind(&error));
        let problem = Diagnostic::error(codes::MODEL_FILE, written.at, message, "this file");
        self.report(problem.help("train and export it there, or correct the path; it is taken from the folder of this file"));
        None
    }

    /// The file is the pinned one, can be run, takes the vector, and gives one score for each row, of that row alone.
    /// Learns its version.
    fn model_file(&mut self, model: &mut Model, written: &Name, body: &ModelBody) {
        let shown = model.path.display();
        let vector = &self.plan.vectors[model.vector];
        let Inspection { version, fault, unproven } = match self.models.inspect(model, vector) {
            Ok(inspection) => inspection,
            Err(error) => {
                let message = format!("the model file {shown} cannot be used: {error}");
                return self.report(Diagnostic::error(codes::MODEL_UNREADABLE, written.at, message, "this file"));
            }
        };
        model.version.clone_from(&version);
        if let Some(reason) = unproven {
            let message = format!("the model was not tried: it fails on every made-up row: {reason}");
            let problem = Diagnostic::warning(codes::MODEL_UNPROVEN, written.at, message, "this file");
            self.report(problem.help("that may be right for a model that knows only its own texts: look at its first scores"));
        }
        let takes = body.takes.as_ref().map_or(written.at, |clause| clause.value.at);
        let output = body.output.as_ref().map_or(written.at, |clause| clause.at);
        let said = |code, at: At, message: String, label: &str, help: String| Diagnostic::error(code, at, message, label).help(help);
        let problem = match fault {
            None => return,
            Some(Fault::OtherFile) => {
                let at = body.sha256.as_ref().map_or(written.at, |clause| clause.value.at);
                let message = format!("the model file {shown} is not the pinned one");
                said(codes::MODEL_HASH, at, message, "another hash", format!("if the file is meant, write sha256 '{version}'"))
            }
            Some(Fault::Inputs(found)) => {
                let shown = found.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("; ");
                let rest = found.len().saturating_sub(8);
                let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
                let message = format!("the model does not take this vector: {shown}{more}");
                said(codes::MODEL_INPUTS, takes, message, "does not fit the model's inputs", INPUTS_REMEDY.to_owned())
            }
            Some(Fault::Output { message, remedy }) => said(codes::MODEL_OUTPUT, output, message, "which number is the score?", remedy),
            Some(Fault::Fails(message)) => {
                let help = "run it on such rows where it was trained, and export it again".to_owned();
                said(codes::MODEL_FAILS, written.at, message, "cannot score this vector", help)
            }
            Some(Fault::Neighbours(message)) => {
                said(codes::MODEL_NEIGHBOURS, written.at, message, "not a function of its row", NEIGHBOURS_REMEDY.to_owned())
            }
            Some(Fault::Chance(message)) => {
                said(codes::MODEL_CHANCE, written.at, message, "not a function of its row", CHANCE_REMEDY.to_owned())
            }
        };
        self.report(problem);
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
}

fn usage(body: &ModelBody) -> Usage {
    let output = body.output.as_ref().map(|clause| &clause.value);
    let runs = |wanted: Runs| body.runs.iter().any(|clause| clause.value == wanted);
    Usage {
        output: output.and_then(|output| output.name.as_ref()).map(|name| name.text.clone()),
        part: output.and_then(|output| output.part.clone()),
        also: body.also.iter().flat_map(|clause| &clause.value).map(|name| name.text.clone()).collect(),
        row_by_row: runs(Runs::RowByRow),
        chance: runs(Runs::WithChance),
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
