//! Answers on the port while the engine starts: the process is alive, it is not ready, and everything else must be asked again.
//! Connections are few and short. Must never make a client wait for an answer that cannot come yet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::serve::error::Refusal;
use crate::serve::health;
use crate::serve::limits::Limits;
use crate::serve::routes::{LIVE, METRICS, READY, ROUTES};
use crate::serve::state::json as answered;
use crate::telemetry::{Metrics, names};

/// Between two tries to accept where the system refuses.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until `engine` is there, and gives back what became of it.
pub(super) async fn answer<T>(listener: &TcpListener, limits: &Limits, metrics: &Arc<Metrics>, engine: impl Future<Output = T>) -> T {
    tokio::select! {
        engine = engine => engine,
        never = accept(listener, limits, router(metrics)) => match never {},
    }
}

/// Lets connections in, at most as many as later, and none for longer than a head may take.
async fn accept(listener: &TcpListener, limits: &Limits, router: Router) -> Infallible {
    // Ends what is left when it goes.
    let mut open = JoinSet::new();
    loop {
        while open.len() >= limits.connections_max {
            open.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let answered = Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
                    // A client that leaves, or sends what is no request, is nobody to be told.
                    open.spawn(tokio::time::timeout(limits.header_timeout, async move { drop(answered.await) }));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
}

fn router(metrics: &Arc<Metrics>) -> Router {
    metrics.set(names::READY, &[], 0.0);
    let metrics = Arc::clone(metrics);
    let rendered = move |headers: HeaderMap| {
        let metrics = Arc::clone(&metrics);
        async move { health::rendered(headers, move || metrics).await.unwrap_or_else(IntoResponse::into_response) }
    };
    let ready = || async {
        let mut answer = answered(json!({"ready": false, "state": "restoring"}).to_string());
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer
    };
    let other = || async {
        Refusal::unavailable("starting", "the state is being restored: ask again once /health/ready answers with 200").into_response()
    };
    let close = |mut answer: Response| async {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    };
    let router = Router::new()
        .route(ROUTES[LIVE].path, get(|| async { answered(health::ALIVE) }))
        .route(ROUTES[READY].path, get(ready))
        .route(ROUTES[METRICS].path, get(rendered));
    router.fallback(other).layer(map_response(close))
}
