//! SQL scalar expressions: resolved against a scope, guarded, planned by DataFusion into `plan::Expression`s.
//! Must never let through what is no function of its row: clocks, chance, tables, other rows.

mod casts;
mod compose;
mod evaluate;
mod forms;
mod functions;
mod guard;
mod literal;
mod resolve;
mod rewrite;
mod samples;
mod sense;

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::ExprSchemable;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{Expr, ExprWithAlias};
use sqlparser::tokenizer::Span as SqlSpan;

pub use functions::{REFUSED_FUNCTIONS, functions};

pub(super) use compose::{Part, compose, renamed};
pub(super) use literal::{fit, literal};
pub(super) use resolve::{Scope, identifier, misplaced_unnest};

use super::diagnostics::{Diagnostic, codes};
use super::parse::Lexeme;
use super::parse::tree::Sql;
use super::source::At;
use crate::plan::Expression;
use crate::value::DataType;

/// Plans expressions. Its settings are part of what an expression means: they must never change.
pub(super) struct Planner {
    state: SessionState,
}

/// A planned expression and what identifies its meaning: its normalised text with the types of the columns it reads.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub expression: Expression,
    pub meaning: String,
    /// The columns that it reads.
    pub columns: Vec<usize>,
}

/// Where an expression stands, for the places in its diagnostics.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub tokens: &'a [Lexeme],
    pub at: At,
}

impl<'a> Place<'a> {
    pub(super) fn of(tokens: &'a [Lexeme], sql: &Sql) -> Self {
        Self { tokens: &tokens[sql.tokens.clone()], at: sql.at }
    }

    /// The bytes of a part of the expression; the whole where the part has no place of its own.
    fn part(&self, span: SqlSpan) -> At {
        let start = self.tokens.iter().find(|token| token.sql.span.start == span.start);
        let end = self.tokens.iter().find(|token| token.sql.span.end == span.end);
        match (start, end) {
            (Some(start), Some(end)) => start.at.to(end.at),
            _ => self.at,
        }
    }
}

impl Planner {
    pub(super) fn new() -> Self {
        let config = SessionConfig::new()
            .set_bool("datafusion.sql_parser.enable_ident_normalization", false)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            .set_bool("datafusion.sql_parser.parse_float_as_decimal", false);
        let mut builder = SessionStateBuilder::new().with_config(config).with_default_features();
        builder.scalar_functions().get_or_insert_default().extend(sense::all().chain(functions::all()));
        Self { state: builder.build() }
    }

    /// Whether SQL has a function of that name; whether the language has it is said where it is called.
    pub(super) fn has_function(&self, name: &str) -> bool {
        self.state.scalar_functions().contains_key(name) || self.state.higher_order_functions().contains_key(name)
    }

    /// The expression with its names replaced by column names of the scope and its functions known to be allowed;
    /// `None` when something was reported.
    pub(super) fn resolve(&self, sql: &Sql, place: Place<'_>, scope: &mut dyn Scope, problems: &mut Vec<Diagnostic>) -> Option<Expr> {
        resolve::resolve(&self.state, sql.expr.as_ref()?, place, scope, problems)
    }

    /// Plans a resolved expression over `schema`; `None` when something was reported.
    pub(super) fn plan(&self, expr: &Expr, schema: &SchemaRef, place: Place<'_>, problems: &mut Vec<Diagnostic>) -> Option<Planned> {
        let before = problems.len();
        let Ok(names) = DFSchema::try_from(Arc::clone(schema)) else {
            problems.push(Diagnostic::error(codes::EXPRESSION_TYPE, place.at, "two columns in sight have the same name", "seen from here"));
            return None;
        };
        let type_of = |part: &Expr| self.type_of(part, &names);
        guard::operands(expr, place, &type_of, problems);
        casts::known(expr, place, &type_of, problems);
        functions::arguments(expr, place, &type_of, problems);
        samples::numbers(expr, place, problems);
        if problems.len() > before {
            return None;
        }
        let unplanned = |error: &DataFusionError| {
            let plain = || Diagnostic::error(codes::EXPRESSION_TYPE, place.at, reason(error), "this expression");
            guard::of_several(expr, place, &type_of).unwrap_or_else(plain)
        };
        let planned = self.physical(expr, &names, schema).map_err(|error| unplanned(&error)).and_then(|physical| {
            let found = physical.expr.data_type(schema).map_err(|error| unplanned(&error))?;
            let data_type = language_type(&found).ok_or_else(|| unusable(expr, place, type_of(expr)))?;
            evaluate::without_sizes(&physical.expr, schema).map_err(|error| unplanned(&error))?;
            let part = |part: &Expr| self.physical(part, &names, schema).ok().map(|physical| physical.expr);
            if let Some(hopeless) = samples::hopeless(expr, &physical.expr, schema, &part) {
                return Err(hopeless.diagnostic(place));
            }
            evaluate::tried(&physical.expr, schema).map_err(|error| unplanned(&error))?;
            Ok(Planned::of(expr, physical, data_type, schema))
        });
        planned.map_err(|problem| problems.push(problem)).ok()
    }

