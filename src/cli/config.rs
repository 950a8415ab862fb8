//! `forebay config`

use clap::Args;
use serde_json::json;

use crate::config::KEYS;
use crate::error::Result;

use super::Outcome;
use super::context::Context;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay config\n  forebay config --output json")]
pub(super) struct Arguments {}

pub(super) fn run(context: &Context, _: &Arguments) -> Result<Outcome> {
    let row = |setting: &crate::config::Setting| {
        let passed_on = match setting.key.split_once('.') {
            Some(("s3", _)) => "how object stores are reached",
            Some(("retention", _)) => "what is kept of these topics",
            _ => "passed on to librdkafka",
        };
        let help = KEYS.iter().find(|key| key.name == setting.key).map_or(passed_on, |key| key.help);
        vec![json!(setting.key), json!(setting.value), json!(setting.origin.to_string()), json!(help)]
    };
    context.print.rows(&["setting", "value", "from", "meaning"], context.config.settings.iter().map(row).collect())?;
    Ok(Outcome::Done)
}
