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

This page lists the functions and operators that expressions can use, and compares them with PostgreSQL 15. A function that is not on this page is not in the [language](language.md). The test of this page (`integration/tests/functions.rs`) writes the page, and `make functions` asks PostgreSQL again.

The compared values are edge cases: nulls, NaN, infinities, negative zero, empty and non-English texts, the ends of ranges, and times before 1970. These rules hold for all functions:

- **Timestamps**: a timestamp is a moment, as PostgreSQL's `timestamptz` is in a session whose time zone is UTC.
- **Errors**: if PostgreSQL ends a query with an error (a division by zero, an overflow, a text that is not a number), Forebay gives null for that row. Some operations on doubles give the value of IEEE arithmetic instead; their notes say so.
- **Decimals**: a number with a decimal point is a double in Forebay and a decimal in PostgreSQL. `round(2.5)` is 2 in Forebay, as `round(2.5::float8)` is 2 in PostgreSQL.

The second column has one of these words:

| word | meaning |
|---|---|
| *same* | the value equals PostgreSQL's value for all compared inputs. An error of PostgreSQL equals null. Some functions of doubles, such as `exp` and `sin`, may differ by up to 4e-16 of the value, because the two systems use other libraries |
| *differs* | the value differs from PostgreSQL's value for some compared inputs. The notes describe the difference |
| *own* | PostgreSQL has no such function or operator |
| *refused* | the language refuses the expression, with the message in the notes. The [glossary](glossary.md) explains words such as stream |
";

const COLUMNS: &str = "| function or operator | compared with PostgreSQL | compared values | notes |";

pub fn page(parts: &[Part], outcomes: &[Vec<Outcome>]) -> String {
    let mut page = String::from(HEAD);
    for (part, outcomes) in parts.iter().zip(outcomes) {
        let _ = write!(page, "\n## {}\n\n{COLUMNS}\n|---|---|---|---|\n", part.title);
        for (entry, outcome) in part.entries.iter().zip(outcomes) {
            line(&mut page, entry, outcome);
        }
    }
    page.push_str("\n## Refused by name\n\n| function | instead |\n|---|---|\n");
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
        let of = if count == 1 { "1 value differs".to_owned() } else { format!("{count} values differ") };
        notes.push(format!("{of}, such as `{expression}`: PostgreSQL gives {theirs}, Forebay gives {ours}"));
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
