//! What is wrong with definitions, as data: a code, a message, the places it concerns and a fix where one is known.
//! Must never decide anything: rules live where they are checked.

pub(super) mod codes;
mod nearest;
mod render;

pub use codes::{CODES, Code, CodeEntry};
pub(super) use nearest::nearest;
pub use render::render;

use super::source::At;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    /// Shown, but a plan is made.
    Warning,
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub at: At,
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// In lower case, naming the thing.
    pub message: String,
    /// The first is the place of the problem; all are of one file.
    pub labels: Vec<Label>,
    pub help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(code: Code, at: At, message: impl Into<String>, label: impl Into<String>) -> Self {
        let labels = vec![Label { at, text: label.into() }];
        Self { code, severity: Severity::Error, message: message.into(), labels, help: None }
    }

    pub(super) fn warning(code: Code, at: At, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message, label) }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Suggests the name that is near, if one is; else says what there is.
    pub(super) fn suggest(self, name: &str, known: &[&str], what: &str) -> Self {
        if let Some(near) = nearest(name, known) {
            return self.help(format!("did you mean `{near}`?"));
        }
        if known.is_empty() {
            return self.help(format!("there is no {what} yet; declare one"));
        }
        let mut shown: Vec<_> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
        if known.len() > shown.len() {
            shown.push("...".to_owned());
        }
        self.help(format!("{what}s here: {}", shown.join(", ")))
    }

    /// Adds a second place, if it lies in the same file.
    pub(super) fn also(mut self, at: At, text: impl Into<String>) -> Self {
        if self.labels.first().is_some_and(|first| first.at.file == at.file) {
            self.labels.push(Label { at, text: text.into() });
        }
        self
    }

    /// The place of the problem.
    #[must_use]
    pub fn at(&self) -> At {
        self.labels.first().map(|label| label.at).unwrap_or_default()
    }
}

/// Sorts by place, and drops what was said twice.
pub(super) fn order(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| (a.at(), a.code.id, &a.message).cmp(&(b.at(), b.code.id, &b.message)));
    diagnostics.dedup();
}
