//! What all handlers share.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::engine::Handle;
use crate::telemetry::{Counter, Histogram, Metrics, names};

use super::error::Refusal;
use super::routes::{ROUTES, Route};

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body.
    pub body_bytes_max: usize,
}

pub(super) struct State {
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    /// The document of `openapi`, made once: definitions do not change while serving.
    pub openapi: Bytes,
    /// For each model whose turn it is, of those that take long.
    pub turns: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// For each of `ROUTES`: how long it took, and how often it went well.
    measures: Vec<(Histogram, Counter)>,
}

/// What handlers return: a body of JSON, or why not.
pub(super) type Answer = Result<Response, Refusal>;

impl State {
    pub fn new(handle: Handle, limits: Limits) -> Self {
        let metrics = Arc::clone(handle.metrics());
        metrics.set(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let measure = |route: &Route| {
            let labels = [("route", route.path), ("status", "200")];
            (metrics.histogram(names::HTTP_SECONDS, &labels[..1]), metrics.counter(names::HTTP_REQUESTS, &labels))
        };
        let measures = ROUTES.iter().map(measure).collect();
        let openapi = Bytes::from(super::openapi::document(handle.plan()).to_string());
        let turns = handle.plan().models.iter().map(|_| Arc::default()).collect();
        Self { handle, metrics, limits, openapi, turns, measures }
    }

    /// Answers, and counts and times the answer under the route with this place in `ROUTES`.
    #[expect(clippy::disallowed_methods, reason = "times the answer; no decision depends on it")]
    pub async fn measured(&self, route: usize, answer: impl Future<Output = Answer>) -> Response {
        let started = Instant::now();
        let response = answer.await.unwrap_or_else(IntoResponse::into_response);
        if let Some((seconds, well)) = self.measures.get(route) {
            seconds.record(started.elapsed());
            if response.status() == StatusCode::OK {
                well.add(1);
            } else if let Some(route) = ROUTES.get(route) {
                let status = response.status();
                self.metrics.add(names::HTTP_REQUESTS, &[("route", route.path), ("status", status.as_str())], 1);
            }
        }
        response
    }

    /// A body that was read whole, or why it was not.
    pub fn body(&self, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
        body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let max = self.limits.body_bytes_max;
                Refusal::too_large(format!("the body is larger than {max} bytes: send less at once, or raise request_max"))
            }
            _ => Refusal::bad("unreadable_body", None, format!("the body could not be read: {}", rejection.body_text())),
        })
    }
}

/// 200 with a body of JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
