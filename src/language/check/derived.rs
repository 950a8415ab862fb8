//! Derived features: expressions over other features of their view, each planned after those that it reads.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};

use super::Checker;
use super::columns::what;
use super::features::Draft;
use super::source::schema_of;
use crate::aggregate;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::{Scope, identifier, misplaced_unnest, renamed};
use crate::language::parse::tree::{FeatureItem, Name, Sql};
use crate::plan::{DerivedFeature, Feature, FeatureRef, Field, Relation, identity};
use crate::value::DataType;

/// A line of a view that is no aggregate's call.
pub(super) struct Written<'t> {
    pub line: usize,
    pub item: &'t FeatureItem,
    pub sql: &'t Sql,
    /// The function, where it is a single call.
    pub call: Option<&'t Name>,
}

/// Its expression over names of features, and those features in the order of their first use. A derived one is in its
/// place among the written ones.
struct Resolved {
    expr: Expr,
    reads: Vec<FeatureRef>,
}

/// How far a line is.
#[derive(Clone, Copy, PartialEq)]
enum Progress {
    New,
    /// Waits for what it reads.
    Open,
    /// With its place among the draft's derived features; `None`: something about it is wrong.
    Done(Option<usize>),
}

/// The lines while they are planned.
struct Lines<'l, 't> {
    written: &'l [Written<'t>],
    resolved: Vec<Option<Resolved>>,
    progress: Vec<Progress>,
}

