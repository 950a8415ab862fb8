//! Where events that are there again belong in the order of taking in. Pure.
//!
//! An event's `seq` lies between those of its neighbours of the same partition. Where several partitions lack events side by side,
//! more than one order fits: one of them is taken. Values by event time are the same in each; values as known may differ between
//! events that were taken in side by side.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// An event without a `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub source: usize,
    pub partition: u32,
    pub offset: u64,
}

/// What is known of the events of the places' partitions: the nearest `seq` before and behind each place.
pub struct Bounds {
    /// Of each partition the places' offsets, rising, and for each gap before, between and behind them the least and the greatest
    /// `seq` of what is known there.
    partitions: BTreeMap<(usize, u32), (Vec<u64>, Vec<Option<(u64, u64)>>)>,
}

impl Bounds {
    pub fn new(places: &[Place]) -> Self {
        let mut partitions: BTreeMap<(usize, u32), (Vec<u64>, Vec<_>)> = BTreeMap::new();
        for place in places {
            partitions.entry((place.source, place.partition)).or_default().0.push(place.offset);
        }
        for (offsets, gaps) in partitions.values_mut() {
            offsets.sort_unstable();
            gaps.resize(offsets.len() + 1, None);
        }
        Self { partitions }
    }

    /// Notes an event that is known.
    pub fn know(&mut self, place: Place, seq: u64) {
        if let Some((offsets, gaps)) = self.partitions.get_mut(&(place.source, place.partition)) {
            let gap = &mut gaps[offsets.partition_point(|offset| *offset < place.offset)];
            *gap = Some(gap.map_or((seq, seq), |(least, greatest)| (least.min(seq), greatest.max(seq))));
        }
    }

    /// Gives each place one of these numbers, which rise; `None` where they do not fit.
    pub fn numbered(&self, free: &[u64]) -> Option<BTreeMap<Place, u64>> {
        // Of each place the last number before which it may not, and from which on it must not be.
        let mut waiting: Vec<(u64, u64, Place)> = Vec::new();
        for ((source, partition), (offsets, gaps)) in &self.partitions {
            let mut before = 0;
            let lows: Vec<u64> = gaps
                .iter()
                .map(|gap| {
                    before = gap.map_or(before, |(_, greatest)| greatest.max(before));
                    before
                })
                .collect();
            let mut behind = u64::MAX;
            let mut highs: Vec<u64> = gaps
                .iter()
                .rev()
                .map(|gap| {
                    behind = gap.map_or(behind, |(least, _)| least.min(behind));
                    behind
                })
                .collect();
            highs.reverse();
            for (at, offset) in offsets.iter().enumerate() {
                waiting.push((lows[at], highs[at + 1], Place { source: *source, partition: *partition, offset: *offset }));
            }
        }
        if waiting.len() != free.len() {
            return None;
        }
        waiting.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        // Whoever must come first comes first; of one partition they have their order, since it has one bound in each gap.
        let mut ready: BinaryHeap<Reverse<(u64, Place)>> = BinaryHeap::new();
        let mut given = BTreeMap::new();
        for seq in free {
            while let Some((_, until, place)) = waiting.next_if(|(from, ..)| from < seq) {
                ready.push(Reverse((until, place)));
            }
            let Reverse((until, place)) = ready.pop()?;
            if *seq >= until {
                return None;
            }
            given.insert(place, *seq);
        }
        Some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: u32, offset: u64) -> Place {
        Place { source: 0, partition, offset }
    }

    #[test]
    fn numbers_are_those_of_before_where_one_partition_lacks_events() {
        for lost in [vec![0], vec![9], vec![0, 1, 2], vec![3, 4, 8], (0..10).collect()] {
            let places: Vec<Place> = lost.iter().map(|offset| place(0, *offset)).collect();
            let mut bounds = Bounds::new(&places);
            (0..10).filter(|offset| !lost.contains(offset)).for_each(|offset| bounds.know(place(0, offset), offset * 3 + 1));
            let free: Vec<u64> = lost.iter().map(|offset| offset * 3 + 1).collect();
            let given = bounds.numbered(&free).unwrap();
            lost.iter().for_each(|offset| assert_eq!(given[&place(0, *offset)], offset * 3 + 1));
        }
    }

    #[test]
    fn each_partition_keeps_its_order_between_its_neighbours() {
        // The seq of partition p's offset o is 3 * o + p + 1.
        let seq = |at: Place| at.offset * 3 + u64::from(at.partition) + 1;
        let all: Vec<Place> = (0..3).flat_map(|partition| (0..20).map(move |offset| place(partition, offset))).collect();
        let is_lost = |at: &&Place| at.offset % 7 == 3 || (5..9).contains(&at.offset) && at.partition != 1;
        let lost: Vec<Place> = all.iter().filter(is_lost).copied().collect();
        let mut bounds = Bounds::new(&lost);
        all.iter().filter(|at| !is_lost(at)).for_each(|at| bounds.know(*at, seq(*at)));
        let mut free: Vec<u64> = lost.iter().map(|at| seq(*at)).collect();
        free.sort_unstable();
        let given = bounds.numbered(&free).unwrap();
        for partition in 0..3 {
            let of = |offset: u64| given.get(&place(partition, offset)).copied().unwrap_or_else(|| seq(place(partition, offset)));
            assert!((0..20).map(of).is_sorted(), "partition {partition}");
        }
        assert_eq!(bounds.numbered(&free[1..]), None);
        free[0] = 1_000;
        free.sort_unstable();
        assert_eq!(bounds.numbered(&free), None, "a number behind all that is known before it");
    }
}
