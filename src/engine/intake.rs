//! How much of what was read may be in memory on its way to the state: readers wait while there is too much. Must never wait for
//! what nobody can take.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long is waited before it is looked whether the engine stops.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that readers share. What comes first is let in whatever its size, so that one record that is larger than all of it goes
/// through alone.
pub struct Intake {
    held: Mutex<u64>,
    freed: Condvar,
    most: u64,
}

/// A share of the intake, given back when it goes.
pub struct Held {
    intake: Arc<Intake>,
    pub bytes: u64,
}

impl Intake {
    pub fn new(most: u64) -> Self {
        Self { held: Mutex::new(0), freed: Condvar::new(), most }
    }

    /// Waits until there is room; `None` when `stops` before.
    pub fn take(self: &Arc<Self>, bytes: u64, stops: impl Fn() -> bool) -> Option<Held> {
        let mut held = self.held.lock();
        while *held > 0 && *held + bytes > self.most {
            if stops() {
                return None;
            }
            self.freed.wait_for(&mut held, LOOK);
        }
        *held += bytes;
        Some(Held { intake: Arc::clone(self), bytes })
    }

    /// What is held now.
    pub fn bytes(&self) -> u64 {
        *self.held.lock()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.intake.held.lock() -= self.bytes;
        self.intake.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_waits_until_there_is_room_and_a_giant_goes_alone() {
        let intake = Arc::new(Intake::new(100));
        let first = intake.take(60, || false).unwrap();
        assert!(intake.take(60, || true).is_none());
        let second = intake.take(40, || true).unwrap();
        assert_eq!(intake.bytes(), 100);
        let waiter = {
            let intake = Arc::clone(&intake);
            std::thread::spawn(move || intake.take(1_000, || false).unwrap().bytes)
        };
        drop(first);
        assert!(!waiter.is_finished());
        drop(second);
        assert_eq!(waiter.join().unwrap(), 1_000);
        assert_eq!(intake.bytes(), 0);
    }
}
