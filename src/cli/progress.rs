//! A line of progress on a terminal, rewritten in place; nothing where standard error is no terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often the line is rewritten.
const EVERY: Duration = Duration::from_millis(100);

pub(super) struct Progress {
    shown: bool,
    started: Instant,
    last: Instant,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "only what a person sees depends on it")]
    pub fn new() -> Self {
        let now = Instant::now();
        Self { shown: stderr().is_terminal(), started: now, last: now }
    }

    /// So many of `noun` are done.
    pub fn at(&mut self, done: u64, noun: &str) {
        if self.shown && self.last.elapsed() >= EVERY {
            self.last += self.last.elapsed();
            let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
            // A terminal that is gone needs no progress.
            let _ = write!(stderr(), "\r\x1b[2K{done} {noun}, {rate:.0}/s");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}
