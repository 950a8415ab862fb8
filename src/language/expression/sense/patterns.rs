//! Patterns. Those of `similar to` match a text as a whole: `%` and `_` stand for any letters and any one, and
//! `| * + ? {} () []` mean what they mean in regular expressions; everything else stands for itself. Regular expressions are
//! those of Rust without the signs that PostgreSQL reads in another way: a pattern must never match here what it does not
//! match there because one of its signs is Rust's alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType as ArrowType, Field};
use datafusion::common::DataFusionError;
use regex::{Regex, RegexBuilder};

use super::Takes::Text;
use super::{Sense, each, sense};

pub(super) static SENSES: &[Sense] = &[
    sense("similar to", &[Text, Text, Text], |_| Ok(ArrowType::Boolean), similar),
    sense(PLAIN, &[Text], |_| Ok(ArrowType::Utf8), plain),
    sense("regexp_match", &[Text, Text, Text], groups, matched).optional(1),
];

/// A regular expression as it is, or null where it has a sign of Rust's alone.
pub(in super::super) const PLAIN: &str = "plain pattern";

/// POSIX's classes, of ASCII.
const CLASSES: [&str; 13] =
    ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

/// A text, a pattern and the letter that takes the meaning of the one behind it (empty: none does).
fn similar(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [text, pattern, escape] = [0, 1, 2].map(|index| given[index].as_string::<i32>());
    // Most often all rows have one pattern.
    let mut last: Option<(&str, Option<Regex>)> = None;
    let mut found = Vec::new();
    for row in each(given, Some) {
        let Some(row) = row else {
            found.push(None);
            continue;
        };
        if last.as_ref().is_none_or(|(known, _)| *known != pattern.value(row)) {
            last = Some((pattern.value(row), regular(pattern.value(row), escape.value(row).chars().next())));
        }
        let regex = last.as_ref().and_then(|(_, regex)| regex.as_ref());
        found.push(regex.map(|regex| regex.is_match(text.value(row))));
    }
    Ok(Arc::new(BooleanArray::from(found)))
}

/// Whether a pattern is one.
pub(in super::super) fn is_pattern(pattern: &str, escape: char) -> bool {
    regular(pattern, Some(escape)).is_some()
}

/// The same as a regular expression; `None` where the pattern is none.
fn regular(pattern: &str, escape: Option<char>) -> Option<Regex> {
    let mut regex = String::from("^(?:");
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            // Before a letter it would be an escape of regular expressions.
            letter if Some(letter) == escape => {
                let next = letters.next().filter(|next| !next.is_ascii_alphanumeric())?;
                regex.push_str(&regex::escape(&next.to_string()));
            }
            ']' if in_class => {
                in_class = false;
                regex.push(']');
            }
            '[' if in_class && posix(letters.as_str()).is_some() => {
                let (class, behind) = letters.as_str().split_at(posix(letters.as_str())?);
                regex.push('[');
                regex.push_str(class);
                letters = behind.chars();
            }
            // Others are no classes; two hyphens are a range of which one is the end.
            '[' if in_class && letters.as_str().starts_with([':', '.', '=']) => return None,
            '-' if in_class && letters.as_str().starts_with('-') => return None,
            '\\' | '[' | '&' | '~' if in_class => {
                regex.push('\\');
                regex.push(letter);
            }
            _ if in_class => regex.push(letter),
            '[' => {
                in_class = true;
                regex.push('[');
                // A class may begin with what it leaves out, and with the bracket that would end it.
                if letters.as_str().starts_with('^') {
                    regex.push(letters.next()?);
                }
                if letters.as_str().starts_with(']') {
                    letters.next();
                    regex.push_str("\\]");
                }
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '(' => regex.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => regex.push(letter),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push_str(")$");
    RegexBuilder::new(&regex).dot_matches_new_line(true).build().ok()
}

/// How long the name of a POSIX class is, behind the bracket that opens it: `:alpha:]`.
fn posix(rest: &str) -> Option<usize> {
    let name = rest.strip_prefix(':')?.split_once(":]")?.0;
    CLASSES.contains(&name).then_some(name.len() + 3)
}

/// The first sign of a regular expression that is Rust's alone, or that PostgreSQL reads in another way.
pub(in super::super) fn foreign(pattern: &str) -> Option<String> {
    let (mut rest, mut in_class, mut quantified) = (pattern, false, false);
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        let two: String = rest.chars().take(2).collect();
        let mut next = behind;
        let was_quantified = std::mem::take(&mut quantified);
        match letter {
            '\\' => {
                let escaped = behind.chars().next()?;
                next = &behind[escaped.len_utf8()..];
                if matches!(escaped, 'B' | '<' | '>' | 'z') && !in_class || escaped == 'b' && next.starts_with('{') {
                    return Some(two);
                }
            }
            ']' if in_class => in_class = false,
            '[' if in_class => match posix(behind) {
                Some(class) => next = &behind[class..],
                None => return Some("[".to_owned()),
            },
            _ if in_class && matches!(two.as_str(), "&&" | "--" | "~~") => return Some(two),
            _ if in_class => {}
            '[' => {
                in_class = true;
                // A class may begin with what it leaves out, and with the bracket that would end it.
                next = next.strip_prefix('^').unwrap_or(next);
                next = next.strip_prefix(']').unwrap_or(next);
            }
            '(' if ["?P<", "?<"].iter().any(|start| behind.starts_with(start)) && behind.contains('>') => return Some("(?<".to_owned()),
            '*' | '+' | '?' | '{' if was_quantified => return Some(letter.to_string()),
            '*' | '+' | '?' | '{' => {
                quantified = true;
                if letter == '{' {
                    next = behind.split_once('}').map_or("", |(_, next)| next);
                }
                // As few as possible.
                next = next.strip_prefix('?').unwrap_or(next);
            }
            _ => {}
        }
        rest = next;
    }
    None
}

fn plain(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let pattern = given[0].as_string::<i32>();
    Ok(Arc::new(each(given, |row| Some(pattern.value(row)).filter(|pattern| foreign(pattern).is_none())).collect::<StringArray>()))
}

fn groups(_: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    Ok(ArrowType::List(Arc::new(Field::new_list_field(ArrowType::Utf8, true))))
}

/// The groups of the first match, null where one took no part in it; the whole match where there are none.
fn matched(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let (text, pattern) = (given[0].as_string::<i32>(), given[1].as_string::<i32>());
    let flags = given.get(2).map(|flags| flags.as_string::<i32>());
    let mut last: Option<((&str, &str), Option<Regex>)> = None;
    let mut found = ListBuilder::new(StringBuilder::new());
    for row in each(given, Some) {
        let Some(row) = row else {
            found.append(false);
            continue;
        };
        let asked = (pattern.value(row), flags.map_or("", |flags| flags.value(row)));
        if last.as_ref().is_none_or(|(known, _)| *known != asked) {
            let mut regex = RegexBuilder::new(asked.0);
            regex.dot_matches_new_line(true).case_insensitive(asked.1.contains('i'));
            last = Some((asked, if foreign(asked.0).is_none() { regex.build().ok() } else { None }));
        }
        let captures = last.as_ref().and_then(|(_, regex)| regex.as_ref()).and_then(|regex| regex.captures(text.value(row)));
        if let Some(captures) = &captures {
            let whole = usize::from(captures.len() > 1);
            captures.iter().skip(whole).for_each(|group| found.values().append_option(group.map(|group| group.as_str())));
        }
        found.append(captures.is_some());
    }
    Ok(Arc::new(found.finish()))
}
