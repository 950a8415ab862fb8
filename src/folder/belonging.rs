//! Decides whether the parts of a data folder belong together: from what each part says of itself and of the others to a list of
//! faults with remedies. Pure.

use super::Part;
use crate::id::{Identity, Offset, Partition, Seq};

/// What the parts of a folder say. A part that is not there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub identity: Option<Identity>,
    /// Parts that were made here and are gone.
    pub missing: Vec<Part>,
    pub log: Option<LogPart>,
    pub online: Option<OnlinePart>,
    pub offline: Option<OfflinePart>,
    /// Another process writes, so that the log may end further on than when it was looked at.
    pub is_written_beside: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    pub identity: Option<Identity>,
    /// The number after the last output that it was given.
    pub outputs: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnlinePart {
    pub identity: Option<Identity>,
    pub committed: Seq,
    /// The first event that a block holds; the next one, where none is.
    pub first_block: Seq,
    /// The number of the next output.
    pub outputs: u64,
    /// The number after the last output that the log was given for sure.
    pub published: u64,
    pub read: Vec<ReadPosition>,
}

impl OnlinePart {
    /// Nothing was ever committed: it was just made.
    fn is_new(&self) -> bool {
        self.committed == Seq(0) && self.outputs == 0 && self.read.is_empty()
    }
}

/// How far a partition of the log was read, and what the log says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    pub topic: String,
    pub partition: Partition,
    pub next: Offset,
    pub extent: Extent,
    /// Whether the last record that was read still is where it was.
    pub last: Stands,
}

/// The offsets that a partition holds: from `start` on, before `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub start: Offset,
    pub end: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The one that was read, or it is not known which that was.
    Same,
    /// Another one.
    Other,
    /// It is not in the log any more, or not in it yet.
    NotHeld,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfflinePart {
    pub identity: Option<Identity>,
    /// Every event up to here is in it: before the online store was looked at, and after.
    pub before: Seq,
    pub after: Seq,
}

const ONE_COPY: &str = "restore the whole data folder from one copy";

/// Why the parts do not belong together, each with the way out; none where they do.
#[must_use]
pub fn objections(parts: &Parts) -> Vec<String> {
    let mut found = strangers(parts);
    if found.is_empty() {
        found.extend(parts.missing.iter().map(|part| missing(*part, parts)));
    }
    // Positions of parts of two folders say nothing of one another.
    if found.is_empty() {
        found.extend(unread(parts));
        found.extend(outputs(parts));
        found.extend(events(parts));
    }
    found
}

/// Parts of other folders.
fn strangers(parts: &Parts) -> Vec<String> {
    let of = |part: Part| match part {
        Part::Log => parts.log.as_ref().map(|log| log.identity),
        Part::Online => parts.online.as_ref().map(|online| online.identity),
        Part::Offline => parts.offline.as_ref().map(|offline| offline.identity),
    };
    let identities: Vec<(Part, Identity)> = Part::ALL.into_iter().filter_map(|part| Some((part, of(part)??))).collect();
    // A folder that lost its file of identity still has that of its parts.
    let Some(own) = parts.identity.or_else(|| identities.first().map(|(_, identity)| *identity)) else { return Vec::new() };
    let strange = identities.into_iter().filter(|(_, identity)| *identity != own);
    strange
        .map(|(part, identity)| {
            let name = part.name();
            format!("{name}/ is of the data folder {identity}, and this is {own}: put back the {name}/ that was here, or {ONE_COPY}")
        })
        .collect()
}

fn missing(part: Part, parts: &Parts) -> String {
    let gone = |other| parts.missing.contains(&other);
    match part {
        Part::Log => format!("log/ is missing: put it back, or {ONE_COPY}; where it is lost, push what is to come into a new data folder"),
        Part::Online if gone(Part::Offline) => format!(
            "online/ is missing: put it back, or {ONE_COPY}; where it is lost too, `forebay rebuild offline` and then `forebay rebuild state` \
             begin again with what the log holds"
        ),
        Part::Online => format!(
            "online/ is missing: put it back, or {ONE_COPY}; where it is lost, `forebay rebuild state` builds it from offline/ and log/"
        ),
        Part::Offline => format!(
            "offline/ is missing (or its manifest is): put it back, or {ONE_COPY}; where it is lost, `forebay rebuild offline` builds it from what the log holds"
        ),
    }
}

/// Partitions of the log that end before what was read of them, or hold other records.
fn unread(parts: &Parts) -> Vec<String> {
    let has_log = parts.log.is_some();
    let read = parts.online.iter().flat_map(|online| &online.read);
    let objection = |read: &ReadPosition| {
        let ReadPosition { topic, partition, next, extent, last } = read;
        let (partition, end) = (partition.0, extent.end.0);
        if *last == Stands::Other {
            let at = next.0.saturating_sub(1);
            return Some(format!(
                "topic {topic} partition {partition}: the record at offset {at} is not the one that was read there: log/ lost its end and was \
                 written on, or is of an older copy; bring the old log back, or {ONE_COPY}"
            ));
        }
        let lacks = end < next.0 && !parts.is_written_beside && (has_log || next.0 > 0);
        lacks.then(|| {
            format!(
                "topic {topic} partition {partition} ends at offset {end}, but was already read up to {}: log/ lost its end, or is of an older \
                 copy: what is appended to it would never be read; {ONE_COPY}",
                next.0
            )
        })
    };
    read.filter_map(objection).collect()
}

/// Outputs that the log was given.
fn outputs(parts: &Parts) -> Option<String> {
    let (log, online) = (parts.log.as_ref()?, parts.online.as_ref()?);
    if log.outputs > online.outputs && !online.is_new() {
        return Some(format!(
            "log/ holds outputs up to number {}, and online/ has made {}: online/ is of an older copy, and what it makes next would be taken \
             for published; {ONE_COPY}, or `forebay rebuild state` builds it from offline/ and log/",
            log.outputs, online.outputs
        ));
    }
    // Beside a process that writes, the log was looked at first.
    (log.outputs < online.published && !parts.is_written_beside).then(|| {
        format!(
            "log/ holds outputs up to number {}, and was given them up to {}: log/ lost its end, or is of an older copy; {ONE_COPY}",
            log.outputs, online.published
        )
    })
}

/// Events that are in neither, or in the later one only.
fn events(parts: &Parts) -> Option<String> {
    let none = OnlinePart { first_block: Seq(1), ..OnlinePart::default() };
    let online = parts.online.as_ref().unwrap_or(&none);
    let offline = parts.offline.clone().unwrap_or_default();
    let (committed, first, before, after) = (online.committed.0, online.first_block.0, offline.before.0, offline.after.0);
    if before > committed {
        return Some(format!(
            "offline/ holds events up to seq {before}, and online/ those up to {committed}: online/ is of an older copy; {ONE_COPY}, or \
             `forebay rebuild state` builds it from offline/ and log/"
        ));
    }
    (after + 1 < first).then(|| {
        format!(
            "offline/ holds events up to seq {after}, and online/ those from {first} on: offline/ is missing or of an older copy; {ONE_COPY}, or \
             `forebay rebuild offline` builds it from what the log holds"
        )
    })
}
