//! `vector name on source ( .. )` or `vector name request (..) ( .. )`; items are stars, names and derived columns.

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed};
use super::tree::{Name, Tokens, VectorBody, VectorItem, VectorWhat};
use crate::language::diagnostics::{Diagnostic, codes};

pub(super) fn vector(cursor: &mut Cursor<'_>) -> Parsed<VectorBody> {
    let on = if cursor.eat("on") { Some(cursor.name("a source")?) } else { None };
    let start = cursor.next;
    let request = if cursor.eat("request") {
        let columns = cursor.columns()?;
        Some(cursor.clause(start, columns))
    } else {
        None
    };
    let items = cursor.list("column", |_| true, item)?;
    if let (Some(_), Some(request)) = (&on, &request) {
        let problem =
            Diagnostic::error(codes::REQUEST_WITH_ON, request.at, "a vector on a source has its request columns from it", "remove this");
        cursor.report(problem.help("name the source's columns in the vector; or leave out `on` and send all columns with the request"));
    }
    Ok(VectorBody { on, request, items })
}

fn item(cursor: &mut Cursor<'_>) -> Parsed<VectorItem> {
    let tokens = cursor.next..cursor.end;
    let at = cursor.at(&tokens);
    let cuts = cursor.cuts(tokens.clone(), |index| cursor.tokens[index].is_any(&["for", "as", "default"]));
    let head = tokens.start..cuts.first().copied().unwrap_or(tokens.end);
    let mut item = VectorItem { tokens: tokens.clone(), at, what: what(cursor, head)?, role: Vec::new(), role_at: None, default: None };
    for (position, &start) in cuts.iter().enumerate() {
        let end = cuts.get(position + 1).copied().unwrap_or(tokens.end);
        clause(cursor, &mut item, start, end)?;
    }
    cursor.next = tokens.end;
    Ok(item)
}

/// The item without its clauses.
fn what(cursor: &mut Cursor<'_>, tokens: Tokens) -> Parsed<VectorWhat> {
    let is = |index: usize, token: &Token| index < tokens.end && cursor.tokens[index].sql.token == *token;
    let word =
        |index: usize| cursor.tokens[..tokens.end].get(index).and_then(|token| Some(Name { text: token.word()?.to_owned(), at: token.at }));
    let start = tokens.start;
    let star = tokens.len() == 3 && is(start + 1, &Token::Period) && is(start + 2, &Token::Mul);
    if let (true, Some(view)) = (star, word(start)) {
        return Ok(VectorWhat::Star { view, prefix: None });
    }
    let name = if is(start + 1, &Token::Eq) { word(start) } else { None };
    let body = if name.is_some() { start + 2..tokens.end } else { tokens.clone() };
    let sql = cursor.sql(body, "an expression");
    Ok(VectorWhat::Column { name, sql })
}

fn clause(cursor: &mut Cursor<'_>, item: &mut VectorItem, start: usize, end: usize) -> Parsed<()> {
    let mut inner = cursor.within(start..end);
    if inner.eat("for") {
        loop {
            let key = inner.name("a key of the view's entity")?;
            inner.expect_token(&Token::Eq)?;
            let column = inner.name("the column that holds it")?;
            item.role.push((key, column));
            if !inner.eat("and") {
                break;
            }
        }
        item.role_at = Some(inner.at(&(start..inner.next)));
    } else if inner.eat("as") {
        let VectorWhat::Star { prefix, .. } = &mut item.what else {
            let at = inner.at(&(start..end));
            let problem = Diagnostic::error(codes::EXPECTED, at, "`as` names no column here", "remove this");
            return Err(inner.report(problem.help("write the name first: `name = expression`")));
        };
        let name = inner.name("a prefix such as `destination_*`")?;
        inner.expect_token(&Token::Mul)?;
        *prefix = Some(name.text);
    } else {
        let sql = inner.sql(start + 1..end, "a literal");
        inner.next = end;
        let clause = inner.clause(start, sql);
        inner.once(&mut item.default, clause, "default");
    }
    if inner.done() { Ok(()) } else { Err(inner.expected("`,` or `)`")) }
}
