//! `model name from 'file' sha256 '..' takes vector score source into topic '..' watch drift every '..' against '..' ..`

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed};
use super::tree::{ModelBody, Score, Watch};
use crate::language::diagnostics::codes;

const CLAUSES: [&str; 6] = ["from", "sha256", "takes", "score", "label", "watch"];

pub(super) fn model(cursor: &mut Cursor<'_>) -> Parsed<ModelBody> {
    let mut body = ModelBody::default();
    while !cursor.done() {
        let start = cursor.next;
        if clause(cursor, &mut body).is_err() {
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
        let watch = watch(cursor)?;
        let clause = cursor.clause(start, watch);
        cursor.once(&mut body.watch, clause, "watch drift");
    } else {
        return Err(cursor.expected("a clause of a model (from, sha256, takes, score, watch drift) or `;`"));
    }
    Ok(())
}

fn into_topic(cursor: &mut Cursor<'_>) -> Parsed<super::tree::Name> {
    cursor.expect("into")?;
    cursor.expect("topic")?;
    cursor.string("the topic's name in quotes")
}

fn watch(cursor: &mut Cursor<'_>) -> Parsed<Watch> {
    cursor.expect("drift")?;
    cursor.expect("every")?;
    let every = cursor.positive_duration("the interval")?;
    cursor.expect("against")?;
    let profile = cursor.string("the profile's file in quotes")?;
    let mut alerts = Vec::new();
    if cursor.eat("alert") {
        cursor.expect("when")?;
        loop {
            let metric = cursor.name("psi, ks or missing_rate")?;
            cursor.expect_token(&Token::Gt)?;
            let threshold = cursor.peek().and_then(|token| token.number()?.parse().ok());
            let Some(threshold) = threshold else { return Err(cursor.expected("a number")) };
            cursor.next += 1;
            alerts.push((metric, threshold));
            if !cursor.eat("or") {
                break;
            }
        }
    }
    let topic = into_topic(cursor)?;
    Ok(Watch { every, profile, alerts, topic })
}
