//! One line of a view: an aggregate bound to its inputs, folded once and read under one window for each feature.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Expr;

use super::Checker;
use super::columns::SourceScope;
use super::view::First;
use crate::aggregate::{self, Aggregate, MapLimit, Shape};
use crate::id::Identity;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::{self, Planned};
use crate::language::parse::tree::{Call, Clause, FeatureItem, Name, Sql, WindowItem};
use crate::language::source::At;
use crate::plan::{DerivedFeature, Expression, Feature, FeatureRef, Fold, Relation, Window, WindowBounds, identity};
use crate::value::{DataType, Value};

/// A view while its features are read.
pub(super) struct Draft {
    pub file: usize,
    pub rows: Arc<Relation>,
    keys: Identity,
    reported: HashSet<String>,
    first: First,
    input_meanings: Vec<String>,
    filter_meanings: Vec<String>,
    pub inputs: Vec<Expression>,
    pub filters: Vec<Expression>,
    pub folds: Vec<Fold>,
    pub features: Vec<Feature>,
    pub derived: Vec<DerivedFeature>,
    /// Of each derived feature, over names of features.
    pub expressions: Vec<Expr>,
    /// Of each derived feature, characters with those that it reads written out.
    pub lengths: Vec<usize>,
    /// Each feature with the line that declares it.
    pub declared: Vec<(usize, FeatureRef)>,
    /// Some features could not be read.
    pub partial: bool,
}

impl Draft {
    pub(super) fn new(file: usize, rows: Arc<Relation>, keys: Identity, reported: HashSet<String>) -> Self {
        Self {
            file,
            rows,
            keys,
            reported,
            first: First::new(),
            input_meanings: Vec::new(),
            filter_meanings: Vec::new(),
            inputs: Vec::new(),
            filters: Vec::new(),
            folds: Vec::new(),
            features: Vec::new(),
            derived: Vec::new(),
            expressions: Vec::new(),
            lengths: Vec::new(),
            declared: Vec::new(),
            partial: false,
        }
    }
}

