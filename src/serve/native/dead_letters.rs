//! `POST /v1/sources/{source}/deadletters/replay`

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::engine::{Ends, ReplayRequest, Replayed};
use crate::id::{Offset, Partition};
use crate::time::{EventTime, Span};

use crate::serve::depth::{self, Shape};
use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Takes};
use crate::serve::native::lookup::listed;
use crate::serve::routes::REPLAY;
use crate::serve::state::{Answer, State};

/// Which dead letters; every field may be left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Body {
    reason: Option<String>,
    since: Option<String>,
    until: Option<String>,
    before: Option<Vec<End>>,
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    partition: u32,
    offset: u64,
}

pub(in crate::serve) async fn replay(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Json).await;
    state.measured(REPLAY, replayed(&state, asked)).await
}

async fn replayed(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let Asked { name, body, .. } = asked?;
    let plan = state.handle.plan();
    if plan.source(&name).is_none() {
        let known: Vec<_> = plan.sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Refusal::unknown("unknown_source", format!("there is no source {name}; there are: {}", listed(&known))));
    }
    let request = request(body.bytes())?;
    let (asked, source) = (Arc::clone(state), name.clone());
    let done = tokio::task::spawn_blocking(move || asked.handle.replay(&source, &request)).await;
    let done = done.map_err(|error| crate::Error::internal(format!("a replay ended before its answer: {error}")))??;
    Ok(crate::serve::state::json(replay_answer(&name, &done).to_string()))
}

/// An empty body asks for all.
fn request(body: &[u8]) -> Result<ReplayRequest, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(ReplayRequest::default());
    }
    depth::check(body, Shape::ANY)?;
    if body.trim_ascii().starts_with(b"[") {
        // Which a struct would be read from as well, member by member.
        return Err(Refusal::bad("wrong_type", None, "the body is an array: send an object with reason, since, until, before, dry_run"));
    }
    let wrong = |error: serde_json::Error| {
        let code = if error.is_data() { "wrong_type" } else { "invalid_json" };
        Refusal::bad(code, None, format!("the body: {error}; it may have reason, since, until, before and dry_run"))
    };
    let Body { reason, since, until, before, dry_run } = serde_json::from_slice(body).map_err(wrong)?;
    let time = |field: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => EventTime::parse(&text).map(Some).ok_or_else(|| {
            let message = format!("{field} is no time such as 2026-01-31T12:00:00Z: '{text}'");
            Refusal::bad("wrong_type", field.to_owned(), message)
        }),
    };
    let end = |end: End| (Partition(end.partition), Offset(end.offset));
    Ok(ReplayRequest {
        reason,
        since: time("since", since)?,
        until: time("until", until)?,
        before: before.map(|ends| ends.into_iter().map(end).collect()),
        dry_run,
    })
}

/// The body that asks for it.
#[must_use]
pub fn replay_body(request: &ReplayRequest) -> Json {
    let time = |time: Option<EventTime>| time.map(|time| time.to_string());
    json!({
        "reason": request.reason, "since": time(request.since), "until": time(request.until),
        "before": request.before.as_ref().map(ends), "dry_run": request.dry_run,
    })
}

/// What is answered to it.
#[must_use]
pub fn replay_answer(source: &str, done: &Replayed) -> Json {
    let left: Map<String, Json> =
        done.left.iter().map(|(reason, (count, first))| (reason.clone(), json!({"records": count, "first": first}))).collect();
    let mut answer = json!({
        "source": source, "replayed": done.replayed, "already": done.already, "left": left, "more": done.more, "before": ends(&done.before),
    });
    if done.too_late.events > 0 {
        answer["lateness_wanted_ms"] = json!(milliseconds(done.too_late.behind));
    }
    answer
}

/// What a body that was answered to says of how far the topic was looked at.
#[must_use]
pub fn replay_ends(answer: &Json) -> Ends {
    let end = |end: &Json| Some((Partition(u32::try_from(end["partition"].as_u64()?).ok()?), Offset(end["offset"].as_u64()?)));
    answer["before"].as_array().into_iter().flatten().filter_map(end).collect()
}

fn ends(ends: &Ends) -> Vec<End> {
    ends.iter().map(|(partition, offset)| End { partition: partition.0, offset: offset.0 }).collect()
}

fn milliseconds(span: Span) -> i64 {
    span.0.saturating_add(999) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_as_it_was_written() {
        let asked = ReplayRequest {
            reason: Some("too_late".into()),
            since: EventTime::parse("2026-01-31T12:00:00Z"),
            until: None,
            before: Some([(Partition(1), Offset(7))].into()),
            dry_run: true,
        };
        assert_eq!(request(replay_body(&asked).to_string().as_bytes()).unwrap(), asked);
        assert_eq!(request(b" ").unwrap(), ReplayRequest::default());
        let done = Replayed { before: [(Partition(1), Offset(7))].into(), ..Replayed::default() };
        assert_eq!(replay_ends(&replay_answer("s", &done)), done.before);
        for (body, code) in [
            ("{", "invalid_json"),
            ("[null, null]", "wrong_type"),
            ("{\"reasons\":1}", "wrong_type"),
            ("{\"since\":\"yesterday\"}", "wrong_type"),
        ] {
            assert_eq!(request(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
    }
}
