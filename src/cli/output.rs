//! How results are printed: aligned for people, JSON for machines. Standard output holds results and nothing else.

use std::io::{self, ErrorKind, Write};

use serde_json::{Map, Value as Json};

use crate::config::Output;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub(super) struct Printer(Output);

impl Printer {
    pub fn new(output: Output) -> Self {
        Self(output)
    }

    /// Whether people read it.
    pub fn for_people(self) -> bool {
        self.0 == Output::Table
    }

    /// Rows under named columns: a table, an array of objects, or an object a line.
    pub fn rows(self, columns: &[&str], rows: Vec<Vec<Json>>) -> Result<()> {
        if self.0 == Output::Table {
            return write(&table(columns, &rows));
        }
        let object = |row: Vec<Json>| columns.iter().map(|name| (*name).to_owned()).zip(row).collect::<Map<_, _>>();
        self.items(rows.into_iter().map(|row| Json::Object(object(row))).collect())
    }

    /// One thing: `text` for people, else the object.
    pub fn one(self, text: &str, object: &Json) -> Result<()> {
        match self.0 {
            Output::Table => write(&format!("{}\n", text.trim_end_matches('\n'))),
            Output::Json => write(&format!("{object:#}\n")),
            Output::Ndjson => write(&format!("{object}\n")),
        }
    }

    /// Machines only: an array, or an item a line.
    pub fn items(self, items: Vec<Json>) -> Result<()> {
        match self.0 {
            Output::Ndjson => write(&items.iter().map(|item| format!("{item}\n")).collect::<String>()),
            _ => write(&format!("{:#}\n", Json::Array(items))),
        }
    }
}

/// Writes to standard output. A reader who has seen enough and closed the pipe is no failure.
pub(super) fn write(text: &str) -> Result<()> {
    write_bytes(text.as_bytes())
}

pub(super) fn write_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::unavailable(format!("cannot write to standard output: {error}"))),
        _ => Ok(()),
    }
}

/// Writes to standard error. That nobody reads it any more is no failure.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Columns as wide as their widest cell, two blanks apart; numbers to the right.
pub(super) fn table(columns: &[&str], rows: &[Vec<Json>]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| {
        let widest = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(columns[column].chars().count())
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let right = |column: usize| !rows.is_empty() && rows.iter().all(|row| matches!(row.get(column), Some(Json::Number(_) | Json::Null)));
    let rights: Vec<_> = (0..columns.len()).map(right).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let start = text.len();
        for (column, cell) in cells.enumerate() {
            let blanks = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let (before, after) = if rights[column] { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
            text.push_str(before);
            text.push_str(cell);
            text.push_str(after);
            text.push_str("  ");
        }
        let end = text.trim_end_matches(' ').len().max(start);
        text.truncate(end);
        text.push('\n');
    };
    line(&mut columns.iter().copied());
    for row in &cells {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A value in a cell: texts without quotes, `-` where there is none.
pub(super) fn cell(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.replace('\n', " "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows = vec![vec![json!("payments"), json!(5), json!("a b")], vec![json!("x"), json!(1200), Json::Null]];
        let expected = "topic     records  note\npayments        5  a b\nx            1200  -\n";
        assert_eq!(table(&["topic", "records", "note"], &rows), expected);
        assert_eq!(table(&["a", "b"], &[]), "a  b\n");
    }
}
