//! CSV with a header row (RFC 4180): rows of cells, and, typed by a source's fields, rows as payloads. An empty cell is
//! null. Must never hold more of a row than a payload may have, and never take a quote for closed that is not.

use std::io::BufRead;

use super::text::unreadable;
use super::{Object, Payload};
use crate::decode::PAYLOAD_BYTES_MAX;
use crate::decode::value::{self, Single};
use crate::error::{Error, Result};
use crate::plan::{Field, Source};
use crate::value::{DataType, Value};

/// More columns than any table has.
const COLUMNS_MAX: usize = 65_536;

/// One row. Cells of rows that are too large are kept in part.
#[derive(Debug, Default)]
pub struct Row {
    /// The line at which it begins, from 1.
    pub line: u64,
    /// Whether the cells together have more bytes than a payload may have.
    pub too_large: bool,
    bytes: Vec<u8>,
    /// Where each cell ends, of no more than are asked for.
    ends: Vec<usize>,
    /// How many there are.
    count: usize,
}

impl Row {
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }

    fn clear(&mut self, line: u64) {
        self.line = line;
        self.too_large = false;
        self.bytes.clear();
        self.ends.clear();
        self.count = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = (PAYLOAD_BYTES_MAX + 1).saturating_sub(self.bytes.len());
        self.too_large |= room < bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_cell(&mut self, cells_max: usize) {
        self.count += 1;
        if self.ends.len() < cells_max {
            self.ends.push(self.bytes.len());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of a row; blank lines are none.
    Start,
    /// Of a cell behind a comma.
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: it closes the cell, or is the first of two.
    Closing,
}

/// A table: its header was read, its rows come one by one.
pub struct Table<R> {
    text: R,
    names: Vec<String>,
    /// Of the byte that is read next, from 1.
    line: u64,
    /// The last row ended in a carriage return, which a line feed may follow.
    after_return: bool,
}

impl<R: BufRead> Table<R> {
    /// Reads the header. Input error where two columns have one name. An empty text names none.
    pub fn new(text: R) -> Result<Self> {
        let mut table = Self { text, names: Vec::new(), line: 1, after_return: false };
        let mut header = Row::default();
        if table.next_row(&mut header, COLUMNS_MAX)? {
            if header.count > COLUMNS_MAX || header.too_large {
                return Err(Error::input(format!("line {}: {} columns are too many: at most {COLUMNS_MAX}", header.line, header.count)));
            }
            table.names = header.cells().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        }
        // A column without a name is nobody's.
        let mut sorted: Vec<&String> = table.names.iter().filter(|name| !name.is_empty()).collect();
        sorted.sort_unstable();
        if let Some(name) = sorted.windows(2).find_map(|pair| (pair[0] == pair[1]).then_some(pair[0])) {
            return Err(Error::input(format!("two columns are called '{name}': rename one")));
        }
        Ok(table)
    }

    /// Of the columns, without blanks around them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the next row; `false` where there is none. Input error where it has not one cell for each column.
    pub fn read(&mut self, row: &mut Row) -> Result<bool> {
        let columns = self.names.len();
        let read = self.next_row(row, columns)?;
        if read && row.count != columns {
            let (line, count) = (row.line, row.count);
            return Err(Error::input(format!("line {line}: {count} cells, where the header names {columns} columns")));
        }
        Ok(read)
    }

    fn next_row(&mut self, row: &mut Row, cells_max: usize) -> Result<bool> {
        let (mut state, mut opened) = (State::Start, 0);
        row.clear(self.line);
        loop {
            let buffer = self.text.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return match state {
                    State::Start => Ok(false),
                    State::Quoted => Err(self.unclosed(row, opened)),
                    State::CellStart | State::Plain | State::Closing => {
                        row.end_cell(cells_max);
                        Ok(true)
                    }
                };
            }
            let (mut at, mut ended) = (0, false);
            while at < buffer.len() && !ended {
                let byte = buffer[at];
                match (state, byte) {
                    (State::Start, b'\n') if self.after_return => {
                        at += 1;
                        self.after_return = false;
                    }
                    (State::Start, b'\n' | b'\r') => {
                        at += 1;
                        self.line += 1;
                        self.after_return = byte == b'\r';
                    }
                    (State::Start, _) => {
                        self.after_return = false;
                        row.line = self.line;
                        state = State::CellStart;
                    }
                    (State::CellStart, b'"') => {
                        at += 1;
                        opened = self.line;
                        state = State::Quoted;
                    }
                    (State::CellStart | State::Plain | State::Closing, b',') => {
                        at += 1;
                        row.end_cell(cells_max);
                        state = State::CellStart;
                    }
                    (State::CellStart | State::Plain | State::Closing, b'\n' | b'\r') => {
                        at += 1;
                        self.line += 1;
                        self.after_return = byte == b'\r';
                        row.end_cell(cells_max);
                        ended = true;
                    }
                    (State::CellStart | State::Plain, _) => {
                        let rest = &buffer[at..];
                        let end = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r')).unwrap_or(rest.len());
                        row.push(&rest[..end]);
                        at += end;
                        state = State::Plain;
                    }
                    (State::Quoted, b'"') => {
                        at += 1;
                        state = State::Closing;
                    }
                    (State::Quoted, _) => {
                        let rest = &buffer[at..];
                        let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
                        row.push(&rest[..end]);
                        self.line += rest[..end].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
                        at += end;
                    }
                    (State::Closing, b'"') => {
                        at += 1;
                        row.push(b"\"");
                        state = State::Quoted;
                    }
                    (State::Closing, _) => return Err(self.behind_quote(row, opened)),
                }
            }
            self.text.consume(at);
            if ended {
                return Ok(true);
            }
        }
    }

    fn unclosed(&self, row: &Row, opened: u64) -> Error {
        let column = self.column(row);
        Error::input(format!("line {opened}: the quote that opens here{column} is not closed: close it, or take it out"))
    }

    fn behind_quote(&self, row: &Row, opened: u64) -> Error {
        let (line, column) = (self.line, self.column(row));
        let place = if line == opened { String::new() } else { format!(", which closes in line {line}") };
        Error::input(format!(
            "line {opened}: something stands behind the quoted cell that opens here{column}{place}: close its quote in its place, and \
             write a quote within it twice"
        ))
    }

    /// The column of the cell that is being read, in words.
    fn column(&self, row: &Row) -> String {
        self.names.get(row.count).map(|name| format!(" in column {name}")).unwrap_or_default()
    }
}

/// Each row as a JSON object of the columns that are fields. Input error when the header names no field.
pub(super) fn payloads<R: BufRead>(source: &Source, text: R) -> Result<impl Iterator<Item = Result<Payload>> + use<R>> {
    let mut table = Table::new(text)?;
    let field = |name: &String| source.fields.iter().find(|field| field.name == *name).cloned();
    let columns: Vec<Option<Field>> = table.names().iter().map(field).collect();
    if !columns.is_empty() && columns.iter().all(Option::is_none) {
        let names: Vec<_> = source.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(Error::input(format!(
            "no column of the header is a field of {}: the first line must name columns among {}, it names {}",
            source.name,
            names.join(", "),
            table.names().join(", ")
        )));
    }
    if let Some(list) = columns.iter().flatten().find(|field| !field.data_type.is_single()) {
        let (name, data_type) = (&list.name, &list.data_type);
        return Err(Error::input(format!("column {name} is {data_type}, which CSV has no form for: push NDJSON or Parquet")));
    }
    let mut row = Row::default();
    Ok(std::iter::from_fn(move || match table.read(&mut row) {
        Ok(true) => Some(Ok(Payload { place: row.line, bytes: payload(&row, &columns) })),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    }))
}

fn payload(row: &Row, columns: &[Option<Field>]) -> Vec<u8> {
    if row.too_large {
        // As it was written, as far as it was kept: the decoder knows it by its length.
        return row.cells().collect::<Vec<_>>().join(&b',');
    }
    let mut object = Object::new();
    for (cell, field) in row.cells().zip(columns) {
        if let Some(field) = field {
            match std::str::from_utf8(cell) {
                Ok(cell) => object.put(&field.name, &value(cell, &field.data_type)),
                Err(_) => object.put_with(&field.name, |out| value::quoted(out, cell)),
            }
        }
    }
    object.finish()
}

/// A cell as a value of that type where it is one, and as text where it is not, which the decoder rejects.
fn value(text: &str, data_type: &DataType) -> Value {
    let trimmed = text.trim();
    // A number for a time means what the source says of its payloads.
    if let (DataType::Timestamp, Ok(number)) = (data_type, trimmed.parse()) {
        return Value::Int(number);
    }
    match value::cell(text, data_type) {
        Ok(Some(Single::Timestamp(_))) => Value::Text(trimmed.into()),
        Ok(typed) => typed.map_or(Value::Null, Value::from),
        Err(_) => Value::Text(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    /// The rows with their lines, then the error.
    fn read(text: &str, buffer: usize) -> (Vec<(u64, Vec<String>)>, Option<String>) {
        let mut rows = Vec::new();
        let mut table = match Table::new(BufReader::with_capacity(buffer, Cursor::new(text.as_bytes().to_vec()))) {
            Ok(table) => table,
            Err(error) => return (rows, Some(error.to_string())),
        };
        let mut row = Row::default();
        loop {
            match table.read(&mut row) {
                Ok(true) => rows.push((row.line, row.cells().map(|cell| String::from_utf8(cell.to_vec()).unwrap()).collect())),
                Ok(false) => return (rows, None),
                Err(error) => return (rows, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn cells_are_those_of_rfc_4180() {
        for (text, rows) in [
            ("", &[][..]),
            ("a,b\n", &[]),
            ("a,b\r\n1,2\r\n\r\n\"x\r\ny\",\"\"\"q\"\",\"\r\n3,", &[(2, ["1", "2"]), (4, ["x\r\ny", "\"q\","]), (6, ["3", ""])]),
            ("a,b\r1,2\r\r3,4", &[(2, ["1", "2"]), (4, ["3", "4"])]),
            ("\na,b\n,\n\"\",\" \"\nx\"y, \"z\"\n", &[(3, ["", ""]), (4, ["", " "]), (5, ["x\"y", " \"z\""])]),
        ] {
            for buffer in [1, 2, 3, 1024] {
                let (found, error) = read(text, buffer);
                assert_eq!(error, None, "{text:?}");
                let wanted: Vec<_> = rows.iter().map(|(line, cells)| (*line, cells.map(str::to_owned).to_vec())).collect();
                assert_eq!(found, wanted, "{text:?}");
            }
        }
    }

    #[test]
    fn a_table_that_is_none_says_where() {
        for (text, rows, message) in [
            ("a,b\n1,2\n3,\"x\n4,5\n6,7\n", 1, "line 3: the quote that opens here in column b is not closed"),
            (
                "a,b\n1,\"x\n2,y\n3,\"z\"\n",
                0,
                "line 2: something stands behind the quoted cell that opens here in column b, which closes in line 4",
            ),
            ("a,b\n1,\"x\"y\n", 0, "line 2: something stands behind the quoted cell that opens here in column b: "),
            ("a,b\n1,2\n\n3\n", 1, "line 4: 1 cells, where the header names 2 columns"),
            ("a,b\n1,2,3\n", 0, "line 2: 3 cells"),
            ("\"a,b\n1,2\n", 0, "line 1: the quote that opens here is not closed"),
            ("a, b ,c,b\n", 0, "two columns are called 'b'"),
        ] {
            for buffer in [1, 1024] {
                let (found, error) = read(text, buffer);
                assert_eq!(found.len(), rows, "{text:?}");
                assert!(error.as_ref().is_some_and(|error| error.starts_with(message)), "{text:?}: {error:?}");
            }
        }
    }

    #[test]
    fn of_a_row_that_is_too_large_no_more_is_kept_than_a_payload_may_have() {
        let long = "x,\n".repeat(PAYLOAD_BYTES_MAX / 3 + 10);
        let mut table = Table::new(Cursor::new(format!("a,b\n\"{long}\",1\n2,3\n"))).unwrap();
        let mut row = Row::default();
        assert!(
            table.read(&mut row).unwrap() && row.too_large && row.bytes.len() == PAYLOAD_BYTES_MAX + 1 && row.bytes.capacity() < 40 << 20
        );
        assert!(payload(&row, &[]).len() > PAYLOAD_BYTES_MAX);
        assert!(table.read(&mut row).unwrap() && !row.too_large && row.cells().eq([b"2", b"3"]));
        let mut table = Table::new(Cursor::new(format!("a,b\n\"{long}"))).unwrap();
        assert!(table.read(&mut row).is_err() && row.bytes.capacity() < 40 << 20);
    }
}
