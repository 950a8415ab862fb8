//! What the demonstration, benchmarks and training feed on: made-up payments. Must never be needed by the engine.

mod chance;
pub mod payments;
