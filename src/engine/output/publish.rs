//! The publisher: one thread for each destination moves the outputs of its queue to their topics, in the order of their numbers. A
//! destination that accepts nothing delays no other. Publishes at least once; a sink that stores its number makes that exactly
//! once. Must never delete an output that its destination may lack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hashbrown::HashMap;

use crate::engine::handle::problems::Kind;
use crate::engine::shared::Shared;
use crate::engine::state::apply::spawn;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::folder::OUTBOX_WRITER;
use crate::online::{Destination, Output};
use crate::record::{NewRecord, Next, Sink};
use crate::telemetry::{Counter, names};

const BATCH: usize = 4096;
/// Fewer where they are large.
const BATCH_BYTES: u64 = 8 << 20;
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// Bytes of its value that an output keeps if its topic does not accept all of it.
const CUT_SHORT: usize = 64 << 10;

/// Publishes until `wake` is closed and the outbox is empty. Outputs that a destination does not accept then, or not in time,
/// stay for the next start.
pub fn publish(shared: &Arc<Shared>, wake: &Receiver<()>) {
    let mut queues: BTreeMap<Destination, (Sender<()>, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let ended = matches!(wake.recv_timeout(RETRY_WAIT), Err(RecvTimeoutError::Disconnected));
        for destination in shared.outbox.destinations() {
            match queues.get(&destination) {
                // A full channel means that the thread is awake already.
                Some((wake, _)) => drop(wake.try_send(())),
                None => match start(shared, &destination) {
                    Ok(queue) => drop(queues.insert(destination, queue)),
                    Err(error) => set_problem(shared, &destination, Some(&error)),
                },
            }
        }
        if ended {
            break;
        }
    }
    let (wakes, threads): (Vec<_>, Vec<_>) = queues.into_values().unzip();
    drop(wakes);
    for thread in threads {
        // A panic has ended the engine already.
        let _ = thread.join();
    }
}

fn start(shared: &Arc<Shared>, destination: &Destination) -> Result<(Sender<()>, JoinHandle<()>)> {
    let (sender, wake) = bounded(1);
    let queue = Queue { shared: Arc::clone(shared), destination: destination.clone(), sink: None, from: 0, published: HashMap::new() };
    Ok((sender, spawn(shared, format!("publish {destination}"), move || queue.run(&wake))?))
}

fn set_problem(shared: &Shared, destination: &Destination, problem: Option<&Error>) {
    shared.set_problem(Kind::Publishing, &format!("publishing to {destination}"), problem.map(ToString::to_string));
}

/// What a start, or a failure, finds: outputs in the outbox, and a sink that holds those before a number.
#[derive(Debug, PartialEq, Eq)]
enum Resume {
    /// The sink holds all of these outputs: only the outbox has not forgotten them.
    Forget,
    /// The sink lacks those from this number on.
    Publish { from: u64 },
}

impl Resume {
    /// `held` is the number that the sink remembers, `first` and `last` those of the outputs.
    fn of(held: Option<u64>, first: u64, last: u64) -> Self {
        // Numbers start at 0; what a sink remembers is the number after the last output that it holds.
        match held.unwrap_or(0) {
            held if held > last => Self::Forget,
            held => Self::Publish { from: held.max(first) },
        }
    }
}

