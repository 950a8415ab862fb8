//! What the tests of whole paths share: a naive oracle, a harness for the real binary and one for a real broker, goldens
//! and seeded chance.
//!
//! `tests/` has one file per promise. A test that misses something it needs (Python, Java, `../shared/data`) prints
//! a line that starts with `skipped:` and passes.

pub mod answers;
pub mod attempts;
pub mod batches;
pub mod buckets;
mod calls;
pub mod cases;
pub mod chance;
pub mod documents;
pub mod folders;
pub mod golden;
pub mod harness;
pub mod kafka;
pub mod oracle;
pub mod raw;
pub mod records;
pub mod transcript;
