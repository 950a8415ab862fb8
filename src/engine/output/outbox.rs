//! Counts the outputs that wait for each destination, and their bytes. Readers wait while there are too many bytes.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::online::{Backlog, Destination, Output};

#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<BTreeMap<Destination, Waiting>>,
    bytes_max: u64,
}

/// Below zero for a moment if outputs are published before their commit has counted them.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    records: i64,
    bytes: i64,
}

impl Outbox {
    /// As a start finds the outputs that wait.
    pub fn new(found: BTreeMap<Destination, Backlog>, bytes_max: u64) -> Self {
        let of = |backlog: Backlog| Waiting { records: backlog.records.cast_signed(), bytes: backlog.bytes.cast_signed() };
        let waiting = found.into_iter().map(|(destination, backlog)| (destination, of(backlog))).collect();
        Self { waiting: Mutex::new(waiting), bytes_max }
    }

    /// These outputs were committed.
    pub fn committed(&self, backlogs: &Backlogs) {
        for (destination, backlog) in &backlogs.0 {
            self.add(destination, backlog.records.cast_signed(), backlog.bytes.cast_signed());
        }
    }

    /// Outputs of a destination were published.
    pub fn published(&self, destination: &Destination, records: u64, bytes: u64) {
        self.add(destination, -records.cast_signed(), -bytes.cast_signed());
    }

    fn add(&self, destination: &Destination, records: i64, bytes: i64) {
        let mut waiting = self.waiting.lock();
        let of = match waiting.get_mut(destination) {
            Some(of) => of,
            None => waiting.entry(destination.clone()).or_default(),
        };
        of.records += records;
        of.bytes += bytes;
    }

    /// The destinations that outputs ever waited for since the start, or wait for since before.
    pub fn destinations(&self) -> Vec<Destination> {
        self.waiting.lock().keys().cloned().collect()
    }

    pub fn waiting(&self) -> u64 {
        self.waiting.lock().values().map(|of| u64::try_from(of.records).unwrap_or(0)).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.waiting.lock().values().map(|of| u64::try_from(of.bytes).unwrap_or(0)).sum()
    }

    /// Whether so much waits that no more is to be read.
    pub fn is_full(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}

/// The outputs of one commit, counted by destination.
#[derive(Debug, Default)]
pub struct Backlogs(Vec<(Destination, Backlog)>);

impl Backlogs {
    /// Counts an output. Outputs of one destination mostly follow one another.
    pub fn add(&mut self, output: &Output) {
        let place = self.0.iter().rposition(|(destination, _)| destination.takes(output)).unwrap_or_else(|| {
            self.0.push((output.destination(), Backlog::default()));
            self.0.len() - 1
        });
        let backlog = &mut self.0[place].1;
        backlog.records += 1;
        backlog.bytes += output.bytes();
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
