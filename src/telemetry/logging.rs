//! The log on standard error. Set up once, by the binary; libraries and tests that do not call it stay silent.

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::error::{Error, Result};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to what `writer` gives, which ends up on standard error. `filter` is a level (`info`) or directives (`info,forebay::engine=debug`).
///
/// # Errors
/// `Input` when the filter cannot be read, `Conflict` when logging was started before.
pub fn start_logging<W: Write + 'static>(
    filter: &str,
    format: LogFormat,
    color: bool,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Error::input(format!("log filter '{filter}' cannot be read ({error}): give a level such as info or debug")))?;
    let lines = fmt::fmt().with_env_filter(filter).with_writer(writer).with_ansi(color && format == LogFormat::Text);
    let started = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::conflict(format!("logging was started twice ({error})")))
}
