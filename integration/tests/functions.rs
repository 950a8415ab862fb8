//! Every function and operator of the language against PostgreSQL's, on values at the edges, and the page that says so:
//! `docs/functions.md`. `make functions` records what PostgreSQL says; `BLESS=1` writes the page and the differences anew.

mod functions {
    pub mod arrays;
    pub mod cases;
    pub mod inputs;
    pub mod page;
    pub mod postgres;
    pub mod tried;
}

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use forebay::language::{REFUSED_FUNCTIONS, functions};
use forebay_integration::folders::here;
use forebay_integration::golden;
use serde_json::Value as Json;

use functions::cases::{Case, Entry, read};
use functions::inputs::literal;
use functions::page::{Outcome, page};
use functions::postgres::{Recorded, question, record, recorded};
use functions::tried::{Row, answers, columns_of, rows};

/// The case over one row, as somebody would write it.
fn written(case: &Case, row: &Row) -> String {
    let inputs = columns_of(&case.text).into_iter().zip(row);
    let inputs: Vec<_> = inputs
        .map(|(column, value)| format!("{} = {}", column.name, literal(value, column.forebay).unwrap_or_else(|| value.to_string())))
        .collect();
    if inputs.is_empty() { case.text.clone() } else { format!("{} with {}", case.text, inputs.join(", ")) }
}

fn equal(theirs: &Json, ours: &Json, near: bool) -> bool {
    match (theirs, ours) {
        // A value that cannot be computed is null for its row.
        (Json::Object(_), ours) => ours.is_null(),
        (Json::Array(theirs), Json::Array(ours)) => {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(theirs, ours)| equal(theirs, ours, near))
        }
        // PostgreSQL's decimals are bigints or doubles here.
        (Json::String(theirs), Json::Number(ours)) => theirs.parse() == Ok(ours.as_i64().unwrap_or_default() as f64),
        (Json::String(theirs), Json::String(ours)) if near => match (theirs.parse::<f64>(), ours.parse::<f64>()) {
            (Ok(x), Ok(y)) => theirs == ours || (x - y).abs() <= 4e-16 * x.abs().max(y.abs()),
            _ => theirs == ours,
        },
        (theirs, ours) => theirs == ours,
    }
}

/// Whether a type of PostgreSQL is one of this language.
fn same_type(theirs: &str, ours: &str) -> bool {
    if theirs == "numeric" && matches!(ours, "bigint" | "double") {
        return true;
    }
    let meant = match theirs.trim_end_matches("[]") {
        "integer" | "smallint" | "bigint" => "bigint",
        "double precision" | "real" => "double",
        "timestamp without time zone" | "timestamp with time zone" | "date" => "timestamp",
        "character varying" | "text" | "name" => "text",
        other => other,
    };
    theirs.is_empty() || meant == ours.trim_end_matches("[]") && theirs.ends_with("[]") == ours.ends_with("[]")
}

fn tried(case: &Case, theirs: &HashMap<String, Recorded>, outcome: &mut Outcome, faults: &mut Vec<String>) {
    let rows = rows(case);
    let found = answers(case, &rows, faults);
    let answers = match (found, &case.refused) {
        (Ok(_), Some(_)) => return faults.push(format!("`{}` is not refused", case.text)),
        (Err(problem), Some(start)) => {
            let message = problem.split_once(' ').map_or(problem.as_str(), |(_, message)| message);
            if !message.starts_with(start.as_str()) {
                faults.push(format!("`{}` is refused otherwise: {problem}", case.text));
            }
            return outcome.refused.push((case.text.clone(), message.to_owned()));
        }
        (Err(problem), None) => return faults.push(format!("`{}` is refused: {problem}", case.text)),
        (Ok(answers), None) => answers,
    };
    outcome.values += rows.len();
    let Some(asked) = case.asked() else { return };
    let Some(recorded) = theirs.get(&question(asked, &rows)) else {
        return faults.push(format!("PostgreSQL was not asked `{asked}` over these rows: make functions"));
    };
    outcome.asked += 1;
    if !same_type(&recorded.data_type, &answers.data_type) {
        faults.push(format!("`{}` is {} here and {} there", case.text, answers.data_type, recorded.data_type));
    }
    for ((row, ours), theirs) in rows.iter().zip(&answers.values).zip(&recorded.answers) {
        if !equal(theirs, ours, case.near) {
            let theirs = theirs["error"].as_str().map_or_else(|| theirs.to_string(), |state| format!("error {state}"));
            outcome.differences.push((written(case, row), theirs, ours.to_string()));
        }
    }
}

#[test]
fn values_are_those_of_postgresql_or_explained() {
    let parts = read();
    if std::env::var_os("FOREBAY_RECORD").is_some() {
        record(parts.iter().flat_map(|part| &part.entries).flat_map(|entry| &entry.cases));
    }
    let theirs = recorded();
    let (mut faults, mut outcomes, mut differences) = (Vec::new(), Vec::new(), String::new());
    for part in &parts {
        let mut of_part = Vec::new();
        for entry in &part.entries {
            let mut outcome = Outcome::default();
            entry.cases.iter().for_each(|case| tried(case, &theirs, &mut outcome, &mut faults));
            match (&entry.differs, outcome.differences.is_empty()) {
                (None, false) => faults.push(format!("`{}` differs and nothing says how: {:?}", entry.title, outcome.differences)),
                (Some(_), true) => faults.push(format!("`{}` does not differ", entry.title)),
                _ => {}
            }
            for (expression, theirs, ours) in &outcome.differences {
                let _ = writeln!(differences, "{expression}: {theirs} there, {ours} here");
            }
            of_part.push(outcome);
        }
        outcomes.push(of_part);
    }
    let values: usize = outcomes.iter().flatten().map(|outcome| outcome.values).sum();
    println!("values: {values}");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    golden::check(&here("functions/differences.txt"), &differences);
    golden::check(&here("../docs/functions.md"), &page(&parts, &outcomes));
}

/// The functions that are called in an entry's cases.
fn called(entry: &Entry) -> impl Iterator<Item = String> + '_ {
    entry.cases.iter().filter(|case| case.refused.is_none()).flat_map(|case| {
        let calls = case.text.match_indices('(').map(|(at, _)| {
            let before = &case.text[..at];
            let start = before.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_').map_or(0, |at| at + 1);
            before[start..].to_lowercase()
        });
        calls.collect::<Vec<_>>()
    })
}

#[test]
fn every_function_stands_in_a_case() {
    let parts = read();
    let called: BTreeSet<String> = parts.iter().flat_map(|part| &part.entries).flat_map(called).collect();
    let missing: Vec<_> = functions().filter(|name| !called.contains(*name)).collect();
    assert!(missing.is_empty(), "no case tries {missing:?}");
    let both: Vec<_> = REFUSED_FUNCTIONS.iter().filter(|(name, _)| functions().any(|known| known == *name)).collect();
    assert!(both.is_empty(), "let in and refused: {both:?}");
}
