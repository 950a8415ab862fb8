//! Bounds the memory of records between their log and the state: readers wait while too much is in flight. Must never make a reader
//! wait for room that nobody can free.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long is waited before it is looked whether the engine stops.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that readers share, in the order in which they ask: what is small does not overtake what waits for much room. What comes
/// when nothing is held is let in whatever its size, so that one record that is larger than all of it goes through alone.
pub struct Intake {
    turns: Mutex<Turns>,
    freed: Condvar,
    most: u64,
}

#[derive(Default)]
struct Turns {
    held: u64,
    /// Of who asks next, and of who is let in next.
    next: u64,
    turn: u64,
}

/// A share of the intake, given back when it goes.
pub struct Held {
    intake: Arc<Intake>,
    pub bytes: u64,
}

impl Intake {
    pub fn new(most: u64) -> Self {
        Self { turns: Mutex::default(), freed: Condvar::new(), most }
    }

    /// Waits until there is room; `None` when `stops` before.
    pub fn take(self: &Arc<Self>, bytes: u64, stops: impl Fn() -> bool) -> Option<Held> {
        let mut turns = self.turns.lock();
        let mine = turns.next;
        turns.next += 1;
        while turns.turn != mine || (turns.held > 0 && turns.held + bytes > self.most) {
            if stops() {
                // Whoever is behind stops as well.
                turns.turn = turns.turn.max(mine + 1);
                return None;
            }
            self.freed.wait_for(&mut turns, LOOK);
        }
        turns.turn += 1;
        turns.held += bytes;
        self.freed.notify_all();
        Some(Held { intake: Arc::clone(self), bytes })
    }

    /// What is held now.
    pub fn bytes(&self) -> u64 {
        self.turns.lock().held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.intake.turns.lock().held -= self.bytes;
        self.intake.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Until so many wait.
    fn wait_for(intake: &Intake, waiting: u64) {
        loop {
            let turns = intake.turns.lock();
            if turns.next - turns.turn == waiting {
                return;
            }
            drop(turns);
            std::thread::yield_now();
        }
    }

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
        // What is small waits behind it, although there is room.
        wait_for(&intake, 1);
        let small = {
            let intake = Arc::clone(&intake);
            std::thread::spawn(move || intake.take(1, || false).unwrap().bytes)
        };
        wait_for(&intake, 2);
        assert!(!waiter.is_finished() && !small.is_finished());
        drop(second);
        assert_eq!((waiter.join().unwrap(), small.join().unwrap()), (1_000, 1));
        assert_eq!(intake.bytes(), 0);
    }
}
