//! The windows of `over`: `10m`, `1h open`, `all before`, `1d offset 7d as name`.

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed};
use super::tree::{Tokens, Window, WindowItem};
use crate::language::diagnostics::{Code, Diagnostic, codes};
use crate::language::source::At;
use crate::time::Span;

/// Words of calendar windows.
pub(super) const CALENDAR: [&str; 7] = ["minute", "hour", "day", "week", "month", "quarter", "year"];

pub(super) fn windows(cursor: &mut Cursor<'_>, tokens: Tokens) -> Vec<WindowItem> {
    let mut items = Vec::new();
    if tokens.is_empty() {
        let at = cursor.at(&tokens);
        cursor.fail(codes::EXPECTED, at, "expected a window", "a window such as `1h` or `all` after this");
    }
    for part in cursor.parts(tokens, |_| true) {
        let at = cursor.at(&part);
        let mut inner = cursor.within(part.clone());
        let read = window(&mut inner, at);
        let window = match read {
            Ok(_) if !inner.done() => {
                inner.expected("`open`, `before`, `excluding current`, `offset`, `as` or the next window");
                None
            }
            Ok(window) => window,
            Err(_) => None,
        };
        items.push(WindowItem { tokens: part, at, window });
    }
    items
}

/// `Ok(None)` for one that is understood but cannot run yet.
fn window(cursor: &mut Cursor<'_>, at: At) -> Parsed<Option<Window>> {
    let mut later: Vec<(Code, &str)> = Vec::new();
    let mut window =
        Window { length: None, open: false, before: false, excluding_current: false, offset: Span(0), suffix: String::new(), alias: None };
    if cursor.is_token(&Token::Minus) {
        return Err(cursor.fail(codes::ZERO_WINDOW, at, "a window cannot be negative", "negative"));
    }
    if cursor.eat("session") {
        cursor.duration()?;
        later.push((codes::NOT_YET_SESSION, "session windows cannot run yet"));
    } else if cursor.peek().is_some_and(|token| token.is_any(&CALENDAR)) {
        cursor.next += 1;
        if cursor.eat("in") {
            cursor.string("a time zone in quotes")?;
        }
        later.push((codes::NOT_YET_CALENDAR, "calendar windows cannot run yet"));
    } else if cursor.peek_at(1).is_some_and(|token| token.is_any(&["rows", "row"]))
        && cursor.peek().is_some_and(|token| token.number().is_some())
    {
        cursor.next += 2;
        later.push((codes::NOT_YET_ROWS, "row windows cannot run yet"));
    } else if !cursor.eat("all") {
        if cursor.peek().is_none_or(|token| token.number().is_none()) {
            return Err(cursor.expected("a window such as `1h` or `all`"));
        }
        let (length, text) = cursor.duration()?;
        if length.0 <= 0 {
            return Err(cursor.fail(codes::ZERO_WINDOW, at, format!("the window `{text}` has no length"), "no length"));
        }
        window.length = Some(length);
        window.suffix = format!("_{text}");
    }
    while !cursor.done() {
        modifier(cursor, &mut window, &mut later)?;
    }
    if later.is_empty() {
        return Ok(Some(window));
    }
    for (code, message) in later {
        let problem = Diagnostic::error(code, at, message, "not yet");
        cursor.report(problem.help("range windows (`1h`, `1h open`) and `all` run"));
    }
    Ok(None)
}

fn modifier(cursor: &mut Cursor<'_>, window: &mut Window, later: &mut Vec<(Code, &str)>) -> Parsed<()> {
    let at = cursor.here();
    let repeated = if cursor.eat("open") {
        if window.length.is_none() && later.is_empty() {
            return Err(cursor.fail(codes::WINDOW_MODIFIER, at, "`open` has no meaning for `all`, which has no start", "remove this"));
        }
        std::mem::replace(&mut window.open, true)
    } else if cursor.eat("before") {
        std::mem::replace(&mut window.before, true)
    } else if cursor.eat("excluding") {
        cursor.expect("current")?;
        std::mem::replace(&mut window.excluding_current, true)
    } else if cursor.eat("offset") {
        let at = cursor.here();
        let (offset, text) = cursor.duration()?;
        if offset.0 <= 0 {
            return Err(cursor.fail(codes::BAD_DURATION, at, "an offset must be longer than nothing", "no length"));
        }
        window.suffix.push_str(&format!("_offset_{}", text.replace(' ', "")));
        std::mem::replace(&mut window.offset, offset) != Span(0)
    } else if cursor.eat("as") {
        let alias = cursor.name("the feature's name")?;
        window.alias.replace(alias).is_some()
    } else if cursor.eat("hop") {
        cursor.duration()?;
        later.push((codes::NOT_YET_HOP, "hop windows cannot run yet"));
        false
    } else if cursor.eat("limit") {
        cursor.next += usize::from(cursor.peek().is_some_and(|token| token.number().is_some()));
        cursor.expect("rows")?;
        later.push((codes::NOT_YET_LIMIT, "limits on windows cannot run yet"));
        false
    } else {
        return Err(cursor.expected("`open`, `before`, `excluding current`, `offset`, `as` or the next window"));
    };
    if repeated { Err(cursor.fail(codes::WINDOW_MODIFIER, at, "the modifier is written twice", "again here")) } else { Ok(()) }
}
