//! Reads the whole log: its checksums, and that offsets have no gap. Continues behind a damaged block. Must never change anything.

use std::sync::Arc;

use super::topic::Topic;
use super::walk::Found;
use super::{Inner, Log};
use crate::error::{Error, Result};
use crate::id::Partition;

/// How many faults are told one by one.
const TOLD_MAX: usize = 20;

impl Log {
    /// Reads every record of every topic; `each` is told the bytes of each block.
    pub fn faults(&self, mut each: impl FnMut(u64)) -> Vec<Error> {
        let (mut faults, mut more) = (Vec::new(), 0);
        let mut note = |error: Error| {
            if faults.len() < TOLD_MAX {
                faults.push(error);
            } else {
                more += 1;
            }
        };
        let topics: Vec<Arc<Topic>> = self.inner.topics.read().values().cloned().collect();
        self.inner.read_rows().unwrap_or_else(&mut note);
        for topic in topics {
            let partitions = topic.extents.lock().len() as u32;
            for partition in (0..partitions).map(Partition) {
                self.inner.check(&topic, partition, &mut each, &mut note).unwrap_or_else(&mut note);
            }
        }
        match self.inner.has_strays() {
            Ok(false) => {}
            Ok(true) => note(Error::corrupt(format!("{}: there are blocks of a topic that is not there", self.inner.folder.display()))),
            Err(error) => note(error),
        }
        if more > 0 {
            faults.push(Error::corrupt(format!("{}: {more} more", self.inner.folder.display())));
        }
        faults
    }
}

impl Inner {
    /// What is not blocks: topics, starts, what writers remember.
    fn read_rows(&self) -> Result<()> {
        let mut rows = self.store.raw_iterator();
        rows.seek_to_first();
        while rows.valid() {
            rows.next();
        }
        rows.status().map_err(|error| self.failed("reading topics", &error))
    }

    fn check(&self, topic: &Topic, partition: Partition, each: &mut impl FnMut(u64), note: &mut impl FnMut(Error)) -> Result<()> {
        let (lost, mut expected) = (self.lost(topic.id, partition)?, None);
        let at = |from: u64, upto: u64| {
            format!("topic {} partition {} offsets {from} to {upto} in {}", topic.name, partition.0, self.folder.display())
        };
        self.walk((topic, partition, topic.extent(partition)?.end), each, |found| {
            // What was given up is no fault.
            while let Some(behind) = expected.and_then(|expected| lost.get(&expected)) {
                expected = Some(*behind);
            }
            match found {
                Found::Records { base, last, .. } => {
                    if let Some(expected) = expected.filter(|expected| *expected != base) {
                        note(Error::corrupt(format!("{}: {expected} is the next that should be there", at(base, last))));
                    }
                    expected = Some(last + 1);
                }
                Found::Damage { from, to, error } => {
                    note(error.context(at(expected.unwrap_or(from), to - 1)));
                    expected = None;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn a_block_key_is_taken_apart_as_it_was_made() {
        assert_eq!(keys::parts(&keys::block(7, Partition(3), 99)), Some((7, Partition(3), 99)));
        assert_eq!(keys::parts(b"short"), None);
    }
}
