//! What requests may cost and how long clients may take: the settings of HTTP, checked against each other and against the number of
//! files that the process may open.

use std::time::Duration;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::serve::door::Phase;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body.
    pub(super) body_bytes_max: usize,
    /// What all bodies in flight may take.
    pub(super) bodies_bytes_max: usize,
    /// The most records of one push.
    pub(super) records_max: usize,
    /// Long lookups in work or waiting for it.
    pub(super) long_lookups_max: usize,
    /// Lookups that wait for positions.
    pub(super) waiting_lookups_max: usize,
    pub(super) connections_max: usize,
    pub(super) header_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// How long the port stays open once readiness is gone.
    pub(super) shutdown_delay: Duration,
}

impl Limits {
    /// Those of the settings. Says so where there are fewer files than connections that were asked for.
    ///
    /// # Errors
    /// `Input` where one body may be larger than all together.
    pub fn of(config: &Config) -> Result<Self> {
        let files = Files::now();
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if config.bodies_bytes_max < config.request_bytes_max {
            let (bodies, request) = (config.bodies_bytes_max, config.request_bytes_max);
            let message = format!(
                "bodies_max is {bodies} bytes and request_max {request}: a body of that size would never be taken; raise bodies_max"
            );
            return Err(Error::input(message));
        }
        let (asked, possible) = (config.connections_max, files.connections());
        if possible < asked {
            tracing::warn!(
                "at most {possible} connections are let in, not the {asked} of connections_max: this process may have {} files open; raise the \
                 hard limit (ulimit -Hn, LimitNOFILE= of a unit), or lower connections_max",
                files.limit()
            );
        }
        Ok(Self {
            body_bytes_max: bytes(config.request_bytes_max),
            bodies_bytes_max: bytes(config.bodies_bytes_max),
            records_max: config.records_max,
            long_lookups_max: config.long_lookups_max,
            // Who waits keeps its connection: others are let in all the same.
            waiting_lookups_max: config.waiting_lookups_max.min(asked.min(possible) / 2).max(1),
            connections_max: asked.min(possible),
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            idle_timeout: config.idle_timeout,
            shutdown_delay: config.shutdown_delay,
        })
    }

    /// How long a connection may wait so. That of a body begins with the body, and is kept where it is read.
    pub(super) fn timeout(&self, phase: Phase) -> Duration {
        match phase {
            Phase::New | Phase::Head => self.header_timeout,
            Phase::Idle => self.idle_timeout,
            Phase::Write => self.body_timeout,
            Phase::Body | Phase::Answer => Duration::MAX,
        }
    }

    pub(super) fn shortest_timeout(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout).min(self.body_timeout)
    }
}
