//! `docs/functions.md`, made of the cases and of what came of them.

use std::fmt::Write as _;

use forebay::language::REFUSED_FUNCTIONS;

use super::cases::{Entry, Part};

/// What came of an entry's cases.
#[derive(Default)]
pub struct Outcome {
    pub values: usize,
    /// Questions that PostgreSQL has an answer to.
    pub asked: usize,
    /// Each with the expression, what PostgreSQL says and what is said here.
    pub differences: Vec<(String, String, String)>,
    /// Expressions that are refused, with the message.
    pub refused: Vec<(String, String)>,
}

const HEAD: &str = "# Functions and operators

What expressions are made of, compared with PostgreSQL 15 on values at the edges: nulls, NaN, infinities, negative zero, empty and
foreign texts, the ends of ranges, times before 1970. This page is written by its test
(`integration/tests/functions.rs`; `make functions` asks PostgreSQL anew). A function that is not here is not in the language.

A timestamp is a moment: PostgreSQL's `timestamptz` in a session whose time zone is UTC. Where PostgreSQL ends a query with an error
(a division by zero, an overflow, a text that is no number), the value is null for that row. A number with a point is a double, where
PostgreSQL has a decimal: `round(2.5)` is 2 here, as `round(2.5::float8)` is there.

*same* means: equal to PostgreSQL's value for all that was tried. *own* means that PostgreSQL has nothing of the kind.
";

pub fn page(parts: &[Part], outcomes: &[Vec<Outcome>]) -> String {
    let mut page = String::from(HEAD);
    for (part, outcomes) in parts.iter().zip(outcomes) {
        let _ = write!(page, "\n## {}\n\n| | PostgreSQL's meaning | tried | |\n|---|---|---|---|\n", part.title);
        for (entry, outcome) in part.entries.iter().zip(outcomes) {
            line(&mut page, entry, outcome);
        }
    }
    page.push_str("\n## Refused by name\n\n| | instead |\n|---|---|\n");
    for (name, instead) in REFUSED_FUNCTIONS {
        let _ = writeln!(page, "| `{name}` | {} |", cell(instead));
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, entry: &Entry, outcome: &Outcome) {
    let mut notes: Vec<String> = [&entry.gives, &entry.notes, &entry.differs].into_iter().flatten().cloned().collect();
    if let Some((expression, theirs, ours)) = outcome.differences.first() {
        let count = outcome.differences.len();
        let of = if count == 1 { "1 value".to_owned() } else { format!("{count} values") };
        notes.push(format!("{of}, such as `{expression}`: {theirs} there, {ours} here"));
    }
    notes.extend(outcome.refused.iter().map(|(text, message)| format!("`{text}` is refused: {message}")));
    let standing = match (outcome.asked, outcome.differences.is_empty(), outcome.values) {
        (0, _, 0) => "refused",
        (0, _, _) => "own",
        (_, true, _) => "same",
        (_, false, _) => "differs",
    };
    let _ = writeln!(page, "| {} | {standing} | {} | {} |", titled(&entry.title), outcome.values, cell(&notes.join(". ")));
}

fn titled(title: &str) -> String {
    let names: Vec<_> = title.split(" ; ").map(|name| format!("`{}`", cell(name))).collect();
    names.join(", ")
}