/// Waits for outputs, or after a failure until it is time to try again; whether the engine stops.
fn wait(wake: &Receiver<()>, failed: bool) -> bool {
    let until = Instant::now() + RETRY_WAIT;
    loop {
        match wake.recv_deadline(until) {
            Ok(()) if failed => {}
            Ok(()) | Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

/// The outputs of one destination.
struct Queue {
    shared: Arc<Shared>,
    destination: Destination,
    sink: Option<Box<dyn Sink>>,
    /// The number after the last output that was published.
    from: u64,
    /// For each topic how many outputs went there.
    published: HashMap<String, Counter>,
}

impl Queue {
    fn run(mut self, wake: &Receiver<()>) {
        let shared = Arc::clone(&self.shared);
        let destination = self.destination.clone();
        let stay = |why: &str| tracing::info!("outputs to {destination} stay in the outbox until the next start: {why}");
        let mut ended = false;
        loop {
            if shared.is_out_of_time() {
                return stay("there is no time left");
            }
            let failed = match self.publish_some() {
                Ok(0) if ended => return,
                Ok(0) => false,
                Ok(_) => {
                    set_problem(&shared, &self.destination, None);
                    continue;
                }
                Err(error) => {
                    set_problem(&shared, &self.destination, Some(&error));
                    match Next::after(&error) {
                        Next::Fenced => return shared.fail(error),
                        Next::Stop => return,
                        Next::Retry | Next::SetAside if ended => return stay(&error.to_string()),
                        Next::Retry | Next::SetAside => true,
                    }
                }
            };
            // What the last commit put there is looked for once more.
            ended |= wait(wake, failed);
        }
    }

    /// Publishes the front of the queue; returns how many outputs.
    fn publish_some(&mut self) -> Result<usize> {
        let outputs = self.shared.store.outputs(&self.destination, self.from, BATCH, BATCH_BYTES)?;
        let (Some((first, _)), Some((last, _))) = (outputs.first(), outputs.last()) else { return Ok(0) };
        let (first, last, count) = (*first, *last, outputs.len());
        let bytes = outputs.iter().map(|(_, output)| output.bytes()).sum();
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => self.shared.logs.sink(self.destination.system(), OUTBOX_WRITER)?,
        };
        failpoint!("publish::step");
        let done = match Resume::of(sink.committed()?, first, last) {
            Resume::Forget => Ok(()),
            Resume::Publish { from } => self.put(sink.as_mut(), outputs, from),
        };
        self.sink = Some(sink);
        done?;
        failpoint!("publish::put");
        self.shared.store.delete_outputs_before(&self.destination, last + 1)?;
        self.from = last + 1;
        self.shared.outbox.published(&self.destination, count as u64, bytes);
        Ok(count)
    }

    /// Gives the sink the outputs from that number on.
    fn put(&mut self, sink: &mut dyn Sink, outputs: Vec<(u64, Output)>, from: u64) -> Result<()> {
        let mut records = Vec::with_capacity(outputs.len());
        let mut last = None;
        let mut topics: BTreeMap<String, u64> = BTreeMap::new();
        for (number, Output { record, .. }) in outputs.into_iter().filter(|(number, _)| *number >= from) {
            match topics.get_mut(&record.topic) {
                Some(count) => *count += 1,
                None => drop(topics.insert(record.topic.clone(), 1)),
            }
            last = Some(number);
            records.push(record);
        }
        for topic in topics.keys() {
            self.shared.logs.ensure_topic(self.destination.system(), topic)?;
        }
        let Some(last) = last else { return Ok(()) };
        let step = sink.prepare(records, last + 1).and_then(|()| {
            if self.shared.is_out_of_time() {
                sink.abort();
                return Err(Error::unavailable("there is no time left"));
            }
            sink.commit()
        });
        match step {
            Err(error) if Next::after(&error) == Next::SetAside => self.put_one_by_one(sink, from, last)?,
            done => drop(done?),
        }
        for (topic, count) in topics {
            let counter = || self.shared.metrics.counter(names::OUTPUTS_PUBLISHED, &[("topic", &topic)]);
            self.published.entry_ref(topic.as_str()).or_insert_with(counter).inc_by(count);
        }
        Ok(())
    }

    /// Gives the sink outputs of which one is not accepted, most likely because it is larger than its topic allows (the dead
    /// letter of a large record). That one goes with the beginnings of its value, key and headers, and a header that says so.
    fn put_one_by_one(&self, sink: &mut dyn Sink, from: u64, last: u64) -> Result<()> {
        for (number, Output { record, .. }) in self.shared.store.outputs(&self.destination, from, BATCH, BATCH_BYTES)? {
            if number > last {
                break;
            }
            match sink.append(std::slice::from_ref(&record), number + 1) {
                Err(error) if Next::after(&error) == Next::SetAside => {
                    sink.append(&[cut_short(record.clone())], number + 1)?;
                    tracing::warn!(topic = record.topic, "an output was published cut short: {error}");
                }
                appended => drop(appended?),
            }
        }
        Ok(())
    }
}

/// The beginnings of a record's parts, and its length before.
fn cut_short(mut record: NewRecord) -> NewRecord {
    let length = record.value.as_ref().map_or(0, Vec::len);
    let headers = record.headers.iter_mut().map(|(_, value)| value);
    record.value.iter_mut().chain(&mut record.key).chain(headers).for_each(|part| part.truncate(CUT_SHORT));
    record.headers.push(("forebay.original_length".to_owned(), length.to_string().into_bytes()));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_gets_what_it_lacks() {
        use Resume::{Forget, Publish};
        for (held, first, last, resume) in [
            (None, 0, 9, Publish { from: 0 }),
            (None, 5, 9, Publish { from: 5 }),
            (Some(0), 0, 9, Publish { from: 0 }),
            (Some(3), 0, 9, Publish { from: 3 }),
            (Some(3), 5, 9, Publish { from: 5 }),
            (Some(9), 5, 9, Publish { from: 9 }),
            (Some(10), 5, 9, Forget),
            (Some(20), 5, 9, Forget),
        ] {
            assert_eq!(Resume::of(held, first, last), resume, "{held:?} {first} {last}");
        }
    }
}
