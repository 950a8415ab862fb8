//! Reads a request before its route answers: the name in its path, the form of its body, and the body. Must never read a body that
//! its head alone refuses.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::serve::door::Course;
use crate::serve::error::Refusal;
use crate::serve::native::frames;
use crate::serve::state::State;

/// What the body of a route may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Takes {
    /// One JSON document.
    Json,
    /// Records of a source.
    Records,
}

/// How a body says that it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Form {
    /// One JSON document, not lines.
    Document,
    /// Each record behind its length.
    Frames,
    Lines,
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// What others call lines of JSON.
const LINES_TOO: [&str; 5] =
    ["application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines", "application/x-jsonlines"];
/// What curl's `-d` and the forms of web pages send.
const OF_FORMS: &str = "application/x-www-form-urlencoded";

/// A request of a route with a body.
pub(in crate::serve) struct Asked {
    /// The one in its path, where there is one.
    pub name: String,
    pub form: Form,
    pub body: Body,
}

/// A body, which counts among those in flight until it is dropped.
pub(in crate::serve) struct Body {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Body {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl State {
    /// Takes a request apart, and reads its body.
    pub async fn asked(&self, request: Request, takes: Takes) -> Result<Asked, Refusal> {
        let (mut parts, body) = request.into_parts();
        let course = parts.extensions.get::<Course>().cloned().unwrap_or_default();
        let read = async {
            let name = match Path::<Vec<(String, String)>>::from_request_parts(&mut parts, &()).await {
                Ok(Path(names)) => names.into_iter().map(|(_, name)| name).next().unwrap_or_default(),
                Err(PathRejection::MissingPathParams(_)) => String::new(),
                Err(error) => return Err(Refusal::bad("invalid_path", None, format!("the path: {}", lower(&error.body_text())))),
            };
            if let Some(query) = parts.uri.query() {
                let message = format!("{} takes no query, and there is ?{query}: send everything in the body", parts.uri.path());
                return Err(Refusal::bad("unknown_query", None, message));
            }
            let form = form(&parts.headers, takes)?;
            Ok((name, form, self.read(body, declared(&parts.headers), &course).await?))
        };
        match read.await {
            Ok((name, form, body)) => Ok(Asked { name, form, body }),
            Err(refusal) => {
                course.leave_unread();
                Err(refusal)
            }
        }
    }

