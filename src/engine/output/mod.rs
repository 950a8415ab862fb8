//! What follows from applied events: scores, drift reports, records in topics, Parquet, and the retention of topics. Must never
//! change state.

pub mod drain;
pub mod drift;
pub mod models;
pub mod outbox;
pub mod publish;
pub mod retention;
pub mod score;
