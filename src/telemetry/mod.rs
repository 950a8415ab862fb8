//! What the engine says about itself: metrics as Prometheus and OpenMetrics read them, and the log on standard error.
//! Must never carry an entity key in a label, and must never decide anything.
//!
//! Paths of events take a handle once (`Metrics::counter`, `gauge`, `histogram`) and use it for ever: a count is one
//! atomic addition, a recording two. The names are listed in `names`.

mod exposition;
mod histogram;
mod logging;
mod metrics;
pub mod names;
#[cfg(test)]
mod tests;

pub use exposition::Exposition;
pub use histogram::Histogram;
pub use logging::{LogFormat, start_logging};
pub use metrics::{Counted, Counter, Gauge, Metrics};
