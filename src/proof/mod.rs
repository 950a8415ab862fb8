//! The proof that a value served is the value trained on: sampled rows computed by the online store, by the offline
//! engine, and by a naive scan of the logged events, bits compared; the events behind a value; what the state behind them
//! takes. Must never repair what it finds.

mod events;
mod explain;
mod inventory;
mod samples;
mod verify;

pub use explain::{Explanation, UsedEvent, explain};
pub use inventory::{Heavy, Inventory, WindowShare, inventory};
pub use verify::{Difference, Verification, verify};
