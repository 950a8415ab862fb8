//! How far a command has come: a line that is rewritten in place on a terminal, a line of the log every half minute elsewhere.
//! What is logged meanwhile stands above it.

use std::io::{IsTerminal, Write, stderr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::time::Span;

/// How often the clock of a bar goes on, and how often the log is told.
const TICK: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(30);

/// All bars of this process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, above the bars.
pub(super) struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

pub(super) struct Progress {
    doing: &'static str,
    noun: &'static str,
    bar: Option<ProgressBar>,
    started: Instant,
    said: Instant,
}

impl Progress {
    /// `doing` so many of `noun`.
    #[expect(clippy::disallowed_methods, reason = "only what a person sees depends on it")]
    pub fn new(doing: &'static str, noun: &'static str) -> Self {
        let now = Instant::now();
        let bar = stderr().is_terminal().then(|| {
            let bar = BARS.add(ProgressBar::no_length());
            bar.set_style(style("{spinner} {msg} {elapsed}"));
            bar.set_message(doing);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { doing, noun, bar, started: now, said: now }
    }

    /// So many are done, of so many where that is known.
    #[expect(clippy::disallowed_methods, reason = "only what a person sees depends on it")]
    pub fn at(&mut self, done: u64, all: Option<u64>) {
        match &self.bar {
            Some(bar) => {
                if bar.position() == 0 && done > 0 {
                    let of = if all.is_some() { "{bar:24} {pos} of {len}" } else { "{pos}" };
                    bar.set_style(style(&format!("{{spinner}} {{msg}} {of} {}, {{per_sec}}, {{elapsed}}", self.noun)));
                }
                if let Some(all) = all {
                    bar.set_length(all);
                }
                bar.set_position(done);
            }
            None if self.said.elapsed() >= SAY_EVERY => {
                self.said = Instant::now();
                let of = all.map(|all| format!(" of {all}")).unwrap_or_default();
                tracing::info!("{}: {done}{of} {}, {}", self.doing, self.noun, self.elapsed().roughly());
            }
            None => {}
        }
    }

    /// Takes the bar away; the time goes on.
    pub fn hide(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// How long it took so far.
    pub fn elapsed(&self) -> Span {
        Span(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.hide();
    }
}

/// A template that does not parse leaves the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
