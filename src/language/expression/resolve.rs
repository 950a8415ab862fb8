//! Names and functions of an expression: which columns they are, and whether they may stand there.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, Ident, ObjectNamePart, Spanned, visit_expressions, visit_expressions_mut,
};

use super::{Place, forms, functions};
use crate::aggregate;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::Name;
use crate::language::source::At;

/// What an expression can see.
pub(crate) trait Scope {
    /// The column that a name (`a`) or qualified name (`a.b`) means; `None` when that was reported.
    fn column(&mut self, parts: &[Name], problems: &mut Vec<Diagnostic>) -> Option<String>;
}

pub(super) fn resolve(
    state: &SessionState,
    expr: &Expr,
    place: Place<'_>,
    scope: &mut dyn Scope,
    problems: &mut Vec<Diagnostic>,
) -> Option<Expr> {
    let of_many_rows = visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
            let at = place.part(part.span());
            ControlFlow::Break(Diagnostic::error(codes::SUBQUERY, at, "an expression cannot hold a query", "a query"))
        }
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("unnest") => {
            ControlFlow::Break(misplaced_unnest(place.part(function.name.span())))
        }
        _ => ControlFlow::Continue(()),
    });
    if let ControlFlow::Break(problem) = of_many_rows {
        problems.push(problem);
        return None;
    }
    if !forms::known(expr, place, problems) {
        return None;
    }
    let mut expr = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        name_before_brackets(part);
        forms::spelled_out(part);
        ControlFlow::Continue(())
    });
    let mut sound = true;
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        let fine = match part {
            Expr::Identifier(name) => {
                column(std::slice::from_ref(name), place, scope, problems).map(|name| *part = Expr::Identifier(name)).is_some()
            }
            Expr::CompoundIdentifier(names) => column(names, place, scope, problems).map(|name| *part = Expr::Identifier(name)).is_some(),
            Expr::Function(function) => call(state, function, place, problems),
            _ => true,
        };
        sound &= fine;
        ControlFlow::Continue(())
    });
    sound.then_some(expr)
}

/// What is said of an `unnest` that is no column of a stream.
pub(crate) fn misplaced_unnest(at: At) -> Diagnostic {
    Diagnostic::error(codes::UNNEST_PLACE, at, "`unnest` cannot stand inside an expression", "makes rows, not a value").help(
        "a stream makes a row of each element: `stream rows as select unnest(xs) as x, .. from source`; features of that stream read `x`",
    )
}

/// `view.feature['key']` is a part of `view.feature`, where SQL's grammar has `view` and what is taken of it.
fn name_before_brackets(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let Expr::Identifier(first) = root.as_ref() else { return };
    let mut names = vec![first.clone()];
    while let Some(AccessExpr::Dot(Expr::Identifier(_))) = access_chain.first() {
        if let AccessExpr::Dot(Expr::Identifier(name)) = access_chain.remove(0) {
            names.push(name);
        }
    }
    if names.len() > 1 {
        **root = Expr::CompoundIdentifier(names);
    }
}

fn column(names: &[Ident], place: Place<'_>, scope: &mut dyn Scope, problems: &mut Vec<Diagnostic>) -> Option<Ident> {
    let parts: Vec<_> = names.iter().map(|name| Name { text: name.value.clone(), at: place.part(name.span) }).collect();
    let mut ident = identifier(&scope.column(&parts, problems)?);
    if let (Some(first), Some(last)) = (names.first(), names.last()) {
        ident.span = first.span.union(&last.span);
    }
    Some(ident)
}

/// A column as it is written in normalised text.
pub(crate) fn identifier(column: &str) -> Ident {
    let plain = column.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !column.starts_with(|letter: char| letter.is_ascii_digit());
    if plain { Ident::new(column) } else { Ident::with_quote('"', column) }
}

/// Functions whose maps would have the order of their arguments, and perhaps a key twice.
const MAKE_MAPS: [&str; 2] = ["map", "make_map"];
/// DataFusion takes it for a function of its arguments.
const OF_THE_BUILD: &str = "version";

/// Whether a call may stand in an expression; its name is put into lower case.
fn call(state: &SessionState, function: &mut Function, place: Place<'_>, problems: &mut Vec<Diagnostic>) -> bool {
    let at = place.part(function.name.span());
    if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
        let problem = Diagnostic::error(codes::WINDOW_FUNCTION, at, "SQL window clauses have no place in an expression", "called with one");
        problems.push(problem.help("declare a feature with `over` and `where`, and read it in a vector"));
        return false;
    }
    if let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice() {
        name.value = name.value.to_lowercase();
        name.quote_style = None;
    }
    let name = function.name.to_string();
    if let Some(found) = state.scalar_functions().get(&name) {
        if MAKE_MAPS.contains(&name.as_str()) {
            let problem = Diagnostic::error(codes::EXPRESSION_TYPE, at, "maps are not made in expressions", "makes a map");
            problems.push(problem.help("a feature with `by` is a map: `n = count(*) by shop over 1d`"));
            return false;
        }
        if found.signature().volatility == Volatility::Immutable && name != OF_THE_BUILD {
            return listed(&name, at, problems);
        }
        let problem =
            Diagnostic::error(codes::VOLATILE, at, format!("`{name}` does not depend on the event alone"), "differs from call to call");
        problems.push(problem.help("use the event's own time; a value must come out the same whenever it is computed"));
        return false;
    }
    if state.higher_order_functions().contains_key(&name) {
        return listed(&name, at, problems);
    }
    let aggregates = state.aggregate_functions().contains_key(&name);
    if aggregates || aggregate::shape(&name).is_some() {
        let problem = Diagnostic::error(
            codes::AGGREGATE_INSIDE,
            at,
            format!("the aggregate `{name}` cannot stand inside an expression"),
            "an aggregate",
        );
        problems.push(problem.help("declare a feature for it and read the feature in a vector"));
        return false;
    }
    if state.window_functions().contains_key(&name) {
        problems.push(Diagnostic::error(codes::WINDOW_FUNCTION, at, format!("`{name}` is a window function"), "a window function"));
        return false;
    }
    if functions::REFUSED_FUNCTIONS.iter().any(|(refused, _)| *refused == name) {
        return listed(&name, at, problems);
    }
    let mut known: Vec<&str> = functions::functions().collect();
    known.sort_unstable();
    let problem = Diagnostic::error(codes::UNKNOWN_FUNCTION, at, format!("there is no function `{name}`"), "unknown");
    problems.push(match crate::language::diagnostics::nearest(&name, &known) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    });
    false
}

/// Whether a function that DataFusion has is one of the language.
fn listed(name: &str, at: At, problems: &mut Vec<Diagnostic>) -> bool {
    if functions::functions().any(|known| known == name) {
        return true;
    }
    let problem = Diagnostic::error(codes::NOT_IN_LANGUAGE, at, format!("the language has no function `{name}`"), "not in the language");
    let instead = functions::REFUSED_FUNCTIONS.iter().find(|(refused, _)| *refused == name);
    problems.push(problem.help(instead.map_or("`docs/functions.md` lists all functions", |(_, instead)| *instead)));
    false
}
