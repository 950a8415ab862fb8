//! Which stored rows of a view with a `ttl` are looked at next, so that those of keys that fell silent go. A round looks at
//! each row of a shard once, a few with every work; the next begins when event time went on by a share of the `ttl`, so that
//! a row is looked at a bounded number of times. Must never change a value: it finds keys, and the shard forgets them.

use crate::error::Result;
use crate::id::Identity;
use crate::online::Store;
use crate::time::{EventTime, Span};
use crate::window::{KeyState, Layout};

/// How many rows, and slots, are looked at with one work.
const LOOKS_MAX: usize = 256;
/// Rounds within the time of one `ttl`.
const ROUNDS: i64 = 8;

/// The rounds over the rows of one view.
pub struct Sweep {
    pub view: usize,
    ttl: Span,
    /// The slot that is looked at, and the last key that was. Between rounds there is none.
    at: Option<(u8, Option<Box<[u8]>>)>,
    /// The horizon at which the next round begins.
    next: EventTime,
}

impl Sweep {
    pub fn new(view: usize, ttl: Span) -> Self {
        Self { view, ttl, at: None, next: EventTime::MIN }
    }

    /// Whether a key with this last event is not silent yet.
    pub fn speaks(&self, last: EventTime, horizon: EventTime) -> bool {
        last >= horizon.minus(self.ttl)
    }

    /// The next stored keys whose last event is more than the `ttl` before `horizon`, among the slots of a shard.
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
            self.next = horizon.plus(Span(self.ttl.0 / ROUNDS));
        }
        let ttl = self.ttl;
        let mut looks = LOOKS_MAX;
        while looks > 0 {
            let Some((slot, after)) = self.at.take() else { break };
            let mut last = after;
            let mut seen = 0;
            if usize::from(slot) % shards == shard {
                let from = last.clone();
                seen = store.rows_of_slot(view, slot, from.as_deref(), looks, |key, row| {
                    if KeyState::last_event_of(layout, row)?.is_some_and(|last| last < horizon.minus(ttl)) {
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
