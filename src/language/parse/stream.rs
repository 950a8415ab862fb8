//! `stream name as select expression as name, .. from source where condition union all select ..`

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed};
use super::tree::{Select, SelectItem, Sql, StreamBody, Tokens};
use crate::language::diagnostics::{Diagnostic, codes};

/// What may follow a query's source and condition in SQL, and has no meaning for rows one by one.
const OF_MANY_ROWS: [(&str, Option<&str>); 8] = [
    ("group", Some("by")),
    ("order", Some("by")),
    ("having", None),
    ("limit", None),
    ("offset", None),
    ("fetch", None),
    ("window", None),
    ("qualify", None),
];
const JOINS: [&str; 8] = ["join", "inner", "left", "right", "full", "cross", "natural", "lateral"];

pub(super) fn stream(cursor: &mut Cursor<'_>) -> Parsed<StreamBody> {
    cursor.expect("as")?;
    let mut body = StreamBody { selects: Vec::new(), partial: false };
    let region = cursor.next..cursor.end;
    let cuts = cursor.cuts(region.clone(), |index| cursor.tokens[index].is_any(&["union", "intersect", "except"]));
    let mut start = region.start;
    for cut in cuts.into_iter().chain([region.end]) {
        let mut inner = cursor.within(start..cut);
        match select(&mut inner) {
            Ok(select) => body.selects.push(select),
            Err(_) => body.partial = true,
        }
        start = cut + 1;
        if cut == region.end {
            break;
        }
        cursor.next = cut;
        if cursor.are("union", "all") {
            start += 1;
        } else {
            let at = cursor.here();
            let problem = Diagnostic::error(codes::STREAM_QUERY, at, "a stream takes in all rows of all its parts", "not `union all`");
            cursor.report(problem.help("write `union all`; rows that occur twice are two events"));
            body.partial = true;
            while start < region.end && !cursor.tokens[start].is("select") {
                start += 1;
            }
        }
    }
    cursor.next = region.end;
    Ok(body)
}

/// One `select` that fills the cursor's region.
fn select(cursor: &mut Cursor<'_>) -> Parsed<Select> {
    let tokens = cursor.next..cursor.end;
    cursor.expect("select")?;
    if cursor.is("distinct") || cursor.is("all") {
        let at = cursor.here();
        return Err(of_many(cursor, at));
    }
    // `is distinct from` stands between two values.
    let is_from = |index: usize| cursor.tokens[index].is("from") && !cursor.tokens[index - 1].is("distinct");
    let from = cursor.cuts(cursor.next..cursor.end, is_from).first().copied();
    let list = cursor.next..from.unwrap_or(cursor.end);
    let mut items = Vec::new();
    let mut sound = true;
    for part in cursor.parts(list.clone(), |_| true) {
        items.push(item(cursor, part));
    }
    if items.is_empty() {
        cursor.expected("the columns of the stream");
        sound = false;
    }
    cursor.next = list.end;
    cursor.expect("from")?;
    if cursor.is("unnest") {
        let at = cursor.here();
        let problem = Diagnostic::error(codes::UNNEST_PLACE, at, "a stream reads a source or a stream, and `unnest` is none", "not here");
        return Err(cursor.report(problem.help("write it in the select list: `select unnest(xs) as x, .. from source`")));
    }
    let source = cursor.name("a source or a stream")?;
    if cursor.peek().is_some_and(|next| next.sql.token == Token::Comma || next.is_any(&JOINS)) {
        let at = cursor.here();
        let problem = Diagnostic::error(codes::STREAM_QUERY, at, "a stream sees one event of one source at a time", "a second source");
        return Err(cursor.report(problem.help("`union all` puts events of several sources into one stream; a vector reads several views")));
    }
    let start = cursor.next;
    let stop = cursor.cuts(start..cursor.end, |index| begins_tail(cursor, index)).first().copied().unwrap_or(cursor.end);
    let mut filter = None;
    if start < stop && cursor.eat("where") {
        let condition = cursor.sql(cursor.next..stop, "a condition");
        cursor.next = stop;
        filter = Some(cursor.clause(start, condition));
    }
    if cursor.next < stop {
        return Err(cursor.expected("`where`, `union all` or `;`"));
    }
    if stop < cursor.end {
        let at = cursor.here();
        return Err(of_many(cursor, at));
    }
    if sound { Ok(Select { items, source, filter, tokens }) } else { Err(super::cursor::Reported) }
}

