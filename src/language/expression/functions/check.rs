//! The arguments of Forebay's own functions, where they are written: how many, of which types, which are literals.

use std::ops::ControlFlow;

use arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, visit_expressions};

use super::super::guard::{self, Kind};
use super::super::{Place, literal, sense};
use super::known::KNOWN;
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
        if let Expr::Extract { field, expr, .. } = part {
            let problem = part_of_time("extract", &field.to_string(), expr, place.part(part.span()), type_of);
            problems.extend(problem);
        } else if let Expr::Function(call) = part {
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
            } else if let Some(problem) = of_sql(&name, part, place, type_of) {
                problems.push(problem);
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

/// What is wrong with a call of one of SQL's functions.
fn of_sql(name: &str, part: &Expr, place: Place<'_>, type_of: &dyn Fn(&Expr) -> Option<ArrowType>) -> Option<Diagnostic> {
    let Expr::Function(call) = part else { return None };
    let (_, letters) = KNOWN.iter().find(|(known, _)| *known == name)?;
    let at = place.part(part.span());
    let Some(given) = given(&call.args) else {
        return Some(Diagnostic::error(codes::EXPRESSION_TYPE, at, format!("`{name}` takes values alone"), "has other arguments"));
    };
    let least = letters.find(['?', '*']).unwrap_or(letters.len());
    let most = letters.chars().filter(|letter| *letter != '?').count();
    if given.len() < least || given.len() > most && !letters.contains('*') {
        let plural = if most == 1 { "" } else { "s" };
        let takes = if least == most { format!("{most} argument{plural}") } else { format!("{least} to {most} arguments") };
        let takes = if letters.contains('*') { format!("{least} arguments or more") } else { takes };
        return Some(Diagnostic::error(codes::EXPRESSION_TYPE, at, format!("`{name}` takes {takes}"), format!("has {}", given.len())));
    }
    let takes: Vec<char> = letters.chars().filter(|letter| !"?*".contains(*letter)).collect();
    for (index, argument) in given.iter().enumerate() {
        let Some(letter) = takes.get(index).or(takes.last().filter(|_| letters.contains('*'))) else { break };
        let found = type_of(argument)?;
        if !taken(*letter, &found) {
            let written = guard::written(argument);
            let message = format!("`{name}` takes {} here, and `{written}` is {}", called(*letter), guard::spelled(&found));
            let problem = Diagnostic::error(codes::EXPRESSION_TYPE, place.part(argument.span()), message, "of another type");
            return Some(match guard::several(&found, &written) {
                Some((_, one)) => problem.help(format!("take one value of it: `{one}`")),
                None => problem.help("cast it, or see `docs/functions.md`"),
            });
        }
    }
    // An element is of the kind of its list, and of its type where it takes the place of another.
    let list = letters.find('l').and_then(|list| given.get(list));
    for (index, element) in given.iter().enumerate().filter(|(index, _)| takes.get(*index) == Some(&'a')) {
        let Some(list) = list else { break };
        let (Some(ArrowType::List(item)), Some(found)) = (type_of(list), type_of(element)) else { continue };
        let (Some(kind), Some(other)) = (guard::kind(item.data_type()), guard::kind(&found)) else { continue };
        let replaces = index == 2 && name.contains("_replace");
        if kind == other && !(replaces && item.data_type().is_integer() && found.is_floating()) {
            continue;
        }
        let message = format!(
            "`{}` is {}[] and `{}` is {}",
            guard::written(list),
            guard::spelled(item.data_type()),
            guard::written(element),
            guard::spelled(&found)
        );
        return Some(Diagnostic::error(codes::MIXED_TYPES, at, message, "an element of another kind").help("cast the element"));
    }
    let text = |index: usize| match literal(given.get(index)?) {
        Some(Value::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let not_a_literal =
        |what: &str| Diagnostic::error(codes::NOT_A_LITERAL, at, format!("`{name}` takes {what} as a literal"), "not a literal");
    match name {
        "date_part" | "datepart" => match text(0) {
            Some(field) => part_of_time(name, &field, given.get(1)?, at, type_of),
            None => Some(not_a_literal("the name of a part").help("such as `date_part('hour', t)`")),
        },
        "regexp_count" | "regexp_instr" | "regexp_like" | "regexp_match" | "regexp_replace" => {
            let flags = match name {
                "regexp_instr" => 5,
                "regexp_count" | "regexp_replace" => 3,
                _ => 2,
            };
            given.get(flags)?;
            let known = |flags: String| flags.chars().all(|flag| flag == 'i' || flag == 'g' && name == "regexp_replace");
            (!text(flags).is_some_and(known)).then(|| {
                let all = if name == "regexp_replace" { "flags of 'g' and 'i'" } else { "the flag 'i'" };
                not_a_literal(all).help("`i` takes no care of the case of letters, `g` replaces all")
            })
        }
        "log" if given.len() == 2 => {
            let none = match literal(given[0])? {
                Value::Int(base) => base <= 0 || base == 1,
                Value::Float(base) => base <= 0.0 || base == 1.0,
                _ => false,
            };
            let message = format!("there is no logarithm to base {}", guard::written(given[0]));
            let problem = || Diagnostic::error(codes::FAILS_ALWAYS, at, message, "null for every row");
            none.then(|| problem().help("the base comes first: `log(2, x)`"))
        }
        "to_char" => match text(1).map(|format| sense::time_format(&format)) {
            Some(Ok(_)) => None,
            Some(Err(letters)) => {
                let message = format!("`to_char` knows no pattern `{letters}`");
                let problem = Diagnostic::error(codes::UNKNOWN_PART, at, message, "unknown");
                Some(problem.help("patterns are PostgreSQL's: 'YYYY-MM-DD HH24:MI:SS', other letters in double quotes; `date_format(t, '%Y-%m-%d')` takes others"))
            }
            None => Some(not_a_literal("a format").help("such as `to_char(t, 'YYYY-MM-DD')`")),
        },
        _ => None,
    }
}

/// What is wrong with the part of a time that is asked for.
fn part_of_time(name: &str, field: &str, of: &Expr, at: At, type_of: &dyn Fn(&Expr) -> Option<ArrowType>) -> Option<Diagnostic> {
    let field = field.trim_matches('\'').to_lowercase();
    let found = type_of(of)?;
    let is_interval = matches!(found, ArrowType::Duration(_) | ArrowType::Interval(_));
    if !is_interval && !taken('t', &found) {
        let message = format!("`{name}` takes a timestamp, and `{}` is {}", guard::written(of), guard::spelled(&found));
        let problem = Diagnostic::error(codes::EXPRESSION_TYPE, at, message, "of another type");
        return Some(match guard::several(&found, &guard::written(of)) {
            Some((_, one)) => problem.help(format!("take one value of it: `{one}`")),
            None => problem.help("cast it: `(..)::timestamp`"),
        });
    }
    let known = if is_interval { field == "epoch" } else { sense::part(&field).is_some() };
    let all = if is_interval {
        "of an interval there is `epoch`, its seconds".to_owned()
    } else {
        format!("the parts are {}", sense::FIELDS.join(", "))
    };
    (!known).then(|| Diagnostic::error(codes::UNKNOWN_PART, at, format!("`{field}` is no part of a time"), "unknown").help(all))
}

/// Whether an argument of a type may stand where `known::Known` has a letter.
fn taken(letter: char, found: &ArrowType) -> bool {
    let kind = guard::kind(found);
    *found == ArrowType::Null
        || match letter {
            'n' => kind == Some(Kind::Number),
            'i' => found.is_integer(),
            's' => kind == Some(Kind::Text),
            't' => kind == Some(Kind::Time),
            'v' => matches!(found, ArrowType::Interval(_) | ArrowType::Duration(_)),
            'l' => matches!(found, ArrowType::List(_) | ArrowType::LargeList(_)),
            'm' => matches!(found, ArrowType::Map(..)),
            _ => true,
        }
}

fn called(letter: char) -> &'static str {
    match letter {
        'n' => "a number",
        'i' => "a bigint",
        's' => "a text",
        't' => "a timestamp",
        'v' => "an interval",
        'l' => "a list",
        'm' => "a map",
        _ => "a value",
    }
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
                    (Argument::Zone, Value::Text(text)) => sense::zone(text),
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
