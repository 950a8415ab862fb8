//! The names of all declarations of all files, and what each came to.

use std::collections::{HashMap, HashSet};

use crate::language::diagnostics::{Code, Diagnostic, codes};
use crate::language::parse::tree::{Kind, Name, Tree};
use crate::language::source::At;

/// Streams and tables stand where sources do, so they share their names.
fn space(kind: Kind) -> Kind {
    if matches!(kind, Kind::Stream | Kind::Table) { Kind::Source } else { kind }
}

/// What a declaration's name stands for: that of a table is also its view's.
fn spaces(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Source | Kind::Stream => &[Kind::Source],
        Kind::Table => &[Kind::Source, Kind::Features],
        Kind::Entity => &[Kind::Entity],
        Kind::Features => &[Kind::Features],
        Kind::Vector => &[Kind::Vector],
        Kind::Model => &[Kind::Model],
        Kind::Unknown => &[Kind::Unknown],
    }
}

struct Known {
    at: At,
    /// File and index of the declaration that has the name.
    declared: (usize, usize),
    /// Place in the plan's list; `None` while it is not checked, or wrong.
    ready: Option<usize>,
}

#[derive(Default)]
pub(super) struct Names {
    known: HashMap<(Kind, String), Known>,
    reported: HashSet<(Kind, String)>,
}

impl Names {
    pub(super) fn declare(trees: &[Tree], problems: &mut Vec<Diagnostic>) -> Self {
        let mut names = Self::default();
        for (file, tree) in trees.iter().enumerate() {
            for (index, declaration) in tree.declarations.iter().enumerate() {
                let Some(name) = &declaration.name else { continue };
                let keys = spaces(declaration.kind).iter().map(|space| (*space, name.text.clone()));
                if let Some((space, first)) = keys.clone().find_map(|key| Some((key.0, names.known.get(&key)?))) {
                    let message = format!("{} `{}` is declared twice", what(space), name.text);
                    let problem = Diagnostic::error(codes::DUPLICATE_DECLARATION, name.at, message, "declared again")
                        .also(first.at, "first declared here");
                    problems.push(problem.help("names are shared by all files of the folder: rename one"));
                    continue;
                }
                names.known.extend(keys.map(|key| (key, Known { at: name.at, declared: (file, index), ready: None })));
            }
        }
        names
    }

    /// Says where in the plan a declaration came to be.
    pub(super) fn ready(&mut self, kind: Kind, name: &str, declared: (usize, usize), place: usize) {
        if let Some(known) = self.known.get_mut(&(space(kind), name.to_owned()))
            && known.declared == declared
        {
            known.ready = Some(place);
        }
    }

    /// File and index of the declaration that has a name.
    pub(super) fn declared(&self, kind: Kind, name: &str) -> Option<(usize, usize)> {
        self.known.get(&(space(kind), name.to_owned())).map(|known| known.declared)
    }

    pub(super) fn is_declared(&self, kind: Kind, name: &str) -> bool {
        self.known.contains_key(&(kind, name.to_owned()))
    }

    /// The place in the plan of what a name means; `None` when it means nothing, which is reported once, or something
    /// wrong, which has been reported.
    pub(super) fn find(&mut self, kind: Kind, name: &Name, problems: &mut Vec<Diagnostic>) -> Option<usize> {
        let key = (kind, name.text.clone());
        if let Some(known) = self.known.get(&key) {
            return known.ready;
        }
        if self.reported.insert(key) {
            let mut all: Vec<&str> = self.known.keys().filter(|(other, _)| *other == kind).map(|(_, name)| name.as_str()).collect();
            all.sort_unstable();
            let problem = Diagnostic::error(unknown(kind), name.at, format!("there is no {} `{}`", what(kind), name.text), "not declared");
            problems.push(problem.suggest(&name.text, &all, what(kind)));
        }
        None
    }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Source | Kind::Stream | Kind::Table => "source",
        Kind::Entity => "entity",
        Kind::Features => "feature view",
        Kind::Vector => "vector",
        Kind::Model => "model",
        Kind::Unknown => "declaration",
    }
}

fn unknown(kind: Kind) -> Code {
    match kind {
        Kind::Entity => codes::UNKNOWN_ENTITY,
        Kind::Features => codes::UNKNOWN_VIEW,
        Kind::Vector => codes::UNKNOWN_VECTOR,
        Kind::Source | Kind::Stream | Kind::Table | Kind::Model | Kind::Unknown => codes::UNKNOWN_SOURCE,
    }
}
