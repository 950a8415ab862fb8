//! `features name of entity by column from source ttl '..' ( .. )` of lines
//! `name = aggregate(..) where .. by .. over .. default ..` and `name = expression default ..`

use sqlparser::tokenizer::Token;

use super::Lexeme;
use super::cursor::{Cursor, Parsed};
use super::tree::{By, Call, Clause, FeatureItem, FeatureWhat, FeaturesBody, Name, Sql, Tokens};
use super::window;
use crate::aggregate;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::time::Span;

const CLAUSES: [&str; 4] = ["where", "by", "over", "default"];

pub(super) fn features(cursor: &mut Cursor<'_>) -> Parsed<FeaturesBody> {
    cursor.expect("of")?;
    let entity = cursor.name("an entity")?;
    let by = if cursor.eat("by") { cursor.names("the column that holds the key")? } else { Vec::new() };
    cursor.expect("from")?;
    let source = cursor.name("a source")?;
    let mut ttl = None;
    ttl_clause(cursor, &mut ttl);
    let tokens = cursor.tokens;
    let items = cursor.list("feature", |comma| begins_item(tokens, comma), item)?;
    ttl_clause(cursor, &mut ttl);
    Ok(FeaturesBody { entity, by, source, ttl, items })
}

fn ttl_clause(cursor: &mut Cursor<'_>, ttl: &mut Option<Clause<Span>>) {
    let start = cursor.next;
    if !cursor.eat("ttl") {
        return;
    }
    match cursor.positive_duration("the time after which a silent key is dropped") {
        Ok(span) => {
            let clause = cursor.clause(start, span);
            cursor.once(ttl, clause, "ttl");
        }
        // Goes on at the features, so that they are checked.
        Err(_) => {
            while !cursor.done() && !cursor.is_token(&Token::LParen) {
                cursor.next += 1;
            }
        }
    }
}

/// Whether a new feature begins after this comma, and not one more window of the same.
fn begins_item(tokens: &[Lexeme], comma: usize) -> bool {
    let Some(next) = tokens.get(comma + 1) else { return true };
    let named = next.word().is_some() && tokens.get(comma + 2).is_some_and(|token| token.sql.token == Token::Eq);
    named || next.closes() || (next.word().is_some() && !next.is_any(&window::FIRST_WORDS))
}

fn item(cursor: &mut Cursor<'_>) -> Parsed<FeatureItem> {
    let tokens = cursor.next..cursor.end;
    let name = cursor.name("a feature's name")?;
    cursor.expect_token(&Token::Eq)?;
    let region = cursor.next..cursor.end;
    // `limit 32 by value` belongs to the `by` before it.
    let limited = |index: usize| index >= 2 && cursor.tokens[index].is("by") && cursor.tokens[index - 2].is("limit");
    let cuts = cursor.cuts(region.clone(), |index| cursor.tokens[index].is_any(&CLAUSES) && !limited(index));
    let head = region.start..cuts.first().copied().unwrap_or(region.end);
    let what = what(cursor, head, &name.text);
    let mut item = FeatureItem { name, what, filter: None, by: None, over: Vec::new(), over_tokens: None, default: None, tokens };
    for (position, &start) in cuts.iter().enumerate() {
        let end = cuts.get(position + 1).copied().unwrap_or(region.end);
        clause(cursor, &mut item, start, end);
    }
    cursor.next = region.end;
    Ok(item)
}

fn clause(cursor: &mut Cursor<'_>, item: &mut FeatureItem, start: usize, end: usize) {
    let body = start + 1..end;
    cursor.next = end;
    if cursor.tokens[start].is("where") {
        let sql = sql(cursor, body, "a condition", item.name.text.as_str());
        let clause = cursor.clause(start, sql);
        cursor.once(&mut item.filter, clause, "where");
    } else if cursor.tokens[start].is("default") {
        let sql = sql(cursor, body, "a literal", item.name.text.as_str());
        let clause = cursor.clause(start, sql);
        cursor.once(&mut item.default, clause, "default");
    } else if cursor.tokens[start].is("by") {
        let by = by(cursor, body);
        let clause = cursor.clause(start, by);
        cursor.once(&mut item.by, clause, "by");
    } else if item.over_tokens.is_some() {
        let at = cursor.at(&(start..end));
        let problem = Diagnostic::error(codes::REPEATED_CLAUSE, at, "`over` is written twice", "again here");
        cursor.report(problem.help("several windows stand in one list: `over 1h, 1d`"));
    } else {
        item.over_tokens = Some(start..end);
        item.over = window::windows(cursor, body);
        cursor.next = end;
    }
}

