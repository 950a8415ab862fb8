//! The committer, and what a start restores for it. Must never make anything visible that is not durable.

pub mod adopt;
pub mod committer;
pub mod recent;
pub mod recover;
