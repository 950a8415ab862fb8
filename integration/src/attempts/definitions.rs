//! Any text as a definition file: a plan or a reason why not, diagnostics that can be shown, and a layout that stays.

use forebay::language::{SourceFile, compile, format, render};

use super::{Target, files, no_models};
use crate::folders::here;

/// The inputs are definition files.
#[must_use]
pub fn definitions() -> Target {
    let mut seeds = Vec::new();
    for folder in ["../features", "scenarios", "tests/diagnostics"] {
        files(&here(folder), "bay", &mut seeds);
    }
    Target { name: "definitions", seeds, attempt: Box::new(attempt) }
}

fn attempt(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = SourceFile { path: "fuzz.bay".into(), text: text.to_owned() };
    let compiled = compile(std::slice::from_ref(&file), &no_models);
    assert!(compiled.plan.is_some() || !compiled.diagnostics.is_empty(), "no plan and no reason:\n{text}");
    let _ = render(&compiled.diagnostics, std::slice::from_ref(&file), false);
    if let Ok(formatted) = format(&file) {
        let again = format(&SourceFile { path: "fuzz.bay".into(), text: formatted.clone() });
        assert!(
            again.as_ref().is_ok_and(|again| *again == formatted),
            "fmt is not idempotent:\n{text}\n-- gave\n{formatted}\n-- then\n{again:?}"
        );
    }
}
