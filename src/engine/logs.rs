//! The registry of log systems: the one place that knows which system a topic is in. All other code asks a system through `Topics`
//! what it can do.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::log::embedded;
use crate::log::kafka::Kafka;
use crate::plan::{Origin, Plan};
use crate::record::{LogReader, Sink, System, Topics};

/// The logs that sources come from and outputs go to.
pub struct Logs {
    pub embedded: embedded::Log,
    /// Only if a definition names Kafka.
    kafka: Option<Kafka>,
    /// Topics of outputs that are known to be there.
    made: Mutex<BTreeSet<(System, String)>>,
}

impl Logs {
    pub fn new(config: &Config, plan: &Plan, embedded: embedded::Log) -> Self {
        let named = plan.sources.iter().any(|source| source.origin.system == System::Kafka);
        let kafka = named.then(|| Kafka::new(&config.kafka.bootstrap, config.kafka.options.clone()));
        Self { embedded, kafka, made: Mutex::default() }
    }

    /// A system, to be asked.
    ///
    /// # Errors
    /// `Input` if no Kafka is configured.
    pub fn of(&self, system: System) -> Result<&dyn Topics> {
        match system {
            System::Embedded => Ok(&self.embedded),
            System::Kafka => {
                let kafka = self.kafka.as_ref().map(|kafka| -> &dyn Topics { kafka });
                kafka.ok_or_else(|| Error::input("no Kafka is configured; set kafka.bootstrap in forebay.toml"))
            }
        }
    }

    /// Makes the topic of a source if the source declares its partitions.
    pub fn make(&self, origin: &Origin) -> Result<()> {
        match &origin.partitions {
            Some(partitions) => self.of(origin.system)?.create_topic(&origin.topic, partitions.count),
            None => Ok(()),
        }
    }

    /// A reader of a source's topic.
    pub fn reader(&self, origin: &Origin) -> Result<Box<dyn LogReader>> {
        self.make(origin)?;
        self.of(origin.system)?.reader(&origin.topic)
    }

    pub fn sink(&self, system: System, name: &str) -> Result<Box<dyn Sink>> {
        self.of(system)?.sink(name)
    }

    /// Makes the topic of an output if it is missing.
    pub fn ensure_topic(&self, system: System, topic: &str) -> Result<()> {
        let known = (system, topic.to_owned());
        if !self.made.lock().contains(&known) {
            self.of(system)?.create_topic(topic, 1)?;
            self.made.lock().insert(known);
        }
        Ok(())
    }
}