impl Checker<'_> {
    /// Adds the derived features, after all that are aggregates.
    pub(super) fn derived(&mut self, draft: &mut Draft, view: &str, written: &[Written<'_>]) {
        let named: Vec<_> = written.iter().map(|line| self.unique(draft, &line.item.name.text, line.item.name.at)).collect();
        draft.partial |= named.contains(&None);
        let resolved: Vec<_> = written.iter().map(|line| self.resolved(draft, view, written, line)).collect();
        let mut lines = Lines { written, resolved, progress: vec![Progress::New; written.len()] };
        for index in 0..written.len() {
            draft.partial |= self.after_inputs(draft, &mut lines, index).is_none();
        }
    }

    fn resolved(&mut self, draft: &mut Draft, view: &str, written: &[Written<'_>], line: &Written<'_>) -> Option<Resolved> {
        let expr = line.sql.expr.as_ref()?;
        // What SQL has its own syntax for, such as `extract(hour from t)`, is no function's call to it.
        if let (Expr::Function(_), Some(function)) = (expr, line.call)
            && !self.planner.has_function(&function.text)
        {
            match function.text.as_str() {
                "unnest" => self.report(misplaced_unnest(function.at)),
                _ => self.no_aggregate(function),
            }
            return None;
        }
        if let Some((call, part)) = self.aggregate_inside(expr) {
            let message = format!("`{call}` stands inside an expression");
            let problem = Diagnostic::error(codes::AGGREGATE_INSIDE, line.sql.at, message, "has an aggregate in it");
            self.report(problem.help(format!(
                "name the parts, each with its window, and compute from the names: `part = {part} over 1h`, then `{} = part_1h / ..`",
                line.item.name.text
            )));
            return None;
        }
        let FeatureItem { filter, by, over_tokens, .. } = line.item;
        let clauses = [("where", filter.is_some()), ("by", by.is_some()), ("over", over_tokens.is_some())];
        if let Some((clause, _)) = clauses.into_iter().find(|(_, is_there)| *is_there) {
            let message = format!("`{clause}` needs an aggregate, and `{}` has none", line.sql.expr.as_ref()?);
            let problem = Diagnostic::error(codes::NOT_AN_AGGREGATE, line.sql.at, message, "not an aggregate's call");
            self.report(problem.help(format!(
                "write `{} = aggregate(..) {clause} ..`; or leave out `{clause}`, to compute from other features of the view",
                line.item.name.text
            )));
            return None;
        }
        let place = self.place(draft.file, line.sql);
        let mut scope = ViewScope {
            view,
            what: what(&self.plan, &draft.rows),
            rows: &draft.rows,
            features: &draft.features,
            written,
            partial: draft.partial,
            reported: HashSet::new(),
            reads: Vec::new(),
        };
        let expr = self.planner.resolve(line.sql, place, &mut scope, self.problems)?;
        let reads = scope.reads;
        if reads.is_empty() {
            let problem =
                Diagnostic::error(codes::NOT_AN_AGGREGATE, line.sql.at, "the expression reads no feature", "the same for every key");
            self.report(problem.help("write `name = aggregate(..) over window`, or an expression over other features of the view"));
            return None;
        }
        Some(Resolved { expr, reads })
    }

    /// The first call of an aggregate in an expression, and how a feature of its own says it.
    fn aggregate_inside(&self, expr: &Expr) -> Option<(String, String)> {
        let found = visit_expressions(expr, |part| match part {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let is_aggregate = aggregate::shape(&name).is_some() && !self.planner.has_function(&name);
                if !is_aggregate {
                    return ControlFlow::Continue(());
                }
                // SQL's `filter (where ..)` is a clause of the feature here.
                let (mut call, filter) = (function.clone(), &function.filter);
                call.filter = None;
                let own = filter.as_ref().map_or_else(|| call.to_string(), |filter| format!("{call} where {filter}"));
                ControlFlow::Break((part.to_string(), own))
            }
            _ => ControlFlow::Continue(()),
        });
        found.break_value()
    }

    /// Plans a line after those that it reads.
    fn after_inputs(&mut self, draft: &mut Draft, lines: &mut Lines<'_, '_>, index: usize) -> Option<usize> {
        let Written { item, sql, .. } = &lines.written[index];
        match lines.progress[index] {
            Progress::Done(place) => return place,
            Progress::Open => {
                let message = format!("feature `{}` is computed from itself", item.name.text);
                let problem = Diagnostic::error(codes::DERIVED_CYCLE, sql.at, message, "leads back to itself");
                self.report(problem.help("an expression reads aggregates, and expressions that do not read it"));
                return None;
            }
            Progress::New => {}
        }
        lines.progress[index] = Progress::Open;
        let resolved = lines.resolved[index].take();
        let planned = resolved.and_then(|resolved| {
            let inputs: Vec<_> = resolved
                .reads
                .iter()
                .map(|read| match read {
                    FeatureRef::Aggregate(_) => Some(*read),
                    FeatureRef::Derived(other) => self.after_inputs(draft, lines, *other).map(FeatureRef::Derived),
                })
                .collect();
            self.planned(draft, &lines.written[index], resolved.expr, inputs.into_iter().collect::<Option<_>>()?)
        });
        lines.progress[index] = Progress::Done(planned);
        planned
    }

    fn planned(&mut self, draft: &mut Draft, line: &Written<'_>, expr: Expr, inputs: Vec<FeatureRef>) -> Option<usize> {
        let place = self.place(draft.file, line.sql);
        let fields: Vec<Field> = inputs.iter().map(|input| draft.field(*input)).collect();
        let length = draft.length(&expr, &inputs, &fields);
        if length > LENGTH_MAX {
            let message = format!("`{}` has {length} characters once the expressions that it reads are written out", line.item.name.text);
            let problem = Diagnostic::error(codes::BAD_EXPRESSION, line.sql.at, message, format!("at most {LENGTH_MAX} can be computed"));
            self.report(problem.help("compute the parts in columns of a stream, and aggregate those"));
            return None;
        }
        let expression = self.planner.plan(&expr, &schema_of(&fields), place, self.problems)?.expression;
        let default = match &line.item.default {
            Some(clause) => Some(self.default(clause, &expression.data_type)?),
            None => None,
        };
        let meaning = renamed(&expr, |name| {
            let input = inputs.iter().zip(&fields).find(|(_, field)| field.name == name)?.0;
            Some(identifier(&format!("feature {}", draft.id_of(*input))))
        });
        let id = identity::derived(&meaning.to_string(), default.as_ref(), &expression.data_type);
        let index = draft.derived.len();
        draft.declared.push((line.line, FeatureRef::Derived(index)));
        draft.derived.push(DerivedFeature { name: line.item.name.text.clone(), id, expression, inputs, default });
        draft.expressions.push(expr);
        draft.lengths.push(length);
        Some(index)
    }
}

