//! Chooses the stored rows of a view that are examined next, so that rows are deleted that no value depends on: rows of keys that
//! are silent for longer than a `ttl`, and, if nothing of forgotten events is stored, rows that no window reaches. A round examines
//! each row of a shard once, a few rows with each batch. The next round begins when event time has advanced by a share of that
//! time, so a row is examined a bounded number of times. Must never change a value: it finds keys, and the shard deletes them.

use crate::error::Result;
use crate::id::Identity;
use crate::online::Store;
use crate::plan::View;
use crate::time::{EventTime, Span};
use crate::window::{KeyState, Layout};

/// How many rows, and slots, of a view with a `ttl` are looked at with one work.
const LOOKS_WITH_TTL: usize = 256;
/// The same of other views, where silent keys cost room and no more than that; and how many for each key that is new beside it,
/// so that as many can go as come.
const LOOKS: usize = 16;
const LOOKS_PER_NEW_KEY: usize = 2;
/// The most with one work; what is left is looked at with the next.
const LOOKS_MAX: usize = 4096;
/// Rounds within the time after which a key may go.
const ROUNDS: i64 = 8;
/// The shortest time from one round to the next.
const BETWEEN_ROUNDS_MIN: Span = Span::MINUTE;

/// The rounds over the rows of one view.
pub struct Sweep {
    pub view: usize,
    /// How long before the earliest time that windows reach a key's last event must be.
    silence: Span,
    between_rounds: Span,
    looks: usize,
    /// Looks that new keys have given and that were not used yet.
    owed: usize,
    /// The slot that is looked at, and the last key that was. Between rounds there is none.
    at: Option<(u8, Option<Box<[u8]>>)>,
    /// The horizon at which the next round begins.
    next: EventTime,
}

impl Sweep {
    /// `None` for a view that needs something of every key for ever.
    pub fn new(view: usize, of: &View, layout: &Layout) -> Option<Self> {
        let (silence, looks) = match of.ttl {
            _ if layout.forgets_all() => (Span(0), of.ttl.map_or(LOOKS, |_| LOOKS_WITH_TTL)),
            Some(ttl) => (ttl, LOOKS_WITH_TTL),
            None => return None,
        };
        let between_rounds = Span((silence.0.max(of.window_max().0) / ROUNDS).max(BETWEEN_ROUNDS_MIN.0));
        Some(Self { view, silence, between_rounds, looks, owed: 0, at: None, next: EventTime::MIN })
    }

    /// Whether a key with this last event is not silent yet.
    pub fn speaks(&self, last: EventTime, horizon: EventTime) -> bool {
        last >= horizon.minus(self.silence)
    }

    /// Notes that a key was seen for the first time.
    pub fn came(&mut self) {
        self.owed += LOOKS_PER_NEW_KEY;
    }

    /// The next stored keys that are silent for too long at `horizon`, among the slots of a shard.
    pub fn silent(
        &mut self,
        store: &Store,
        (view, layout): (Identity, &Layout),
        (shard, shards): (usize, usize),
        horizon: EventTime,
    ) -> Result<Vec<Box<[u8]>>> {
        let mut found = Vec::new();
        if self.at.is_none() && horizon >= self.next {
            self.at = Some((0, None));
            self.next = horizon.plus(self.between_rounds);
        }
        let silence = self.silence;
        let more = if self.at.is_some() { self.owed.min(LOOKS_MAX) } else { 0 };
        self.owed -= more;
        let mut looks = self.looks + more;
        while looks > 0 {
            let Some((slot, after)) = self.at.take() else { break };
            let mut last = after;
            let mut seen = 0;
            if usize::from(slot) % shards == shard {
                let from = last.clone();
                seen = store.rows_of_slot(view, slot, from.as_deref(), looks, |key, row| {
                    if KeyState::last_event_of(layout, row)?.is_some_and(|last| last < horizon.minus(silence)) {
                        found.push(key.into());
                    }
                    last = Some(key.into());
                    Ok(())
                })?;
            }
            self.at = if seen == looks { Some((slot, last)) } else { slot.checked_add(1).map(|slot| (slot, None)) };
            looks -= looks.min(seen + 1);
        }
        Ok(found)
    }
}
