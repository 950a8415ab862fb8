//! The definitions: those of the features folder, and those that were applied (`<data>/definitions/applied.json`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{Error, Result};
use crate::folder::io_error;
use crate::language::{self, Compiled, Severity, SourceFile};
use crate::model::Inspector;
use crate::plan::{Inspection, Model, ModelFiles, Plan, Vector};
use crate::time::EventTime;

use super::context::Context;
use super::output::complain;

/// The format that applied definitions are stored in.
const FORMAT: u64 = 2;

/// The plan of the features folder and the files that it was made from. Warnings go to standard error.
///
/// # Errors
/// As `language::load`; `Input` when the definitions have errors, after they were printed.
pub(super) fn current(context: &Context) -> Result<(Plan, Vec<SourceFile>)> {
    let (compiled, files) = read(context)?;
    Ok((sound(context, compiled, &files)?, files))
}

/// The features folder, compiled.
pub(super) fn read(context: &Context) -> Result<(Compiled, Vec<SourceFile>)> {
    let files = language::load(&context.config.features)?;
    Ok((compile(&files), files))
}

/// The plan, once what is to be said of it is on standard error.
pub(super) fn sound(context: &Context, compiled: Compiled, files: &[SourceFile]) -> Result<Plan> {
    if !compiled.diagnostics.is_empty() {
        complain(&language::render(&compiled.diagnostics, files, colored()));
    }
    let errors = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let has = || Error::input(format!("the definitions in {} have {}", context.config.features.display(), counted(errors, "error")));
    compiled.plan.ok_or_else(has)
}

pub(super) fn compile(files: &[SourceFile]) -> Compiled {
    language::compile_with(files, &Inspector)
}

/// The texts of the files, each after its path, as the engine records what was in force.
pub(super) fn text(files: &[SourceFile]) -> String {
    files.iter().map(|file| format!("-- {}\n{}\n", file.path.display(), file.text)).collect()
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
    /// With absolute paths, so that models are found from wherever a command is given.
    pub files: Vec<SourceFile>,
    /// The version of each model's file. Not known of what earlier versions of this program applied.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
}

impl Applied {
    /// `None` when nothing was applied yet. Paths are as `language::load` would give them here, so that equal
    /// definitions compare as equal.
    pub fn load(context: &Context) -> Result<Option<Self>> {
        let Some(mut applied) = Self::read(&context.config.data)? else { return Ok(None) };
        if let (true, Ok(here)) = (context.config.features.is_relative(), std::env::current_dir()) {
            for file in &mut applied.files {
                file.path = file.path.strip_prefix(&here).map(Path::to_owned).unwrap_or_else(|_| file.path.clone());
            }
        }
        Ok(Some(applied))
    }

    fn read(data: &Path) -> Result<Option<Self>> {
        let path = path(data);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::unavailable(format!("cannot read {}: {error}", path.display()))),
        };
        let damaged = |why: String| {
            Error::corrupt(format!("{} is not what apply wrote ({why}): delete it and apply the definitions again", path.display()))
        };
        let read = codec::open_json(&bytes).map_err(damaged)?;
        match (read.sealed, read.value.get("format")) {
            // Without a format before there were checksums.
            (Some(FORMAT), _) | (None, None) => {}
            _ => return Err(damaged("no known format".to_owned())),
        }
        serde_json::from_value(read.value).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Records these files, and the models' files of their plan, as applied now, in one step.
    pub fn store(context: &Context, files: &[SourceFile], plan: &Plan) -> Result<()> {
        let absolute = |file: &SourceFile| SourceFile {
            path: std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone()),
            text: file.text.clone(),
        };
        let models = plan.models.iter().map(|model| (model.name.clone(), model.version.clone())).collect();
        let applied = Self { at: EventTime(context.clock.now().0).to_string(), files: files.iter().map(absolute).collect(), models };
        applied.write(&context.config.data)
    }

    /// Files of the folder `from` are in the folder `to` from now on.
    pub fn moved(data: &Path, from: &Path, to: &Path) -> Result<()> {
        let Some(mut applied) = Self::read(data)? else { return Ok(()) };
        for file in &mut applied.files {
            if let Ok(below) = file.path.strip_prefix(from) {
                file.path = to.join(below);
            }
        }
        applied.write(data)
    }

    fn write(&self, data: &Path) -> Result<()> {
        let path = path(data);
        let text = codec::seal_json(FORMAT, self)?;
        let partial = path.with_extension("partial");
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| io_error("write", &path, &error))
    }

    /// When, to the second.
    pub fn when(&self) -> String {
        match self.at.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => self.at.clone(),
        }
    }

    /// The plan that they mean, with the models' files as they were; `None` when they no longer compile, because a model's
    /// file is gone, or the language has changed.
    pub fn plan(&self) -> Option<Plan> {
        language::compile_with(&self.files, &Remembered(&self.models)).plan
    }
}

/// Models as they were found when they were applied: their files are not looked at again.
struct Remembered<'a>(&'a BTreeMap<String, String>);

impl ModelFiles for Remembered<'_> {
    fn inspect(&self, model: &Model, vector: &Vector) -> Result<Inspection> {
        match self.0.get(&model.name) {
            Some(version) => Ok(Inspection { version: version.clone(), ..Inspection::default() }),
            None => Inspector.inspect(model, vector),
        }
    }
}

/// The names that records are appended under: what was applied, or else the features folder.
pub(super) fn applied_or_current(context: &Context) -> Result<Plan> {
    match Applied::load(context)?.and_then(|applied| applied.plan()) {
        Some(plan) => Ok(plan),
        None => Ok(current(context)?.0),
    }
}

/// The same with the files that it was made from.
pub(super) fn in_force_with_files(context: &Context) -> Result<(Plan, Vec<SourceFile>)> {
    match Applied::load(context)?.and_then(|applied| Some((applied.plan()?, applied.files))) {
        Some(found) => Ok(found),
        None => current(context),
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("definitions").join("applied.json")
}
