//! A case in this language: its expression over columns, one row at a time, and with literals in the places of columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use forebay::language::{SourceFile, compile, render};
use forebay::plan::{ColumnSource, ModelSignature, Plan};
use serde_json::Value as Json;

use super::arrays::{array, shown};
use super::cases::Case;
use super::inputs::{COLUMNS, Column, VIEW, data_type, literal, taken, values};

/// A row of a case: the values of the columns that it reads.
pub type Row = Vec<Json>;

/// The columns that an expression names.
pub fn columns_of(expression: &str) -> Vec<&'static Column> {
    let words = words(expression);
    COLUMNS.iter().filter(|column| words.iter().any(|(_, word)| *word == column.name)).collect()
}

/// The words outside quotes, with their places.
fn words(expression: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut quote, mut start) = (None, None);
    for (at, letter) in expression.char_indices().chain([(expression.len(), ' ')]) {
        if quote.is_some() {
            quote = quote.filter(|open| *open != letter);
        } else if letter.is_alphanumeric() || matches!(letter, '_' | '.') {
            start.get_or_insert(at);
        } else {
            if let Some(from) = start.take() {
                found.push((from, &expression[from..at]));
            }
            quote = matches!(letter, '\'' | '"').then_some(letter);
        }
    }
    found
}

/// The rows on which a case is tried: all combinations of the values of its columns.
pub fn rows(case: &Case) -> Vec<Row> {
    let columns = columns_of(&case.text);
    let mut rows: Vec<Row> = vec![Vec::new()];
    for column in &columns {
        let mut all = case.values.get(column.name).cloned().unwrap_or_else(|| values(column.forebay));
        if !case.values.contains_key(column.name) {
            all.truncate(taken(columns.len()));
        }
        rows = rows.iter().flat_map(|row| all.iter().map(move |value| row.iter().cloned().chain([value.clone()]).collect())).collect();
    }
    rows
}

/// What a case gives: the type of its value, and the value for each row.
pub struct Answers {
    pub data_type: String,
    pub values: Vec<Json>,
}

/// The answers for `rows`, or why the language refuses the expression.
///
/// # Panics
/// When a row has another value alone than in the batch, or with literals.
pub fn answers(case: &Case, rows: &[Row], faults: &mut Vec<String>) -> Result<Answers, String> {
    let columns = columns_of(&case.text);
    let plan = plan(std::slice::from_ref(&case.text)).map_err(|problems| problems[0].clone())?;
    let batch = batch(&columns, rows);
    let array = evaluated(&plan, 0, &batch);
    let values: Vec<Json> = (0..array.len()).map(|row| shown(&array, row)).collect();
    for (row, value) in values.iter().enumerate() {
        let alone = shown(&evaluated(&plan, 0, &batch.slice(row, 1)), 0);
        if alone != *value {
            faults.push(format!("{} over {:?} is {value} in a batch and {alone} alone", case.text, rows[row]));
        }
    }
    with_literals(case, &columns, rows, &values, faults);
    let ColumnSource::Derived(expression) = &plan.vectors[0].columns[0].from else {
        return Ok(Answers { data_type: columns[0].forebay.to_owned(), values });
    };
    Ok(Answers { data_type: expression.data_type.to_string(), values })
}

/// Some rows with each selection of columns replaced by literals.
fn with_literals(case: &Case, columns: &[&Column], rows: &[Row], values: &[Json], faults: &mut Vec<String>) {
    let chosen = |row: usize| rows.len() <= 8 || (row * 7 + 3).is_multiple_of(rows.len() / 8);
    let masks: Vec<usize> = if columns.len() > 3 { vec![(1 << columns.len()) - 1] } else { (1..1 << columns.len()).collect() };
    let mut tried: Vec<(String, usize)> = Vec::new();
    for row in (0..rows.len()).filter(|row| chosen(*row)) {
        for mask in &masks {
            let replaced = columns.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1);
            let literals: Option<BTreeMap<&str, String>> =
                replaced.map(|(index, column)| Some((column.name, literal(&rows[row][index], column.forebay)?))).collect();
            if let Some(literals) = literals {
                tried.push((substituted(&case.text, &literals), row));
            }
        }
    }
    if tried.is_empty() {
        return;
    }
    // What has no value for its literals, or a part without one, is refused where definitions are checked.
    let mut refused = vec![false; tried.len()];
    let plan = loop {
        let texts: Vec<_> = tried.iter().zip(&refused).map(|((text, _), out)| if *out { "1".to_owned() } else { text.clone() }).collect();
        match plan(&texts) {
            Ok(plan) => break plan,
            Err(problems) => {
                let before = refused.iter().filter(|out| **out).count();
                for (index, problem) in problems.iter().enumerate().filter(|(_, problem)| !problem.is_empty()) {
                    refused[index] = true;
                    let (text, row) = &tried[index];
                    if !values[*row].is_null() && !["FB0208", "FB0220"].iter().any(|code| problem.starts_with(code)) {
                        faults.push(format!("`{text}` is refused, and {} over {:?} is {}: {problem}", case.text, rows[*row], values[*row]));
                    }
                }
                if refused.iter().filter(|out| **out).count() == before {
                    faults.push(format!("{}: {}", case.text, problems.join("\n")));
                    return;
                }
            }
        }
    };
    for (index, (text, row)) in tried.iter().enumerate().filter(|(index, _)| !refused[*index]) {
        let columns: Vec<_> = columns.to_vec();
        let value = shown(&evaluated(&plan, index, &batch(&columns, &rows[*row..=*row])), 0);
        if value != values[*row] {
            faults.push(format!("`{text}` is {value}, and {} over {:?} is {}", case.text, rows[*row], values[*row]));
        }
    }
}

