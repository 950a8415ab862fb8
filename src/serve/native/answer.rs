//! The bodies of answers to lookups and scores, and of the status.

use crate::engine::{Freshness, LookupAnswer, Readiness, ScoreAnswer, SourceReport, Status};
use crate::error::Error;
use crate::json::{write_each, write_float, write_text, write_value};
use crate::online::{TOO_FAR_AHEAD, TOO_LATE};
use crate::time::Span;
use crate::value::Value;

/// `{"vector","names":[..],"values":[[..]..],"seq","as_of","sources":[..]}`, and `"errors":[..]` before `names` where some row
/// could not be read.
pub fn lookup_answer(vector: &str, answer: &LookupAnswer) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + 16 * answer.rows.schema.fields().len() * answer.rows.count);
    out.extend_from_slice(b"{\"vector\":");
    write_text(&mut out, vector);
    out.push(b',');
    errors(&mut out, (0..answer.rows.count).map(|row| answer.unread.get(&row)));
    values_and_cut(answer, &mut out);
    out.push(b'}');
    out
}

/// `{"model","version","scores":[..]}`, `"outputs":[..]` where the model's declaration hands some on, `"errors":[..]` where
/// some row has no score, and then as `lookup_answer`.
pub fn score_answer(model: &str, answer: &ScoreAnswer) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"model\":");
    write_text(&mut out, model);
    out.extend_from_slice(b",\"version\":");
    write_text(&mut out, &answer.model_version);
    out.extend_from_slice(b",\"scores\":[");
    write_each(&mut out, answer.scores.iter(), |out, score| match score {
        Ok(scored) => write_float(out, scored.score),
        Err(_) => out.extend_from_slice(b"null"),
    });
    if answer.scores.iter().flatten().any(|scored| !scored.outputs.is_null()) {
        out.extend_from_slice(b"],\"outputs\":[");
        write_each(&mut out, answer.scores.iter(), |out, score| match score {
            Ok(scored) => write_value(out, &scored.outputs),
            Err(_) => out.extend_from_slice(b"null"),
        });
    }
    out.extend_from_slice(b"],");
    errors(&mut out, answer.scores.iter().map(|score| score.as_ref().err()));
    values_and_cut(&answer.lookup, &mut out);
    out.push(b'}');
    out
}

/// `"errors":[..],` with a text for each row that has an error and null for the others; nothing where none has.
fn errors<'a>(out: &mut Vec<u8>, of_rows: impl Iterator<Item = Option<&'a Error>> + Clone) {
    if of_rows.clone().all(|error| error.is_none()) {
        return;
    }
    out.extend_from_slice(b"\"errors\":[");
    write_each(out, of_rows, |out, error| match error {
        None => out.extend_from_slice(b"null"),
        Some(error) => write_text(out, &error.to_string()),
    });
    out.extend_from_slice(b"],");
}

/// `{"ready","state","seq","lag_events","sources":[..],"problems":[..]}`, each source as in a lookup, then its ledger: counts since
/// the data folder began, and milliseconds.
pub fn status_answer(readiness: &Readiness, status: &Status, sources: &[SourceReport]) -> Vec<u8> {
    let Readiness { ready, state, .. } = readiness;
    let Status { seq, lag_events, .. } = status;
    let mut out = format!("{{\"ready\":{ready},\"state\":\"{state}\",\"seq\":{seq},\"lag_events\":{lag_events},\"sources\":[").into_bytes();
    write_each(&mut out, sources.iter(), |out, report| {
        source(&report.freshness, out);
        out.push(b',');
        ledger(report, out);
        out.push(b'}');
    });
    out.extend_from_slice(b"],\"problems\":[");
    write_each(&mut out, status.problems.iter(), |out, problem| write_text(out, problem));
    out.extend_from_slice(b"]}");
    out
}

/// The members of a source's ledger.
fn ledger(report: &SourceReport, out: &mut Vec<u8>) {
    let SourceReport { lateness, ledger, .. } = report;
    let milliseconds = |span: Span| (span.0.saturating_add(999) / 1000).to_string();
    let wanted = |per_mille| ledger.too_late.covering(per_mille).map_or_else(|| "null".to_owned(), milliseconds);
    let (too_late, too_far_ahead) = (ledger.rejected_for(TOO_LATE), ledger.rejected_for(TOO_FAR_AHEAD));
    let members = [
        ("accepted", ledger.accepted.to_string()),
        ("late", ledger.late.to_string()),
        ("too_late", too_late.to_string()),
        ("too_far_ahead", too_far_ahead.to_string()),
        ("duplicate", ledger.duplicates.to_string()),
        ("retracted", ledger.retracted.to_string()),
        ("lateness_ms", if *lateness == Span::MAX { "null".to_owned() } else { milliseconds(*lateness) }),
        ("late_max_ms", milliseconds(ledger.late_max)),
        ("too_late_max_ms", milliseconds(ledger.too_late.longest())),
        ("lateness_wanted_ms", format!("{{\"0.999\":{},\"1\":{}}}", wanted(999), wanted(1000))),
    ];
    for (name, value) in members {
        out.extend_from_slice(format!("\"{name}\":{value},").as_bytes());
    }
    out.extend_from_slice(b"\"rejected\":{");
    let others = ledger.rejected.iter().filter(|(reason, _)| ![TOO_LATE, TOO_FAR_AHEAD].contains(&reason.as_str()));
    write_each(out, others, |out, (reason, count)| {
        write_text(out, reason);
        out.extend_from_slice(format!(":{count}").as_bytes());
    });
    out.push(b'}');
}

fn values_and_cut(answer: &LookupAnswer, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"names\":[");
    write_each(out, answer.rows.schema.fields().iter(), |out, field| write_text(out, field.name()));
    out.extend_from_slice(b"],\"values\":[");
    write_each(out, answer.rows.iter().enumerate(), |out, (row, values)| {
        if answer.unread.contains_key(&row) {
            return out.extend_from_slice(b"null");
        }
        out.push(b'[');
        write_each(out, values.iter(), write_value);
        out.push(b']');
    });
    out.push(b']');
    out.extend_from_slice(b",\"seq\":");
    out.extend_from_slice(answer.seq.0.to_string().as_bytes());
    out.extend_from_slice(b",\"as_of\":");
    write_value(out, &Value::Timestamp(answer.as_of.0));
    out.extend_from_slice(b",\"sources\":");
    sources(&answer.sources, out);
}

/// `[{"source","frontier","staleness_ms"}..]`, the latter two null for a source without events.
pub(in crate::serve) fn sources(sources: &[Freshness], out: &mut Vec<u8>) {
    out.push(b'[');
    write_each(out, sources.iter(), |out, freshness| {
        source(freshness, out);
        out.push(b'}');
    });
    out.push(b']');
}

/// The object of a source, but for its end.
fn source(freshness: &Freshness, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"source\":");
    write_text(out, &freshness.source);
    out.extend_from_slice(b",\"frontier\":");
    write_value(out, &freshness.frontier.map_or(Value::Null, |frontier| Value::Timestamp(frontier.0)));
    out.extend_from_slice(b",\"staleness_ms\":");
    write_value(out, &freshness.staleness_ms.map_or(Value::Null, Value::Int));
    out.extend_from_slice(format!(",\"records_behind\":{}", freshness.records_behind).as_bytes());
}
