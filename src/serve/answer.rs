//! The bodies of answered lookups and scores, and of the status.

use crate::engine::{Freshness, LookupAnswer, ScoreAnswer, SourceReport, Status};
use crate::error::Result;
use crate::json::{write_float, write_text};
use crate::online::{TOO_FAR_AHEAD, TOO_LATE};
use crate::time::Span;

use super::columns;

/// `{"vector","names":[..],"values":[[..]..],"seq","as_of","sources":[..]}`
pub fn lookup_answer(vector: &str, answer: &LookupAnswer) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(512 + 16 * answer.columns.num_columns() * answer.columns.num_rows());
    out.extend_from_slice(b"{\"vector\":");
    write_text(&mut out, vector);
    out.push(b',');
    values_and_cut(answer, &mut out)?;
    out.push(b'}');
    Ok(out)
}

/// `{"model","version","scores":[..]}` and then as `lookup_answer`.
pub fn score_answer(model: &str, answer: &ScoreAnswer) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"model\":");
    write_text(&mut out, model);
    out.extend_from_slice(b",\"version\":");
    write_text(&mut out, &answer.model_version);
    out.extend_from_slice(b",\"scores\":[");
    for (row, score) in answer.scores.iter().enumerate() {
        if row > 0 {
            out.push(b',');
        }
        write_float(&mut out, *score);
    }
    out.extend_from_slice(b"],");
    values_and_cut(&answer.lookup, &mut out)?;
    out.push(b'}');
    Ok(out)
}

/// `{"ready","seq","lag_events","sources":[..],"problems":[..]}`, each source as in a lookup, then its ledger: counts since
/// the data folder began, and milliseconds.
pub fn status_answer(status: &Status, sources: &[SourceReport]) -> Vec<u8> {
    let mut out =
        format!("{{\"ready\":{},\"seq\":{},\"lag_events\":{},\"sources\":[", status.ready, status.seq, status.lag_events).into_bytes();
    for (index, report) in sources.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        source(&report.freshness, &mut out);
        out.push(b',');
        ledger(report, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"problems\":[");
    for (index, problem) in status.problems.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(&mut out, problem);
    }
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
    for (index, (reason, count)) in others.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, reason);
        out.extend_from_slice(format!(":{count}").as_bytes());
    }
    out.push(b'}');
}

fn values_and_cut(answer: &LookupAnswer, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(b"\"names\":[");
    for (index, field) in answer.columns.schema_ref().fields().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, field.name());
    }
    out.extend_from_slice(b"],\"values\":");
    columns::rows(&answer.columns, out)?;
    out.extend_from_slice(b",\"seq\":");
    out.extend_from_slice(answer.seq.0.to_string().as_bytes());
    out.extend_from_slice(b",\"as_of\":");
    columns::time(answer.as_of, out);
    out.extend_from_slice(b",\"sources\":");
    sources(&answer.sources, out);
    Ok(())
}

/// `[{"source","frontier","staleness_ms"}..]`, the latter two null for a source without events.
pub(super) fn sources(sources: &[Freshness], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, freshness) in sources.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        source(freshness, out);
        out.push(b'}');
    }
    out.push(b']');
}

/// The object of a source, but for its end.
fn source(freshness: &Freshness, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"source\":");
    write_text(out, &freshness.source);
    out.extend_from_slice(b",\"frontier\":");
    match freshness.frontier {
        Some(frontier) => columns::time(frontier, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"staleness_ms\":");
    match freshness.staleness_ms {
        Some(staleness) => columns::int(staleness, out),
        None => out.extend_from_slice(b"null"),
    }
}
