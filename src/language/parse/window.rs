//! The windows of `over`: `10m`, `1h open`, `30d hop 1h`, `day in 'Europe/Berlin'`, `last month`, `session 30m`, `10 rows`,
//! `all before`, `1d offset 7d limit 100 rows as name`.

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed, Reported};
use super::tree::{Tokens, Window, WindowItem};
use crate::language::diagnostics::{Diagnostic, codes, nearest};
use crate::language::source::At;
use crate::plan::{self, WindowBounds};
use crate::time::{Span, Unit, Zone};

/// Words that a window may begin with.
pub(super) const FIRST_WORDS: [&str; 11] =
    ["all", "day", "hour", "last", "minute", "month", "quarter", "session", "week", "year", YESTERDAY];
/// `last day`, in a word.
const YESTERDAY: &str = "yesterday";

/// The most rows that a window may be limited to.
const ROWS_MAX: u32 = 1_000_000;

const MODIFIERS: &str = "`open`, `hop`, `before`, `excluding current`, `offset`, `limit`, `as` or the next window";

pub(super) fn windows(cursor: &mut Cursor<'_>, tokens: Tokens) -> Vec<WindowItem> {
    let mut items = Vec::new();
    if tokens.is_empty() {
        let at = cursor.at(&tokens);
        cursor.fail(codes::EXPECTED, at, "expected a window", "a window such as `1h` or `all` after this");
    }
    for part in cursor.parts(tokens, |_| true) {
        let at = cursor.at(&part);
        let mut inner = cursor.within(part.clone());
        items.push(WindowItem { tokens: part, at, window: window(&mut inner, at).ok() });
    }
    items
}

fn window(cursor: &mut Cursor<'_>, at: At) -> Parsed<Window> {
    let mut window = frame(cursor, at)?;
    while !cursor.done() {
        modifier(cursor, &mut window, at)?;
    }
    Ok(window)
}

fn frame(cursor: &mut Cursor<'_>, at: At) -> Parsed<Window> {
    let of = |frame: WindowBounds, suffix: String| Window { window: plan::Window::of(frame), suffix, alias: None };
    if cursor.is_token(&Token::Minus) {
        let problem = Diagnostic::error(codes::ZERO_WINDOW, at, "a window cannot be negative", "negative");
        return Err(cursor.report(problem.help("a window reaches back from the query time: write `1h`; `1h offset 1h` ends earlier")));
    }
    if cursor.eat("all") {
        return Ok(of(WindowBounds::All, String::new()));
    }
    if cursor.eat("session") {
        let (gap, text) = length(cursor, "the gap of the session", at)?;
        return Ok(of(WindowBounds::Session { gap }, format!("_session_{text}")));
    }
    if cursor.eat(YESTERDAY) {
        let zone = if cursor.eat("in") { zone(cursor)? } else { Zone::UTC };
        return Ok(of(WindowBounds::Last { unit: Unit::Day, zone }, format!("_{YESTERDAY}")));
    }
    let last = cursor.eat("last");
    if let Some(unit) = Unit::ALL.into_iter().find(|unit| cursor.peek().is_some_and(|token| token.is(unit.name()))) {
        cursor.next += 1;
        let zone = if cursor.eat("in") { zone(cursor)? } else { Zone::UTC };
        return Ok(match last {
            true => of(WindowBounds::Last { unit, zone }, format!("_last_{}", unit.name())),
            false => of(WindowBounds::Calendar { unit, zone }, format!("_{}", unit.name())),
        });
    }
    if last {
        let units = Unit::ALL.map(|unit| format!("`{}`", unit.name())).join(", ");
        return Err(cursor.expected(&format!("one unit of the calendar ({units})")));
    }
    if cursor.peek().is_none_or(|token| token.number().is_none()) {
        return Err(cursor.expected("a window such as `1h`, `day`, `session 30m`, `10 rows` or `all`"));
    }
    if cursor.peek_at(1).is_some_and(|token| token.is_any(&["rows", "row"])) {
        let rows = rows(cursor, "a window")?;
        let window = plan::Window { limit: Some(rows), ..plan::Window::of(WindowBounds::All) };
        return Ok(Window { window, suffix: format!("_{rows}rows"), alias: None });
    }
    let (length, text) = length(cursor, "the window", at)?;
    Ok(of(WindowBounds::Range { length, open: false }, format!("_{text}")))
}

fn length(cursor: &mut Cursor<'_>, what: &str, at: At) -> Parsed<(Span, String)> {
    let (length, text) = cursor.duration()?;
    if length.0 > 0 {
        return Ok((length, text.replace(' ', "")));
    }
    let problem = Diagnostic::error(codes::ZERO_WINDOW, at, format!("{what} `{text}` has no length"), "no length");
    Err(cursor.report(problem.help("write how long it is, such as `1h`; `all` takes in every event")))
}

fn zone(cursor: &mut Cursor<'_>) -> Parsed<Zone> {
    let name = cursor.string("a time zone in quotes")?;
    Zone::parse(&name.text).ok_or_else(|| {
        let problem =
            Diagnostic::error(codes::UNKNOWN_ZONE, name.at, format!("there is no time zone `{}`", name.text), "unknown time zone");
        cursor.report(match nearest(&name.text, &Zone::names()) {
            Some(near) => problem.help(format!("did you mean '{near}'?")),
            None => problem.help("write a name of the IANA database, such as 'Europe/Berlin' or 'UTC'"),
        })
    })
}

