//! `table name (columns) from parquet 'path' key column, .. time column`

use super::cursor::{Cursor, Parsed};
use super::tree::TableBody;
use crate::language::diagnostics::{Diagnostic, codes};

const CLAUSES: [&str; 3] = ["from", "key", "time"];

pub(super) fn table(cursor: &mut Cursor<'_>) -> Parsed<TableBody> {
    let mut body = TableBody { columns: Some(cursor.columns()?), ..TableBody::default() };
    while !cursor.done() {
        let start = cursor.next;
        if clause(cursor, &mut body).is_err() {
            cursor.not_read(start, &CLAUSES, &mut body.unread);
            cursor.go_on(start, &CLAUSES);
        }
    }
    Ok(body)
}

fn clause(cursor: &mut Cursor<'_>, body: &mut TableBody) -> Parsed<()> {
    let start = cursor.next;
    if cursor.eat("from") {
        if let Some(other) = cursor.peek().filter(|next| next.word().is_some() && !next.is("parquet")) {
            let (at, message) = (other.at, format!("the rows of a table are not read from {}", other.word().unwrap_or_default()));
            let problem = Diagnostic::error(codes::UNKNOWN_FORMAT, at, message, "not parquet");
            return Err(cursor.report(problem.help("write its files as Parquet: `from parquet 'path'`; events of a topic are a `source`")));
        }
        cursor.expect("parquet")?;
        let path = cursor.string("the path of a file or a folder in quotes")?;
        let clause = cursor.clause(start, path);
        cursor.once(&mut body.from, clause, "from");
    } else if cursor.eat("key") {
        let columns = cursor.names("a column")?;
        let clause = cursor.clause(start, columns);
        cursor.once(&mut body.keys, clause, "key");
    } else if cursor.eat("time") {
        let column = cursor.name("the column that says from when on a row holds")?;
        let clause = cursor.clause(start, column);
        cursor.once(&mut body.time, clause, "time");
    } else {
        return Err(cursor.expected("a clause of a table (from parquet, key, time) or `;`"));
    }
    Ok(())
}
