//! `forebay apply`

use clap::Args;

use crate::error::Result;
use crate::folder::Presence;

use super::Outcome;
use super::context::Context;
use super::definitions::{self, Applied};
use super::output::complain;
use super::plan::{against_applied, as_json};

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay apply")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let (plan, files) = definitions::current(context)?;
    let compared = against_applied(context, &plan)?;
    compared.possible()?;
    Applied::store(context, &files, &plan)?;
    context.print.one(&compared.to_string(), &as_json(&compared))?;
    if !compared.difference.is_empty() && Presence::find(&context.config.data).is_some() {
        complain(&format!(
            "the server of {} goes on with the definitions that it started with: restart it\n",
            context.config.data.display()
        ));
    }
    Ok(Outcome::Done)
}
