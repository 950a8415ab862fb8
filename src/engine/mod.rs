//! The only loop: records in, commits out. Everything that runs at the same time as something else runs here.

mod api;

pub use api::{Freshness, LookupAnswer, LookupRequest, LookupRow, PushReceipt, ScoreAnswer, Status};
