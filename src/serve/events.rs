//! `POST /v1/sources/{source}/events`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::json;

use crate::decode::Lines;
use crate::engine::PushReceipt;

use super::error::Refusal;
use super::lookup::listed;
use super::routes::EVENTS;
use super::state::{Answer, State};
use super::{depth, frames};

/// The most records of one body: what is kept of a rejected one is more than its bytes.
const RECORDS_MAX: usize = 1_000_000;

pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    state.measured(EVENTS, pushed(&state, source, &headers, body)).await
}

async fn pushed(state: &Arc<State>, name: String, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = state.body(body)?;
    let plan = state.handle.plan();
    if plan.source(&name).is_none() {
        let known: Vec<_> = plan.sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Refusal::unknown("unknown_source", format!("there is no source {name}; there are: {}", listed(&known))));
    }
    let payloads = payloads(&body, Form::of(headers))?;
    let (pushing, source) = (Arc::clone(state), name.clone());
    let pushed = tokio::task::spawn_blocking(move || pushing.handle.push(&source, &payloads)).await;
    let receipt = pushed.map_err(|error| crate::Error::internal(format!("a push ended before its answer: {error}")))??;
    Ok(super::state::json(receipt_json(&name, &receipt).to_string()))
}

/// What is answered to a push; `positions` are what a lookup's `after` takes.
fn receipt_json(source: &str, receipt: &PushReceipt) -> serde_json::Value {
    let position =
        |(partition, offset): &(crate::Partition, crate::Offset)| json!({"source": source, "partition": partition.0, "offset": offset.0});
    let mut answer = json!({
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "rejects": receipt.rejects.iter().map(|(record, message)| json!({"record": record, "message": message})).collect::<Vec<_>>(),
        "positions": receipt.positions.iter().map(position).collect::<Vec<_>>(),
    });
    if !receipt.warnings.is_empty() {
        answer["warnings"] = json!(receipt.warnings);
    }
    answer
}

/// How the records of a body are told apart, by what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One JSON document, not lines.
    Document,
    /// Each behind its length.
    Frames,
    Lines,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence {
            essence if essence.eq_ignore_ascii_case(frames::CONTENT_TYPE) => Self::Frames,
            essence if essence.eq_ignore_ascii_case("application/json") => Self::Document,
            _ => Self::Lines,
        }
    }
}

/// The records of a body: its frames, the one object of a document, or as of a file, the elements of an array or lines. A line
/// that is no JSON is a record as well: it is rejected with its bytes kept, and those around it are not.
fn payloads(body: &[u8], form: Form) -> Result<Vec<Vec<u8>>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Err(Refusal::bad("empty_body", None, "there are no records: send one json object a line, or an array of objects"));
    }
    let records = if form == Form::Frames { frames::read(body, RECORDS_MAX)? } else { texts(body, form)? };
    if records.len() > RECORDS_MAX {
        return Err(Refusal::too_large(format!("the body has more than {RECORDS_MAX} records: send less at once")));
    }
    Ok(records)
}

fn texts(body: &[u8], form: Form) -> Result<Vec<Vec<u8>>, Refusal> {
    if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        return Err(Refusal::bad("invalid_json", None, "the body is UTF-16: send UTF-8"));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let object = body.trim_ascii();
    if form == Form::Document
        && object.starts_with(b"{")
        && depth::check(object).is_ok()
        && sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(object).is_ok()
    {
        return Ok(vec![object.to_vec()]);
    }
    let records = Lines::new(body).take(RECORDS_MAX + 1).map(|record| record.map(|record| record.bytes)).collect::<crate::Result<_>>();
    records.map_err(|error| Refusal::bad("invalid_json", None, format!("the body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(body: &str, form: Form) -> Vec<String> {
        payloads(body.as_bytes(), form).unwrap().into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect()
    }

    #[test]
    fn lines_arrays_documents_and_frames_are_told_apart() {
        assert_eq!(records("{\"a\":1}\n\n not json \r\n{\"a\":2}\n", Form::Lines), ["{\"a\":1}", " not json ", "{\"a\":2}"]);
        for form in [Form::Lines, Form::Document] {
            assert_eq!(records(" [ {\"a\": [1]}, 7 ]", form), ["{\"a\": [1]}", "7"]);
            assert_eq!(records("\u{feff}{\"a\":1}\n{\"a\":2}", form), ["{\"a\":1}", "{\"a\":2}"], "the byte order mark is none of it");
        }
        assert_eq!(records("{\"a\":\n1}\n", Form::Document), ["{\"a\":\n1}"]);
        assert_eq!(records("{\"a\":\n1}\n", Form::Lines), ["{\"a\":", "1}"]);
        assert_eq!(records("\0\0\0\x03{\n}\0\0\0\0", Form::Frames), ["{\n}", ""]);
        for (body, form, code) in [
            (&b" \n"[..], Form::Lines, "empty_body"),
            (b"", Form::Frames, "empty_body"),
            (b"[{\"a\":1}, {", Form::Lines, "invalid_json"),
            (b"[{\"a\":1},]", Form::Document, "invalid_json"),
            (b"\xff\xfe{\0}\0", Form::Lines, "invalid_json"),
            (b"{\"a\":1}", Form::Frames, "invalid_frames"),
        ] {
            assert_eq!(payloads(body, form).unwrap_err().code, code, "{body:?}");
        }
        assert_eq!(records("[]", Form::Document), Vec::<String>::new());
        let many = "1\n".repeat(RECORDS_MAX + 1);
        assert_eq!(payloads(many.as_bytes(), Form::Lines).unwrap_err().code, "too_large");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        for record in [format!("[{deep}]"), format!("{{\"a\":{deep}}}")] {
            assert_eq!(records(&record, Form::Document).len(), 1, "the decoder rejects it, with its bytes kept");
        }
    }
}
