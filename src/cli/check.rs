//! `forebay check`

use clap::Args;
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::language::{self, Diagnostic, Severity, SourceFile};

use super::context::Context;
use super::definitions::{colored, compile, counted};
use super::output::complain;
use super::{Outcome, output};

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay check\n  forebay check --output ndjson")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let files = language::load(&context.config.features)?;
    let compiled = compile(&files);
    let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if context.print.for_people() {
        complain(&language::render(&compiled.diagnostics, &files, colored()));
        if let Some(plan) = &compiled.plan {
            let tables = plan.sources.iter().filter(|source| source.files.is_some()).count();
            let mut parts = vec![counted(plan.sources.len() - tables, "source")];
            parts.extend((tables > 0).then(|| counted(tables, "table")));
            parts.extend([
                counted(plan.views.iter().map(|view| view.declared.len()).sum(), "feature"),
                counted(plan.vectors.len(), "vector"),
                counted(plan.models.len(), "model"),
            ]);
            output::write(&format!("{} in {}: no errors\n", parts.join(", "), counted(files.len(), "file")))?;
        }
    } else {
        let columns = ["code", "severity", "message", "file", "line", "column", "help"];
        context.print.rows(&columns, compiled.diagnostics.iter().map(|diagnostic| row(diagnostic, &files)).collect())?;
    }
    match errors {
        0 => Ok(Outcome::Done),
        _ => Err(Error::input(format!("{} in {}", counted(errors, "error"), counted(files.len(), "file")))),
    }
}

/// One diagnostic; line and column count from 1, columns in characters.
fn row(diagnostic: &Diagnostic, files: &[SourceFile]) -> Vec<Json> {
    let at = diagnostic.at();
    let file = files.get(at.file);
    let before = file.and_then(|file| file.text.get(..at.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    vec![
        json!(diagnostic.code.id),
        json!(if diagnostic.severity == Severity::Error { "error" } else { "warning" }),
        json!(diagnostic.message),
        json!(file.map(|file| file.path.display().to_string())),
        json!(line),
        json!(column),
        json!(diagnostic.help),
    ]
}
