//! `GET /health/live`, `/health/ready`, `/v1/status`, `/metrics`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use serde_json::json;

use crate::engine::{Readiness, Waiting};
use crate::telemetry::{Exposition, Metrics};

use crate::serve::native::answer::status_answer;
use crate::serve::process;
use crate::serve::routes::{LIVE, METRICS, READY, STATUS};
use crate::serve::state::{Answer, State, json as answered};

/// What a process that answers says.
pub(super) const ALIVE: &str = r#"{"live":true}"#;

pub(super) async fn live(Shared(state): Shared<Arc<State>>) -> Response {
    state.measured(LIVE, async { Ok(answered(ALIVE)) }).await
}

/// 503 until state is restored and, unless set otherwise, what the logs held at the start is applied; and once the server was
/// asked to stop.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = async {
        let readiness = state.readiness();
        let mut response = answered(readiness_answer(&readiness).to_string());
        if !readiness.ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(response)
    };
    state.measured(READY, answer).await
}

pub(super) async fn status(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = async {
        let (handle, readiness) = (state.handle.clone(), state.readiness());
        // It reads files.
        let looked = tokio::task::spawn_blocking(move || Ok(status_answer(&readiness, &handle.status(), &handle.sources()?)));
        let looked = looked.await;
        Ok(answered(looked.unwrap_or_else(|error| Err(crate::Error::internal(format!("the status ended before its answer: {error}"))))?))
    };
    state.measured(STATUS, answer).await
}

fn readiness_answer(readiness: &Readiness) -> serde_json::Value {
    let mut answer = json!({"ready": readiness.ready, "state": readiness.state});
    if let Some(problem) = &readiness.problem {
        answer["problem"] = problem.as_str().into();
    }
    if !readiness.waiting.is_empty() {
        let waiting = |of: &Waiting| json!({"source": of.source, "records": of.records});
        answer["waiting"] = readiness.waiting.iter().map(waiting).collect();
    }
    answer
}

pub(super) async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let owned = Arc::clone(&state);
    let refreshed = move || {
        owned.handle.refresh_metrics();
        Arc::clone(&owned.metrics)
    };
    state.measured(METRICS, rendered(headers, refreshed)).await
}

/// Off the sockets' threads: it reads files.
pub(super) async fn rendered(headers: HeaderMap, metrics: impl FnOnce() -> Arc<Metrics> + Send + 'static) -> Answer {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    let form = Exposition::accepted(&accept);
    let rendered = tokio::task::spawn_blocking(move || {
        let metrics = metrics();
        process::refresh(&metrics);
        metrics.render(form)
    });
    let text = rendered.await.map_err(|error| crate::Error::internal(format!("the metrics ended before their answer: {error}")))?;
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    Ok(response)
}
