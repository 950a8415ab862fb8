//! `GET /health/live`, `/health/ready`, `/v1/status`, `/metrics`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::telemetry::Exposition;

use super::answer::status_answer;
use super::process;
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

/// Off the sockets' threads: it reads files.
pub(super) async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let answer = async {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
        let form = Exposition::accepted(&accept);
        let owned = Arc::clone(&state);
        let rendered = tokio::task::spawn_blocking(move || {
            owned.handle.refresh_metrics();
            process::refresh(&owned.metrics);
            owned.metrics.render(form)
        });
        let text = rendered.await.map_err(|error| crate::Error::internal(format!("the metrics ended before their answer: {error}")))?;
        let mut response = Response::new(text.into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        Ok(response)
    };
    state.measured(METRICS, answer).await
}
