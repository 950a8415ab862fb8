//! The answer to a refused request: `{"error":{"code","field","message"}}` and a 4xx or 5xx.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::{Error, ErrorKind};

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// The part of the request that is at fault, as a path: `keys[0].user_id`.
    pub field: Option<String>,
    /// For people: the thing and the remedy.
    pub message: String,
}

/// The code of a refusal, kept with its answer to be counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub &'static str);

impl Refusal {
    /// A request that must be mended.
    pub fn bad(code: &'static str, field: impl Into<Option<String>>, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, field: field.into(), message: message.into() }
    }

    /// A name in the address that does not exist.
    pub fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, field: None, message: message.into() }
    }

    /// A body of a kind that the route does not take.
    pub fn media(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, code: "unsupported_media_type", field: None, message: message.into() }
    }

    /// What may go well later.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code, field: None, message: message.into() }
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, code: "too_large", field: None, message: message.into() }
    }
}

/// By what the caller does next.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::Input => (StatusCode::BAD_REQUEST, "invalid"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("{error}");
        }
        Self { status, code, field: None, message: error.to_string() }
    }
}

impl Refusal {
    fn json(self) -> String {
        let mut error = serde_json::Map::new();
        error.insert("code".to_owned(), self.code.into());
        if let Some(field) = self.field {
            error.insert("field".to_owned(), field.into());
        }
        error.insert("message".to_owned(), self.message.into());
        serde_json::json!({ "error": error }).to_string()
    }

    /// The last answer of a connection, where no request is there that it would be the answer to.
    pub fn into_bytes(self) -> Vec<u8> {
        let status = self.status;
        let retry = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
        let body = self.json();
        let head = "connection: close\r\ncontent-type: application/json\r\n";
        format!("HTTP/1.1 {status}\r\n{head}{retry}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = (self.status, Code(self.code));
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = status;
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
