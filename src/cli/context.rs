//! What every command is given: settings, a clock, and the way results are printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::time::Clock;

use super::output::Printer;

pub(super) struct Context {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub print: Printer,
}

impl Context {
    /// `columns`: how wide a line may be, where the environment says so.
    pub fn new(config: Config, clock: Arc<dyn Clock>, columns: Option<usize>) -> Self {
        let print = Printer::new(config.output, columns);
        Self { config, clock, print }
    }

    /// The data folder, which is to be there.
    pub fn existing_data(&self) -> Result<&Path> {
        let data = &self.config.data;
        match data.is_dir() {
            true => Ok(data),
            false => Err(Error::not_found(format!("there is no data folder {}: name it with --data", data.display()))),
        }
    }

    /// The folder of the event log in Parquet.
    pub fn offline_folder(&self) -> PathBuf {
        self.config.data.join("offline")
    }
}
