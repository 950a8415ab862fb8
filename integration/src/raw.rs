//! Bytes of HTTP as they are: requests that no client would send, and answers told apart from closed connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

use crate::answers::read_json;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A small project to send them to.
pub const DEFINITIONS: &str = "
source events (k bigint, x double, t timestamp)
from log 'events'
event time t
lateness '1 day' history '30 days';

entity thing (k bigint);

features things of thing from events (
  n = count(*) over 1d,
);

vector v (things.*);
";

/// What lookups and pushes of it are sent to.
pub const LOOKUP: &str = "/v1/vectors/v/lookup";
pub const EVENTS: &str = "/v1/sources/events/events";

/// A connection.
pub struct Raw(TcpStream);

/// An answer, as far as it came before the connection was closed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head as it came, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// # Panics
    /// When the body is no JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        read_json(&self.body)
    }

    /// The code of a refusal.
    ///
    /// # Panics
    /// When it is none in our form.
    #[must_use]
    pub fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        error["code"].as_str().unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }
}

impl Raw {
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a listening server");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self(stream)
    }

    /// Sends bytes; `false` when the connection is closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// The next answer, or `None` when the connection ends without one.
    ///
    /// # Panics
    /// When nothing comes for long.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                // What only says that the body may come is passed over.
                if !bytes.starts_with(b"HTTP/1.1 100") {
                    break end;
                }
                bytes.drain(..end + 4);
            } else if !self.read_one(&mut bytes) {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = bytes.split_off(end + 4);
        while body.len() < length && self.read_one(&mut body) {}
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the connection is closed without another byte.
    pub fn is_closed(&mut self) -> bool {
        !self.read_one(&mut Vec::new())
    }

    fn read_one(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(0) => false,
            Ok(_) => {
                bytes.push(byte[0]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("waited {PATIENCE:?} for the server"),
            Err(_) => false,
        }
    }
}

/// A request with a body of JSON.
#[must_use]
pub fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