impl Checker<'_> {
    /// Adds the features of one line; `None` when some could not be.
    pub(super) fn feature(&mut self, draft: &mut Draft, line: usize, item: &FeatureItem, call: &Call) -> Option<()> {
        let bound = self.aggregate(draft, call);
        let keep = self.keep(item);
        let by = item.by.as_ref().map(|clause| self.over_source(draft, &clause.value.key));
        let filter = item.filter.as_ref().map(|clause| {
            let planned = self.over_source(draft, &clause.value)?;
            self.boolean(&planned.expression, clause.value.at, "where");
            Some(planned)
        });
        let named = self.feature_names(draft, item, call);
        let (aggregate, inputs) = match by {
            Some(by) => self.grouped(item, call, bound?, by?)?,
            None => bound?,
        };
        let default = item.default.as_ref().map(|clause| self.default(clause, aggregate.result_type()));
        let bounded = named.as_ref().map(|named| self.bounded(item, call, &aggregate, named));
        let default = match default {
            Some(default) => Some(default?),
            None => None,
        };
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        let keep = keep?;
        let named = named?;
        bounded??;
        if named.iter().any(|(_, window, _)| window.limit.is_some())
            && let Ok(count) = aggregate::bind("count", &[], &[])
        {
            // What a limit counts, so that tiles know it.
            fold(draft, &count, Vec::new(), filter.clone());
        }
        let fold = fold(draft, &aggregate, inputs, filter);
        for (name, window, _) in named {
            let data_type = aggregate.result_type().clone();
            let id = identity::feature(draft.keys, draft.folds[fold].id, &window, keep, default.as_ref(), &data_type);
            draft.declared.push((line, FeatureRef::Aggregate(draft.features.len())));
            draft.features.push(Feature { name, id, fold, window, keep, default: default.clone(), data_type });
        }
        Some(())
    }

    /// The aggregate for each value of a key, which becomes its last input.
    fn grouped(
        &mut self,
        item: &FeatureItem,
        call: &Call,
        bound: (Aggregate, Vec<Planned>),
        key: Planned,
    ) -> Option<(Aggregate, Vec<Planned>)> {
        let (aggregate, mut inputs) = bound;
        match aggregate.by(&key.expression.data_type) {
            Ok(aggregate) => {
                inputs.push(key);
                Some((aggregate, inputs))
            }
            Err(error) => {
                let at = item.by.as_ref().map_or(call.at, |clause| clause.at);
                self.report(Diagnostic::error(codes::AGGREGATE_TYPES, at, error.0, "cannot be computed"));
                None
            }
        }
    }

    /// Which keys the line's maps have room for.
    fn keep(&mut self, item: &FeatureItem) -> Option<MapLimit> {
        let Some(Clause { value: by, .. }) = &item.by else { return Some(MapLimit::default()) };
        let Some(limit) = &by.limit else { return Some(MapLimit::default()) };
        let number = limit.text.parse().ok().filter(|number| (1..=MapLimit::LIMIT_MAX).contains(number));
        if number.is_none() {
            let message = format!("a map cannot have room for {} keys", limit.text);
            self.report(Diagnostic::error(codes::BAD_LIMIT, limit.at, message, format!("from 1 to {}", MapLimit::LIMIT_MAX)));
        }
        Some(MapLimit { limit: number?, by_value: by.by_value })
    }

    /// Plans an expression over the columns of the view's source or stream.
    fn over_source(&mut self, draft: &mut Draft, sql: &Sql) -> Option<Planned> {
        let place = self.place(draft.file, sql);
        let mut scope = SourceScope::of(&self.plan, &draft.rows, &mut draft.reported);
        let expr = self.planner.resolve(sql, place, &mut scope, self.problems)?;
        self.planner.plan(&expr, &draft.rows.schema, place, self.problems)
    }

    fn aggregate(&mut self, draft: &mut Draft, call: &Call) -> Option<(Aggregate, Vec<Planned>)> {
        let name = call.function.text.as_str();
        let Some(shape) = aggregate::shape(name) else {
            self.no_aggregate(&call.function);
            return None;
        };
        if aggregate::takes_struct(name) {
            return self.aggregate_of_struct(draft, call);
        }
        let given = call.arguments.len();
        let few = given < shape.inputs_min + shape.parameters_min;
        let is_count_all = call.star && name == "count";
        if !is_count_all && (call.star || few) || given > shape.inputs_max + shape.parameters_max {
            let problem = Diagnostic::error(
                codes::AGGREGATE_ARGUMENTS,
                call.at,
                format!("`{name}` takes {}", arguments(shape)),
                format!("has {}", if call.star { "`*`".to_owned() } else { given.to_string() }),
            );
            self.report(problem);
            return None;
        }
        let (inputs, parameters) = call.arguments.split_at(given.min(shape.inputs_max));
        // All arguments are looked at before the first that is wrong ends it.
        let inputs: Vec<_> = inputs.iter().map(|input| self.over_source(draft, input)).collect();
        let parameters: Vec<_> = parameters.iter().map(|parameter| self.literal(parameter, "a parameter")).collect();
        let inputs: Vec<Planned> = inputs.into_iter().collect::<Option<_>>()?;
        let parameters: Vec<Value> = parameters.into_iter().collect::<Option<_>>()?;
        self.bind(call, inputs, &parameters)
    }

    /// `collect(struct(x, y as name), n)`: the fields are the inputs, their names follow the parameters.
    fn aggregate_of_struct(&mut self, draft: &mut Draft, call: &Call) -> Option<(Aggregate, Vec<Planned>)> {
        let name = call.function.text.as_str();
        let values = match call.arguments.first().map(|record| &record.expr) {
            Some(None) => return None,
            Some(Some(Expr::Struct { values, fields })) if fields.is_empty() && call.arguments.len() == 2 => values,
            _ => {
                let message = format!("`{name}` takes a struct and how many of them to keep");
                let problem = Diagnostic::error(codes::AGGREGATE_ARGUMENTS, call.at, message, "called otherwise");
                let help = format!("write `{name}(struct(a, b as name), 10)`; the values of one column are `last_n(a, 10)`");
                self.report(problem.help(help));
                return None;
            }
        };
        let (record, parameters) = (&call.arguments[0], &call.arguments[1..]);
        let mut names = Vec::new();
        let mut inputs = Vec::new();
        for value in values {
            let (expr, name) = match value {
                Expr::Named { expr, name } => (expr.as_ref(), Some(name)),
                Expr::Identifier(name) => (value, Some(name)),
                Expr::CompoundIdentifier(names) => (value, names.last()),
                _ => (value, None),
            };
            match name {
                Some(name) => names.push(Value::Text(name.value.as_str().into())),
                None => {
                    let problem = Diagnostic::error(codes::NAME_NEEDED, record.at, "a field of a struct needs a name", "has none");
                    self.report(problem.help(format!("write `{expr} as name`")));
                }
            }
            let sql = Sql { expr: Some(expr.clone()), tokens: record.tokens.clone(), at: record.at };
            inputs.push(self.over_source(draft, &sql));
        }
        let parameters: Vec<_> = parameters.iter().map(|parameter| self.literal(parameter, "a parameter")).collect();
        let inputs: Vec<Planned> = inputs.into_iter().collect::<Option<_>>()?;
        let parameters: Vec<Value> = parameters.into_iter().collect::<Option<_>>()?;
        if names.len() < inputs.len() {
            return None;
        }
        self.bind(call, inputs, &[parameters, names].concat())
    }

    fn bind(&mut self, call: &Call, inputs: Vec<Planned>, parameters: &[Value]) -> Option<(Aggregate, Vec<Planned>)> {
        let types: Vec<DataType> = inputs.iter().map(|input| input.expression.data_type.clone()).collect();
        match aggregate::bind(call.function.text.as_str(), &types, parameters) {
            Ok(aggregate) => Some((aggregate, inputs)),
            Err(error) => {
                let problem = Diagnostic::error(codes::AGGREGATE_TYPES, call.at, error.0, "cannot be computed");
                let name = call.function.text.as_str();
                let (other, of) = match name.strip_prefix("vector_") {
                    Some(other) => (other.to_owned(), "single values"),
                    None => (format!("vector_{name}"), "lists, element by element"),
                };
                self.report(match inputs.first() {
                    Some(input) if aggregate::bind(&other, &types, parameters).is_ok() => {
                        problem.help(format!("write `{other}({})`, which takes {of}", input.expression.text))
                    }
                    Some(input) if aggregate::bind(name, &types.iter().map(item_of).collect::<Vec<_>>(), parameters).is_ok() => {
                        let text = &input.expression.text;
                        problem.help(format!("take one value of it, `{text}[1]`, or make a row of each by `unnest({text})` in a stream"))
                    }
                    _ => problem,
                });
                None
            }
        }
    }

    pub(super) fn no_aggregate(&mut self, function: &Name) {
        let name = function.text.as_str();
        let problem =
            Diagnostic::error(codes::UNKNOWN_AGGREGATE, function.at, format!("there is no aggregate `{name}`"), "unknown aggregate");
        let unconditional = name.strip_suffix("_if").filter(|stem| aggregate::shape(stem).is_some());
        self.report(match (unconditional, crate::language::diagnostics::nearest(name, &aggregate::names())) {
            (Some(stem), _) => problem.help(format!("a condition is a clause of its own: `{stem}(..) where ..`")),
            (None, Some(near)) => problem.help(format!("did you mean `{near}`?")),
            (None, None) => problem.help(format!("aggregates that run: {}", aggregate::names().join(", "))),
        });
    }

    fn literal(&mut self, sql: &Sql, what: &str) -> Option<Value> {
        let value = expression::literal(sql.expr.as_ref()?);
        if value.is_none() {
            let problem = Diagnostic::error(codes::NOT_A_LITERAL, sql.at, format!("{what} is written as a literal"), "not a literal");
            self.report(problem.help("a number, a 'text', true or false"));
        }
        value
    }

    /// A default for values of this type.
    pub(super) fn default(&mut self, clause: &Clause<Sql>, data_type: &DataType) -> Option<Value> {
        let value = self.literal(&clause.value, "a default")?;
        let fitting = expression::fit(&value, data_type);
        if fitting.is_none() {
            let problem = Diagnostic::error(
                codes::DEFAULT_TYPE,
                clause.value.at,
                format!("the default takes the place of null in {data_type}"),
                format!("not {data_type}"),
            );
            self.report(match data_type {
                DataType::List(_) => problem.help("a list has no default: leave it null"),
                DataType::Map(_) => problem.help("a map has no default: leave it null"),
                DataType::Struct(_) => problem.help("a struct has no default: leave it null"),
                DataType::Float => problem.help("write a number, such as `default 0`"),
                DataType::Int => problem.help("write a whole number, such as `default 0`"),
                DataType::Text => problem.help("write a text in quotes, such as `default ''`"),
                DataType::Bool => problem.help("write `default false` or `default true`"),
                DataType::Timestamp => problem.help("write a time, such as `default '1970-01-01'`"),
            });
        }
        fitting
    }

    /// `None` where the aggregate cannot be computed over one of these windows.
    fn bounded(&mut self, item: &FeatureItem, call: &Call, aggregate: &Aggregate, named: &[(String, Window, At)]) -> Option<()> {
        let Some(reason) = aggregate.needs_bounded() else { return Some(()) };
        let name = call.function.text.as_str();
        let by = if item.by.is_some() { " .. by" } else { "" };
        let mut all_are = Some(());
        for (_, window, at) in named {
            let over = match (&window.frame, window.limit) {
                (WindowBounds::All, None) => "all events",
                (WindowBounds::Session { .. }, _) => "sessions",
                _ => continue,
            };
            let problem = Diagnostic::error(codes::NEEDS_BOUNDED, *at, format!("`{name}{by}` cannot run over {over}"), "no lower bound");
            let instead = format!("approx_{name}");
            let other = if aggregate::shape(&instead).is_some() { format!(", or use `{instead}`") } else { String::new() };
            self.report(problem.help(format!("{reason}, and old events are forgotten: bound the window, as in `over 7d`{other}")));
            all_are = None;
        }
        all_are
    }

    /// The name, window and place of each feature of a line; `None` when one is wrong.
    fn feature_names(&mut self, draft: &mut Draft, item: &FeatureItem, call: &Call) -> Option<Vec<(String, Window, At)>> {
        if item.over.is_empty() && item.over_tokens.is_none() {
            let all = Window::of(WindowBounds::All);
            return self.unique(draft, &item.name.text, item.name.at).map(|()| vec![(item.name.text.clone(), all, call.at)]);
        }
        let mut named = Vec::new();
        for WindowItem { at, window, .. } in &item.over {
            let Some(window) = window else { continue };
            let name = window.alias.as_ref().map_or_else(|| format!("{}{}", item.name.text, window.suffix), |alias| alias.text.clone());
            if self.unique(draft, &name, *at).is_some() {
                named.push((name, window.window.clone(), *at));
            }
        }
        (named.len() == item.over.len()).then_some(named)
    }

    pub(super) fn unique(&mut self, draft: &mut Draft, name: &str, at: At) -> Option<()> {
        if let Some(first) = draft.first.get(name) {
            let problem = Diagnostic::error(codes::DUPLICATE_FEATURE, at, format!("two features are called `{name}`"), "again here");
            self.report(problem.also(*first, "first here").help("give the feature or its window another name: `over 1h as recent`"));
            return None;
        }
        draft.first.insert(name.to_owned(), at);
        Some(())
    }
}

