//! `POST /v1/models/{model}/score`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State as Shared};
use axum::response::Response;

use super::error::Refusal;
use super::lookup::{blocking_when_waiting, listed};
use super::request::{self, Absent};
use super::routes::SCORE;
use super::state::{Answer, State, json};

pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Path(model): Path<String>, body: Result<Bytes, BytesRejection>) -> Response {
    state.measured(SCORE, scored(&state, model, body)).await
}

async fn scored(state: &Arc<State>, name: String, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = state.body(body)?;
    let plan = state.handle.plan();
    let model = plan.model(&name).ok_or_else(|| {
        let known: Vec<_> = plan.models.iter().map(|model| model.name.as_str()).collect();
        Refusal::unknown("unknown_model", format!("there is no model {name}; there are: {}", listed(&known)))
    })?;
    let request = request::lookup(&plan.vectors[model.vector], &body, Absent::Fault)?;
    let asked = name.clone();
    let answer = blocking_when_waiting(state, request, move |state, request| state.handle.score(&asked, request)).await?;
    Ok(json(super::score_answer(&name, &answer)))
}
