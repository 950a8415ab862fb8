//! `forebay init`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};

use super::Outcome;
use super::context::Context;

#[derive(Args)]
#[command(after_help = "Examples:\n  forebay init shop")]
pub(super) struct Arguments {
    /// Folder of the project; the folder may exist, but no file in it is overwritten
    #[arg(default_value = ".")]
    folder: PathBuf,
}

const SETTINGS: &str = "\
# Settings of this project; `forebay config` prints all, with what is in force.
data = \"data\"
features = \"features\"
listen = \"127.0.0.1:8090\"
";

const DEFINITIONS: &str = "\
-- Payments come in one JSON object a line: forebay push payments payments.ndjson
source payments (
  payment_id text,
  user_id bigint,
  amount double,
  status text,
  event_time timestamp,
)
from log 'payments'
format json
event time event_time
lateness '10 minutes'
history '30 days'
dedup by payment_id within '1 day'
expect amount >= 0 else quarantine;

entity user (user_id bigint);

features user_payments of user from payments (
  txn_count = count(*) over 1h, 1d,
  spend = sum(amount) over 1h, 1d default 0,
  declined = count(*) where status = 'declined' over 1d,
);

-- What a model would see; `amount` comes from the caller, or from the payment that is scored.
vector payment_v1 on payments (
  user_payments.*,
  amount,
  decline_rate = user_payments.declined_1d::double / nullif(user_payments.txn_count_1d, 0) default 0,
);
";

const RECORDS: &str = "\
{\"payment_id\":\"p1\",\"user_id\":7,\"amount\":12.5,\"status\":\"approved\",\"event_time\":\"2026-01-31T12:00:00Z\"}
{\"payment_id\":\"p2\",\"user_id\":7,\"amount\":80.0,\"status\":\"declined\",\"event_time\":\"2026-01-31T12:20:00Z\"}
{\"payment_id\":\"p3\",\"user_id\":8,\"amount\":3.2,\"status\":\"approved\",\"event_time\":\"2026-01-31T12:30:00Z\"}
";

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Outcome> {
    let folder = &arguments.folder;
    let files = [("forebay.toml", SETTINGS), ("features/payments.bay", DEFINITIONS), ("payments.ndjson", RECORDS)];
    let place = |name: &str| if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) };
    let files = files.map(|(name, text)| (place(name), text));
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Error::conflict(format!("{} is there already and is not overwritten: choose another folder", path.display())));
    }
    for (path, text) in &files {
        write(path, text)?;
    }
    let names = files.each_ref().map(|(path, _)| path.display().to_string());
    let enter = if folder == Path::new(".") { String::new() } else { format!("  cd {}\n", folder.display()) };
    let text = format!(
        "wrote {}\n\nnext:\n{enter}  forebay check\n  forebay push payments payments.ndjson\n  forebay serve --until-caught-up\n  forebay lookup payment_v1 user_id=7 --request amount=20 --as-of 2026-01-31T12:30:00Z",
        names.join(", ")
    );
    context.print.one(&text, &serde_json::json!({"wrote": names}))?;
    Ok(Outcome::Done)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| Error::unavailable(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{SourceFile, compile, format};

    #[test]
    fn the_project_has_no_problems_and_the_one_style() {
        let file = SourceFile { path: "payments.bay".into(), text: DEFINITIONS.to_owned() };
        let compiled = compile(std::slice::from_ref(&file), &|_| Err(Error::not_found("there is no model")));
        assert_eq!(compiled.diagnostics, []);
        assert_eq!(compiled.plan.unwrap().vectors[0].name, "payment_v1");
        assert_eq!(format(&file).unwrap(), DEFINITIONS);
    }
}
