//! Reads the partitions of a topic from given offsets. Every poll reports an unavailable broker, and the reader waits for it. If
//! offsets were deleted before they were read, the reader reports that once and continues at the earliest offset. A topic that ends
//! before the next offset is another topic with that name: every poll reports that. Must never read such a topic.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::{Failure, Kafka, Logging, REQUEST_TIMEOUT};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::{Header, LastRead, LogReader, RecordRun};

/// A poll ends once its runs together hold so many bytes.
const POLL_BYTES_MAX: usize = 8 << 20;
/// How long a broker is asked whether it is there, after something went wrong and nothing was read.
const PROBE_MIN: Duration = Duration::from_millis(100);
const PROBE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Reader {
    kafka: Kafka,
    consumer: BaseConsumer<Logging>,
    progress: Progress,
    /// The next offsets have changed otherwise than by reading: the consumer must be told.
    moved: bool,
    /// What went wrong since a broker last answered.
    away: Option<KafkaError>,
}

/// How far a topic was read.
struct Progress {
    topic: String,
    /// The partitions that are read, and the next offset of each.
    next: BTreeMap<Partition, u64>,
    /// Of partitions whose last read record is read once more first: what it must be.
    last: BTreeMap<Partition, LastRead>,
    /// A partition that has another record there.
    replaced: Option<Error>,
    problems: Vec<String>,
}

impl Progress {
    /// Puts a message into its partition's run; returns its bytes.
    fn take(&mut self, message: &BorrowedMessage<'_>, runs: &mut BTreeMap<Partition, RecordRun>) -> usize {
        let (partition, offset) = (Partition(message.partition() as u32), message.offset() as u64);
        let Some(next) = self.next.get_mut(&partition).filter(|next| offset >= **next) else { return 0 };
        let before = std::mem::replace(next, offset + 1);
        let run = runs.entry(partition).or_insert_with(|| RecordRun { topic: self.topic.clone(), partition, ..RecordRun::default() });
        let timestamp = match message.timestamp() {
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => millis.saturating_mul(1000),
            Timestamp::NotAvailable => 0,
        };
        // The binding panics on a header's name that is not UTF-8, which anybody may have sent.
        let headers = message.headers().map(|headers| catch_unwind(AssertUnwindSafe(|| headers_of(headers))));
        let headers = match headers {
            None => Vec::new(),
            Some(Ok(headers)) => headers,
            Some(Err(_)) => {
                let place = format!("topic {} partition {} offset {offset}", self.topic, partition.0);
                self.problems.push(format!("{place}: its headers are left out, a name is not UTF-8; mend the producer"));
                Vec::new()
            }
        };
        run.push(Offset(offset), timestamp, message.key(), message.payload(), headers);
        if let Some(last) = self.last.remove(&partition).filter(|last| last.offset.0 == offset) {
            let found = run.last();
            run.records.clear();
            run.bytes.clear();
            if found != Some(last) {
                *next = before;
                self.replaced = Some(last.replaced(&self.topic, partition));
            }
            return 0;
        }
        message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len)
    }

    /// Moves a partition to `low` when what comes next was deleted, and says so. Unavailable when the partition ends
    /// before its next offset.
    fn back_into_range(&mut self, partition: Partition, low: u64, high: u64) -> Result<()> {
        let Some(next) = self.next.get_mut(&partition) else { return Ok(()) };
        // What was read is gone, so that it tells nothing: reading goes on behind it.
        if let Some(last) = self.last.remove(&partition) {
            *next = last.offset.0 + 1;
        }
        let (topic, number, wanted) = (&self.topic, partition.0, *next);
        if wanted > high {
            return Err(Error::unavailable(format!(
                "topic {topic} partition {number}: the next offset is {wanted}, but the topic ends at {high}: it was replaced by \
                 another of that name, whose records are not read; use another data folder for it, or bring the old one back"
            )));
        }
        if wanted < low {
            *next = low;
            self.problems.push(format!(
                "topic {topic} partition {number}: offsets {wanted} to {} were deleted by retention before they were read; \
                 reading goes on at {low}; keep records longer",
                low - 1
            ));
        }
        Ok(())
    }
}

fn headers_of(headers: &impl Headers) -> Vec<Header> {
    headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
}

impl Reader {
    pub fn new(kafka: Kafka, topic: &str, consumer: BaseConsumer<Logging>) -> Self {
        let progress =
            Progress { topic: topic.to_owned(), next: BTreeMap::new(), last: BTreeMap::new(), replaced: None, problems: Vec::new() };
        Self { kafka, consumer, progress, moved: false, away: None }
    }

    fn failure(&self, error: &KafkaError) -> Error {
        self.kafka.failure("reading", &self.progress.topic, error)
    }

