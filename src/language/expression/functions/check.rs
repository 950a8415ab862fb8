//! The arguments of Forebay's own functions, where they are written: how many, of which types, which are literals.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, visit_expressions};

use super::super::{Place, literal};
use super::{ALL, Argument, Function, date_trunc, json_get};
use crate::language::diagnostics::{Diagnostic, codes, nearest};
use crate::language::source::At;
use crate::time::Zone;
use crate::value::Value;

/// The longest result that a function may be asked for.
const LENGTH_MAX: i64 = 10_000;
/// SQL's functions whose result is as long as an argument says, and which one that is.
const SIZED: [(&str, usize); 11] = [
    ("array_repeat", 1),
    ("array_resize", 1),
    ("generate_series", 0),
    ("generate_series", 1),
    ("list_repeat", 1),
    ("list_resize", 1),
    ("lpad", 1),
    ("range", 0),
    ("range", 1),
    ("repeat", 1),
    ("rpad", 1),
];

/// Functions that put a text into another as often as the event says, and which argument that text is.
const INSERTING: [(&str, usize); 6] =
    [("array_join", 1), ("array_to_string", 1), ("list_join", 1), ("list_to_string", 1), ("regexp_replace", 2), ("replace", 2)];
const INSERTED_MAX: usize = 32;
/// Its time is the product of two lengths.
const LEVENSHTEIN_MAX: i64 = 1_000;

/// Reports arguments that a function cannot take, in all parts of an expression.
pub(in super::super) fn arguments(
    expr: &Expr,
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        if let Expr::Function(call) = part {
            let name = call.name.to_string();
            if let Some(function) = ALL.iter().find(|function| function.name == name) {
                match given(&call.args) {
                    Some(given) if given.len() >= function.required().max(1) && function.argument(given.len() - 1).is_some() => {
                        each(function, &given, place, type_of, problems);
                    }
                    given => {
                        let count = given.map_or_else(|| "other arguments".to_owned(), |given| given.len().to_string());
                        let message = format!("`{name}` is written `{}`", function.form);
                        problems.push(Diagnostic::error(codes::EXPRESSION_TYPE, place.part(part.span()), message, format!("has {count}")));
                    }
                }
            } else if is_sized(part) {
                sized(&name, given(&call.args), place.part(part.span()), problems);
            } else if let Some((_, index)) = INSERTING.iter().find(|(inserting, _)| *inserting == name) {
                let given = given(&call.args).unwrap_or_default();
                let short = |text: &&Expr| matches!(literal(text), Some(Value::Text(text)) if text.len() <= INSERTED_MAX);
                if given.is_empty() || given.get(*index).is_some_and(|text| !short(text)) {
                    let message = format!("what `{name}` puts between or in place of texts is a literal of at most {INSERTED_MAX} bytes");
                    let problem = Diagnostic::error(codes::NOT_A_LITERAL, place.part(part.span()), message, "could be of any length");
                    problems.push(problem.help("one event could ask for all the memory there is"));
                }
            } else if name == "levenshtein" && !given(&call.args).is_some_and(|given| given.into_iter().all(is_short)) {
                let message = format!("`levenshtein` takes texts of at most {LEVENSHTEIN_MAX} characters: literals, or what `left` leaves");
                let problem = Diagnostic::error(codes::NOT_A_LITERAL, place.part(part.span()), message, "could take hours");
                problems.push(problem.help("write `levenshtein(left(a, 100), left(b, 100))`"));
            }
        }
        ControlFlow::Continue(())
    });
}

/// Whether a text is known to have no more than `LEVENSHTEIN_MAX` characters.
fn is_short(text: &Expr) -> bool {
    match text {
        Expr::Function(call) if call.name.to_string() == "left" => {
            let length = given(&call.args).and_then(|given| literal(given.get(1)?));
            matches!(length, Some(Value::Int(length)) if (0..=LEVENSHTEIN_MAX).contains(&length))
        }
        text => matches!(literal(text), Some(Value::Text(text)) if text.len() as i64 <= LEVENSHTEIN_MAX),
    }
}

/// Whether a part is a call of one of `SIZED`.
fn is_sized(part: &Expr) -> bool {
    matches!(part, Expr::Function(call) if SIZED.iter().any(|(sized, _)| *sized == call.name.to_string()))
}

