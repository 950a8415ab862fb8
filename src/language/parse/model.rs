//! `model name from 'file' sha256 '..' takes vector output '..' class '..' score source into topic '..' watch drift every '..' ..`

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed};
use super::tree::{Alert, ModelBody, Name, Output, Runs, Score, Unless, Watch};
use crate::language::diagnostics::{Diagnostic, codes};
use crate::plan::Part;
use crate::time::Span;

const CLAUSES: [&str; 9] = ["from", "sha256", "takes", "output", "also", "runs", "score", "label", "watch"];

pub(super) fn model(cursor: &mut Cursor<'_>) -> Parsed<ModelBody> {
    let mut body = ModelBody::default();
    while !cursor.done() {
        let start = cursor.next;
        if clause(cursor, &mut body).is_err() {
            cursor.not_read(start, &CLAUSES, &mut body.unread);
            cursor.go_on(start, &CLAUSES);
        }
    }
    Ok(body)
}

fn clause(cursor: &mut Cursor<'_>, body: &mut ModelBody) -> Parsed<()> {
    let start = cursor.next;
    if cursor.eat("from") {
        let file = cursor.string("the model's file in quotes")?;
        let clause = cursor.clause(start, file);
        cursor.once(&mut body.from, clause, "from");
    } else if cursor.eat("sha256") {
        let hash = cursor.string("64 hexadecimal digits in quotes")?;
        let clause = cursor.clause(start, hash);
        cursor.once(&mut body.sha256, clause, "sha256");
    } else if cursor.eat("takes") {
        let vector = cursor.name("a vector")?;
        let clause = cursor.clause(start, vector);
        cursor.once(&mut body.takes, clause, "takes");
    } else if cursor.eat("output") {
        let output = output(cursor)?;
        let clause = cursor.clause(start, output);
        cursor.once(&mut body.output, clause, "output");
    } else if cursor.eat("also") {
        let mut outputs = vec![cursor.string("an output's name in quotes")?];
        while cursor.eat_token(&Token::Comma) {
            outputs.push(cursor.string("an output's name in quotes")?);
        }
        let clause = cursor.clause(start, outputs);
        cursor.once(&mut body.also, clause, "also");
    } else if cursor.eat("runs") {
        let runs = runs(cursor)?;
        let clause = cursor.clause(start, runs);
        if let Some(earlier) = body.runs.iter().find(|earlier| earlier.value == runs) {
            let earlier = earlier.at;
            let problem = Diagnostic::error(codes::REPEATED_CLAUSE, clause.at, "this is said twice", "again here");
            cursor.report(problem.also(earlier, "first here"));
        }
        body.runs.push(clause);
    } else if cursor.eat("score") {
        let source = cursor.name("a source")?;
        let topic = into_topic(cursor)?;
        let clause = cursor.clause(start, Score { source, topic });
        cursor.once(&mut body.score, clause, "score");
    } else if cursor.eat("label") {
        cursor.name("a source")?;
        cursor.expect("on")?;
        cursor.names("a column")?;
        if cursor.eat("within") {
            cursor.duration()?;
        }
        let clause = cursor.clause(start, ());
        cursor.fail(codes::NOT_YET_LABEL, clause.at, "labels cannot be joined yet", "not yet");
        cursor.once(&mut body.label, clause, "label");
    } else if cursor.eat("watch") {
        let (watch, every) = watch(cursor)?;
        let clause = cursor.clause(start, watch);
        cursor.once(&mut body.watch, clause, "watch drift");
        every?;
    } else {
        return Err(cursor.expected("a clause of a model (from, sha256, takes, output, also, runs, score, watch drift) or `;`"));
    }
    Ok(())
}

/// A name, a class or column, or both.
fn output(cursor: &mut Cursor<'_>) -> Parsed<Output> {
    let name = match cursor.peek().and_then(|token| token.string()).is_some() {
        true => Some(cursor.string("the output's name in quotes")?),
        false => None,
    };
    let part = if cursor.eat("class") {
        Some(Part::Class(class(cursor)?))
    } else if cursor.eat("column") {
        let column = cursor.peek().and_then(|token| token.number()?.parse().ok()).filter(|column| *column > 0);
        let Some(column) = column else { return Err(cursor.expected("the column's number, counted from 1")) };
        cursor.next += 1;
        Some(Part::Column(column))
    } else {
        None
    };
    if name.is_none() && part.is_none() {
        return Err(cursor.expected("the output's name in quotes, `class` and a label, or `column` and a number"));
    }
    Ok(Output { name, part })
}

