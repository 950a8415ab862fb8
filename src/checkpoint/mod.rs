//! Checkpoints: copies of a data folder as of one moment, in a folder or in a bucket, and the way back. What is copied comes
//! from `engine` where one runs, else from the files of a folder that nobody has open. Must never look into what it copies
//! beyond how far it is, and never count a copy that is not whole.
//!
//! ```text
//! turn      one at a time: a lock, and a staging folder beside the data      -> turn.rs
//! cut       the engine's, or the files of a stopped folder                   -> engine/handle/cut.rs, stopped.rs
//! along     definitions, models, profiles                                    -> alongside.rs
//! make      staging folder to target, the manifest last                      -> make.rs, manifest.rs
//! target    a folder of folders, or parts by their hash in a bucket          -> target.rs, folder.rs, bucket.rs
//! restore   into an empty folder, every byte compared                        -> restore.rs
//! schedule  one every so often                                               -> schedule.rs
//! ```

mod alongside;
mod bucket;
mod files;
mod folder;
mod make;
mod manifest;
mod restore;
mod schedule;
mod stopped;
mod target;
mod turn;

pub use alongside::{Alongside, Content};
pub use make::{Made, Maker};
pub use manifest::{Manifest, name_of, number_of};
pub use restore::{Choice, Restored, restore, unfinished};
pub use schedule::{Running, Schedule, start};
pub use stopped::copy_stopped;
pub use target::{Options, Target, Watch, open};
pub use turn::{Turn, asked};
