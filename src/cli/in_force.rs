//! By which definitions a command answers: those that were applied, unless those of the features folder are asked for. One rule
//! for all commands, said in the first line on standard error. Must never answer by others than it says.

use clap::{Args, ValueEnum};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::language::{self, Compiled};
use crate::model;
use crate::plan::{self, Difference, Inspection, Model, ModelFiles, Plan, Vector};

use super::client::Client;
use super::context::Context;
use super::definitions::{self, Applied};
use super::output::complain;

#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Choice {
    /// Definitions to answer by [default: applied]. Without this option, the command fails if the features folder declares
    /// the requested vector or model differently
    #[arg(long, value_enum, value_name = "WHICH")]
    definitions: Option<Which>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Definitions that were applied last
    Applied,
    /// Definitions of the features folder, as they are now
    Features,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    Vector(&'a str),
    /// Every vector.
    Vectors,
    Model(&'a str),
    /// What is stored, and what became of records: no value depends on a definition that is not applied.
    Stored,
}

/// The plan to answer by.
///
/// # Errors
/// `NotFound` where nothing was applied; `Conflict` where the folder says something else of what is asked and nothing was
/// chosen; `Input` where the folder was chosen and has errors.
pub(super) fn plan(context: &Context, choice: Choice, asked: Asked<'_>) -> Result<Plan> {
    let applied = Applied::load(context)?;
    let folder = context.config.features.display();
    if choice.definitions == Some(Which::Features) {
        let (compiled, files) = definitions::read(context)?;
        let at = compiled.plan.as_ref().and_then(|plan| applied.filter(|applied| applied.plan().is_some_and(|then| same(&then, plan))));
        let when = at.map_or_else(|| "not applied".to_owned(), |applied| format!("as applied {}", applied.when()));
        complain(&format!("definitions: {folder} ({when})\n"));
        return definitions::sound(context, compiled, &files);
    }
    let Some(applied) = applied else {
        return Err(Error::not_found(format!(
            "nothing was applied to {} yet: run `forebay serve`, which applies the definitions in {folder}, or name another folder with \
             --data",
            context.config.data.display()
        )));
    };
    let plan = applied.plan().ok_or_else(|| {
        let data = context.config.data.display();
        Error::conflict(format!(
            "the definitions that were applied to {data} are none any more: run `forebay apply` to apply those in {folder}"
        ))
    })?;
    let folder_says = match choice.definitions {
        None => Folder::of(context, &plan, asked),
        Some(_) => Folder::Same,
    };
    let aside = if matches!(folder_says, Folder::Elsewhere) { "; other things differ in the folder: see `forebay plan`" } else { "" };
    complain(&format!("definitions: applied {} ({}){aside}\n", applied.when(), short(&plan)));
    match folder_says {
        Folder::Otherwise(what) => Err(Error::conflict(format!(
            "{what}: `forebay plan` shows the difference, and a start of `forebay serve` applies it; until then say which is meant: \
             --definitions applied or --definitions features"
        ))),
        _ => Ok(plan),
    }
}

/// What `forebay verify` compares exists for applied definitions only.
pub(super) fn refuse_features(choice: Choice) -> Result<()> {
    match choice.definitions {
        Some(Which::Features) => Err(Error::input(
            "verify compares what is served with what is trained on, and definitions that are not applied serve nothing: start `forebay \
             serve` with them first",
        )),
        _ => Ok(()),
    }
}

/// Sees that the running server answers by this plan: it keeps the definitions that it started with.
///
/// # Errors
/// `Conflict` where what is asked means something else there.
pub(super) fn check_server(context: &Context, server: &Client, plan: &Plan, asked: Asked<'_>) -> Result<()> {
    let catalog = server.get("/v1/catalog")?;
    let of = |kind: &str, name: &str| catalog[kind].as_array().into_iter().flatten().find(|of| of["name"] == name).cloned();
    let is_other = |vector: &Vector| of("vectors", &vector.name).is_none_or(|served| served["id"] != vector.id.to_string().as_str());
    let what = match asked {
        Asked::Vector(name) => plan.vector(name).filter(|vector| is_other(vector)).map(|_| format!("vector {name}")),
        Asked::Model(name) => plan
            .model(name)
            .filter(|model| {
                let served = of("models", name).map_or(Json::Null, |mut served| served["version"].take());
                is_other(&plan.vectors[model.vector]) || !served.is_null() && served != model.version.as_str()
            })
            .map(|_| format!("model {name}")),
        Asked::Vectors | Asked::Stored => None,
    };
    match what {
        None => Ok(()),
        Some(what) => Err(Error::conflict(format!(
            "{what} is another one for the server of {}, which goes on with what it started with: restart it, or ask by the definitions \
             that it has",
            context.config.data.display()
        ))),
    }
}

/// What the features folder says beside what was applied.
enum Folder {
    /// The same, or there is none.
    Same,
    /// The same of what is asked, and something else of others.
    Elsewhere,
    /// Something else of what is asked.
    Otherwise(String),
}

impl Folder {
    fn of(context: &Context, applied: &Plan, asked: Asked<'_>) -> Self {
        // Where there is no folder, as on a machine that only serves, there is nothing that could be meant instead.
        let Ok(files) = language::load(&context.config.features) else { return Self::Same };
        let folder = context.config.features.display();
        let Compiled { plan: Some(plan), .. } = language::compile_with(&files, &Versions) else {
            return match asked {
                Asked::Stored => Self::Elsewhere,
                _ => Self::Otherwise(format!("the definitions in {folder} have errors, which `forebay check` shows")),
            };
        };
        let difference = plan::diff(applied, &plan);
        match otherwise(&difference, &plan, asked) {
            Some(what) => Self::Otherwise(format!("{what} in {folder} than it was applied")),
            None if difference.is_empty() => Self::Same,
            None => Self::Elsewhere,
        }
    }
}

/// What of that is asked is declared otherwise; the sentence goes on with where.
fn otherwise(difference: &Difference, new: &Plan, asked: Asked<'_>) -> Option<String> {
    let is_other =
        |kind: &str, name: &str| [&difference.added, &difference.removed].iter().any(|list| list.contains(&format!("{kind} {name}")));
    let vector = |name: &str| difference.vectors_changed.iter().any(|changed| changed == name) || is_other("vector", name);
    let declared = |kind: &str, name: &str| Some(format!("{kind} {name} is declared otherwise"));
    match asked {
        Asked::Vector(name) if vector(name) => declared("vector", name),
        Asked::Vectors => {
            let known = difference.added.iter().chain(&difference.removed).filter_map(|what| what.strip_prefix("vector "));
            let changed = difference.vectors_changed.iter().map(String::as_str).chain(known).next()?;
            declared("vector", changed)
        }
        Asked::Model(name) => {
            if difference.model_files_changed.iter().any(|changed| changed == name) {
                return Some(format!("the file of model {name} holds another model"));
            }
            let takes = new.model(name).is_some_and(|model| vector(&new.vectors[model.vector].name));
            let is_touched = difference.models_touched.iter().any(|touched| touched == name);
            if takes || is_touched || is_other("model", name) { declared("model", name) } else { None }
        }
        Asked::Vector(_) | Asked::Stored => None,
    }
}

/// Models by the hash of their files: nothing is run to compare definitions.
struct Versions;

impl ModelFiles for Versions {
    fn inspect(&self, model: &Model, _: &Vector) -> Result<Inspection> {
        Ok(Inspection { version: model::version_of(&model.path)?, ..Inspection::default() })
    }
}

fn same(one: &Plan, other: &Plan) -> bool {
    plan::diff(one, other).is_empty()
}

/// Enough of the plan's identity to tell it from others.
fn short(plan: &Plan) -> String {
    plan.identity().to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(changed: &[&str], added: &[&str], touched: &[&str], files: &[&str], asked: Asked<'_>) -> Option<String> {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let difference = Difference {
            vectors_changed: names(changed),
            added: names(added),
            models_touched: names(touched),
            model_files_changed: names(files),
            ..Difference::default()
        };
        otherwise(&difference, &Plan::default(), asked)
    }

    #[test]
    fn only_what_is_asked_has_to_be_the_same() {
        let v = Asked::Vector("v");
        assert_eq!(said(&["v"], &[], &[], &[], v).as_deref(), Some("vector v is declared otherwise"));
        assert!(said(&[], &["vector v"], &[], &[], v).is_some());
        assert_eq!(said(&["w"], &["vector u"], &["m"], &["m"], v), None);
        assert_eq!(said(&["v"], &["vector u"], &["m"], &["m"], Asked::Stored), None);
        assert!(said(&[], &["vector u"], &[], &[], Asked::Vectors).is_some());
        assert_eq!(said(&[], &["source u"], &["m"], &[], Asked::Vectors), None);
        let m = Asked::Model("m");
        assert_eq!(said(&[], &[], &["m"], &["m"], m).as_deref(), Some("the file of model m holds another model"));
        assert_eq!(said(&[], &[], &["m"], &[], m).as_deref(), Some("model m is declared otherwise"));
        assert_eq!(said(&[], &["model n"], &["n"], &["n"], m), None);
    }
}
