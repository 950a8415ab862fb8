//! `POST /v1/admin/trim`, the request of `forebay topics trim` to a running server. The request itself is a file in the data
//! folder, which the body names, so only a user who can write there can send it.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::log::embedded::Trimmed;
use crate::time::IngestTime;

use crate::serve::error::Refusal;
use crate::serve::native::asked::{Asked, Takes};
use crate::serve::routes::TRIM;
use crate::serve::state::{Answer, State, json as answered};

const BEGIN: &str = "trim-";
const END: &str = ".json";

/// What is dropped of a topic: all but this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrimRequest {
    pub topic: String,
    /// Records that the log got before go, microseconds since 1970.
    pub before: Option<i64>,
    pub bytes: Option<u64>,
}

impl TrimRequest {
    /// Puts it where the server of `data` finds it; the name to send.
    pub fn lay(&self, data: &Path) -> Result<String> {
        let name = format!("{BEGIN}{}{END}", std::process::id());
        let text = serde_json::to_vec(self).map_err(|error| Error::internal(format!("{name}: {error}")))?;
        std::fs::write(data.join(&name), text).map_err(|error| Error::unavailable(format!("cannot write {}: {error}", data.display())))?;
        Ok(name)
    }

    /// Takes what was laid under that name.
    fn take(data: &Path, name: &str) -> Result<Self> {
        let number = name.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let is_ours = number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        let read = || {
            let text = std::fs::read(data.join(name)).ok()?;
            // One that stays is overwritten by the next of that name.
            let _ = std::fs::remove_file(data.join(name));
            serde_json::from_slice(&text).ok()
        };
        is_ours.then(read).flatten().ok_or_else(|| Error::input("no such request lies in the data folder: ask with `forebay topics trim`"))
    }
}

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asked = state.asked(request, Takes::Json).await;
    state.measured(TRIM, trimmed(&state, asked)).await
}

async fn trimmed(state: &Arc<State>, asked: Result<Asked, Refusal>) -> Answer {
    let body: Json = serde_json::from_slice(asked?.body.bytes()).unwrap_or_default();
    let Some(request) = body["request"].as_str().map(str::to_owned) else {
        let message = "expected {\"request\": \"..\"}, the name of a file in the data folder";
        return Err(Refusal::bad("invalid", "request".to_owned(), message));
    };
    let handle = state.handle.clone();
    let trimmed = tokio::task::spawn_blocking(move || -> Result<Trimmed> {
        let data = handle.data().ok_or_else(|| Error::conflict("this server only reads"))?;
        let TrimRequest { topic, before, bytes } = TrimRequest::take(data, &request)?;
        handle.trim(&topic, before.map(IngestTime), bytes)
    });
    let trimmed = trimmed.await.unwrap_or_else(|error| Err(Error::internal(format!("a trim ended before its answer: {error}"))))?;
    Ok(answered(json!({"records": trimmed.records, "bytes": trimmed.bytes, "unread": trimmed.unread}).to_string()))
}
