//! The one style: what is declared, written back from its tokens, with every comment kept. Must never change meaning.
//!
//! A declaration becomes units, one for each line of the result. Comments within a unit, or on lines before it, go on lines
//! of their own before it; a comment behind it on its last line stays behind it.

mod comments;
mod spacing;
mod units;

use comments::Comments;
use units::{Unit, units};

use super::diagnostics::{Diagnostic, order};
use super::parse::parse;
use super::source::SourceFile;

/// The file in the one style. What cannot be parsed is not touched: the errors say why. What is parsed but cannot run yet
/// is formatted.
pub fn format(file: &SourceFile) -> Result<String, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let tree = parse(0, file, &mut problems);
    problems.retain(|problem| !problem.code.is_not_yet());
    if !problems.is_empty() {
        order(&mut problems);
        return Err(problems);
    }
    let mut out = String::new();
    let declarations: Vec<Vec<Unit>> =
        tree.declarations.iter().map(|declaration| units(&file.text, &tree.lexed.tokens, declaration)).collect();
    let mut comments = Comments::assign(&file.text, &tree.lexed, &declarations);
    let mut single_before = false;
    for (index, units) in declarations.iter().enumerate() {
        let single = units.len() == 1 && !units[0].text.contains('\n');
        let gap = index > 0 && (!(single && single_before) || comments.gap_before(index));
        declaration(&mut out, units, index, gap, &mut comments);
        single_before = single;
    }
    for comment in comments.rest() {
        if comment.gap && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&comment.text);
        out.push('\n');
    }
    Ok(out)
}

fn declaration(out: &mut String, units: &[Unit], index: usize, gap: bool, comments: &mut Comments) {
    if gap {
        out.push('\n');
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|unit| units[*unit].place);
    for (position, &unit) in order.iter().enumerate() {
        let written = &units[unit];
        let indent = " ".repeat(written.indent);
        // Whether a blank line of the source before the next line is kept: not after a bracket, nor between clauses.
        let mut apart = written.item && position > 0 && units[order[position - 1]].item;
        for comment in comments.before(index, unit) {
            if comment.gap && apart {
                out.push('\n');
            }
            apart = true;
            out.push_str(&format!("{indent}{}\n", comment.text));
        }
        if apart && comments.gap(index, unit) {
            out.push('\n');
        }
        out.push_str(&format!("{indent}{}", written.text));
        if written.item {
            out.push(',');
        }
        if position + 1 == order.len() {
            out.push(';');
        }
        for comment in comments.behind(index, unit) {
            out.push_str(&format!(" {}", comment.text));
        }
        out.push('\n');
    }
}