fn substituted(expression: &str, literals: &BTreeMap<&str, String>) -> String {
    let mut text = String::new();
    let mut from = 0;
    for (at, word) in words(expression) {
        if let Some(literal) = literals.get(word) {
            text.push_str(&expression[from..at]);
            text.push_str(literal);
            from = at + word.len();
        }
    }
    text + &expression[from..]
}

/// A vector of expressions over all columns; or what is said of each of them.
fn plan(expressions: &[String]) -> Result<Plan, Vec<String>> {
    let mut text = String::from("source s (");
    for column in COLUMNS.iter().filter(|column| !column.name.contains('.')) {
        let _ = write!(text, "{} {}, ", column.name, column.forebay);
    }
    text.push_str("event_time timestamp) from log 's' format json event time event_time;\n");
    text.push_str(VIEW);
    text.push_str("vector v on s (\n");
    let mut starts = Vec::new();
    for (index, expression) in expressions.iter().enumerate() {
        starts.push(text.len());
        let _ = writeln!(text, "c{index} = {expression},");
    }
    text.push_str(");\n");
    let no_model = |_: &std::path::Path| -> forebay::Result<ModelSignature> { Err(forebay::Error::input("there is no model")) };
    let files = [SourceFile { path: "cases.bay".into(), text }];
    let compiled = compile(&files, &no_model);
    if let Some(plan) = compiled.plan {
        return Ok(plan);
    }
    let mut problems = vec![String::new(); expressions.len()];
    for diagnostic in &compiled.diagnostics {
        let at = diagnostic.labels.first().map_or(0, |label| label.at.start);
        let index = starts.partition_point(|start| *start <= at).saturating_sub(1);
        problems[index] = format!("{} {}", diagnostic.code.id, diagnostic.message);
        if let Some(help) = &diagnostic.help {
            let _ = write!(problems[index], "; {help}");
        }
    }
    if problems.iter().all(String::is_empty) {
        problems[0] = render(&compiled.diagnostics, &files, false);
    }
    Err(problems)
}

fn evaluated(plan: &Plan, index: usize, batch: &RecordBatch) -> ArrayRef {
    let vector = &plan.vectors[0];
    match &vector.columns[index].from {
        ColumnSource::Derived(expression) => {
            let column = |field: &arrow::datatypes::FieldRef| {
                let name = field.name().split(" for ").next().unwrap_or_default();
                batch.column_by_name(name).cloned().unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
            };
            let columns: Vec<ArrayRef> = vector.frame.fields().iter().map(column).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let frame = RecordBatch::try_new_with_options(Arc::clone(&vector.frame), columns, &options).unwrap();
            expression.evaluate(&frame).unwrap()
        }
        ColumnSource::Frame(_) => Arc::clone(batch.column(0)),
    }
}

/// A column that nothing reads, because a batch has as many rows as its columns.
fn marker(rows: usize) -> (String, ArrayRef, bool) {
    ("rows".to_owned(), Arc::new(BooleanArray::from(vec![true; rows])), true)
}

fn batch(columns: &[&Column], rows: &[Row]) -> RecordBatch {
    let arrays = columns.iter().enumerate().map(|(index, column)| {
        let cells: Vec<&Json> = rows.iter().map(|row| &row[index]).collect();
        (column.name.to_owned(), array(&data_type(column.forebay), &cells), true)
    });
    RecordBatch::try_from_iter_with_nullable(arrays.chain([marker(rows.len())])).unwrap()
}