/// Reports a result whose length is not known here, or that is a multiple of another.
fn sized(name: &str, given: Option<Vec<&Expr>>, at: At, problems: &mut Vec<Diagnostic>) {
    let given = given.unwrap_or_default();
    let fits =
        |size: Option<&&Expr>| size.is_none_or(|size| matches!(literal(size), Some(Value::Int(size)) if (0..=LENGTH_MAX).contains(&size)));
    let inner = |argument: &&Expr| {
        let found = visit_expressions(*argument, |part| if is_sized(part) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        found.is_break()
    };
    let known = SIZED.iter().filter(|(sized, _)| *sized == name).all(|(_, index)| fits(given.get(*index)));
    let message = match (given.is_empty() || !known, given.iter().any(inner)) {
        (true, _) => format!("`{name}` takes a whole number from 0 to {LENGTH_MAX} as the length of its result, as a literal"),
        (false, true) => format!("`{name}` stands around another function that says how long its result is"),
        (false, false) => return,
    };
    let problem = Diagnostic::error(codes::NOT_A_LITERAL, at, message, "how long is this");
    problems.push(problem.help("one event could ask for all the memory there is"));
}

/// The arguments of a call; `None` when they are no plain list of expressions.
pub(in super::super) fn given(arguments: &FunctionArguments) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = arguments else { return None };
    let plain = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    plain.collect()
}

fn each(
    function: &Function,
    given: &[&Expr],
    place: Place<'_>,
    type_of: &dyn Fn(&Expr) -> Option<ArrowType>,
    problems: &mut Vec<Diagnostic>,
) {
    let mut bound = f64::NEG_INFINITY;
    for (index, expr) in given.iter().enumerate() {
        let Some(argument) = function.argument(index) else { continue };
        let at = place.part(expr.span());
        let refuse = |code, message: String, label: &str| {
            Diagnostic::error(code, at, message, label).help(format!("it is written `{}`", function.form))
        };
        match argument {
            Argument::Number | Argument::Text | Argument::Time => {
                let Some(found) = type_of(expr) else { continue };
                let (wanted, fits) = match argument {
                    Argument::Number => ("a number", found.is_numeric()),
                    Argument::Time => ("a timestamp", found.is_temporal() || is_text(&found) && literal(expr).is_some()),
                    _ => ("a text", is_text(&found)),
                };
                if found != ArrowType::Null && !fits {
                    let found = super::super::guard::spelled(&found);
                    let message = format!("`{}` takes {wanted} here, and `{expr}` is {found}", function.name);
                    problems.push(refuse(codes::EXPRESSION_TYPE, message, "of another type"));
                }
            }
            literal_of => {
                let wanted = match literal_of {
                    Argument::Unit => "a unit such as 'day'",
                    Argument::Zone => "a time zone such as 'Europe/Berlin'",
                    Argument::Modulus => "a whole number above zero",
                    Argument::Path => "a path such as 'user.tags[0]'",
                    Argument::Bound => "numbers as bounds",
                    _ => "a number above zero",
                };
                let Some(value) = literal(expr) else {
                    let message = format!("`{}` takes {wanted} here, as a literal", function.name);
                    problems.push(refuse(codes::NOT_A_LITERAL, message, "not a literal"));
                    continue;
                };
                let number = match value {
                    Value::Int(number) => number as f64,
                    Value::Float(number) => number,
                    _ => f64::NAN,
                };
                let fits = match (literal_of, &value) {
                    (Argument::Modulus, Value::Int(number)) => *number > 0,
                    (Argument::Path, Value::Text(text)) => json_get::path(text).is_some(),
                    (Argument::Unit, Value::Text(text)) => date_trunc::units().contains(&text.to_lowercase().as_str()),
                    (Argument::Zone, Value::Text(text)) => Zone::parse(text).is_some(),
                    (Argument::Period, _) => number > 0.0 && number.is_finite(),
                    (Argument::Bound, _) => number.is_finite(),
                    _ => false,
                };
                if !fits {
                    let message = format!("`{}` takes {wanted} here, not `{expr}`", function.name);
                    let code = if literal_of == Argument::Zone { codes::UNKNOWN_ZONE } else { codes::EXPRESSION_TYPE };
                    let problem = refuse(code, message, "cannot be taken");
                    let known = match literal_of {
                        Argument::Unit => date_trunc::units(),
                        Argument::Zone => Zone::names(),
                        _ => Vec::new(),
                    };
                    let near = nearest(expr.to_string().trim_matches('\''), &known).map(|near| format!("did you mean '{near}'?"));
                    let units = || format!("units are {}", known.join(", "));
                    problems.push(match (near, literal_of) {
                        (Some(near), _) => problem.help(near),
                        (None, Argument::Unit) => problem.help(units()),
                        (None, _) => problem,
                    });
                } else if literal_of == Argument::Bound {
                    if number <= bound {
                        let message = format!("the bounds of `{}` rise, and `{expr}` is not above the one before it", function.name);
                        problems.push(refuse(codes::EXPRESSION_TYPE, message, "does not rise"));
                    }
                    bound = number;
                }
            }
        }
    }
}

fn is_text(found: &ArrowType) -> bool {
    matches!(found, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View)
}
