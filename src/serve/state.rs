//! What all handlers share.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::engine::Handle;
use crate::telemetry::{Counter, Gauge, Histogram, Metrics, names};

use super::error::{Code, Refusal};
use super::long::Long;
use super::routes::{ROUTES, Route};

/// The commit that was built, where the build says it.
const COMMIT: &str = match option_env!("FOREBAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body.
    pub body_bytes_max: usize,
    /// Long lookups in work or waiting for it.
    pub long_lookups_max: usize,
    /// Lookups that wait for positions.
    pub waiting_lookups_max: usize,
}

pub(super) struct State {
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    /// The document of `openapi`, made once: definitions do not change while serving.
    pub openapi: Bytes,
    /// Where what takes long is done.
    pub long: Long,
    /// One for each lookup that waits for positions.
    pub waits: tokio::sync::Semaphore,
    /// For each model whose turn it is, of those that take long.
    pub turns: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// For each of `ROUTES`: how long it took, and how often it went well.
    measures: Vec<(Histogram, Counter)>,
    in_flight: Gauge,
}

/// The label of what is not declared: a caller makes no labels.
pub(super) const UNKNOWN: &str = "unknown";

/// A request that is being answered, until it is answered or nobody waits for it any more.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What handlers return: a body of JSON, or why not.
pub(super) type Answer = Result<Response, Refusal>;

impl State {
    pub fn new(handle: Handle, limits: Limits) -> crate::Result<Self> {
        let metrics = Arc::clone(handle.metrics());
        let profile = if cfg!(debug_assertions) { "development" } else { "release" };
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT), ("profile", profile)];
        metrics.set(names::BUILD_INFO, &build, 1.0);
        let in_flight = metrics.gauge(names::HTTP_IN_FLIGHT, &[]);
        let measure = |route: &Route| {
            let labels = [("route", route.path), ("status", "200")];
            (metrics.histogram(names::HTTP_SECONDS, &labels[..1]), metrics.counter(names::HTTP_REQUESTS, &labels))
        };
        let measures = ROUTES.iter().map(measure).collect();
        let openapi = Bytes::from(super::openapi::document(handle.plan()).to_string());
        let turns = handle.plan().models.iter().map(|_| Arc::default()).collect();
        let long = Long::new(limits.long_lookups_max)?;
        let waits = tokio::sync::Semaphore::new(limits.waiting_lookups_max.min(tokio::sync::Semaphore::MAX_PERMITS));
        Ok(Self { handle, metrics, limits, openapi, long, waits, turns, measures, in_flight })
    }

    /// Answers, and counts and times the answer under the route with this place in `ROUTES`.
    #[expect(clippy::disallowed_methods, reason = "times the answer; no decision depends on it")]
    pub async fn measured(&self, route: usize, answer: impl Future<Output = Answer>) -> Response {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.in_flight);
        let response = answer.await.unwrap_or_else(IntoResponse::into_response);
        if let Some((seconds, well)) = self.measures.get(route) {
            seconds.record(started.elapsed());
            if response.status() == StatusCode::OK {
                well.inc();
            } else if let Some(route) = ROUTES.get(route) {
                self.count_refused(route.path, &response);
            }
        }
        response
    }

    /// Counts an answer that is not 200 under its route, or under `UNKNOWN`.
    pub fn count_refused(&self, route: &'static str, response: &Response) {
        self.metrics.add(names::HTTP_REQUESTS, &[("route", route), ("status", response.status().as_str())], 1);
        if let Some(Code(code)) = response.extensions().get() {
            self.metrics.add(names::HTTP_ERRORS, &[("route", route), ("code", code)], 1);
        }
    }

    /// Counts a refused lookup by its vector, a refused score by its model.
    pub fn count_refused_of(&self, metric: &'static str, label: &str, name: Option<&str>, response: &Response) {
        if let Some(Code(code)) = response.extensions().get() {
            self.metrics.add(metric, &[(label, name.unwrap_or(UNKNOWN)), ("code", code)], 1);
        }
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
