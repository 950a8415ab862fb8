//! Names for what must not be mixed up: places in logs, places in the order of processing, identities of meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

/// A partition of a topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(pub u32);

/// The place of a record in its partition, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset(pub u64);

/// The place of an event in the order in which this engine processed the events of all its sources.
/// Dense, and counted from 1, so that `Seq(0)` is the cut before every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The cut that holds every event.
    pub const MAX: Self = Self(u64::MAX);

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event's place in the total order of its source: by time, then partition, then offset. No two events tie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub time: EventTime,
    pub partition: Partition,
    pub offset: Offset,
}

impl Partition {
    /// The highest partition of a source: above its bits stands the branch of a stream.
    pub const MAX: Self = Self((1 << Self::BITS) - 1);
    const BITS: u32 = 24;
}

impl Offset {
    /// Below an offset stand the elements of a list: places of rows stay apart up to the offset 2^48.
    const ELEMENT_BITS: u32 = 16;
}

/// The places that the rows of one event have in one branch of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub first: Position,
    /// How many places follow, each an offset further: none, or those of all elements that a list can have.
    pub others: u16,
}

impl From<Position> for Places {
    fn from(only: Position) -> Self {
        Self { first: only, others: 0 }
    }
}

impl Position {
    /// The place among the rows of a stream, whose order at equal times is by branch, then partition and offset. Branch 0
    /// leaves a place as it is in its source's log.
    #[must_use]
    pub fn in_branch(self, branch: u8) -> Self {
        Self { partition: Partition(self.partition.0 | u32::from(branch) << Partition::BITS), ..self }
    }

    /// The place of an element's row, in a branch that makes a row of each element of a list: offsets, then elements.
    #[must_use]
    pub fn of_element(self, element: u16) -> Self {
        Self { offset: Offset(self.offset.0 << Offset::ELEMENT_BITS | u64::from(element)), ..self }
    }

    /// Which element's row stands here, from 0, in a branch that makes a row of each element of a list.
    #[must_use]
    pub fn element(self) -> usize {
        (self.offset.0 & ((1 << Offset::ELEMENT_BITS) - 1)) as usize
    }

    /// The place in the source's log of what stands here among the rows of a stream, in a branch that `unnests` or not.
    #[must_use]
    pub fn in_log(self, unnests: bool) -> Self {
        let offset = if unnests { Offset(self.offset.0 >> Offset::ELEMENT_BITS) } else { self.offset };
        Self { partition: Partition(self.partition.0 & Partition::MAX.0), offset, ..self }
    }

    /// The branch of a place among the rows of a stream.
    #[must_use]
    pub fn branch(self) -> u8 {
        (self.partition.0 >> Partition::BITS) as u8
    }
}

/// The hash of a normalised meaning (first 16 bytes of SHA-256), equal for definitions that mean the same; of a data folder 16
/// random bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    /// The identity of a normalised text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// What `Display` wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32 && !text.starts_with('+'))?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
