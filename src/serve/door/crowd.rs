//! The open connections, at most so many. If there is no room, the connection that has waited longest for its client is closed for
//! a new one. If all are being answered, the new one is refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::telemetry::Gauge;

use super::course::{Course, Order, Phase};

/// A client is waited for so long before its connection gives way: for a head, and for the rest of a body.
const HEAD_PATIENCE: Duration = Duration::from_millis(100);
const BODY_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Crowd {
    most: usize,
    open: Gauge,
    epoch: Instant,
    present: Mutex<Present>,
    left: Notify,
}

#[derive(Default)]
struct Present {
    next: u64,
    courses: HashMap<u64, Course>,
}

/// A connection's place in the crowd, which it leaves when this goes.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    pub course: Course,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.crowd.present.lock();
        present.courses.remove(&self.number);
        self.crowd.open.set(present.courses.len() as f64);
        drop(present);
        self.crowd.left.notify_one();
    }
}

impl Crowd {
    pub fn new(most: usize, open: Gauge) -> Arc<Self> {
        Arc::new(Self { most, open, epoch: Instant::now(), present: Mutex::default(), left: Notify::new() })
    }

    /// A place for a new connection; none where all are being answered.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut present = self.present.lock();
        if present.courses.len() >= self.most {
            let longest = present.courses.iter().filter_map(|(number, course)| Some((patience_spent(course)?, *number))).max();
            let yielding = present.courses.remove(&longest?.1)?;
            yielding.tell(Order::Yield);
        }
        let course = Course::new(self.epoch);
        let number = present.next;
        present.next += 1;
        present.courses.insert(number, course.clone());
        self.open.set(present.courses.len() as f64);
        Some(Place { crowd: Arc::clone(self), number, course })
    }

    pub fn tell(&self, order: Order) {
        self.present.lock().courses.values().for_each(|course| course.tell(order));
    }

    pub fn count(&self) -> usize {
        self.present.lock().courses.len()
    }

    /// Waits until nobody is left.
    pub async fn empty(&self) {
        while self.count() > 0 {
            self.left.notified().await;
        }
    }
}

/// How long a connection that may give way has waited.
fn patience_spent(course: &Course) -> Option<Duration> {
    let (phase, waited) = course.waits();
    let patience = match phase {
        Phase::New | Phase::Idle | Phase::Head => HEAD_PATIENCE,
        Phase::Body => BODY_PATIENCE,
        Phase::Answer | Phase::Write => return None,
    };
    Some(waited).filter(|waited| *waited >= patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_longest_gives_way_and_nobody_who_is_answered_does() {
        let crowd = Crowd::new(3, Gauge::default());
        let places: Vec<Place> = (0..3).filter_map(|_| crowd.enter()).collect();
        assert!(crowd.enter().is_none(), "all have just come");
        tokio::time::sleep(Duration::from_millis(10)).await;
        places[0].course.received();
        places[1].course.answers();
        tokio::time::sleep(HEAD_PATIENCE).await;
        places[0].course.received();
        let fourth = crowd.enter().unwrap();
        assert_eq!(places.iter().map(|place| place.course.order()).collect::<Vec<_>>(), [Order::Stay, Order::Stay, Order::Yield]);
        fourth.course.reads_body();
        let fifth = crowd.enter().unwrap();
        assert_eq!(places[0].course.order(), Order::Yield, "another byte of a head does not begin it anew");
        fifth.course.answers();
        tokio::time::sleep(HEAD_PATIENCE).await;
        assert!(crowd.enter().is_none(), "a body has a second");
        tokio::time::sleep(BODY_PATIENCE).await;
        drop(crowd.enter().unwrap());
        assert_eq!(fourth.course.order(), Order::Yield);
        drop((places, fourth));
        assert_eq!(crowd.count(), 1);
        crowd.tell(Order::Finish);
        crowd.tell(Order::Cut);
        crowd.tell(Order::Finish);
        assert_eq!(fifth.course.order(), Order::Cut);
        drop(fifth);
        crowd.empty().await;
    }
}
