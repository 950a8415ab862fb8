//! `GET /health/live`, `/health/ready`, `/v1/status`, `/metrics`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::telemetry::names;

use super::answer::status_answer;
use super::routes::{LIVE, METRICS, READY, STATUS};
use super::state::{State, json};

pub(super) async fn live(Shared(state): Shared<Arc<State>>) -> Response {
    state.measured(LIVE, async { Ok(json(r#"{"live":true}"#)) }).await
}

/// 503 until state is restored.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = async {
        let ready = state.handle.is_ready();
        let mut response = json(format!("{{\"ready\":{ready}}}"));
        if !ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(response)
    };
    state.measured(READY, answer).await
}

pub(super) async fn status(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = async {
        let sources = state.handle.sources()?;
        let handle = state.handle.clone();
        let status = tokio::task::spawn_blocking(move || handle.status()).await;
        let status = status.map_err(|error| crate::Error::internal(format!("the status ended before its answer: {error}")))?;
        Ok(json(status_answer(&status, &sources)))
    };
    state.measured(STATUS, answer).await
}

pub(super) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = async {
        state.handle.refresh_metrics();
        of_process(&state);
        let mut response = Response::new(state.metrics.render().into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        Ok(response)
    };
    state.measured(METRICS, answer).await
}

/// What the system says of this process; left out where it does not say.
fn of_process(state: &State) {
    const PAGE_BYTES: f64 = 4096.0;
    const TICKS_PER_SECOND: u64 = 100;
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    if let Some(pages) = read("/proc/self/statm").split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()) {
        state.metrics.set(names::PROCESS_MEMORY, &[], pages * PAGE_BYTES);
    }
    // Fields 14 and 15, counted after the command, which may hold blanks and ends with a bracket.
    let stat = read("/proc/self/stat");
    let ticks = stat
        .rsplit(')')
        .next()
        .map(|rest| rest.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>());
    if let Some(ticks) = ticks {
        let seconds = state.metrics.counter(names::PROCESS_CPU, &[]);
        seconds.add((ticks / TICKS_PER_SECOND).saturating_sub(seconds.get()));
    }
}