fn begins_tail(cursor: &Cursor<'_>, index: usize) -> bool {
    let (token, next) = (&cursor.tokens[index], cursor.tokens[..cursor.end].get(index + 1));
    OF_MANY_ROWS.iter().any(|(word, second)| match second {
        Some(second) => token.is(word) && next.is_some_and(|next| next.is(second)),
        None => token.is(word) && next.is_some_and(|next| next.word().is_some() || next.number().is_some()) && !next_is_operator(next),
    })
}

/// Whether a word goes on with an expression, so that the word before it is a column.
fn next_is_operator(next: Option<&super::Lexeme>) -> bool {
    next.is_some_and(|next| next.is_any(&["is", "in", "not", "between", "like", "ilike", "similar", "and", "or"]))
}

fn of_many(cursor: &mut Cursor<'_>, at: crate::language::source::At) -> super::cursor::Reported {
    let problem = Diagnostic::error(codes::STREAM_QUERY, at, "a stream is made row by row", "looks at many rows");
    cursor.report(
        problem.help("a stream has `select`, `from`, `where` and `union all`; `dedup by` and aggregates belong to sources and features"),
    )
}

/// `*`, `expression` or `expression as name`, which fills `tokens`.
fn item(cursor: &mut Cursor<'_>, tokens: Tokens) -> SelectItem {
    let at = cursor.at(&tokens);
    if tokens.len() == 1 && cursor.tokens[tokens.start].sql.token == Token::Mul {
        return SelectItem { sql: None, is_unnest: false, name: None, tokens, at };
    }
    let named = tokens.len() > 2 && cursor.tokens[tokens.end - 2].is("as") && cursor.tokens[tokens.end - 1].word().is_some();
    let end = if named { tokens.end - 2 } else { tokens.end };
    let name = named.then(|| {
        let token = &cursor.tokens[tokens.end - 1];
        super::tree::Name { text: token.word().unwrap_or_default().to_owned(), at: token.at }
    });
    let is_unnest = is_call_of_unnest(cursor, tokens.start..end);
    let sql = if is_unnest { list(cursor, tokens.start + 2..end - 1) } else { cursor.sql(tokens.start..end, "an expression") };
    SelectItem { sql: Some(sql), is_unnest, name, tokens, at }
}

/// What stands in the brackets of `unnest(..)`.
fn list(cursor: &mut Cursor<'_>, tokens: Tokens) -> Sql {
    let Some(second) = cursor.parts(tokens.clone(), |_| true).into_iter().nth(1) else { return cursor.sql(tokens, "a list") };
    let at = cursor.at(&second);
    let problem = Diagnostic::error(codes::UNNEST_TWICE, at, "`unnest` takes one list", "a second list");
    cursor.report(problem.help("unnest the other in a stream over this one, which makes a row of each pair of elements"));
    Sql { expr: None, at: cursor.at(&tokens), tokens }
}

/// Whether these tokens are `unnest(..)` and nothing beside it.
fn is_call_of_unnest(cursor: &Cursor<'_>, tokens: Tokens) -> bool {
    let token = |index: usize| &cursor.tokens[index].sql.token;
    if tokens.len() < 3 || !cursor.tokens[tokens.start].is("unnest") || *token(tokens.start + 1) != Token::LParen {
        return false;
    }
    let mut open = 0_usize;
    for index in tokens.start + 1..tokens.end {
        match token(index) {
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return index == tokens.end - 1;
        }
    }
    false
}