/// A chain of features of which each reads another twice doubles with each.
const LENGTH_MAX: usize = 100_000;

impl Draft {
    fn length(&self, expr: &Expr, inputs: &[FeatureRef], fields: &[Field]) -> usize {
        let mut length = expr.to_string().len();
        let _: ControlFlow<()> = visit_expressions(expr, |part| {
            if let Expr::Identifier(name) = part
                && let Some(place) = fields.iter().position(|field| field.name == name.value)
                && let FeatureRef::Derived(index) = inputs[place]
            {
                length = length.saturating_add(self.lengths[index]);
            }
            ControlFlow::Continue(())
        });
        length
    }

    fn field(&self, feature: FeatureRef) -> Field {
        let (name, data_type): (&String, &DataType) = match feature {
            FeatureRef::Aggregate(index) => (&self.features[index].name, &self.features[index].data_type),
            FeatureRef::Derived(index) => (&self.derived[index].name, &self.derived[index].expression.data_type),
        };
        Field { name: name.clone(), data_type: data_type.clone() }
    }

    fn id_of(&self, feature: FeatureRef) -> crate::id::Identity {
        match feature {
            FeatureRef::Aggregate(index) => self.features[index].id,
            FeatureRef::Derived(index) => self.derived[index].id,
        }
    }
}

/// What a derived feature can see: the features of its view.
struct ViewScope<'a> {
    view: &'a str,
    /// `source`, `table` or `stream`
    what: &'static str,
    rows: &'a Relation,
    features: &'a [Feature],
    written: &'a [Written<'a>],
    /// Some features could not be read: an unknown name may be one of those.
    partial: bool,
    /// Unknown names that were reported in this expression.
    reported: HashSet<String>,
    reads: Vec<FeatureRef>,
}

impl Scope for ViewScope<'_> {
    fn column(&mut self, parts: &[Name], problems: &mut Vec<Diagnostic>) -> Option<String> {
        let name = match parts {
            [name] => name,
            [view, name] if view.text == self.view => name,
            parts => {
                let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
                let at = parts.first().zip(parts.last()).map(|(first, last)| first.at.to(last.at)).unwrap_or_default();
                let message = format!("`{text}` is no feature of view `{}`", self.view);
                let problem = Diagnostic::error(codes::UNKNOWN_FEATURE, at, message, "not in sight here");
                problems.push(problem.help("features of several views are put together in a vector's derived columns"));
                return None;
            }
        };
        let aggregate = self.features.iter().position(|feature| feature.name == name.text).map(FeatureRef::Aggregate);
        let derived = || self.written.iter().position(|line| line.item.name.text == name.text).map(FeatureRef::Derived);
        let Some(found) = aggregate.or_else(derived) else {
            self.unknown(name, problems);
            return None;
        };
        if !self.reads.contains(&found) {
            self.reads.push(found);
        }
        Some(name.text.clone())
    }
}

impl ViewScope<'_> {
    fn unknown(&mut self, name: &Name, problems: &mut Vec<Diagnostic>) {
        if !self.reported.insert(name.text.clone()) {
            return;
        }
        let (text, rows) = (name.text.as_str(), self.rows);
        let known: Vec<&str> = self
            .features
            .iter()
            .map(|feature| &feature.name)
            .chain(self.written.iter().map(|line| &line.item.name.text))
            .map(String::as_str)
            .collect();
        let windowed: Vec<_> = known.iter().filter(|known| known.strip_prefix(text).is_some_and(|rest| rest.starts_with('_'))).collect();
        let message = format!("view `{}` has no feature `{text}`", self.view);
        let problem = Diagnostic::error(codes::UNKNOWN_FEATURE, name.at, message, "unknown feature");
        if rows.fields.iter().any(|field| field.name == text) {
            let of = format!("`{text}` is a column of {} `{}`, and an expression sees features only", self.what, rows.name);
            problems.push(problem.help(format!("{of}: name a feature such as `last({text}) over 1h`, and write its name")));
        } else if let [first, ..] = windowed.as_slice() {
            problems.push(problem.help(format!("a feature's name has its window: `{first}`")));
        } else if !self.partial {
            problems.push(problem.suggest(text, &known, "feature"));
        }
    }
}
