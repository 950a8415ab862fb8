//! The logs of the data folder and of the settings, opened for a command.

use std::sync::Arc;

use crate::error::Result;
use crate::folder::{Folder, Stored, Written};
use crate::log::embedded::{Log, Mode};
use crate::log::kafka::Kafka;
use crate::record::{LogReader, Sink, Topics};

use super::context::Context;

/// The name under which the commands write.
const WRITER: &str = "forebay-cli";

/// The embedded log of a data folder, with the folder where it is open to write.
pub(super) struct Embedded {
    pub log: Log,
    _folder: Option<Folder>,
}

/// The embedded log, where there is one or it is to be written. For writing when no server has it.
pub(super) fn embedded(context: &Context, mode: Mode) -> Result<Option<Embedded>> {
    let data = &context.config.data;
    match mode {
        Mode::ReadWrite => {
            Written::log(data, Arc::clone(&context.clock)).map(|(folder, log, _)| Some(Embedded { log, _folder: Some(folder) }))
        }
        Mode::ReadOnly => Ok(Stored::open(data, 8 << 20)?.log.map(|log| Embedded { log, _folder: None })),
    }
}

pub(super) fn kafka(context: &Context) -> Kafka {
    Kafka::new(&context.config.kafka.bootstrap, context.config.kafka.options.clone())
}

/// A topic's system.
pub(super) enum Opened {
    Embedded(Embedded),
    Kafka(Kafka),
}

impl Opened {
    pub fn reader(&self, topic: &str) -> Result<Box<dyn LogReader>> {
        self.topics().reader(topic)
    }

    pub fn sink(&self) -> Result<Box<dyn Sink>> {
        self.topics().sink(WRITER)
    }

    fn topics(&self) -> &dyn Topics {
        match self {
            Self::Embedded(embedded) => &embedded.log,
            Self::Kafka(kafka) => kafka,
        }
    }
}
