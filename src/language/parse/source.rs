//! `source name (columns) from .. format .. event time .. lateness .. history .. dedup by .. deletes when .. deletes on tombstone
//! expect ..`

use sqlparser::tokenizer::Token;

use super::Lexeme;
use super::cursor::{Cursor, Parsed};
use super::tree::{Dedup, Expect, From, Partitions, SourceBody, Tokens};
use crate::language::diagnostics::{Diagnostic, codes};

const CLAUSES: [&str; 10] = ["from", "partitions", "format", "event", "lateness", "history", "max", "dedup", "deletes", "expect"];

pub(super) fn source(cursor: &mut Cursor<'_>) -> Parsed<SourceBody> {
    let mut body = SourceBody { columns: Some(cursor.columns()?), ..SourceBody::default() };
    while !cursor.done() {
        let start = cursor.next;
        if clause(cursor, &mut body).is_err() {
            cursor.not_read(start, &CLAUSES, &mut body.unread);
            // Goes on at the next clause, so that what follows is still checked.
            cursor.next = next_clause(cursor, (start + 1).max(cursor.next));
        }
    }
    Ok(body)
}

fn clause(cursor: &mut Cursor<'_>, body: &mut SourceBody) -> Parsed<()> {
    let start = cursor.next;
    if cursor.eat("from") {
        let kafka = cursor.is("kafka");
        if !kafka && !cursor.is("log") {
            return Err(cursor.expected("`log` or `kafka`"));
        }
        cursor.next += 1;
        cursor.eat("topic");
        let topic = cursor.string("the topic's name in quotes")?;
        let clause = cursor.clause(start, From { kafka, topic });
        cursor.once(&mut body.from, clause, "from");
    } else if cursor.eat("partitions") {
        let count = cursor.number("a number")?;
        let by = if cursor.eat("by") { cursor.names("a column")? } else { Vec::new() };
        let clause = cursor.clause(start, Partitions { count, by });
        cursor.once(&mut body.partitions, clause, "partitions");
    } else if cursor.eat("format") {
        let name = cursor.name("a format")?;
        let clause = cursor.clause(start, name);
        cursor.once(&mut body.format, clause, "format");
    } else if cursor.eat("event") {
        cursor.expect("time")?;
        let name = cursor.name("the column that holds the event time")?;
        let clause = cursor.clause(start, name);
        cursor.once(&mut body.event_time, clause, "event time");
    } else if cursor.eat("lateness") {
        let (span, _) = cursor.duration()?;
        let clause = cursor.clause(start, span);
        cursor.once(&mut body.lateness, clause, "lateness");
    } else if cursor.eat("history") {
        let (span, _) = cursor.duration()?;
        let clause = cursor.clause(start, span);
        cursor.once(&mut body.history, clause, "history");
    } else if cursor.eat("max") {
        cursor.expect("ahead")?;
        let (span, _) = cursor.duration()?;
        let clause = cursor.clause(start, span);
        cursor.once(&mut body.max_ahead, clause, "max ahead");
    } else if cursor.eat("dedup") {
        cursor.expect("by")?;
        let columns = cursor.names("a column")?;
        let distance = "the distance within which events are the same";
        let within = cursor.expect("within").and_then(|()| cursor.positive_duration(distance));
        // Its columns are looked at whatever is wrong behind them, which was reported.
        let clause = cursor.clause(start, Dedup { columns, within: within.unwrap_or_default() });
        cursor.once(&mut body.dedup, clause, "dedup by");
        within?;
    } else if cursor.eat("expect") {
        expect(cursor, body, start);
    } else if cursor.are("deletes", "when") {
        cursor.next += 2;
        let tokens = cursor.next..next_clause(cursor, cursor.next);
        let condition = cursor.sql(tokens.clone(), "a condition");
        cursor.next = tokens.end;
        let clause = cursor.clause(start, condition);
        cursor.once(&mut body.deletes, clause, "deletes when");
    } else if cursor.are("deletes", "on") {
        cursor.next += 2;
        cursor.expect("tombstone")?;
        let clause = cursor.clause(start, ());
        cursor.once(&mut body.tombstones, clause, "deletes on tombstone");
    } else {
        return Err(cursor.expected(
            "a clause of a source (from, partitions, format, event time, lateness, max ahead, history, dedup by, deletes when, deletes on tombstone, expect) or `;`",
        ));
    }
    Ok(())
}

fn expect(cursor: &mut Cursor<'_>, body: &mut SourceBody, start: usize) {
    let stop = next_clause(cursor, cursor.next);
    let cuts = cursor.cuts(cursor.next..stop, |index| cursor.tokens[index].is("else"));
    let end = cuts.first().copied().unwrap_or(stop);
    let condition = cursor.sql(cursor.next..end, "a condition");
    cursor.next = end;
    let quarantine = cursor.eat("else") && cursor.eat("quarantine");
    if !quarantine {
        let at = cursor.here();
        let problem = Diagnostic::error(codes::QUARANTINE, at, "`expect` does not say what happens otherwise", "`else quarantine` here");
        cursor.report(problem.help("write `else quarantine`: events that fail go to the dead-letter topic"));
        cursor.next = stop;
    }
    let clause = cursor.clause(start, Expect { condition });
    body.expects.push(clause);
}

/// Where the next clause starts, at or after `from`: at its words with what must follow them, so that a column called
/// like a clause does not end an expression.
fn next_clause(cursor: &Cursor<'_>, from: usize) -> usize {
    let tokens: Tokens = from..cursor.end;
    let cuts = cursor.cuts(tokens, |index| starts_clause(cursor, index));
    cuts.first().copied().unwrap_or(cursor.end)
}

fn starts_clause(cursor: &Cursor<'_>, index: usize) -> bool {
    let token = &cursor.tokens[index];
    let next = cursor.tokens[..cursor.end].get(index + 1);
    let next_is = |words: &[&str]| next.is_some_and(|next| next.is_any(words));
    let next_string = next.is_some_and(|next| next.string().is_some() || next.number().is_some());
    (token.is("from") && next_is(&["log", "kafka"]))
        || (token.is_any(&["lateness", "history", "partitions"]) && next_string)
        || (token.is("event") && next_is(&["time"]))
        || (token.is("max") && next_is(&["ahead"]))
        || (token.is("dedup") && next_is(&["by"]))
        || (token.is("deletes") && next_is(&["when", "on"]))
        || (token.is("format") && next.and_then(Lexeme::word).is_some())
        || (token.is("expect") && next.is_some_and(|next| next.sql.token != Token::Comma))
}
