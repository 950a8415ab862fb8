//! Names resolved, types checked, and the plan built from what is sound. What uses something that is wrong is passed over
//! in silence: its problem has been said once.

mod columns;
mod computed;
mod derived;
mod features;
mod frame;
mod model;
mod names;
mod source;
mod stream;
mod table;
mod vector;
mod view;
mod watch;

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Expr;

use super::diagnostics::Diagnostic;
use super::expression::{Place, Planner};
use super::parse::Lexeme;
use super::parse::tree::{Body, Kind, Sql, Tree};
use super::source::SourceFile;
use crate::plan::{Entity, ModelFiles, Plan, Relation};
use names::Names;

/// Everything that checking one declaration needs of the others.
struct Checker<'a> {
    files: &'a [SourceFile],
    trees: &'a [Tree],
    planner: Planner,
    names: Names,
    plan: Plan,
    /// What features can be of: sources, tables, then streams. The places that `names` has of both are of this list.
    relations: Vec<Arc<Relation>>,
    /// Views of which some features could not be read: an unknown feature of theirs may be one of those.
    partial_views: HashSet<usize>,
    /// Of each view's derived features, over names of its features.
    derived_expressions: Vec<Vec<Expr>>,
    models: &'a dyn ModelFiles,
    problems: &'a mut Vec<Diagnostic>,
}

/// Checks all files together. The plan is whole only when no error was reported.
pub(super) fn check(files: &[SourceFile], trees: &[Tree], models: &dyn ModelFiles, problems: &mut Vec<Diagnostic>) -> Plan {
    let names = Names::declare(trees, problems);
    let planner = Planner::new();
    let mut checker = Checker {
        files,
        trees,
        planner,
        names,
        plan: Plan::default(),
        relations: Vec::new(),
        partial_views: HashSet::new(),
        derived_expressions: Vec::new(),
        models,
        problems,
    };
    // What a declaration may name comes before it, whatever the order in the files.
    for kind in [Kind::Source, Kind::Table, Kind::Stream, Kind::Entity, Kind::Features, Kind::Vector, Kind::Model] {
        if kind == Kind::Stream {
            checker.streams();
            continue;
        }
        for (file, tree) in trees.iter().enumerate() {
            for (index, declaration) in tree.declarations.iter().enumerate() {
                if let (true, Some(body), Some(name)) = (declaration.kind == kind, &declaration.body, &declaration.name) {
                    let ready = match body {
                        Body::Source(body) => checker.source(file, name, body),
                        Body::Table(body) => checker.table(file, name, body).map(|(rows, view)| {
                            checker.names.ready(Kind::Features, &name.text, (file, index), view);
                            rows
                        }),
                        Body::Entity(body) => checker.columns(&body.keys, "entity").map(|keys| {
                            checker.plan.entities.push(Entity { name: name.text.clone(), keys });
                            checker.plan.entities.len() - 1
                        }),
                        Body::Features(body) => checker.view(file, name, body),
                        Body::Vector(body) => checker.vector(file, name, body),
                        Body::Model(body) => checker.model(file, name, body),
                        Body::Stream(_) => None,
                    };
                    if let Some(place) = ready {
                        checker.names.ready(kind, &name.text, (file, index), place);
                    }
                }
            }
        }
    }
    checker.plan
}

impl<'a> Checker<'a> {
    fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    fn tokens(&self, file: usize) -> &'a [Lexeme] {
        &self.trees[file].lexed.tokens
    }

    fn place(&self, file: usize, sql: &Sql) -> Place<'a> {
        Place::of(self.tokens(file), sql)
    }
}
