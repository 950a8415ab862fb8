//! The feature language: text to a typed plan, with every problem of every file in one run.
//!
//! `parse` cuts text into declarations, `check` resolves names and types and builds the `Plan`, `expression` plans the
//! SQL inside them with DataFusion, `format` writes text back in the one style, `diagnostics` is what went wrong.
//! Must never run anything: what a plan does is the business of the rooms after it.

mod check;
mod diagnostics;
mod expression;
mod format;
mod parse;
mod source;
#[cfg(test)]
mod tests;

pub use diagnostics::{CODES, Code, CodeEntry, Diagnostic, Label, Severity, render};
pub use expression::{REFUSED_FUNCTIONS, functions};
pub use format::format;
pub use source::{SourceFile, load};

use std::path::Path;

use crate::error::Result;
use crate::plan::{ModelFiles, ModelSignature, Plan};

/// What a set of files means, or what is wrong with it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Present when there is no error; warnings do not prevent it.
    pub plan: Option<Plan>,
    /// In the order of files, then of places in them.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles files, taken together in any order, into one plan. `signature` reads what a model file says of itself: whether
/// it can be run and what it gives is not looked at.
pub fn compile(files: &[SourceFile], signature: &dyn Fn(&Path) -> Result<ModelSignature>) -> Compiled {
    compile_with(files, &signature)
}

/// The same with models that are run. `models` is asked only for files that exist.
pub fn compile_with(files: &[SourceFile], models: &dyn ModelFiles) -> Compiled {
    let mut diagnostics = Vec::new();
    let trees: Vec<_> = files.iter().enumerate().map(|(index, file)| parse::parse(index, file, &mut diagnostics)).collect();
    let plan = check::check(files, &trees, models, &mut diagnostics);
    diagnostics::order(&mut diagnostics);
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Compiled { plan: (!failed).then_some(plan), diagnostics }
}
