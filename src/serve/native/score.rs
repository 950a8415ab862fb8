//! `POST /v1/models/{model}/score`

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;

use crate::engine::{LookupAnswer, ScoreAnswer};
use crate::error::Error;
use crate::telemetry::names;

use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Takes};
use crate::serve::native::lookup::{listed, look_up};
use crate::serve::native::request::Absent;
use crate::serve::routes::SCORE;
use crate::serve::state::{Answer, State, json};

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Json).await;
    let named = |asked: &Asked| state.handle.plan().models.iter().find(|declared| declared.name == asked.name);
    let declared = asked.as_ref().ok().and_then(named).map(|model| model.name.as_str());
    let response = state.measured(SCORE, scored(&state, asked)).await;
    state.count_refused_of(names::SCORE_ERRORS, "model", declared, &response);
    response
}

async fn scored(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let Asked { name, body, .. } = asked?;
    let plan = state.handle.plan();
    let model = plan.models.iter().position(|model| model.name == name).ok_or_else(|| {
        let known: Vec<_> = plan.models.iter().map(|model| model.name.as_str()).collect();
        Refusal::unknown("unknown_model", format!("there is no model {name}; there are: {}", listed(&known)))
    })?;
    let lookup = look_up(state, plan.models[model].vector, body, Absent::Fault, |answer| answer).await?;
    Ok(json(run(state, model, name, lookup).await?))
}

/// Rows whose values and scores are written on the spot.
const ROWS_SMALL: usize = 1_000;

/// Requests of one model take turns before they take a thread, so that any number of them leaves threads for lookups and for
/// other models. Where it is nobody's turn, a quick one is answered on the spot.
async fn run(state: &Arc<State>, model: usize, name: String, lookup: LookupAnswer) -> Result<Vec<u8>, Error> {
    let written = move |answer: ScoreAnswer| crate::serve::score_answer(&name, &answer);
    // Writing the answer takes its time too.
    if lookup.rows.count <= ROWS_SMALL
        && state.handle.scores_quickly(model, lookup.rows.count)
        && let Ok(_turn) = state.turns[model].try_lock()
    {
        return state.handle.score(model, lookup).map(written);
    }
    let turn = Arc::clone(&state.turns[model]).lock_owned().await;
    let state = Arc::clone(state);
    let scored = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        state.handle.score(model, lookup).map(written)
    });
    scored.await.unwrap_or_else(|error| Err(Error::internal(format!("a score ended before its answer: {error}"))))
}
