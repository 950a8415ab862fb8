//! Blocks that were committed a moment ago, as they were in memory. The drain takes them from here and need not decompress what the
//! committer compressed. A block that is not here is read from the store. Must never hold more than a bound.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::event::EventBatch;
use crate::id::Seq;

/// Bytes of events that are kept; the oldest blocks go first.
const BYTES_MAX: usize = 64 << 20;

/// The events of one commit.
struct Block {
    first: Seq,
    last: Seq,
    events: Vec<EventBatch>,
    bytes: usize,
}

#[derive(Default)]
pub struct Recent(Mutex<Blocks>);

#[derive(Default)]
struct Blocks {
    blocks: VecDeque<Block>,
    bytes: usize,
}

impl Recent {
    /// Keeps the events of a commit, which follow those of the commit before.
    pub fn push(&self, (first, last): (Seq, Seq), events: Vec<EventBatch>) {
        let bytes = events.iter().map(|batch| batch.rows.get_array_memory_size()).sum();
        let mut kept = self.0.lock();
        kept.bytes += bytes;
        kept.blocks.push_back(Block { first, last, events, bytes });
        while kept.bytes > BYTES_MAX
            && let Some(oldest) = kept.blocks.pop_front()
        {
            kept.bytes -= oldest.bytes;
        }
    }

    /// Takes out the block that begins after `after`, with its last `seq`; `None` if it is not here.
    pub fn take_after(&self, after: Seq) -> Option<(Seq, Vec<EventBatch>)> {
        let mut kept = self.0.lock();
        while kept.blocks.front().is_some_and(|block| block.first <= after) {
            if let Some(passed) = kept.blocks.pop_front() {
                kept.bytes -= passed.bytes;
            }
        }
        let block = kept.blocks.pop_front_if(|block| block.first == after.next())?;
        kept.bytes -= block.bytes;
        Some((block.last, block.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_in_order_and_only_where_they_follow() {
        let recent = Recent::default();
        let last = |after| recent.take_after(Seq(after)).map(|(last, _)| last.0);
        for (first, upto) in [(1, 10), (11, 20), (21, 30), (41, 50)] {
            recent.push((Seq(first), Seq(upto)), Vec::new());
        }
        assert_eq!(last(0), Some(10));
        assert_eq!(last(20), Some(30), "what was passed is gone");
        assert_eq!(last(10), None);
        assert_eq!(last(30), None, "a gap");
        assert_eq!(last(40), Some(50));
        assert_eq!(last(50), None);
    }
}
