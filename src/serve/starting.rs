//! What the port answers while the engine starts, so that nobody waits for an answer that cannot come yet: the process lives, it is
//! not ready, and everything else is to be asked again.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::error::Refusal;
use super::routes::{LIVE, READY, ROUTES};
use super::state::json as answered;

/// Answers until `engine` is there, and gives back what became of it.
pub(super) async fn answer<T>(listener: TcpListener, engine: impl Future<Output = T>) -> T {
    let (ended, end) = oneshot::channel::<()>();
    let answering = axum::serve(listener, router()).with_graceful_shutdown(async {
        // Ended, or nobody is left who would end it.
        let _ = end.await;
    });
    let answering = tokio::spawn(answering.into_future());
    let engine = engine.await;
    let _ = ended.send(());
    // It accepts no more; who has sent half a request is answered when the rest comes.
    answering.abort();
    engine
}

fn router() -> Router {
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
    let live = || async { answered(r#"{"live":true}"#) };
    Router::new().route(ROUTES[LIVE].path, get(live)).route(ROUTES[READY].path, get(ready)).fallback(other).layer(map_response(close))
}
