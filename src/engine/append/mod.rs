//! Records that this process appends to logs: pushes, rows of tables, replayed dead letters. Must never decide whether a record is
//! an event.

pub mod appender;
pub mod dead_letters;
pub mod push;
pub mod tables;
