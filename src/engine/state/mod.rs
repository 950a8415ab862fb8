//! The states of keys: shards fold committed events into them, one batch after another. Must never run ahead of a commit.

pub mod apply;
pub mod aside;
pub mod shard;
pub mod stored;
pub mod sweep;
pub mod table;
