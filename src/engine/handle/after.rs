//! Waits for positions of logs, which a push returned and a lookup names. Must never take a thread to wait, and refuses at once a
//! position that can never come.

use std::time::Duration;

use crate::engine::handle::Handle;
use crate::engine::handle::api::{LookupRequest, Misplaced};
use crate::engine::shared::{Applied, Shared};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};

impl Handle {
    /// Whether each position of `after` can come.
    ///
    /// # Errors
    /// The first that cannot, and what of it is at fault.
    pub fn check_after(&self, request: &LookupRequest) -> std::result::Result<(), Misplaced> {
        request.after.iter().enumerate().try_for_each(|(index, position)| self.check_position(index, position))
    }

    fn check_position(
        &self,
        index: usize,
        (source, partition, offset): &(String, Partition, Offset),
    ) -> std::result::Result<(), Misplaced> {
        let wrong = |part, message| Err(Misplaced { index, part, message });
        let plan = self.plan();
        let Some((place, declared)) = plan.source(source) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
            return wrong("source", format!("after: there is no source {source}; there are: {}", known.join(", ")));
        };
        let number = partition.0;
        let origin = &declared.origin;
        let held = self.shared.logs.of(origin.system).ok().and_then(|system| system.known_partitions(&origin.topic));
        let Some(held) = held else {
            // Its end is the broker's to know, and moves without us: what does not come is said when the time is over.
            let known = self.shared.ends[place].lock();
            return match known.is_empty() || known.contains_key(partition) {
                true => Ok(()),
                false => wrong("partition", format!("after: source {source} has no partition {number}; it has {}", known.len())),
            };
        };
        match held.get(number as usize) {
            None if held.is_empty() => Ok(()),
            None => wrong("partition", format!("after: source {source} has no partition {number}; it has {}, counted from 0", held.len())),
            Some((_, end)) if end < offset => wrong(
                "offset",
                format!(
                    "after: the log of source {source} ends at {} in partition {number}, before {}: send the offset that a push returned",
                    end.0, offset.0
                ),
            ),
            Some(_) => Ok(()),
        }
    }

    /// Whether the positions of `after` are applied.
    #[must_use]
    pub fn has_applied(&self, request: &LookupRequest) -> bool {
        self.is_past(request, &self.shared.applied())
    }

    /// Waits until the positions of `after` are applied, without a thread.
    ///
    /// # Errors
    /// `Unavailable` when they do not come within `wait`, or when the engine ends.
    pub async fn applied_past(&self, request: &LookupRequest) -> Result<()> {
        if self.has_applied(request) {
            return Ok(());
        }
        let mut cuts = self.shared.cuts.subscribe();
        let passed = async {
            while !self.has_applied(request) {
                self.shared.check()?;
                if self.shared.is_stopping() || cuts.changed().await.is_err() {
                    return Err(Error::unavailable("the server stops: ask again when it is back"));
                }
            }
            Ok(())
        };
        tokio::time::timeout(request.wait, passed).await.unwrap_or_else(|_| Err(self.not_in_time(request)))
    }

    /// The same on the caller's thread.
    pub(in crate::engine) fn wait_after(&self, request: &LookupRequest) -> Result<()> {
        self.check_after(request).map_err(|misplaced| Error::input(misplaced.message))?;
        let late = |_| self.not_in_time(request);
        self.shared.wait_applied(request.wait, |applied| self.is_past(request, applied)).map_err(late)
    }

    fn is_past(&self, request: &LookupRequest, applied: &Applied) -> bool {
        let is_in = |(source, partition, offset): &(String, Partition, Offset)| {
            let next = self.plan().source(source).and_then(|(place, _)| applied.partitions.get(&(place, *partition)));
            offset.0 == 0 || next.is_some_and(|(next, _)| next >= offset)
        };
        request.after.iter().all(is_in)
    }

    /// Says how far the first position that is not in has come.
    fn not_in_time(&self, request: &LookupRequest) -> Error {
        let waited = request.wait.as_millis();
        if let Err(error) = self.shared.check() {
            return error;
        }
        let applied = self.shared.applied();
        for (source, partition, offset) in &request.after {
            let Some((place, _)) = self.plan().source(source) else { continue };
            let next = applied.partitions.get(&(place, *partition)).map_or(Offset(0), |(next, _)| *next);
            if next < *offset {
                let (number, end) = (partition.0, known_end(&self.shared, place, *partition));
                let end = end.map_or_else(String::new, |end| format!(", and its log reached to {} when last looked at", end.0.max(next.0)));
                return Error::unavailable(format!(
                    "the events to wait for were not applied within {waited} ms: partition {number} of source {source} is applied up to \
                     offset {} of {}{end}; ask again, or wait longer with wait_ms",
                    next.0, offset.0
                ));
            }
        }
        Error::unavailable(format!("the events to wait for were not applied within {waited} ms; ask again"))
    }
}

fn known_end(shared: &Shared, source: usize, partition: Partition) -> Option<Offset> {
    shared.ends[source].lock().get(&partition).copied()
}

/// How long a request may wait for `after`.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