    fn physical(&self, expr: &Expr, names: &DFSchema, schema: &SchemaRef) -> Result<Physical, DataFusionError> {
        let sql = ExprWithAlias { expr: expr.clone(), alias: None };
        let meant = rewrite::meant(self.state.create_logical_expr_from_sql_expr(sql, names)?, names)?;
        let physical = evaluate::exact(self.state.create_physical_expr(meant.expr, names)?, schema)?;
        Ok(Physical { expr: physical, in_our_sense: meant.in_our_sense })
    }

    /// The type of a part, before any coercion; `None` where it has none, which planning the whole will report.
    fn type_of(&self, expr: &Expr, names: &DFSchema) -> Option<ArrowType> {
        let sql = ExprWithAlias { expr: expr.clone(), alias: None };
        let logical = self.state.create_logical_expr_from_sql_expr(sql, names).ok()?;
        rewrite::meant(logical, names).ok()?.expr.get_type(names).ok()
    }
}

/// What an expression is planned to.
struct Physical {
    expr: Arc<dyn PhysicalExpr>,
    /// As in `rewrite::Meant`.
    in_our_sense: bool,
}

impl Planned {
    fn of(expr: &Expr, physical: Physical, data_type: DataType, schema: &SchemaRef) -> Self {
        let text: Arc<str> = expr.to_string().into();
        let read = collect_columns(&physical.expr);
        let places = read.iter().map(|column| column.index()).collect();
        let mut columns: Vec<_> =
            read.into_iter().map(|column| format!("{}: {}", column.name(), schema.field(column.index()).data_type())).collect();
        columns.sort();
        let sense = if physical.in_our_sense { " as PostgreSQL" } else { "" };
        let meaning = format!("{text} :: {data_type} of ({}){sense}", columns.join(", "));
        let evaluator = evaluate::evaluator(physical.expr, data_type.arrow());
        Self { expression: Expression { text, data_type, evaluator }, meaning, columns: places }
    }
}

/// The type of the language to which values of an Arrow type are cast; `None` when there is none.
fn language_type(data_type: &ArrowType) -> Option<DataType> {
    Some(match data_type {
        ArrowType::Boolean => DataType::Bool,
        integer if integer.is_integer() => DataType::Int,
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => DataType::Float,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::Text,
        ArrowType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, None) => {
            DataType::Timestamp
        }
        ArrowType::List(item) | ArrowType::LargeList(item) => match language_type(item.data_type())? {
            DataType::List(_) | DataType::Map(_) => return None,
            item => DataType::List(Box::new(item)),
        },
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(entry) if *entry[0].data_type() == ArrowType::Utf8 => {
                DataType::Map(Box::new(language_type(entry[1].data_type())?))
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// What is said of an expression whose result has no type in the language.
fn unusable(expr: &Expr, place: Place<'_>, found: Option<ArrowType>) -> Diagnostic {
    let gives = found.as_ref().map_or_else(|| "a type of its own".to_owned(), guard::spelled);
    let message = format!("the expression gives {gives}, which the language has no type for");
    let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.at, message, "of this type");
    let text = guard::written(expr);
    let text = if let Expr::BinaryOp { .. } = expr { format!("({text})") } else { text };
    let is_interval = matches!(found, Some(ArrowType::Duration(_) | ArrowType::Interval(_)));
    match found.as_ref().and_then(|found| guard::several(found, &text)) {
        Some((_, one)) => {
            problem.help(format!("take one value of it: `{one}`; a vector reads a feature of any type as it is: `view.feature`"))
        }
        None if found == Some(ArrowType::Date32) => problem.help(format!("cast it: `({text})::timestamp`, `({text})::text`")),
        None if is_interval => problem.help(format!("`extract(epoch from {text})` is its length in seconds")),
        None => problem.help("cast it to boolean, bigint, double, text or timestamp: `(..)::double`"),
    }
}

/// The first sentence of a planner's error, in lower case, without its class.
fn reason(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let line = text.lines().next().unwrap_or_default();
    let known = [
        "Error during planning: ",
        "SQL error: ",
        "This feature is not implemented: ",
        "type_coercion",
        "caused by",
        "Schema error: ",
        "Execution error: ",
    ];
    let line = known.iter().fold(line.to_owned(), |line, prefix| line.replace(prefix, ""));
    let mut letters = line.trim().trim_end_matches('.').chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_else(|| "the expression cannot be planned".to_owned())
}
