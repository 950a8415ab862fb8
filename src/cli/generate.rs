//! `forebay generate`

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use clap::{Args, Subcommand};

use crate::demo::payments::{Generator, Options};
use crate::error::{Error, Result};

use super::Outcome;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Generate card payments, one JSON object per line. The same options and seed give the same bytes
    #[command(after_help = "Examples:\n  forebay generate payments --events 1000 --out generated.ndjson")]
    Payments(Payments),
    /// Generate the chargebacks of stolen cards for the payments of the same options, 1 to 20 days after each payment
    #[command(after_help = "Examples:\n  forebay generate chargebacks --events 1000 --fraud --out chargebacks.ndjson")]
    Chargebacks(Payments),
}

#[derive(Args)]
pub(super) struct Payments {
    /// Number of payments, duplicates included
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of users, drawn from a Zipf distribution with exponent 1.3
    #[arg(long)]
    users: Option<u32>,
    /// Number of merchants, drawn from a Zipf distribution with exponent 1.2
    #[arg(long)]
    merchants: Option<u32>,
    /// Approximate number of days that the payments are spread over
    #[arg(long)]
    days: Option<u32>,
    /// Generate the payments of the fraud domain: stolen cards, late and duplicate events
    #[arg(long)]
    fraud: bool,
    /// Last share of the time in which amounts are higher and a new category appears, such as 0.1
    #[arg(long, value_name = "SHARE")]
    drift: Option<f64>,
    /// Output file, or - for standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: String,
}

pub(super) fn run(command: &Command) -> Result<Outcome> {
    let (arguments, lines): (_, fn(Options, &mut dyn Write) -> io::Result<()>) = match command {
        Command::Payments(arguments) => (arguments, payments),
        Command::Chargebacks(arguments) => (arguments, chargebacks),
    };
    let written = match arguments.out.as_str() {
        "-" => lines(options(arguments), &mut BufWriter::with_capacity(1 << 20, io::stdout().lock())),
        path => File::create(Path::new(path)).and_then(|file| lines(options(arguments), &mut BufWriter::with_capacity(1 << 20, file))),
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::unavailable(format!("cannot write to {}: {error}", arguments.out)))
        }
        _ => Ok(Outcome::Done),
    }
}

fn options(arguments: &Payments) -> Options {
    let mut options = match arguments.fraud {
        true => Options::fraud(arguments.seed, arguments.events),
        false => Options { seed: arguments.seed, events: arguments.events, ..Options::default() },
    };
    options.users = arguments.users.unwrap_or(options.users);
    options.merchants = arguments.merchants.unwrap_or(options.merchants);
    options.days = arguments.days.unwrap_or(options.days);
    options.drift = arguments.drift.unwrap_or(options.drift);
    options
}

fn payments(options: Options, out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::with_capacity(256);
    for payment in Generator::new(options) {
        line.clear();
        payment.to_json(&mut line);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()
}

/// A payment that arrives twice is charged back once.
fn chargebacks(options: Options, out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::with_capacity(128);
    let mut charged_back = HashSet::new();
    for chargeback in Generator::new(options).filter_map(|payment| payment.chargeback()) {
        if charged_back.insert(chargeback.payment) {
            line.clear();
            chargeback.to_json(&mut line);
            line.push(b'\n');
            out.write_all(&line)?;
        }
    }
    out.flush()
}
