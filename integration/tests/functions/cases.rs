//! The list of cases, `functions/*.cases`: what is tried, on which values, and what is known to differ.
//!
//! ```text
//! = Numbers                 a part of the page
//! ## round(x, n)            an entry of the page; what it covers is named in backticks if it is called otherwise
//!   gives: ..               what it gives, where PostgreSQL lacks it
//!   differs: ..             how it differs from PostgreSQL
//!   notes: ..               what else there is to know
//! round(x, 2)               a case
//!   postgres: round(x::numeric, 2)::float8     how PostgreSQL says it, where it says it otherwise; `none` where it cannot
//!   x: [1.5, -1.5]          other values than those of the column
//!   near                    equal up to the last digits: the two use other libraries for it
//!   refused: ..             the language refuses it, with a message that begins so
//! ```

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value as Json;

use forebay_integration::folders::here;

#[derive(Default)]
pub struct Part {
    pub title: String,
    pub entries: Vec<Entry>,
}

#[derive(Default)]
pub struct Entry {
    pub title: String,
    pub gives: Option<String>,
    pub differs: Option<String>,
    pub notes: Option<String>,
    pub cases: Vec<Case>,
}

#[derive(Default)]
pub struct Case {
    pub text: String,
    pub postgres: Option<String>,
    pub values: BTreeMap<String, Vec<Json>>,
    pub near: bool,
    pub refused: Option<String>,
}

impl Case {
    /// What PostgreSQL is asked; `None` where it has nothing of the kind.
    pub fn asked(&self) -> Option<&str> {
        match (&self.refused, self.postgres.as_deref()) {
            (Some(_), _) | (None, Some("none")) => None,
            (None, Some(other)) => Some(other),
            (None, None) => Some(&self.text),
        }
    }
}

const FILES: [&str; 6] = ["operators", "casts", "numbers", "texts", "times", "lists"];

pub fn read() -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for file in FILES {
        let path = here("functions").join(format!("{file}.cases"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (number, line) in text.lines().enumerate() {
            assert!(add(&mut parts, line).is_some(), "{}:{}: what is `{line}`?", path.display(), number + 1);
        }
    }
    parts
}

fn add(parts: &mut Vec<Part>, line: &str) -> Option<()> {
    if line.is_empty() {
        return Some(());
    }
    if let Some(title) = line.strip_prefix("= ") {
        parts.push(Part { title: title.to_owned(), ..Part::default() });
        return Some(());
    }
    let entries = &mut parts.last_mut()?.entries;
    if let Some(title) = line.strip_prefix("## ") {
        entries.push(Entry { title: title.to_owned(), ..Entry::default() });
        return Some(());
    }
    let entry = entries.last_mut()?;
    let Some(clause) = line.strip_prefix("  ") else {
        entry.cases.push(Case { text: line.to_owned(), ..Case::default() });
        return Some(());
    };
    let (word, rest) = clause.split_once(": ").unwrap_or((clause, ""));
    let rest = rest.to_owned();
    match (word, entry.cases.last_mut()) {
        ("gives", None) => entry.gives = Some(rest),
        ("differs", None) => entry.differs = Some(rest),
        ("notes", None) => entry.notes = Some(rest),
        ("postgres", Some(case)) => case.postgres = Some(rest),
        ("near", Some(case)) => case.near = true,
        ("refused", Some(case)) => case.refused = Some(rest),
        (column, Some(case)) => {
            case.values.insert(column.to_owned(), serde_json::from_str(&rest).ok()?);
        }
        _ => return None,
    }
    Some(())
}
