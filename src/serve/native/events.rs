//! `POST /v1/sources/{source}/events`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::decode::Lines;
use crate::engine::PushReceipt;

use crate::serve::depth::{self, Shape};
use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Form, Takes};
use crate::serve::native::frames;
use crate::serve::native::lookup::listed;
use crate::serve::routes::EVENTS;
use crate::serve::state::{Answer, State};

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Records).await;
    state.measured(EVENTS, pushed(&state, asked)).await
}

async fn pushed(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let Asked { name, form, body } = asked?;
    let plan = state.handle.plan();
    if plan.source(&name).is_none() {
        let known: Vec<_> = plan.sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Refusal::unknown("unknown_source", format!("there is no source {name}; there are: {}", listed(&known))));
    }
    let (pushing, source) = (Arc::clone(state), name.clone());
    let pushed = tokio::task::spawn_blocking(move || -> Result<PushReceipt, Refusal> {
        let payloads = payloads(body.bytes(), form, pushing.limits.records_max)?;
        Ok(pushing.handle.push(&source, &payloads)?)
    });
    let receipt = pushed.await.map_err(|error| crate::Error::internal(format!("a push ended before its answer: {error}")))??;
    let mut response = crate::serve::state::json(receipt_json(&name, &receipt).to_string());
    if receipt.accepted == 0 {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
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
    if receipt.too_late.events > 0 {
        let (events, wanted) = (receipt.too_late.events, receipt.too_late.behind.covering());
        let message = format!(
            "{events} of the accepted records will be set aside as too late: lateness '{wanted}' would keep them, and `forebay deadletters \
             replay {source}` puts them back once it is declared"
        );
        answer["too_late"] =
            json!({"records": events, "lateness_wanted_ms": receipt.too_late.behind.0.saturating_add(999) / 1000, "message": message});
    }
    if !receipt.warnings.is_empty() {
        answer["warnings"] = json!(receipt.warnings);
    }
    if receipt.accepted == 0 {
        let why = receipt.rejects.first().map(|(record, message)| format!(": record {record}: {message}")).unwrap_or_default();
        let message = format!(
            "none of the {} records is an event of {source}{why}; they are in the log and go to its dead letters: mend them and push them \
             again",
            receipt.rejected
        );
        answer["error"] = json!({"code": "nothing_accepted", "message": message});
    }
    answer
}

/// The records of a body, where they lie in it: its frames, the one object of a document, or as of a file, the elements of an
/// array or lines. A line that is no JSON is a record as well: it is rejected with its bytes kept, and those around it are not.
fn payloads(body: &Bytes, form: Form, most: usize) -> Result<Vec<&[u8]>, Refusal> {
    let empty = || Refusal::bad("empty_body", None, "there are no records: send one json object a line, or an array of objects");
    if body.trim_ascii().is_empty() {
        return Err(empty());
    }
    let records = if form == Form::Frames { frames::read(body, most)? } else { texts(body, form, most)? };
    match records.len() {
        0 => Err(empty()),
        count if count > most => {
            Err(Refusal::too_large(format!("the body has more than {most} records: send less at once, or raise records_max")))
        }
        _ => Ok(records),
    }
}

fn texts(body: &[u8], form: Form, most: usize) -> Result<Vec<&[u8]>, Refusal> {
    if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        return Err(Refusal::bad("invalid_json", None, "the body is UTF-16: send UTF-8"));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let object = body.trim_ascii();
    if form == Form::Document
        && object.starts_with(b"{")
        && depth::check(object, Shape::ANY).is_ok()
        && sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(object).is_ok()
    {
        return Ok(vec![object]);
    }
    let (mut lines, mut records) = (Lines::new(body), Vec::new());
    while let Some(record) = lines.next()
        && records.len() <= most
    {
        let record = record.map_err(|error| Refusal::bad("invalid_json", None, format!("the body: {error}")))?;
        records.push(&body[lines.start()..lines.start() + record.bytes.len()]);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;

    fn records(body: &str, form: Form) -> Vec<String> {
        let body = Bytes::from(body.to_owned());
        payloads(&body, form, MOST).unwrap().into_iter().map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
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
            (b"[ ]", Form::Document, "empty_body"),
            (b"[{\"a\":1}, {", Form::Lines, "invalid_json"),
            (b"[{\"a\":1},]", Form::Document, "invalid_json"),
            (b"\xff\xfe{\0}\0", Form::Lines, "invalid_json"),
            (b"{\"a\":1}", Form::Frames, "invalid_frames"),
        ] {
            assert_eq!(payloads(&Bytes::from_static(body), form, MOST).unwrap_err().code, code, "{body:?}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        for record in [format!("[{deep}]"), format!("{{\"a\":{deep}}}")] {
            assert_eq!(records(&record, Form::Document).len(), 1, "the decoder rejects it, with its bytes kept");
        }
    }

    #[test]
    fn records_beyond_the_limit_are_refused_in_every_form() {
        for (body, form) in [
            ("1\n".repeat(MOST + 1), Form::Lines),
            (format!("[{}]", vec!["{}"; MOST + 1].join(",")), Form::Document),
            ("\0\0\0\0".repeat(MOST + 1), Form::Frames),
        ] {
            assert_eq!(payloads(&Bytes::from(body), form, MOST).unwrap_err().code, "too_large");
        }
        assert_eq!(records(&"1\n".repeat(MOST), Form::Lines).len(), MOST);
    }
}
