//! Reading all of the log, for its checksums and for offsets without a gap. Must never change anything, and goes on behind a
//! block that is damaged.

use std::collections::BTreeMap;

use super::{Log, block, keys};
use crate::error::{Error, Result};
use crate::record::RecordRun;

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
        let topics: BTreeMap<u32, String> = self.inner.topics.read().values().map(|topic| (topic.id, topic.name.clone())).collect();
        if let Err(error) = self.read_rows() {
            note(error);
        }
        if let Err(error) = self.read_blocks(&topics, &mut each, &mut note) {
            note(error);
        }
        if more > 0 {
            faults.push(Error::corrupt(format!("{}: {more} more", self.inner.folder.display())));
        }
        faults
    }

    /// What is not blocks: topics, starts, what writers remember.
    fn read_rows(&self) -> Result<()> {
        let mut rows = self.inner.store.raw_iterator();
        rows.seek_to_first();
        while rows.valid() {
            rows.next();
        }
        rows.status().map_err(|error| self.inner.failed("reading topics", &error))
    }

    fn read_blocks(&self, topics: &BTreeMap<u32, String>, each: &mut impl FnMut(u64), note: &mut impl FnMut(Error)) -> Result<()> {
        let mut blocks = self.inner.store.raw_iterator_cf_opt(self.inner.blocks()?, super::Inner::scan_options());
        let (mut of, mut expected, mut run) = (None, None, RecordRun::default());
        blocks.seek_to_first();
        while let Some((key, value)) = blocks.item() {
            each((key.len() + value.len()) as u64);
            let Some((topic, partition, last)) = keys::parts(key) else {
                note(Error::corrupt("a block of the log has a key that is none"));
                blocks.next();
                continue;
            };
            if of != Some((topic, partition)) {
                (of, expected) = (Some((topic, partition)), None);
            }
            let name = topics.get(&topic).map_or("that is not there", String::as_str);
            let at = |from: Option<u64>| {
                let from = from.map_or(String::new(), |from| format!("{from} to "));
                format!("topic {name} partition {} offsets {from}{last} in {}", partition.0, self.inner.folder.display())
            };
            run.records.clear();
            run.bytes.clear();
            let read = block::Head::read(value).and_then(|head| block::decode(value, 0, usize::MAX, &mut run).map(|()| head));
            match read {
                Ok(head) if head.end() != last + 1 || expected.is_some_and(|expected| expected != head.base) => {
                    let missing = expected.map_or(String::new(), |expected| format!(", and {expected} is the next that should be there"));
                    note(Error::corrupt(format!("{}: it holds offsets {} to {}{missing}", at(None), head.base, head.end() - 1)));
                }
                Ok(_) => {}
                Err(error) => note(error.context(at(expected))),
            }
            expected = Some(last + 1);
            blocks.next();
        }
        blocks.status().map_err(|error| self.inner.failed("reading the log", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Partition;

    #[test]
    fn a_block_key_is_taken_apart_as_it_was_made() {
        assert_eq!(keys::parts(&keys::block(7, Partition(3), 99)), Some((7, Partition(3), 99)));
        assert_eq!(keys::parts(b"short"), None);
    }
}
