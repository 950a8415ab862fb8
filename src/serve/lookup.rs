//! `POST /v1/vectors/{vector}/lookup`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State as Shared};
use axum::response::Response;

use crate::engine::LookupRequest;
use crate::error::{Error, Result};
use crate::telemetry::names;

use super::error::Refusal;
use super::request::{self, Absent};
use super::routes::LOOKUP;
use super::state::{Answer, State, json};

pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Path(vector): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Response {
    let response = state.measured(LOOKUP, looked_up(&state, &vector, body)).await;
    let declared = state.handle.plan().vector(&vector).map(|vector| vector.name.as_str());
    state.count_refused_of(names::LOOKUP_ERRORS, "vector", declared, &response);
    response
}

async fn looked_up(state: &Arc<State>, name: &str, body: std::result::Result<Bytes, BytesRejection>) -> Answer {
    let body = state.body(body)?;
    let plan = state.handle.plan();
    let vector = plan.vector(name).ok_or_else(|| {
        let known: Vec<_> = plan.vectors.iter().map(|vector| vector.name.as_str()).collect();
        Refusal::unknown("unknown_vector", format!("there is no vector {name}; there are: {}", listed(&known)))
    })?;
    let request = request::lookup(vector, &body, Absent::Null)?;
    let answer = blocking_when_waiting(state, request, |state, request| state.handle.lookup(&request)).await?;
    Ok(json(super::lookup_answer(name, &answer)))
}

/// A lookup takes microseconds and is answered on the spot; one that may wait for positions gets a thread of its own.
pub(super) async fn blocking_when_waiting<T: Send + 'static>(
    state: &Arc<State>,
    request: LookupRequest,
    ask: impl FnOnce(&State, LookupRequest) -> Result<T> + Send + 'static,
) -> Result<T> {
    if request.after.is_empty() {
        return ask(state, request);
    }
    let state = Arc::clone(state);
    let asked = tokio::task::spawn_blocking(move || ask(&state, request)).await;
    asked.unwrap_or_else(|error| Err(Error::internal(format!("a lookup ended before its answer: {error}"))))
}

/// Names for a message.
pub(super) fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
