//! Kafka as a log, through librdkafka. Offsets are in Forebay's own store with the state: partitions are assigned by hand, and
//! nothing is committed to a group (a group id is set only as a name for Kafka's tools). Must never acknowledge an append before
//! every in-sync replica has it, and never wait without an end.

mod failure;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{Error, Result};
use crate::record::{LogReader, PartitionEnds, Sink, Topics};
use failure::Failure;

/// The longest that one request waits for a broker.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A Kafka cluster. Cheap to clone; connects when a reader or writer is first used, and again whenever it must.
#[derive(Clone, Debug)]
pub struct Kafka {
    bootstrap: String,
    /// librdkafka's properties; they win over what Forebay sets.
    options: BTreeMap<String, String>,
}

impl Kafka {
    /// `bootstrap` is `host:port`, or several with commas between. `options` are librdkafka's properties, for both
    /// readers and writers (`security.protocol`, `sasl.username`, `fetch.max.bytes`, ..).
    pub fn new(bootstrap: &str, options: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { bootstrap: bootstrap.to_owned(), options: options.into_iter().collect() }
    }

    /// A reader of a topic's partitions. Input error for an option that librdkafka does not know.
    pub fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(reader::Reader::new(self.clone(), topic, self.consumer(topic, false)?)))
    }

    /// A consumer that has no partitions yet. `tells_ends`: a partition's end is an event of its own.
    fn consumer(&self, topic: &str, tells_ends: bool) -> Result<BaseConsumer<Logging>> {
        let mut config = self.config(&format!("forebay-{topic}"));
        config.set("group.id", format!("forebay-{topic}"));
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("enable.partition.eof", if tells_ends { "true" } else { "false" });
        // An offset that the topic no longer holds is told, not mended silently.
        config.set("auto.offset.reset", "error");
        // Much is fetched ahead, and fetching goes on soon after the queue was full: records wait, not the reader.
        config.set("queued.min.messages", "100000");
        config.set("queued.max.messages.kbytes", "65536");
        config.set("fetch.queue.backoff.ms", "5");
        config.set("fetch.message.max.bytes", "4194304");
        config.set("fetch.wait.max.ms", "100");
        self.finish(&mut config);
        config.create_with_context(Logging).map_err(|error| self.failure("reading", topic, &error))
    }

    /// A sink. `name` is for Kafka's tools. Kafka remembers no number without transactions, so that steps are written at least
    /// once.
    pub fn sink(&self, name: &str) -> Result<Box<dyn Sink>> {
        let mut config = self.config(&format!("forebay-{name}"));
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        // As Kafka's own Java clients choose: equal keys meet in a partition whoever wrote them.
        config.set("partitioner", "murmur2_random");
        config.set("linger.ms", "2");
        config.set("message.max.bytes", (32 << 20).to_string());
        config.set("message.timeout.ms", "30000");
        self.finish(&mut config);
        Ok(Box::new(writer::Writer::new(self.clone(), config)?))
    }

    /// Makes a topic with the cluster's default replication, or gives it more partitions. Does nothing where it has as
    /// many or more.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<()> {
        let partitions = partitions.max(1);
        let mut config = self.config("forebay-admin");
        self.finish(&mut config);
        let failed = |error: &KafkaError| self.failure("making topic", name, error);
        let admin: AdminClient<Logging> = config.create_with_context(Logging).map_err(|error| failed(&error))?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
        let topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(-1));
        let made = block_on(admin.create_topics([&topic], &options)).map_err(|error| failed(&error))?;
        match first_failure(made) {
            None => return Ok(()),
            Some(RDKafkaErrorCode::TopicAlreadyExists) => {}
            Some(code) => return Err(failed(&KafkaError::AdminOp(code))),
        }
        let metadata = admin.inner().fetch_metadata(Some(name), REQUEST_TIMEOUT).map_err(|error| failed(&error))?;
        let present = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if present >= partitions as usize {
            return Ok(());
        }
        let grown = NewPartitions::new(name, partitions as usize);
        let grown = block_on(admin.create_partitions([&grown], &options)).map_err(|error| failed(&error))?;
        first_failure(grown).map_or(Ok(()), |code| Err(failed(&KafkaError::AdminOp(code))))
    }

    fn config(&self, client: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", client);
        config.set("reconnect.backoff.max.ms", "2000");
        config.set("socket.timeout.ms", "10000");
        config
    }

    /// Puts the user's properties over ours.
    fn finish(&self, config: &mut ClientConfig) {
        for (name, value) in &self.options {
            config.set(name, value);
        }
    }

    fn failure(&self, doing: &str, topic: &str, error: &KafkaError) -> Error {
        Failure::of(error).error(&format!("{doing} {topic} in kafka at {}", self.bootstrap), error)
    }
}

impl Topics for Kafka {
    fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        self.reader(topic)
    }

    fn sink(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.sink(name)
    }

    fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        self.create_topic(topic, partitions)
    }

    /// Only the broker knows them.
    fn known_partitions(&self, _: &str) -> Option<Vec<PartitionEnds>> {
        None
    }

    fn is_atomic(&self) -> bool {
        false
    }
}

fn first_failure(results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Option<RDKafkaErrorCode> {
    results.into_iter().find_map(|result| result.err().map(|(_, code)| code))
}

/// Hands librdkafka's own words to the log: what is wrong for good comes back as an error as well, so that most of it
/// is detail.
struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Logging {}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::warn!("librdkafka: {facility}: {message}");
        }
        _ => tracing::debug!("librdkafka: {facility}: {message}"),
    }
}
