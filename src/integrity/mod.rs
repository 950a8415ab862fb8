//! What the bytes of a data folder are worth: all of them read against their checksums and for their meaning, beside a running
//! server too; and what is derived, built again from what it was derived from. Must never put anything in the place of what was
//! there before all of it is made.

mod aside;
mod check;
mod log;
mod offline;
mod order;
mod state;

use std::path::PathBuf;

pub use check::{PartCheck, check};
pub use log::rebuild_log;
pub use offline::rebuild_offline;
pub use state::rebuild_state;

/// What was built again.
#[derive(Clone, Debug, Default)]
pub struct Rebuilt {
    /// How many events it reaches up to; `None` where a run that was killed had built it, which now is in its place.
    pub events: Option<u64>,
    pub lost: Vec<Lost>,
    /// Where what was there before is now.
    pub kept: Option<PathBuf>,
}

/// What could not be had, and what that means.
#[derive(Clone, Debug)]
pub struct Lost {
    pub what: String,
    pub meaning: String,
}

impl Lost {
    fn new(what: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { what: what.into(), meaning: meaning.into() }
    }
}