/// A label: a text in quotes, a whole number, true or false.
fn class(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let negative = cursor.eat_token(&Token::Minus);
    let label = cursor.peek().and_then(|token| {
        let number = token.number().filter(|number| number.parse::<i64>().is_ok());
        let word = token.word().map(str::to_lowercase).filter(|word| !negative && (word == "true" || word == "false"));
        number.map(str::to_owned).or(word).or_else(|| token.string().filter(|_| !negative).map(str::to_owned))
    });
    let Some(label) = label else { return Err(cursor.expected("the class's label")) };
    cursor.next += 1;
    Ok(if negative { format!("-{label}") } else { label })
}

fn runs(cursor: &mut Cursor<'_>) -> Parsed<Runs> {
    if cursor.eat("with") {
        cursor.expect("chance")?;
        return Ok(Runs::WithChance);
    }
    if !cursor.is("row") {
        return Err(cursor.expected("`row by row` or `with chance`"));
    }
    cursor.next += 1;
    cursor.expect("by")?;
    cursor.expect("row")?;
    Ok(Runs::RowByRow)
}

fn into_topic(cursor: &mut Cursor<'_>) -> Parsed<super::tree::Name> {
    cursor.expect("into")?;
    cursor.expect("topic")?;
    cursor.string("the topic's name in quotes")
}

/// What is watched, also where the interval is none, which was reported.
fn watch(cursor: &mut Cursor<'_>) -> Parsed<(Watch, Parsed<Span>)> {
    cursor.expect("drift")?;
    cursor.expect("every")?;
    let every = cursor.positive_duration("the interval");
    cursor.expect("against")?;
    let profile = cursor.string("the profile's file in quotes")?;
    let (mut alerts, mut except, mut unless) = (Vec::new(), Vec::new(), Vec::new());
    if cursor.eat("alert") {
        cursor.expect("when")?;
        alerts.push(alert(cursor)?);
        while cursor.eat("or") {
            alerts.push(alert(cursor)?);
        }
        if cursor.eat("except") {
            except = columns(cursor)?;
        }
        if cursor.eat("unless") {
            unless.push(condition(cursor)?);
            while cursor.eat("or") {
                unless.push(condition(cursor)?);
            }
        }
    }
    let topic = into_topic(cursor)?;
    Ok((Watch { every: every.unwrap_or_default(), profile, alerts, except, unless, topic }, every))
}

fn columns(cursor: &mut Cursor<'_>) -> Parsed<Vec<Name>> {
    Ok(cursor.list("column", |_| true, |inner| inner.name("a column of the vector, or score"))?.items)
}

fn alert(cursor: &mut Cursor<'_>) -> Parsed<Alert> {
    let metric = cursor.name("psi, ks or missing_rate")?;
    let columns = if cursor.is_token(&Token::LParen) { columns(cursor)? } else { Vec::new() };
    cursor.expect_token(&Token::Gt)?;
    let threshold = cursor.peek().and_then(|token| token.number()?.parse().ok());
    let Some(threshold) = threshold else { return Err(cursor.expected("a number")) };
    cursor.next += 1;
    Ok(Alert { metric, columns, threshold })
}

fn condition(cursor: &mut Cursor<'_>) -> Parsed<Unless> {
    let what = cursor.name("`rows < number` or `p_value > number`")?;
    let sign = match what.text.to_lowercase().as_str() {
        "rows" => Token::Lt,
        "p_value" => Token::Gt,
        _ => {
            cursor.next -= 1;
            return Err(cursor.expected("`rows < number` or `p_value > number`"));
        }
    };
    cursor.expect_token(&sign)?;
    Ok(Unless { what, number: cursor.number("a number")? })
}
