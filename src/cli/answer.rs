//! How an answered lookup or score is printed.

use serde_json::Value as Json;

use crate::error::Result;
use crate::time::Span;

use super::context::Context;
use super::output::cell;

/// Prints the answer of a server, or the same made here. For people: a name and a value a line, then the cut.
pub(super) fn print(context: &Context, answer: &Json) -> Result<()> {
    let names = answer["names"].as_array().map(Vec::as_slice).unwrap_or_default();
    let width = names.iter().map(|name| cell(name).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (row, values) in answer["values"].as_array().into_iter().flatten().enumerate() {
        if let Some(score) = answer["scores"].get(row) {
            text.push_str(&format!("{:width$}  {}\n\n", "score", cell(score)));
        }
        for (name, value) in names.iter().zip(values.as_array().into_iter().flatten()) {
            text.push_str(&format!("{:width$}  {}\n", cell(name), cell(value)));
        }
    }
    text.push_str(&format!("\nas of {}, seq {}\n", cell(&answer["as_of"]), cell(&answer["seq"])));
    for source in answer["sources"].as_array().into_iter().flatten() {
        let staleness = match source["staleness_ms"].as_i64() {
            Some(staleness) => format!(", {} behind the clock", Span(staleness.saturating_mul(1000)).roughly()),
            None => String::new(),
        };
        text.push_str(&format!("{} up to {}{staleness}\n", cell(&source["source"]), cell(&source["frontier"])));
    }
    context.print.one(&text, answer)
}