/// `100 rows`
fn rows(cursor: &mut Cursor<'_>, what: &str) -> Parsed<u32> {
    let start = cursor.next;
    let negative = cursor.eat_token(&Token::Minus);
    let Some(text) = cursor.peek().and_then(|token| token.number()).map(str::to_owned) else {
        return Err(cursor.expected("a number of rows"));
    };
    cursor.next += 1;
    let at = cursor.at(&(start..cursor.next));
    if !cursor.eat("row") {
        cursor.expect("rows")?;
    }
    match text.parse::<u32>() {
        Ok(rows) if (1..=ROWS_MAX).contains(&rows) && !negative => Ok(rows),
        _ => {
            let sign = if negative { "-" } else { "" };
            let message = format!("{what} has 1 to {ROWS_MAX} rows, not {sign}{text}");
            Err(cursor.fail(codes::BAD_ROWS, at, message, "not a number of rows"))
        }
    }
}

fn modifier(cursor: &mut Cursor<'_>, window: &mut Window, whole: At) -> Parsed<()> {
    let at = cursor.here();
    let planned = &mut window.window;
    let repeated = if cursor.eat("open") {
        match &mut planned.frame {
            WindowBounds::Range { open, .. } => std::mem::replace(open, true),
            other => return Err(unfitting(cursor, at, "open", other)),
        }
    } else if cursor.eat("hop") {
        hop(cursor, &mut planned.frame, at, whole)?;
        false
    } else if cursor.eat("before") {
        std::mem::replace(&mut planned.before, true)
    } else if cursor.eat("excluding") {
        cursor.expect("current")?;
        std::mem::replace(&mut planned.excluding_current, true)
    } else if cursor.eat("offset") {
        let at = cursor.here();
        let (offset, text) = cursor.duration()?;
        if offset.0 <= 0 {
            return Err(cursor.fail(codes::BAD_DURATION, at, "an offset must be longer than nothing", "no length"));
        }
        window.suffix.push_str(&format!("_offset_{}", text.replace(' ', "")));
        std::mem::replace(&mut planned.offset, offset) != Span(0)
    } else if cursor.eat("limit") {
        let rows = rows(cursor, "a limit")?;
        if planned.limit.is_some() && planned.frame == WindowBounds::All {
            let message = "`limit` has no meaning for a window of rows, which has a number of them";
            return Err(cursor.fail(codes::WINDOW_MODIFIER, at, message, "remove this"));
        }
        planned.limit.replace(rows).is_some()
    } else if cursor.is("in") {
        let message = "a time zone has no meaning for a window that does not start with a unit of the calendar";
        let problem = Diagnostic::error(codes::WINDOW_MODIFIER, at, message, "remove this");
        return Err(cursor.report(problem.help("calendar windows have one: `day in 'Europe/Berlin'`")));
    } else if cursor.eat("as") {
        let alias = cursor.name("the feature's name")?;
        window.alias.replace(alias).is_some()
    } else {
        return Err(cursor.expected(MODIFIERS));
    };
    if repeated { Err(cursor.fail(codes::WINDOW_MODIFIER, at, "the modifier is written twice", "again here")) } else { Ok(()) }
}

/// Makes a range one whose start moves by a hop.
fn hop(cursor: &mut Cursor<'_>, frame: &mut WindowBounds, at: At, whole: At) -> Parsed<()> {
    let start = cursor.next;
    if cursor.eat_token(&Token::Minus) {
        let _: Parsed<_> = cursor.duration();
        let at = cursor.at(&(start..cursor.next));
        let problem = Diagnostic::error(codes::BAD_HOP, at, "a hop cannot be negative", "negative");
        return Err(cursor.report(problem.help("write a hop of at most the window's length: `30d hop 1h`")));
    }
    let (hop, text) = cursor.duration()?;
    let hop_at = cursor.at(&(start..cursor.next));
    let length = match frame {
        WindowBounds::Range { length, open: false } => *length,
        WindowBounds::Range { open: true, .. } => {
            let message = "`open` has no meaning with `hop`, whose start is a multiple of the hop";
            return Err(cursor.fail(codes::WINDOW_MODIFIER, whole, message, "remove one of them"));
        }
        WindowBounds::Hop { .. } => return Err(cursor.fail(codes::WINDOW_MODIFIER, at, "the modifier is written twice", "again here")),
        other => return Err(unfitting(cursor, at, "hop", other)),
    };
    if hop.0 <= 0 {
        let problem = Diagnostic::error(codes::BAD_HOP, hop_at, format!("the hop `{text}` has no length"), "no length");
        return Err(cursor.report(problem.help("write a hop of at most the window's length: `30d hop 1h`")));
    }
    if hop > length {
        let message = format!("the hop {hop} is longer than its window of {length}");
        return Err(cursor.fail(codes::BAD_HOP, hop_at, message, "longer than the window"));
    }
    *frame = WindowBounds::Hop { length, hop };
    Ok(())
}

fn unfitting(cursor: &mut Cursor<'_>, at: At, modifier: &str, frame: &WindowBounds) -> Reported {
    let why = match frame {
        WindowBounds::Range { .. } => "this window",
        WindowBounds::Hop { .. } => "a window with `hop`, whose start is a multiple of the hop",
        WindowBounds::Calendar { .. } | WindowBounds::Last { .. } => "a calendar window, which starts with its unit",
        WindowBounds::Session { .. } => "a session, which starts with its first event",
        WindowBounds::All => "`all` and rows, which have no start in time",
    };
    cursor.fail(codes::WINDOW_MODIFIER, at, format!("`{modifier}` has no meaning for {why}"), "remove this")
}
