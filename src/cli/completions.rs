//! `forebay completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::error::Result;

use super::{Outcome, output};

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay completions bash")]
pub(super) struct Arguments {
    /// Shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "forebay", &mut script);
    output::write_bytes(&script)?;
    Ok(Outcome::Done)
}
