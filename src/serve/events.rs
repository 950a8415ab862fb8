//! `POST /v1/sources/{source}/events`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::json;

use crate::engine::PushReceipt;

use super::depth;
use super::error::Refusal;
use super::lookup::listed;
use super::routes::EVENTS;
use super::state::{Answer, State};

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
    let payloads = payloads(&body, is_document(headers))?;
    let (pushing, source) = (Arc::clone(state), name.clone());
    let pushed = tokio::task::spawn_blocking(move || pushing.handle.push(&source, &payloads)).await;
    let receipt = pushed.map_err(|error| crate::Error::internal(format!("a push ended before its answer: {error}")))??;
    Ok(super::state::json(receipt_json(&name, &receipt).to_string()))
}

/// What is answered to a push; `positions` are what a lookup's `after` takes.
fn receipt_json(source: &str, receipt: &PushReceipt) -> serde_json::Value {
    let position =
        |(partition, offset): &(crate::Partition, crate::Offset)| json!({"source": source, "partition": partition.0, "offset": offset.0});
    json!({
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "rejects": receipt.rejects.iter().map(|(record, message)| json!({"record": record, "message": message})).collect::<Vec<_>>(),
        "positions": receipt.positions.iter().map(position).collect::<Vec<_>>(),
    })
}

/// Whether the body says that it is one JSON document, not lines.
fn is_document(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")))
}

/// The records of a body: the items of a JSON array, the one object of a document, or lines. A line that is no JSON is
/// a record as well: it is rejected with its bytes kept, and those around it are not.
fn payloads(body: &[u8], document: bool) -> Result<Vec<Vec<u8>>, Refusal> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => Err(Refusal::bad("empty_body", None, "there are no records: send one json object a line, or an array of objects")),
        Some(b'[') => {
            depth::check(body)?;
            let item = |item: sonic_rs::Result<sonic_rs::LazyValue<'_>>| item.map(|item| item.as_raw_str().as_bytes().to_vec());
            let items: Result<_, _> = sonic_rs::to_array_iter(body).map(item).collect();
            items.map_err(|error| {
                Refusal::bad(
                    "invalid_json",
                    None,
                    format!("the body is no json array: {}", error.to_string().lines().next().unwrap_or_default()),
                )
            })
        }
        Some(_) if document && depth::check(body).is_ok() && sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(body).is_ok() => {
            Ok(vec![body.trim_ascii().to_vec()])
        }
        Some(_) => {
            Ok(body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str, document: bool) -> Vec<String> {
        payloads(body.as_bytes(), document).unwrap().into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect()
    }

    #[test]
    fn lines_arrays_and_documents_are_told_apart() {
        assert_eq!(texts("{\"a\":1}\n\n not json \r\n{\"a\":2}\n", false), ["{\"a\":1}", "not json", "{\"a\":2}"]);
        assert_eq!(texts(" [ {\"a\": [1]}, 7 ]", false), ["{\"a\": [1]}", "7"]);
        assert_eq!(texts("{\"a\":\n1}\n", true), ["{\"a\":\n1}"]);
        assert_eq!(texts("{\"a\":1}\n{\"a\":2}", true), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(payloads(b" \n", false).unwrap_err().code, "empty_body");
        assert_eq!(payloads(b"[{\"a\":1}, {", false).unwrap_err().code, "invalid_json");
        assert_eq!(texts("[]", true), Vec::<String>::new());
        let deep = format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(payloads(deep.as_bytes(), true).unwrap_err().code, "invalid_json");
        let record = format!("{{\"a\":{deep}}}");
        assert_eq!(texts(&record, true), [record.as_str()], "the decoder rejects it, with its bytes kept");
    }
}
