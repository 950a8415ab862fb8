//! The routes: one table that the router, the metrics and the OpenAPI document share.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::serve::door::Course;
use crate::serve::error::Refusal;
use crate::serve::health;
use crate::serve::native::{catalog, copy, dead_letters, events, lookup, openapi, score, trim};
use crate::serve::state::{State, UNKNOWN};

/// One thing that can be asked for.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub method: Verb,
    /// With parameters in braces, as in the OpenAPI document.
    pub path: &'static str,
    pub summary: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

pub(super) const LOOKUP: usize = 0;
pub(super) const SCORE: usize = 1;
pub(super) const EVENTS: usize = 2;
pub(super) const CATALOG: usize = 3;
pub(super) const STATUS: usize = 4;
pub(super) const LIVE: usize = 5;
pub(super) const READY: usize = 6;
pub(super) const METRICS: usize = 7;
pub(super) const OPENAPI: usize = 8;
pub(super) const COPY: usize = 9;
pub(super) const REPLAY: usize = 10;
pub(super) const TRIM: usize = 11;

/// Every route, at the place that its constant says.
pub(super) const ROUTES: [Route; 12] = [
    post_route("/v1/vectors/{vector}/lookup", "the values of a vector for one or more rows of keys, at one cut"),
    post_route("/v1/models/{model}/score", "a model's scores for one or more rows of keys, with the values they were made from"),
    post_route("/v1/sources/{source}/events", "appends records to a source's log; answered when they are durable"),
    get_route("/v1/catalog", "everything that is declared: sources, entities, features, vectors, models"),
    get_route("/v1/status", "how far the engine is, and what does not work now"),
    get_route("/health/live", "whether the process answers"),
    get_route("/health/ready", "whether lookups are answered"),
    get_route("/metrics", "metrics as OpenMetrics or in Prometheus' text form, as the request accepts"),
    get_route("/openapi.json", "this document"),
    post_route("/v1/admin/copy", "copies the data folder beside itself, for `forebay checkpoint`, which holds its lock"),
    post_route("/v1/sources/{source}/deadletters/replay", "puts dead letters of a source back that are events by now, each once"),
    post_route("/v1/admin/trim", "drops records of a topic, for `forebay topics trim`, which writes to the data folder"),
];

const fn post_route(path: &'static str, summary: &'static str) -> Route {
    Route { method: Verb::Post, path, summary }
}

const fn get_route(path: &'static str, summary: &'static str) -> Route {
    Route { method: Verb::Get, path, summary }
}

pub(super) fn router(state: Arc<State>) -> Router {
    let handlers: [MethodRouter<Arc<State>>; ROUTES.len()] = [
        post(lookup::answer),
        post(score::answer),
        post(events::answer),
        get(catalog::answer),
        get(health::status),
        get(health::live),
        get(health::ready),
        get(health::metrics),
        get(openapi::answer),
        post(copy::answer),
        post(dead_letters::replay),
        post(trim::answer),
    ];
    let router = ROUTES.into_iter().zip(handlers).fold(Router::new(), |router, (route, handler)| {
        let not_allowed = move |Shared(state): Shared<Arc<State>>, request: Request| async move { not_allowed(&state, &route, &request) };
        router.route(route.path, handler.fallback(not_allowed))
    });
    let owner = middleware::from_fn_with_state(Arc::clone(&state), of_this_folder);
    router.fallback(unknown).layer(owner).with_state(state)
}

/// What a request carries that is meant for the server of one data folder alone.
pub const RUN_HEADER: &str = "forebay-run";

/// Refuses a request that is meant for the server of another data folder: the one that it was answers here no more.
async fn of_this_folder(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let run = request.headers().get(RUN_HEADER);
    if run.is_some_and(|run| run.as_bytes() != state.handle.run().as_bytes()) {
        leave_unread(&request);
        let message = "this server has another data folder than the request is meant for: ask again".to_owned();
        let refused = Refusal { status: StatusCode::CONFLICT, ..Refusal::unknown("another_folder", message) }.into_response();
        state.count_refused(UNKNOWN, &refused);
        return refused;
    }
    next.run(request).await
}

async fn unknown(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    leave_unread(&request);
    let message = format!("there is no route {}: GET /openapi.json lists all", request.uri().path());
    let response = Refusal::unknown("unknown_route", message).into_response();
    state.count_refused(UNKNOWN, &response);
    response
}

fn not_allowed(state: &State, route: &Route, request: &Request) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    leave_unread(request);
    let allowed = match route.method {
        Verb::Get => "GET, HEAD",
        Verb::Post => "POST",
    };
    let message = format!("{} takes no {}: it takes {allowed}", request.uri().path(), request.method());
    let mut response = Refusal { status, ..Refusal::bad("method_not_allowed", None, message) }.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    state.count_refused(route.path, &response);
    response
}

fn leave_unread(request: &Request) {
    if let Some(course) = request.extensions().get::<Course>() {
        course.leave_unread();
    }
}
