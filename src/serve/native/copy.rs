//! `POST /v1/admin/copy`, the request of `forebay checkpoint` to a running server. The request proves that it comes from a user of
//! the data folder by what is in the folder's lock. Must never copy to another place than that folder.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use serde_json::{Value as Json, json};

use crate::checkpoint;
use crate::error::{Error, Result};

use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Takes};
use crate::serve::routes::COPY;
use crate::serve::state::{Answer, State, json as answered};

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Json).await;
    state.measured(COPY, copied(&state, asked)).await
}

async fn copied(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let body: Json = serde_json::from_slice(asked?.body.bytes()).unwrap_or_default();
    let Some(nonce) = body["nonce"].as_str().map(str::to_owned) else {
        return Err(Refusal::bad("invalid", "nonce".to_owned(), "expected {\"nonce\": \"...\"}, as the lock of the data folder has it"));
    };
    let handle = state.handle.clone();
    let copied = tokio::task::spawn_blocking(move || -> Result<Json> {
        let data = handle.data().ok_or_else(|| Error::conflict("this server only reads"))?;
        let paused = handle.copy_into(&checkpoint::asked(data, &nonce)?)?;
        Ok(json!({"paused_ms": paused.0.as_secs_f64() * 1e3}))
    });
    let copied = copied.await.unwrap_or_else(|error| Err(Error::internal(format!("a copy ended before its answer: {error}"))));
    Ok(answered(copied?.to_string()))
}