/// The fold of this aggregate over these inputs and filter: one that is there, or a new one.
pub(super) fn fold(draft: &mut Draft, aggregate: &Aggregate, inputs: Vec<Planned>, filter: Option<Planned>) -> usize {
    let meanings: Vec<String> = inputs.iter().map(|input| input.meaning.clone()).collect();
    let id = identity::fold(&aggregate.text(), &meanings, filter.as_ref().map(|filter| filter.meaning.as_str()));
    if let Some(known) = draft.folds.iter().position(|fold| fold.id == id) {
        return known;
    }
    let inputs = inputs.into_iter().map(|input| place(&mut draft.inputs, &mut draft.input_meanings, input)).collect();
    let filter = filter.map(|filter| place(&mut draft.filters, &mut draft.filter_meanings, filter));
    draft.folds.push(Fold { id, aggregate: aggregate.clone(), inputs, filter });
    draft.folds.len() - 1
}

/// Where an expression of that meaning is in the list, after adding it if it is new.
fn place(list: &mut Vec<Expression>, meanings: &mut Vec<String>, planned: Planned) -> usize {
    meanings.iter().position(|meaning| *meaning == planned.meaning).unwrap_or_else(|| {
        list.push(planned.expression);
        meanings.push(planned.meaning);
        list.len() - 1
    })
}

fn arguments(shape: Shape) -> String {
    let range = |min: usize, max: usize, what: &str| match (min, max) {
        (_, 0) => String::new(),
        (min, max) if min == max => format!("{min} {what}{}", if min == 1 { "" } else { "s" }),
        (min, max) => format!("{min} to {max} {what}s"),
    };
    let (inputs, parameters) =
        (range(shape.inputs_min, shape.inputs_max, "expression"), range(shape.parameters_min, shape.parameters_max, "literal"));
    match (inputs.is_empty(), parameters.is_empty()) {
        (true, true) => "nothing".to_owned(),
        (false, true) => inputs,
        (true, false) => parameters,
        (false, false) => format!("{inputs} and {parameters}"),
    }
}

/// The type of a list's items; any other type as it is.
fn item_of(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(item) => item.as_ref().clone(),
        other => other.clone(),
    }
}