    /// Hands the consumer the partitions and where to read on. Does not wait for a broker.
    fn assign(&mut self) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(self.progress.next.len());
        for (partition, next) in &self.progress.next {
            let added = list.add_partition_offset(&self.progress.topic, partition.0 as i32, At::Offset(*next as i64));
            added.map_err(|error| self.failure(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| self.failure(&error))?;
        self.moved = false;
        Ok(())
    }

    /// The first offset that a partition holds, and the one after its last.
    fn watermarks(&self, partition: Partition) -> Result<(u64, u64)> {
        let found = self.consumer.fetch_watermarks(&self.progress.topic, partition.0 as i32, REQUEST_TIMEOUT);
        found.map(|(low, high)| (low.max(0) as u64, high.max(0) as u64)).map_err(|error| self.failure(&error))
    }

    fn mend_offsets(&mut self) -> Result<()> {
        for partition in self.progress.next.keys().copied().collect::<Vec<_>>() {
            let (low, high) = self.watermarks(partition)?;
            self.progress.back_into_range(partition, low, high)?;
        }
        Ok(())
    }

    /// The offset after the last record of a partition that spans these offsets; `None` where it holds no record.
    fn record_end(&self, partition: Partition, low: u64, high: u64) -> Result<Option<Offset>> {
        let topic = &self.progress.topic;
        let consumer = self.kafka.consumer(topic, true)?;
        let (mut back, mut silent) = (1, Duration::ZERO);
        loop {
            let from = high.saturating_sub(back).max(low);
            let mut list = TopicPartitionList::with_capacity(1);
            let added = list.add_partition_offset(topic, partition.0 as i32, At::Offset(from as i64));
            added.and_then(|()| consumer.assign(&list)).map_err(|error| self.failure(&error))?;
            let mut last = None;
            loop {
                match consumer.poll(PROBE_MAX) {
                    Some(Ok(message)) => last = last.max(Some(message.offset() as u64)),
                    Some(Err(KafkaError::PartitionEOF(_))) => break,
                    Some(Err(error)) if Failure::of(&error) != Failure::Unreachable => return Err(self.failure(&error)),
                    Some(Err(_)) | None => silent += PROBE_MAX,
                }
                if last.is_some_and(|last| last + 1 >= high) {
                    break;
                }
                if silent > REQUEST_TIMEOUT {
                    return Err(self.failure(&KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
                }
            }
            match last {
                Some(last) => return Ok(Some(Offset(last + 1))),
                None if from == low => return Ok(None),
                None => back *= 16,
            }
        }
    }

    /// Nothing was read: whether that is because of `away`, the last thing that went wrong.
    fn explain_silence(&mut self, max_wait: Duration) -> Result<()> {
        let Some(error) = self.away.take() else { return Ok(()) };
        match Failure::of(&error) {
            Failure::OutOfRange => {
                let mended = self.mend_offsets();
                match mended {
                    Ok(()) => self.moved = true,
                    Err(_) => self.away = Some(error),
                }
                mended
            }
            Failure::Unreachable | Failure::Other => {
                let probe = self.consumer.fetch_metadata(Some(&self.progress.topic), max_wait.clamp(PROBE_MIN, PROBE_MAX));
                match probe {
                    Ok(_) => Ok(()),
                    Err(_) => {
                        let told = self.failure(&error);
                        self.away = Some(error);
                        Err(told)
                    }
                }
            }
            Failure::Missing | Failure::Refused | Failure::Option | Failure::TooLarge => Err(self.failure(&error)),
        }
    }
}

impl LogReader for Reader {
    fn partitions(&mut self) -> Result<Vec<Partition>> {
        let name = &self.progress.topic;
        let metadata = self.consumer.fetch_metadata(Some(name), REQUEST_TIMEOUT).map_err(|error| self.failure(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let parts = topic.map_or(&[][..], |topic| topic.partitions());
        if parts.is_empty() {
            return Err(self.failure(&KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)));
        }
        let mut partitions: Vec<_> = parts.iter().map(|part| Partition(part.id() as u32)).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    fn seek(&mut self, partition: Partition, next: Offset) -> Result<()> {
        self.progress.next.insert(partition, next.0);
        self.moved = true;
        Ok(())
    }

    fn resume(&mut self, partition: Partition, last: LastRead) -> Result<()> {
        self.progress.next.insert(partition, last.offset.0);
        self.progress.last.insert(partition, last);
        self.moved = true;
        Ok(())
    }

    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Vec<RecordRun>> {
        // Other partitions may have plenty to read: what lies out of range does not wait until they have not.
        if self.away.as_ref().is_some_and(|away| Failure::of(away) == Failure::OutOfRange) {
            self.explain_silence(max_wait)?;
        }
        if self.moved {
            self.assign()?;
        }
        let mut runs = BTreeMap::new();
        let (mut count, mut bytes, mut wait) = (0, 0, max_wait);
        while count < max_records.max(1) && bytes < POLL_BYTES_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    bytes += self.progress.take(&message, &mut runs);
                    count += 1;
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => {
                    // What can be mended must not be hidden by a broker's coming and going.
                    if self.away.as_ref().is_none_or(|away| Failure::of(away) != Failure::OutOfRange) {
                        self.away = Some(error);
                    }
                    wait = Duration::ZERO;
                }
            }
        }
        if let Some(replaced) = &self.progress.replaced {
            return Err(replaced.clone());
        }
        if count == 0 {
            self.explain_silence(max_wait)?;
        }
        Ok(runs.into_values().filter(|run| !run.records.is_empty()).collect())
    }

    fn ends(&mut self) -> Result<Vec<(Partition, Offset)>> {
        let partitions = self.partitions()?;
        partitions.into_iter().map(|partition| Ok((partition, Offset(self.watermarks(partition)?.1)))).collect()
    }

    fn record_ends(&mut self) -> Result<Vec<(Partition, Offset)>> {
        let mut ends = Vec::new();
        for partition in self.partitions()? {
            let (low, high) = self.watermarks(partition)?;
            if low < high
                && let Some(end) = self.record_end(partition, low, high)?
            {
                ends.push((partition, end));
            }
        }
        Ok(ends)
    }

    fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.progress.problems)
    }
}
