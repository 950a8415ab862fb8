//! The definitions: those of the features folder, and those that were applied (`<data>/definitions/applied.json`).

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::language::{self, Compiled, Severity, SourceFile};
use crate::plan::Plan;
use crate::time::EventTime;

use super::context::Context;

/// The plan of the features folder and the files that it was made from. Warnings go to standard error.
///
/// # Errors
/// As `language::load`; `Input` when the definitions have errors, after they were printed.
pub(super) fn current(context: &Context) -> Result<(Plan, Vec<SourceFile>)> {
    let files = language::load(&context.config.features)?;
    let compiled = compile(&files);
    if !compiled.diagnostics.is_empty() {
        eprint!("{}", language::render(&compiled.diagnostics, &files, colored()));
    }
    let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    match compiled.plan {
        Some(plan) => Ok((plan, files)),
        None => Err(Error::input(format!("the definitions in {} have {}", context.config.features.display(), counted(errors, "error")))),
    }
}

pub(super) fn compile(files: &[SourceFile]) -> Compiled {
    language::compile(files, &crate::model::read_signature)
}

/// Whether standard error takes colours.
pub(super) fn colored() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// `1 error`, `2 errors`
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What was applied last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Applied {
    /// RFC 3339
    pub at: String,
    pub files: Vec<SourceFile>,
}

impl Applied {
    /// `None` when nothing was applied yet.
    pub fn load(data: &Path) -> Result<Option<Self>> {
        let path = path(data);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::unavailable(format!("cannot read {}: {error}", path.display()))),
        };
        let read = serde_json::from_str(&text).map_err(|error| {
            Error::corrupt(format!("{} is not what apply wrote ({error}): delete it and apply the definitions again", path.display()))
        });
        read.map(Some)
    }

    /// Records these files as applied, in one step.
    pub fn store(data: &Path, files: &[SourceFile], at: EventTime) -> Result<()> {
        let path = path(data);
        let applied = Self { at: at.to_string(), files: files.to_vec() };
        let text = serde_json::to_string_pretty(&applied).map_err(|error| Error::internal(format!("applied definitions: {error}")))?;
        let partial = path.with_extension("partial");
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&partial, text)).and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| Error::new(ErrorKind::Unavailable, format!("cannot write {}: {error}; free space or choose another folder with --data", path.display())))
    }

    /// The plan that they mean; `None` when they no longer compile, because a model's file has changed, or the language.
    pub fn plan(&self) -> Option<Plan> {
        compile(&self.files).plan
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("definitions").join("applied.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_is_read_back() {
        let data = tempfile::tempdir().unwrap();
        assert!(Applied::load(data.path()).unwrap().is_none());
        let files = [SourceFile { path: "features/a.bay".into(), text: "entity user (user_id bigint);\n".into() }];
        Applied::store(data.path(), &files, EventTime(0)).unwrap();
        let applied = Applied::load(data.path()).unwrap().unwrap();
        assert_eq!((applied.files.as_slice(), applied.at.as_str()), (&files[..], "1970-01-01T00:00:00Z"));
        fs::write(path(data.path()), "{").unwrap();
        assert_eq!(Applied::load(data.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
