//! What the engine says about itself: metrics in Prometheus' text form, and the log on standard error.
//! Must never carry an entity key in a label, and must never decide anything.
//!
//! Hot paths take a handle once (`Metrics::counter`, `gauge`, `histogram`) and use it for ever: a count is one atomic
//! addition, a recording one uncontended lock and one increment. The names are listed in `names`.

mod logging;
mod metrics;
pub mod names;
mod render;
mod summary;
#[cfg(test)]
mod tests;

pub use logging::{LogFormat, start_logging};
pub use metrics::{Counter, Gauge, Metrics};
pub use summary::Histogram;
