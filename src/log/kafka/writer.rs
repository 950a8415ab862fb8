//! Writes records, and waits until every in-sync replica has each of them. After an error some may have been written, and a retry
//! writes those twice; for this reason every output has its identity in its headers.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};

use super::{Kafka, log_line};
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::record::{NewRecord, Places, Sink};

/// How long one wait for delivery reports lasts; the number of waits is bounded by librdkafka's `message.timeout.ms`,
/// after which it reports a failure.
const REPORT_WAIT: Duration = Duration::from_millis(50);
/// Reports are taken in passing after so many records.
const SERVE_EVERY: usize = 1000;

pub(super) struct Writer {
    kafka: Kafka,
    config: ClientConfig,
    producer: BaseProducer<Deliveries>,
    prepared: Option<Prepared>,
}

/// A step that librdkafka took.
struct Prepared {
    records: usize,
    /// The first few topics, for a message.
    topics: String,
}

/// Collects the delivery reports of one append. A record's opaque is its index.
#[derive(Default)]
struct Deliveries(Mutex<Reports>);

#[derive(Default)]
struct Reports {
    places: Vec<(Partition, Offset)>,
    count: usize,
    /// The first failure.
    failure: Option<KafkaError>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut reports = self.0.lock();
        reports.count += 1;
        match result {
            Ok(message) => {
                let place = (Partition(message.partition() as u32), Offset(message.offset() as u64));
                if let Some(slot) = reports.places.get_mut(index) {
                    *slot = place;
                }
            }
            Err((error, _)) => {
                reports.failure.get_or_insert_with(|| error.clone());
            }
        }
    }
}

impl Writer {
    pub fn new(kafka: Kafka, config: ClientConfig) -> Result<Self> {
        let producer = Self::producer(&kafka, &config)?;
        Ok(Self { kafka, config, producer, prepared: None })
    }

    fn producer(kafka: &Kafka, config: &ClientConfig) -> Result<BaseProducer<Deliveries>> {
        config.create_with_context(Deliveries::default()).map_err(|error| kafka.failure("writing", "topics", &error))
    }

    /// Hands every record to librdkafka; returns how many it took, and why it took no more.
    fn send(&self, records: &[NewRecord]) -> (usize, Option<KafkaError>) {
        for (index, record) in records.iter().enumerate() {
            let mut message: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&record.topic, index);
            message.partition = record.partition.map(|partition| partition.0 as i32);
            message.payload = record.value.as_deref();
            message.key = record.key.as_deref();
            message.timestamp = record.timestamp.map(|micros| micros.div_euclid(1000));
            message.headers = headers(record);
            loop {
                match self.producer.send(message) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                        self.producer.poll(REPORT_WAIT);
                        message = back;
                    }
                    Err((error, _)) => return (index, Some(error)),
                }
            }
            if index % SERVE_EVERY == 0 {
                self.producer.poll(Duration::ZERO);
            }
        }
        (records.len(), None)
    }

    /// Waits until each of so many records was delivered, or was not for good.
    fn reports(&self, sent: usize) -> Reports {
        while self.producer.context().0.lock().count < sent {
            self.producer.poll(REPORT_WAIT);
        }
        std::mem::take(&mut *self.producer.context().0.lock())
    }

    fn step(&mut self, records: &[NewRecord]) -> Result<()> {
        if self.producer.client().fatal_error().is_some() {
            self.producer = Self::producer(&self.kafka, &self.config)?;
        }
        let places = vec![(Partition::default(), Offset::default()); records.len()];
        *self.producer.context().0.lock() = Reports { places, ..Reports::default() };
        let (sent, refused) = self.send(records);
        let topics = topics(records);
        if let Some(error) = refused {
            let _ = self.reports(sent);
            return Err(self.kafka.failure("writing", &topics, &error));
        }
        self.prepared = Some(Prepared { records: sent, topics });
        Ok(())
    }
}

/// The first few topics of records.
fn topics(records: &[NewRecord]) -> String {
    let mut topics: Vec<_> = records.iter().map(|record| record.topic.as_str()).collect();
    topics.dedup();
    topics.truncate(3);
    topics.join(", ")
}

fn headers(record: &NewRecord) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    let insert = |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| headers.insert(Header { key, value: Some(value) });
    Some(record.headers.iter().fold(headers, insert))
}

impl Sink for Writer {
    fn committed(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn prepare(&mut self, records: Vec<NewRecord>, _: u64) -> Result<()> {
        self.step(&records)
    }

    fn commit(&mut self) -> Result<Places> {
        let Prepared { records, topics } = self.prepared.take().ok_or_else(|| Error::internal("no step is prepared"))?;
        let Reports { places, failure, .. } = self.reports(records);
        match failure {
            Some(error) => Err(self.kafka.failure("writing", &topics, &error)),
            None => Ok(places),
        }
    }

    fn abort(&mut self) {
        if let Some(Prepared { records, .. }) = self.prepared.take() {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            let _ = self.reports(records);
        }
    }

    fn append(&mut self, records: &[NewRecord], _: u64) -> Result<Places> {
        self.step(records)?;
        self.commit()
    }
}
