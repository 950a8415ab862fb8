//! The `forebay` binary: hands the arguments, the environment and the clock to the command line.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay::{Clock, IngestTime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The system's clock; before 1970 it stands at 1970.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the present comes from")]
    fn now(&self) -> IngestTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        IngestTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

fn main() -> ExitCode {
    forebay::allocator::keep_freed_memory();
    let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    ExitCode::from(forebay::cli::run(std::env::args_os(), environment, Arc::new(SystemClock)))
}
