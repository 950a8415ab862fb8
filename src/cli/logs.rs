//! The logs of the data folder and of the settings, opened for a command.

use std::sync::Arc;

use crate::error::Result;
use crate::log::embedded::{Log, Mode};
use crate::log::kafka::Kafka;
use crate::record::{LogReader, LogWriter};

use super::context::Context;

/// The name under which the commands write.
const WRITER: &str = "forebay-cli";

/// The embedded log. For writing when no server has it.
pub(super) fn embedded(context: &Context, mode: Mode) -> Result<Log> {
    Log::open(&context.log_folder(), mode, Arc::clone(&context.clock))
}

pub(super) fn kafka(context: &Context) -> Kafka {
    Kafka::new(&context.config.kafka.bootstrap, context.config.kafka.options.clone())
}

/// A topic's system.
pub(super) enum System {
    Embedded(Log),
    Kafka(Kafka),
}

impl System {
    pub fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        match self {
            Self::Embedded(log) => log.reader(topic),
            Self::Kafka(kafka) => kafka.reader(topic),
        }
    }

    pub fn writer(&self) -> Result<Box<dyn LogWriter>> {
        match self {
            Self::Embedded(log) => log.writer(WRITER),
            Self::Kafka(kafka) => kafka.writer(WRITER),
        }
    }
}
