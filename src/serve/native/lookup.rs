//! `POST /v1/vectors/{vector}/lookup`, and how requests of lookups and scores are read and answered: small ones on the spot, all
//! others on threads that no socket waits for.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;

use crate::engine::{LookupAnswer, LookupRequest, Tried};
use crate::error::Error;
use crate::telemetry::{Counted, names};

use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Body, Takes};
use crate::serve::native::request::{self, Absent};
use crate::serve::routes::LOOKUP;
use crate::serve::state::{Answer, State, json};

/// A body that is read on the spot: larger ones take longer than a socket's thread may be held.
const BODY_SMALL: usize = 64 << 10;

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Json).await;
    let declared = asked.as_ref().ok().and_then(|asked| Some(state.handle.plan().vector(&asked.name)?.name.as_str()));
    let response = state.measured(LOOKUP, looked_up(&state, asked)).await;
    state.count_refused_of(names::LOOKUP_ERRORS, "vector", declared, &response);
    response
}

async fn looked_up(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let Asked { name, body, .. } = asked?;
    let plan = state.handle.plan();
    let vector = plan.vectors.iter().position(|vector| vector.name == name).ok_or_else(|| {
        let known: Vec<_> = plan.vectors.iter().map(|vector| vector.name.as_str()).collect();
        Refusal::unknown("unknown_vector", format!("there is no vector {name}; there are: {}", listed(&known)))
    })?;
    let written = move |answer: LookupAnswer| crate::serve::lookup_answer(&name, &answer);
    Ok(json(look_up(state, vector, body, Absent::Null, written).await?))
}

/// Looks up what a body asks of the vector at that place, and does with the answer what is to be done in the same place.
pub(in crate::serve) async fn look_up<T: Send + 'static>(
    state: &Arc<State>,
    vector: usize,
    body: Body,
    absent: Absent,
    then: impl FnOnce(LookupAnswer) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let mut request = read(state, vector, body, absent).await?;
    wait_after(state, &request).await?;
    let as_of = request.as_of;
    let mut tried = state.handle.try_lookup(&request);
    if matches!(tried, Tried::Busy) {
        let owned = Arc::clone(state);
        let waited = tokio::task::spawn_blocking(move || (owned.handle.lookup_waiting(&request), request)).await;
        (tried, request) = waited.map_err(|error| Error::internal(format!("a lookup ended before its answer: {error}")))?;
    }
    let owned = Arc::clone(state);
    let answered = match tried {
        Tried::Answered(answer) => answer.map(then),
        Tried::Busy | Tried::Long => state.long.run(move || owned.handle.lookup_long(&request).map(then)).await?,
    };
    answered.map_err(|error| request::placed(error, as_of, || state.handle.horizon(&state.handle.plan().vectors[vector])))
}

async fn read(state: &Arc<State>, vector: usize, body: Body, absent: Absent) -> Result<LookupRequest, Refusal> {
    if body.bytes().len() <= BODY_SMALL {
        return request::lookup(vector, &state.handle.plan().vectors[vector], body.bytes(), absent);
    }
    let owned = Arc::clone(state);
    state.long.run(move || request::lookup(vector, &owned.handle.plan().vectors[vector], body.bytes(), absent)).await?
}

/// Waits for the positions of `after`, which takes no thread.
async fn wait_after(state: &State, request: &LookupRequest) -> Result<(), Refusal> {
    state.handle.check_after(request).map_err(|misplaced| {
        let field = format!("after[{}].{}", misplaced.index, misplaced.part);
        Refusal::bad("unknown_position", field, misplaced.message)
    })?;
    if state.handle.has_applied(request) {
        return Ok(());
    }
    let _waits = state.waits.try_acquire().map_err(|_| {
        let message = "too many lookups wait for positions already: ask again, wait less, or raise waiting_lookups_max".to_owned();
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", field: None, message }
    })?;
    let _waiting = Counted::new(&state.waiting);
    Ok(state.handle.applied_past(request).await?)
}

/// Names for a message.
pub(in crate::serve) fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
