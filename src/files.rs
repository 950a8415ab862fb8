//! How many files this process may have open at once, and who gets how many: the stores for their tables, HTTP for its
//! connections. Must never be asked before the limit is raised, where it is to be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Result};

/// With fewer nothing works: logs, locks and folders of the two stores, Parquet, pipes, the first tables and connections.
const NEEDED: u64 = 64;
/// What is open whatever is asked.
const OWN: u64 = 38;
/// Tables that a store holds open at least: RocksDB takes no less, and keeps ten of its number for itself.
const TABLES_MIN: u64 = 10;
const ROCKSDB_OWN: u64 = 10;
/// Tables of the embedded log that are held open at most.
const LOG_TABLES_MAX: u64 = 256;
/// With so many nothing need be counted: the state's tables are all held open.
const PLENTY: u64 = 1 << 17;

/// The limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    limit: u64,
}

impl Files {
    /// The limit that is in force.
    #[must_use]
    pub fn now() -> Self {
        Self { limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) }
    }

    /// Raises this process's limit as far as it may be raised. A system that refuses leaves it as it is.
    #[must_use]
    pub fn raised() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        }
        Self::now()
    }

    /// # Errors
    /// `Unavailable` when a server cannot work with so few.
    pub fn check(self) -> Result<()> {
        if self.limit < NEEDED {
            let limit = self.limit;
            return Err(Error::unavailable(format!(
                "this process may have {limit} files open at once, and needs at least {NEEDED}: raise the hard limit (ulimit -Hn, LimitNOFILE= of a unit)"
            )));
        }
        Ok(())
    }

    #[must_use]
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// Files beyond what is needed at least, of which each store gets a quarter and connections half.
    fn spare(self) -> u64 {
        self.limit.saturating_sub(NEEDED)
    }

    /// The most connections.
    #[must_use]
    pub fn connections(self) -> usize {
        usize::try_from(NEEDED - OWN - 2 * TABLES_MIN + self.spare() / 2).unwrap_or(usize::MAX)
    }

    /// `max_open_files` of the embedded log.
    #[must_use]
    pub fn of_log(self) -> i32 {
        (TABLES_MIN + ROCKSDB_OWN + self.spare() / 4).min(LOG_TABLES_MAX) as i32
    }

    /// `max_open_files` of the online store; -1 is all.
    #[must_use]
    pub fn of_state(self) -> i32 {
        if self.limit >= PLENTY { -1 } else { (TABLES_MIN + ROCKSDB_OWN + self.spare() / 4) as i32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_given_out_is_there() {
        for limit in [64, 65, 256, 1024, 4096, PLENTY - 1] {
            let files = Files { limit };
            files.check().unwrap();
            let tables = (files.of_log() + files.of_state()) as u64 - 2 * ROCKSDB_OWN;
            let given = OWN + tables + files.connections() as u64;
            assert!(given <= limit && files.connections() >= 6, "{limit}: {given}");
        }
        let unlimited = Files { limit: u64::MAX };
        assert_eq!((unlimited.of_log(), unlimited.of_state()), (256, -1));
        assert!(unlimited.connections() > 1 << 20);
        let few = Files { limit: 63 }.check().unwrap_err().to_string();
        assert!(few.contains("63 files") && few.contains("ulimit -Hn"), "{few}");
    }
}
