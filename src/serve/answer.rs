//! The bodies of answered lookups and scores.

use crate::engine::{Freshness, LookupAnswer, ScoreAnswer};
use crate::error::Result;
use crate::json::{write_float, write_text};

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
        out.extend_from_slice(if index == 0 { b"{\"source\":" } else { b",{\"source\":" });
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
        out.push(b'}');
    }
    out.push(b']');
}
