//! Which unit each comment belongs to.

use std::collections::HashMap;

use super::units::Unit;
use crate::language::parse::Lexed;
use crate::language::source::At;

/// A comment as it is written back.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub text: String,
    /// The source has a blank line before it.
    pub gap: bool,
}

/// Index of a declaration, and of a unit in it.
type Place = (usize, usize);

#[derive(Default)]
pub(super) struct Comments {
    before: HashMap<Place, Vec<Comment>>,
    behind: HashMap<Place, Vec<Comment>>,
    gaps: HashMap<Place, bool>,
    rest: Vec<Comment>,
}

impl Comments {
    pub(super) fn assign(text: &str, lexed: &Lexed, declarations: &[Vec<Unit>]) -> Self {
        let mut comments = Self::default();
        // Units in the order of the source: a declaration's units are made so.
        let all: Vec<(Place, &Unit)> = declarations
            .iter()
            .enumerate()
            .flat_map(|(declaration, units)| units.iter().enumerate().map(move |(unit, of)| ((declaration, unit), of)))
            .collect();
        for (place, unit) in &all {
            comments.gaps.insert(*place, blank_line_before(text, unit.at.start));
        }
        for at in &lexed.comments {
            let comment = Comment { text: text[at.start..at.end].to_owned(), gap: blank_line_before(text, at.start) };
            let next = all.iter().position(|(_, unit)| unit.at.end > at.start);
            if let Some((place, unit)) = next.map(|next| all[next])
                && unit.at.start < at.start
            {
                // Within the unit: its text holds it already, or it goes before.
                if !unit.verbatim {
                    comments.before.entry(place).or_default().push(Comment { gap: false, ..comment });
                }
                continue;
            }
            let last = next.map_or(all.len(), |next| next).checked_sub(1).map(|last| all[last]);
            match (last, next.map(|next| all[next])) {
                (Some((place, unit)), _) if same_line(text, unit.at, *at) => comments.behind.entry(place).or_default().push(comment),
                (_, Some((place, _))) => comments.before.entry(place).or_default().push(comment),
                (_, None) => comments.rest.push(comment),
            }
        }
        comments
    }

    pub(super) fn before(&self, declaration: usize, unit: usize) -> &[Comment] {
        self.before.get(&(declaration, unit)).map_or(&[], Vec::as_slice)
    }

    /// Comments behind a unit, on its last line.
    pub(super) fn behind(&self, declaration: usize, unit: usize) -> &[Comment] {
        self.behind.get(&(declaration, unit)).map_or(&[], Vec::as_slice)
    }

    /// Whether the source has a blank line before this unit.
    pub(super) fn gap(&self, declaration: usize, unit: usize) -> bool {
        self.gaps.get(&(declaration, unit)).copied().unwrap_or_default()
    }

    /// Whether the source has a blank line before the declaration with its comments.
    pub(super) fn gap_before(&self, declaration: usize) -> bool {
        self.before(declaration, 0).first().map_or_else(|| self.gap(declaration, 0), |comment| comment.gap)
    }

    /// Comments after everything.
    pub(super) fn rest(&self) -> &[Comment] {
        &self.rest
    }
}

/// Whether nothing but one line's rest lies between a unit and a comment behind it.
fn same_line(text: &str, unit: At, comment: At) -> bool {
    !text[unit.end..comment.start].contains('\n')
}

fn blank_line_before(text: &str, start: usize) -> bool {
    let before = &text[..start];
    let blank = &before[before.trim_end().len()..];
    blank.matches('\n').count() > 1
}
