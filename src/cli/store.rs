//! The stored state and events of the data folder, opened for reading, also beside a running server.

use std::sync::Arc;

use crate::engine::{self, Engine, Handle, LookupAnswer, LookupRequest};
use crate::error::Result;
use crate::event::EventBatch;
use crate::offline;
use crate::plan::Plan;
use crate::telemetry::Metrics;

use super::context::Context;

/// The state as of its last commit.
pub(super) fn state(context: &Context, plan: Plan) -> Result<Handle> {
    Engine::open_read_only(&context.config, plan, Arc::clone(&context.clock), Metrics::new())
}

/// A lookup of the stored state.
pub(super) fn lookup(context: &Context, plan: Plan, request: &LookupRequest) -> Result<LookupAnswer> {
    state(context, plan)?.lookup(request)
}

/// All committed events: the Parquet log, and those that it did not hold when it was opened. The log is to be read
/// again (`reload`) before its files are used, since events may have moved there meanwhile.
pub(super) fn events(context: &Context, plan: &Plan) -> Result<(offline::Store, Vec<EventBatch>)> {
    engine::events(&context.config, plan)
}
