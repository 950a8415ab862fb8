//! What all handlers of HTTP share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::engine::{Handle, Readiness};
use crate::telemetry::{Counted, Counter, Gauge, Histogram, Metrics, names};

use crate::serve::door::Bodies;
use crate::serve::error::{Code, Refusal};
use crate::serve::limits::Limits;
use crate::serve::long::Long;
use crate::serve::routes::{ROUTES, Route};

/// The commit that was built, where the build says it.
const COMMIT: &str = match option_env!("FOREBAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(super) struct State {
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub bodies: Bodies,
    /// The server was asked to stop.
    stopping: AtomicBool,
    /// The document of `openapi`, made once: definitions do not change while serving.
    pub openapi: Bytes,
    /// Where what takes long is done.
    pub long: Long,
    /// One for each lookup that waits for positions.
    pub waits: tokio::sync::Semaphore,
    /// How many these are.
    pub waiting: Gauge,
    /// For each model whose turn it is, of those that take long.
    pub turns: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// For each of `ROUTES`: how long it took, and how often it went well.
    measures: Vec<(Histogram, Counter)>,
    in_flight: Gauge,
}

/// The label of what is not declared: a caller makes no labels.
pub(super) const UNKNOWN: &str = "unknown";

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
        let openapi = Bytes::from(crate::serve::native::openapi::document(handle.plan()).to_string());
        let turns = handle.plan().models.iter().map(|_| Arc::default()).collect();
        let long = Long::new(limits.long_lookups_max, &metrics)?;
        let waiting = metrics.gauge(names::WAITING_LOOKUPS, &[]);
        let waits = tokio::sync::Semaphore::new(limits.waiting_lookups_max.min(tokio::sync::Semaphore::MAX_PERMITS));
        let bodies = Bodies::new(limits.bodies_bytes_max);
        let stopping = AtomicBool::new(false);
        Ok(Self { handle, metrics, limits, bodies, stopping, openapi, long, waits, waiting, turns, measures, in_flight })
    }

    /// Answers, and counts and times the answer under the route with this place in `ROUTES`.
    #[expect(clippy::disallowed_methods, reason = "times the answer; no decision depends on it")]
    pub async fn measured(&self, route: usize, answer: impl Future<Output = Answer>) -> Response {
        let started = Instant::now();
        // Until it is answered, or nobody waits for it any more.
        let _in_flight = Counted::new(&self.in_flight);
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
        self.count(route, response.status(), response.extensions().get().copied());
    }

    /// The same of an answer that is not one of a route.
    pub fn count(&self, route: &'static str, status: StatusCode, code: Option<Code>) {
        self.metrics.add(names::HTTP_REQUESTS, &[("route", route), ("status", status.as_str())], 1);
        if let Some(Code(code)) = code {
            self.metrics.add(names::HTTP_ERRORS, &[("route", route), ("code", code)], 1);
        }
    }

    /// Counts a refused lookup by its vector, a refused score by its model.
    pub fn count_refused_of(&self, metric: &'static str, label: &str, name: Option<&str>, response: &Response) {
        if let Some(Code(code)) = response.extensions().get() {
            self.metrics.add(metric, &[(label, name.unwrap_or(UNKNOWN)), ("code", code)], 1);
        }
    }

    /// Readiness is gone from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Of the engine; a server that was asked to stop is not ready any more.
    pub fn readiness(&self) -> Readiness {
        let readiness = self.handle.readiness();
        match self.stopping.load(Ordering::Relaxed) {
            true => Readiness { ready: false, state: "stopping", ..readiness },
            false => readiness,
        }
    }
}

/// 200 with a body of JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
