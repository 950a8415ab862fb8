//! From records of a log to accepted events: polls, decodes, evaluates what depends on the rows alone, and decides which rows are
//! events. Must never look at state.

pub mod accept;
pub mod batch;
pub mod budget;
pub mod clock;
pub mod key_columns;
pub mod partition;
pub mod reaccept;
pub mod reader;
pub mod relearn;
pub mod set_aside;
pub mod tombstones;
pub mod watermark;
