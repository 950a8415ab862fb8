//! Bounds the bytes of bodies in flight over all requests. Must never make a small body wait: lookups are answered while large
//! pushes take turns.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::serve::error::Refusal;

/// Bodies up to this size are not counted: connections bound them.
const SMALL: usize = 64 << 10;
/// How long a body waits for room.
const WAIT: Duration = Duration::from_secs(2);
/// What is counted in.
const UNIT: usize = 1024;

/// Room for bodies.
pub(in crate::serve) struct Bodies {
    units: Arc<Semaphore>,
    bytes_max: usize,
    wait: Duration,
}

impl Bodies {
    pub fn new(bytes_max: usize) -> Self {
        let units = bytes_max.div_ceil(UNIT).min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), bytes_max, wait: WAIT }
    }

    /// Room for a body of that size, where it needs any.
    pub async fn room(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if bytes <= SMALL { Ok(None) } else { self.units(bytes).await.map(Some) }
    }

    /// Makes the room of a body that has grown beyond what was declared large enough, by doubling it.
    pub async fn grow(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Refusal> {
        let held = room.as_ref().map_or(SMALL, |room| room.num_permits() * UNIT);
        if bytes <= held {
            return Ok(());
        }
        let more = self.units(bytes.max(2 * held) - if room.is_some() { held } else { 0 }).await?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }

    async fn units(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        match tokio::time::timeout(self.wait, Arc::clone(&self.units).acquire_many_owned(units)).await {
            Ok(Ok(room)) => Ok(room),
            _ => {
                let max = self.bytes_max;
                let message = format!("bodies of {max} bytes are in flight already: ask again later, or raise bodies_max");
                Err(Refusal::unavailable("too_busy", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not() {
        let bodies = Bodies { wait: Duration::from_millis(20), ..Bodies::new(1 << 20) };
        let first = bodies.room(900 << 10).await.unwrap();
        assert!(bodies.room(SMALL).await.unwrap().is_none());
        let refused = bodies.room(200 << 10).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::SERVICE_UNAVAILABLE, "too_busy"));
        let mut grown = bodies.room(0).await.unwrap();
        bodies.grow(&mut grown, SMALL).await.unwrap();
        assert!(grown.is_none());
        assert!(bodies.grow(&mut grown, SMALL + 1).await.is_err(), "there is room for 124 KiB, and it takes 128");
        drop(first);
        bodies.grow(&mut grown, SMALL + 1).await.unwrap();
        bodies.grow(&mut grown, 300 << 10).await.unwrap();
        assert_eq!(grown.map(|room| room.num_permits()), Some(300));
        assert!(bodies.room(1 << 20).await.is_ok());
    }
}
