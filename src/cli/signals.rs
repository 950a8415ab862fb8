//! SIGTERM and SIGINT: the first asks the process to end, which it does within ten seconds, come what may; the second ends it at
//! once. Both are as safe as a crash is: what was acknowledged is durable, and the rest goes on at the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

/// How long ending may take, beside what is asked for.
const ENDING_MAX: Duration = Duration::from_millis(9500);

/// Caught from the moment this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Whether one came: from then on signals do what they do by default.
    came: Arc<AtomicBool>,
    /// The exit code of a process that is asked to end, and how long that may take.
    code: u8,
    ending: Duration,
}

/// Where nobody waits for them any more, signals do what they do by default.
impl Drop for Signals {
    fn drop(&mut self) {
        self.came.store(true, Ordering::SeqCst);
    }
}

impl Signals {
    pub fn new(code: u8, ending: Duration) -> Result<Self> {
        let failed = |error: std::io::Error| Error::internal(format!("cannot catch signals: {error}"));
        let came = Arc::new(AtomicBool::new(false));
        for number in [SIGTERM, SIGINT] {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&came)).map_err(failed)?;
        }
        let caught = |kind| signal(kind).map_err(failed);
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            came,
            code,
            ending: ending + ENDING_MAX,
        })
    }

    /// Waits for the first one.
    pub async fn wait(&mut self) {
        if !self.came.load(Ordering::SeqCst) {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            self.came.store(true, Ordering::SeqCst);
            let (code, ending) = (self.code, self.ending);
            std::thread::spawn(move || {
                std::thread::sleep(ending);
                tracing::warn!("stopping took {ending:?}: what is left goes on at the next start");
                signal_hook::low_level::exit(i32::from(code));
            });
        }
    }

    /// Ends the process now, without waiting for any thread.
    pub fn end(&self) -> ! {
        signal_hook::low_level::exit(i32::from(self.code))
    }
}
