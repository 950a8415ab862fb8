//! The stored form of the ids of accepted events, in this version and in those that are still read. Pure.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Result;
use crate::id::Seq;

const VERSION: u8 = 3;
/// That of a version without tombstones, which is still read.
pub(super) const VERSION_SECOND: u8 = 2;
/// That of a version without retractions, which is still read.
pub(super) const VERSION_FIRST: u8 = 1;

/// Ids of accepted events of one partition in one commit: what recognises duplicates, and events to be retracted, after
/// a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedIds {
    pub source: String,
    pub partition: u32,
    /// 128-bit hash of the id and event time in microseconds.
    pub ids: Vec<(u128, i64)>,
    /// The columns that `places` hash; both are empty where the source says nothing of deletes.
    pub key_columns: Vec<String>,
    /// One for each of `ids`.
    pub places: Vec<Place>,
    /// Of these and of earlier events those that were retracted: id, event time and offset.
    pub retracted: Vec<(u128, i64, u64)>,
    /// Where tombstones retract events, for each of `ids` the event time and the `key_columns`; see `engine::kept`.
    pub kept: Vec<u8>,
    /// The columns of which `ids` are hashes and event times; both are empty where an earlier version wrote the row.
    pub dedup: Vec<String>,
    pub event_time: String,
}

/// What a retraction of an event needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub offset: u64,
    /// 64-bit hash of the keys that the event has in the views of its source.
    pub keys: u64,
}

/// `AcceptedIds` of a version without retractions.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstAcceptedIds {
    pub(super) source: String,
    pub(super) partition: u32,
    pub(super) ids: Vec<(u128, i64)>,
}

/// `AcceptedIds` of a version without tombstones.
#[derive(Serialize, Deserialize)]
pub(super) struct SecondAcceptedIds {
    pub(super) source: String,
    pub(super) partition: u32,
    pub(super) ids: Vec<(u128, i64)>,
    pub(super) key_columns: Vec<String>,
    pub(super) places: Vec<Place>,
    pub(super) retracted: Vec<(u128, i64, u64)>,
}

impl AcceptedIds {
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        codec::encode(VERSION, self)
    }

    /// Reads what `to_bytes` of this version or of an earlier one made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "accepted ids";
        match bytes.first() {
            Some(&VERSION_FIRST) => {
                let FirstAcceptedIds { source, partition, ids } = codec::decode(VERSION_FIRST, bytes, WHAT)?;
                Ok(Self { source, partition, ids, ..Self::default() })
            }
            Some(&VERSION_SECOND) => {
                let SecondAcceptedIds { source, partition, ids, key_columns, places, retracted } =
                    codec::decode(VERSION_SECOND, bytes, WHAT)?;
                Ok(Self { source, partition, ids, key_columns, places, retracted, ..Self::default() })
            }
            _ => codec::decode(VERSION, bytes, WHAT),
        }
    }
}

/// Where a row of ids lies: a commit's first `seq`, and the row's place in that commit.
pub(super) fn ids_key((first, place): (Seq, u32)) -> Vec<u8> {
    let mut key = first.0.to_be_bytes().to_vec();
    key.extend(place.to_be_bytes());
    key
}