/// Words that stand behind a window.
const OF_WINDOWS: [&str; 5] = ["as", "before", "excluding", "offset", "limit"];

/// An expression of the feature `name`, which a word may follow that belongs elsewhere.
fn sql(cursor: &mut Cursor<'_>, tokens: Tokens, what: &str, name: &str) -> Sql {
    let sql = cursor.sql(tokens.clone(), what);
    let follows = |problem: &&mut Diagnostic| {
        let at = problem.at();
        let word = cursor.tokens[tokens].iter().skip(1).find(|token| token.at == at && token.is_any(&OF_WINDOWS));
        problem.code == codes::BAD_EXPRESSION && word.is_some()
    };
    if sql.expr.is_none()
        && let Some(problem) = cursor.problems.last_mut().filter(follows)
    {
        let at = problem.at();
        let word = &cursor.text[at.start..at.end];
        let message = format!("`{word}` stands behind a window, and this is none");
        *problem =
            Diagnostic::error(codes::ALIAS_PLACE, at, message, "belongs behind `over ..`").help(match word.to_lowercase().as_str() {
                "as" => {
                    format!("it names one window of several: `{name} = .. over 1h as other, 1d default ..`; else the name before `=` holds")
                }
                _ => format!("write `{name} = .. over 1h {word} ..`"),
            });
    }
    sql
}

/// `key limit 32 by value`
fn by(cursor: &mut Cursor<'_>, tokens: Tokens) -> By {
    let limit = cursor.cuts(tokens.clone(), |index| cursor.tokens[index].is("limit")).first().copied();
    let key = cursor.sql(tokens.start..limit.unwrap_or(tokens.end), "an expression whose values are the map's keys");
    let mut by = By { key, limit: None, by_value: false };
    if let Some(limit) = limit {
        let mut inner = cursor.within(limit + 1..tokens.end);
        // What is wrong is reported, and nothing runs then.
        let _: Parsed<()> = limited(&mut inner, &mut by);
    }
    by
}

/// What follows `limit`.
fn limited(cursor: &mut Cursor<'_>, by: &mut By) -> Parsed<()> {
    let start = cursor.next;
    let negative = cursor.eat_token(&Token::Minus);
    let mut limit = cursor.number("how many keys the map has room for")?;
    if negative {
        limit = Name { text: format!("-{}", limit.text), at: cursor.at(&(start..cursor.next)) };
    }
    by.limit = Some(limit);
    if cursor.eat("by") {
        cursor.expect("value")?;
        by.by_value = true;
    }
    if cursor.done() { Ok(()) } else { Err(cursor.expected("`by value`, or another clause")) }
}

/// An aggregate's call that fills `tokens`, or else an expression.
fn what(cursor: &mut Cursor<'_>, tokens: Tokens, name: &str) -> FeatureWhat {
    let function = called(cursor, &tokens);
    if let Some(function) = function.clone().filter(|name| aggregate::shape(&name.text).is_some()) {
        return FeatureWhat::Aggregate(call(cursor, function, tokens));
    }
    let what = "an aggregate's call, or an expression over other features";
    FeatureWhat::Expression { sql: sql(cursor, tokens, what, name), call: function }
}

/// The name of the function, in lower case, whose call fills `tokens`.
fn called(cursor: &Cursor<'_>, tokens: &Tokens) -> Option<Name> {
    let token = cursor.tokens[..tokens.end].get(tokens.start)?;
    let name = Name { text: token.word()?.to_lowercase(), at: token.at };
    let open = tokens.start + 1;
    let opened = open < tokens.end && cursor.tokens[open].sql.token == Token::LParen;
    (opened && cursor.closing(open) + 1 == tokens.end).then_some(name)
}

/// `aggregate(argument, ..)`
fn call(cursor: &mut Cursor<'_>, function: Name, tokens: Tokens) -> Call {
    let at = cursor.at(&tokens);
    let (open, close) = (tokens.start + 1, tokens.end - 1);
    let star = close == open + 2 && cursor.tokens[open + 1].sql.token == Token::Mul;
    let mut arguments = Vec::new();
    if !star {
        for part in cursor.parts(open + 1..close, |_| true) {
            arguments.push(cursor.sql(part, "an argument"));
        }
    }
    Call { function, arguments, star, tokens, at }
}
