//! The client of a running server, for the commands that go through it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value as Json;
use ureq::Agent;

use crate::error::{Error, ErrorKind, Result};
use crate::folder::{Presence, Running};
use crate::serve::{RUN_HEADER, read_exact};

use super::context::Context;

/// How long an answer may take; a push of many records waits for the disk.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a connection may take, also to what takes as long as it takes.
const CONNECT: Duration = Duration::from_secs(10);
/// What begins so copies or compacts, which takes as long as there is data.
const ADMIN: &str = "/v1/admin/";
/// The largest answer: ten thousand rows of a wide vector.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// What the server says before it looks at a request: nothing was done, so that it can be sent again.
const BUSY: [&str; 2] = ["too_busy", "too_many_connections"];
const TRIES_MAX: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What came back.
enum Answer {
    Given(Json),
    /// There was no room for it now.
    Busy(Error),
}

impl From<Answer> for Result<Json> {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Given(json) => Ok(json),
            Answer::Busy(error) => Err(error),
        }
    }
}

pub(super) struct Client {
    agent: Agent,
    address: SocketAddr,
    /// What the server of this data folder knows itself by.
    run: String,
}

impl Client {
    /// The server of this data folder; `None` when none runs.
    pub fn of_running(context: &Context) -> Option<Self> {
        let Running { address, run } = Presence::find(&context.config.data)?;
        let agent = Agent::config_builder().timeout_connect(Some(CONNECT)).http_status_as_error(false).proxy(None).build().into();
        Some(Self { agent, address, run })
    }

    pub fn get(&self, path: &str) -> Result<Json> {
        let asked = || self.agent.get(self.url(path)).header(RUN_HEADER, &self.run).config().timeout_global(Some(ANSWER)).build().call();
        self.until_there_is_room(|| self.answer(asked()))
    }

    /// Posts a JSON document.
    pub fn post(&self, path: &str, body: &Json) -> Result<Json> {
        self.send(path, "application/json", body.to_string().as_bytes())
    }

    /// Posts a body of another type.
    pub fn send(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Json> {
        let patience = if path.starts_with(ADMIN) { None } else { Some(ANSWER) };
        let sent = || {
            let request = self.agent.post(self.url(path)).header("content-type", content_type).header(RUN_HEADER, &self.run);
            request.config().timeout_global(patience).build().send(body)
        };
        self.until_there_is_room(|| self.answer(sent()))
    }

    fn until_there_is_room(&self, ask: impl Fn() -> Result<Answer>) -> Result<Json> {
        let mut answer = ask()?;
        for _ in 1..TRIES_MAX {
            if let Answer::Given(json) = answer {
                return Ok(json);
            }
            std::thread::sleep(PAUSE);
            answer = ask()?;
        }
        answer.into()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answer(&self, sent: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
        let away =
            |error: ureq::Error| Error::unavailable(format!("the server at {} does not answer: {error}; look at its log", self.address));
        let mut response = sent.map_err(away)?;
        let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(away)?;
        let json = read_exact(&bytes).map_err(|error| error.context(format_args!("the server at {}", self.address)))?;
        // A push of which nothing was accepted is answered with its receipt all the same.
        if response.status().is_success() || response.status() == 422 && json["accepted"].is_u64() {
            return Ok(Answer::Given(json));
        }
        let is_busy = json["error"]["code"].as_str().is_some_and(|code| BUSY.contains(&code));
        let kind = match response.status().as_u16() {
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            503 => ErrorKind::Unavailable,
            400..=499 => ErrorKind::Input,
            _ => ErrorKind::Internal,
        };
        let message = json["error"]["message"].as_str().map_or_else(|| format!("the server answered {}", response.status()), str::to_owned);
        if is_busy { Ok(Answer::Busy(Error::new(kind, message))) } else { Err(Error::new(kind, message)) }
    }
}

/// A name as a part of a path.
pub(super) fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
