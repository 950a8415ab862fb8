//! Rows of drift: the counts of open intervals, and which partitions they wait for. They are committed with the outputs of the rows
//! that they count. Must never count a row twice or lose one.

use rocksdb::{Direction, IteratorMode};

use super::{Commit, META, Store, failure};
use crate::codec;
use crate::error::{Error, Result};

const ROWS: &[u8] = b"drift/";
const AWAITED: &[u8] = b"drift-awaited";
const AWAITED_VERSION: u8 = 1;

/// A stored row of a model's drift, or that there is none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftRow {
    pub model: String,
    /// The number of an interval; `None` for what holds for all of them.
    pub interval: Option<i64>,
    /// As `drift` encodes it.
    pub bytes: Option<Vec<u8>>,
}

impl Store {
    pub fn put_drift(&self, commit: &mut Commit, row: &DriftRow) -> Result<()> {
        let (family, key) = (self.family(META)?, key_of(&row.model, row.interval));
        match &row.bytes {
            Some(bytes) => commit.batch.put_cf(family, key, bytes),
            None => commit.batch.delete_cf(family, key),
        }
        Ok(())
    }

    /// All rows of drift: of each model that for all intervals first, then intervals in order.
    pub fn drift(&self) -> Result<Vec<DriftRow>> {
        let mut rows = Vec::new();
        for entry in self.db.iterator_cf(self.family(META)?, IteratorMode::From(ROWS, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| failure(&self.folder, &error))?;
            let Some(rest) = key.strip_prefix(ROWS) else { break };
            let (model, interval) = read_key(rest).ok_or_else(|| Error::corrupt("a row of drift has a key that is none"))?;
            rows.push(DriftRow { model, interval, bytes: Some(value.to_vec()) });
        }
        Ok(rows)
    }

    /// Records, for each source by name, the partitions that its open intervals wait for.
    pub fn put_awaited(&self, commit: &mut Commit, awaited: &[(String, Vec<u32>)]) -> Result<()> {
        commit.batch.put_cf(self.family(META)?, AWAITED, codec::encode(AWAITED_VERSION, &awaited)?);
        Ok(())
    }

    pub fn awaited(&self) -> Result<Vec<(String, Vec<u32>)>> {
        let stored = self.db.get_pinned_cf(self.family(META)?, AWAITED).map_err(|error| failure(&self.folder, &error))?;
        stored.map_or(Ok(Vec::new()), |bytes| codec::decode(AWAITED_VERSION, &bytes, "what drift waits for"))
    }
}

/// The model's name behind its length, then 0, or 1 and the interval so that it sorts.
fn key_of(model: &str, interval: Option<i64>) -> Vec<u8> {
    let mut key = ROWS.to_vec();
    key.extend((model.len() as u32).to_be_bytes());
    key.extend(model.as_bytes());
    match interval {
        None => key.push(0),
        Some(number) => {
            key.push(1);
            key.extend((number as u64 ^ 1 << 63).to_be_bytes());
        }
    }
    key
}

fn read_key(key: &[u8]) -> Option<(String, Option<i64>)> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let (model, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let interval = match rest {
        [0] => None,
        [1, number @ ..] => Some((u64::from_be_bytes(number.try_into().ok()?) ^ 1 << 63) as i64),
        _ => return None,
    };
    Some((std::str::from_utf8(model).ok()?.to_owned(), interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_model_come_back_in_order_and_go_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 8 << 20, 8 << 20).unwrap();
        let row = |model: &str, interval: Option<i64>| DriftRow { model: model.to_owned(), interval, bytes: Some(vec![7]) };
        let rows = [row("m", None), row("m", Some(-3)), row("m", Some(0)), row("m", Some(4)), row("m2", None)];
        let mut commit = store.begin();
        rows.iter().rev().for_each(|row| store.put_drift(&mut commit, row).unwrap());
        store.put_awaited(&mut commit, &[("s".to_owned(), vec![0, 3])]).unwrap();
        store.commit(commit).unwrap();
        assert_eq!(store.drift().unwrap(), rows);
        assert_eq!(store.awaited().unwrap(), [("s".to_owned(), vec![0, 3])]);
        assert_eq!(store.definitions().unwrap(), None);
        let mut commit = store.begin();
        store.put_drift(&mut commit, &DriftRow { bytes: None, ..row("m", Some(0)) }).unwrap();
        store.commit(commit).unwrap();
        assert_eq!(store.drift().unwrap().len(), 4);
    }
}
