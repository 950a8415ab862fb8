//! How results are printed: aligned for people, JSON for machines. Standard output holds results and nothing else.

use std::io::{self, ErrorKind, Write};

use serde_json::{Map, Value as Json};

use crate::config::Output;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    output: Output,
    /// How wide a line may be, where somebody looks at it.
    width: Option<usize>,
}

impl Printer {
    /// `columns` are those that the environment names, which go before the terminal's own.
    pub fn new(output: Output, columns: Option<usize>) -> Self {
        let of_terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        Self { output, width: columns.filter(|columns| *columns > 0).or_else(of_terminal) }
    }

    /// Whether people read it.
    pub fn for_people(self) -> bool {
        self.output == Output::Table
    }

    /// Rows under named columns: a table (blocks, where that is wider than the terminal), an array of objects, or an object a line.
    pub fn rows(self, columns: &[&str], rows: Vec<Vec<Json>>) -> Result<()> {
        if self.output == Output::Table {
            let table = table(columns, &rows);
            let width = table.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            let fits = self.width.is_none_or(|most| width <= most);
            return write(&if fits { table } else { blocks(columns, &rows, self.width.unwrap_or(width)) });
        }
        let object = |row: Vec<Json>| columns.iter().map(|name| (*name).to_owned()).zip(row).collect::<Map<_, _>>();
        self.items(rows.into_iter().map(|row| Json::Object(object(row))).collect())
    }

    /// One thing: `text` for people, else the object.
    pub fn one(self, text: &str, object: &Json) -> Result<()> {
        match self.output {
            Output::Table => write(&format!("{}\n", text.trim_end_matches('\n'))),
            Output::Json => write(&format!("{object:#}\n")),
            Output::Ndjson => write(&format!("{object}\n")),
        }
    }

    /// Machines only: an array, or an item a line.
    pub fn items(self, items: Vec<Json>) -> Result<()> {
        match self.output {
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

/// A block for each row, a line for each of its cells that holds something; texts go on below themselves.
fn blocks(columns: &[&str], rows: &[Vec<Json>], width: usize) -> String {
    let indent = columns.iter().map(|name| name.chars().count()).max().unwrap_or_default() + 2;
    let room = width.saturating_sub(indent).max(20);
    let of_row = |row: &Vec<Json>| {
        let mut text = String::new();
        for (name, value) in columns.iter().zip(row).filter(|(_, value)| !value.is_null()) {
            let blanks = " ".repeat(indent - name.chars().count());
            let lines = wrapped(&cell(value), room).join(&format!("\n{}", " ".repeat(indent)));
            text.push_str(&format!("{name}{blanks}{lines}\n"));
        }
        text
    };
    rows.iter().map(of_row).collect::<Vec<_>>().join("\n")
}

/// Lines of at most so many characters, broken between words where there are any.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() <= room {
            length += 1 + word.len();
            if let Some(line) = lines.last_mut() {
                line.push(' ');
                line.extend(word);
            }
            continue;
        }
        if length > 0 {
            lines.push(String::new());
        }
        while word.len() > room {
            let rest = word.split_off(room);
            if let Some(line) = lines.last_mut() {
                line.extend(std::mem::replace(&mut word, rest));
            }
            lines.push(String::new());
        }
        length = word.len();
        if let Some(line) = lines.last_mut() {
            line.extend(word);
        }
    }
    lines
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

    #[test]
    fn what_is_too_wide_stands_in_blocks() {
        let rows = vec![vec![json!("payments"), json!(5), json!("one two three four five")], vec![json!("x"), json!(1200), Json::Null]];
        let expected = "\
topic    payments
records  5
note     one two three four
         five

topic    x
records  1200
";
        assert_eq!(blocks(&["topic", "records", "note"], &rows, 29), expected);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
