//! `similar to`: SQL's patterns, which match a text as a whole. `%` and `_` stand for any letters and any one, and
//! `| * + ? {} () []` mean what they mean in regular expressions; everything else stands for itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::DataFusionError;
use regex::{Regex, RegexBuilder};

use super::Takes::Text;
use super::{Sense, each, sense};

pub(super) static SENSES: &[Sense] = &[sense("similar to", &[Text, Text, Text], |_| Ok(ArrowType::Boolean), similar)];

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
