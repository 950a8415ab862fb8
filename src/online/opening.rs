//! How RocksDB is opened for the online store, and what its failures mean.

use std::path::Path;

use parking_lot::Mutex;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Options};

use super::{BLOCKS, CHUNKS, COMMITS, DAMAGED_REMEDY, FAMILIES, META, STATE, number};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::mark::{Mark, Recovery};

/// How many commits there were.
pub(super) struct Committed {
    pub commits: Mutex<u64>,
    pub mark: Mark,
}

impl Drop for Committed {
    fn drop(&mut self) {
        self.mark.sync();
    }
}

/// Opens the families that are `wanted` of a store to read.
pub(super) fn probe(folder: &Path, cache: &Cache, wanted: &impl Fn(&str) -> bool, recovery: Recovery) -> Result<DB> {
    let families = families(cache, 8 << 20).into_iter().filter(|family| wanted(family.name()));
    let opened = DB::open_cf_descriptors_read_only(&database_options(recovery), folder, families, false);
    opened.map_err(|error| failure(folder, &error))
}

/// How many commits there were, as the store says itself.
pub(super) fn commits(folder: &Path, db: &DB) -> Result<u64> {
    let family = db.cf_handle(META).ok_or_else(|| Error::corrupt(format!("{}: family {META} is missing", folder.display())))?;
    let row = db.get_pinned_cf(family, COMMITS).map_err(|error| failure(folder, &error))?;
    Ok(row.map_or(0, |row| number(&row)))
}

pub(super) fn lost(folder: &Path, commits: u64) -> Error {
    Error::corrupt(format!(
        "the last {commits} acknowledged commits to {} are gone: its write-ahead log was cut or damaged; {DAMAGED_REMEDY}",
        folder.display()
    ))
}

pub(super) fn database_options(recovery: Recovery) -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(match recovery {
        Recovery::Strict => DBRecoveryMode::AbsoluteConsistency,
        Recovery::UpToTheDamage | Recovery::PastTheDamage => DBRecoveryMode::PointInTime,
    });
    options.set_max_background_jobs(2);
    options.set_max_open_files(Files::now().of_state());
    options.set_bytes_per_sync(1 << 20);
    options.set_wal_bytes_per_sync(1 << 20);
    options.set_max_total_wal_size(256 << 20);
    options.set_keep_log_file_num(4);
    options
}

pub(super) fn families(cache: &Cache, buffer_bytes: usize) -> Vec<ColumnFamilyDescriptor> {
    let descriptor = |name: &&str| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_block_size(16 << 10);
        table.set_format_version(6);
        if matches!(*name, STATE | CHUNKS) {
            table.set_bloom_filter(10.0, false);
            table.set_cache_index_and_filter_blocks(true);
            table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        }
        let mut options = Options::default();
        if *name == STATE {
            // Most keys that are looked for here are new ones.
            options.set_memtable_prefix_bloom_ratio(0.02);
            options.set_memtable_whole_key_filtering(true);
        }
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size((buffer_bytes / 4).max(4 << 20));
        // Blocks are compressed before they come here.
        options.set_compression_type(if *name == BLOCKS { DBCompressionType::None } else { DBCompressionType::Lz4 });
        ColumnFamilyDescriptor::new(*name, options)
    };
    FAMILIES.iter().map(descriptor).collect()
}

/// Says what a failure of RocksDB means for the person who runs this.
pub(super) fn failure(folder: &Path, error: &rocksdb::Error) -> Error {
    let text = error.to_string();
    let folder = folder.display();
    if text.contains("Too many open files") {
        return Error::unavailable(format!("{folder}: this process may open no more files ({text}); raise the limit (ulimit -n)"));
    }
    if text.contains("lock") && (text.contains("LOCK") || text.contains("No locks available")) {
        return Error::conflict(format!(
            "the data folder {folder} is in use by another process; end that process or choose another folder with --data"
        ));
    }
    if text.contains("No space left") || text.contains("File too large") || text.contains("Disk quota") {
        return Error::unavailable(format!(
            "no space left for {folder} ({text}); free some space and start again: nothing that was acknowledged is lost"
        ));
    }
    match error.kind() {
        _ if text.contains("No such file") => Error::corrupt(format!("{folder}: a file of it is missing ({text}); {DAMAGED_REMEDY}")),
        rocksdb::ErrorKind::Corruption => Error::corrupt(format!("{folder}: {text}; {DAMAGED_REMEDY}")),
        _ if text.contains("Permission denied") || text.contains("Read-only file system") => {
            Error::input(format!("{folder}: {text}; give this user the right to write there, or choose another folder with --data"))
        }
        _ => Error::unavailable(format!("{folder}: {text}")),
    }
}