    async fn read(&self, body: axum::body::Body, declared: Option<usize>, course: &Course) -> Result<Body, Refusal> {
        let max = self.limits.body_bytes_max;
        let too_large = || Refusal::too_large(format!("the body is larger than {max} bytes: send less at once, or raise request_max"));
        if declared.is_some_and(|declared| declared > max) {
            return Err(too_large());
        }
        let mut room = self.bodies.room(declared.unwrap_or_default()).await?;
        let reading = async {
            let (mut frames, mut whole) = (body.into_data_stream(), Bytes::new());
            let mut joined: Vec<u8> = Vec::new();
            while let Some(frame) = frames.next().await {
                let frame = frame.map_err(|error| {
                    Refusal::bad("unreadable_body", None, format!("the body could not be read: {}", lower(&error.to_string())))
                })?;
                let length = whole.len() + joined.len() + frame.len();
                if length > max {
                    return Err(too_large());
                }
                self.bodies.grow(&mut room, length).await?;
                if length == frame.len() {
                    whole = frame;
                    continue;
                }
                if joined.is_empty() {
                    joined.reserve(declared.unwrap_or(2 * length));
                    joined.extend_from_slice(&std::mem::take(&mut whole));
                }
                joined.extend_from_slice(&frame);
            }
            Ok(if joined.is_empty() { whole } else { Bytes::from(joined) })
        };
        course.reads_body();
        let read = tokio::time::timeout(self.limits.body_timeout, reading).await;
        course.answers();
        let bytes = read.unwrap_or_else(|_| {
            let message = format!("the body did not come within {:?}: send less at once, or raise body_timeout", self.limits.body_timeout);
            Err(Refusal { status: StatusCode::REQUEST_TIMEOUT, ..Refusal::bad("too_slow", None, message) })
        })?;
        Ok(Body { bytes, _room: room })
    }
}

/// The length that a head declares.
fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The form of a body, or that the route takes none of it.
fn form(headers: &HeaderMap, takes: Takes) -> Result<Form, Refusal> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if let Some(encoding) = text(header::CONTENT_ENCODING).filter(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        return Err(Refusal::media(format!("content-encoding {encoding} is not taken: send the body as it is, not compressed")));
    }
    let Some(content_type) = text(header::CONTENT_TYPE) else {
        return Ok(if takes == Takes::Json { Form::Document } else { Form::Lines });
    };
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.filter_map(|part| part.trim().split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    if let Some((_, charset)) = charset.filter(|(_, charset)| !["utf-8", "utf8", "us-ascii"].contains(&unquoted(charset).as_str())) {
        return Err(Refusal::media(format!("charset {charset} is not taken: send utf-8")));
    }
    let is_json = essence == JSON || essence.starts_with("application/") && essence.ends_with("+json");
    match takes {
        _ if is_json => Ok(Form::Document),
        Takes::Records if essence == frames::CONTENT_TYPE => Ok(Form::Frames),
        Takes::Records if essence == LINES || LINES_TOO.contains(&essence.as_str()) => Ok(Form::Lines),
        Takes::Records if essence == OF_FORMS => Err(Refusal::media(format!(
            "content-type {OF_FORMS} is not taken; curl -d sends it, and takes out the line breaks of a file: use --data-binary @FILE and \
             -H 'content-type: {LINES}'"
        ))),
        Takes::Json if essence == OF_FORMS => {
            Err(Refusal::media(format!("content-type {OF_FORMS} is not taken; curl -d sends it: add -H 'content-type: {JSON}'")))
        }
        Takes::Json => Err(Refusal::media(format!("content-type {essence} is not taken: send {JSON}"))),
        Takes::Records => Err(Refusal::media(format!(
            "content-type {essence} is not taken: send {LINES} (one json object a line), {JSON} (an array or one object), or {}; \
             `forebay push` reads csv, parquet and compressed files",
            frames::CONTENT_TYPE
        ))),
    }
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches('"').to_ascii_lowercase()
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str, encoding: &str, takes: Takes) -> Result<Form, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::CONTENT_TYPE, content_type), (header::CONTENT_ENCODING, encoding)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        form(&headers, takes).map_err(|refusal| {
            assert_eq!(refusal.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            refusal.message
        })
    }

    #[test]
    fn what_a_body_says_of_itself_is_taken_or_refused() {
        for (content_type, json, records) in [
            ("", Some(Form::Document), Some(Form::Lines)),
            ("application/json", Some(Form::Document), Some(Form::Document)),
            ("Application/JSON; charset=\"UTF-8\"", Some(Form::Document), Some(Form::Document)),
            ("application/problem+json", Some(Form::Document), Some(Form::Document)),
            ("application/x-ndjson", None, Some(Form::Lines)),
            ("application/jsonl", None, Some(Form::Lines)),
            ("application/vnd.forebay.records", None, Some(Form::Frames)),
            ("application/json; charset=utf-16", None, None),
            ("text/csv", None, None),
            ("text/plain", None, None),
            ("multipart/form-data; boundary=x", None, None),
            ("application/gzip", None, None),
            ("application/x-www-form-urlencoded", None, None),
        ] {
            assert_eq!(of(content_type, "", Takes::Json).ok(), json, "{content_type}");
            assert_eq!(of(content_type, "", Takes::Records).ok(), records, "{content_type}");
            assert!(of(content_type, "gzip", Takes::Records).unwrap_err().contains("not compressed"));
            assert_eq!(of(content_type, "identity", Takes::Json).ok(), json);
        }
        assert!(of(OF_FORMS, "", Takes::Records).unwrap_err().contains("--data-binary"));
    }
}
