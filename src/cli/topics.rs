//! `forebay topics`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::config::{self, Output};
use crate::engine;
use crate::error::{Error, Result};
use crate::id::{Offset, Partition};
use crate::language;
use crate::log::embedded::{Log, Mode};
use crate::record::{NewRecord, RecordRun, System};
use crate::serve::{TrimRequest, frames};
use crate::time::{EventTime, IngestTime};

use super::Outcome;
use super::client::{Client, escaped};
use super::context::Context;
use super::logs::{self, Opened};
use super::output::write;
use super::{definitions, lookup};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List topics with their partitions and offsets
    #[command(after_help = "Examples:\n  forebay topics list")]
    List(Which),
    /// Print the records of a topic
    #[command(
        after_help = "Examples:\n  forebay topics read payments\n  forebay topics read payments --from 2026-01-31T12:00:00Z --max 10"
    )]
    Read(ReadArguments),
    /// Append the lines of a file to a topic, one record per line
    #[command(after_help = "Examples:\n  forebay topics write payments payments.ndjson")]
    Write(WriteArguments),
    /// Delete the oldest records of a topic of the embedded log. Records that were not read yet stay
    #[command(
        after_help = "Examples:\n  forebay topics trim payments.dead --before 2026-01-31T00:00:00Z\n  forebay topics trim predictions --keep 500MiB"
    )]
    Trim(TrimArguments),
}

#[derive(Args)]
pub(super) struct Which {
    /// Use Kafka instead of the embedded log, also for topics that no definition names
    #[arg(long)]
    kafka: bool,
}

#[derive(Args)]
pub(super) struct ReadArguments {
    /// Topic to read
    topic: String,
    /// Position to begin at: start, end, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, default_value = "start")]
    from: From,
    /// Maximum number of records to print [default: the records that exist now; no limit with --from end]
    #[arg(long)]
    max: Option<u64>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
pub(super) struct WriteArguments {
    /// Topic to append to
    topic: String,
    /// File, or - for standard input
    file: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["before", "keep"])))]
pub(super) struct TrimArguments {
    /// Topic to trim
    topic: String,
    /// Time before which the log received the records to delete, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<EventTime>,
    /// Stored bytes of each partition that stay, such as 500MiB; older records are deleted
    #[arg(long, value_name = "BYTES")]
    keep: Option<String>,
}

fn time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).ok_or_else(|| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Start,
    End,
    /// By the log's own timestamps.
    Time(EventTime),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            time => EventTime::parse(time)
                .map(Self::Time)
                .ok_or_else(|| "expected start, end, or a time such as 2026-01-31T12:00:00Z".to_owned()),
        }
    }
}

/// Records of one poll.
const POLL_RECORDS: usize = 10_000;
/// How long a poll may wait for the first record, and how many polls may find none before reading ends: what is left
/// then are places without records, such as the marks of transactions.
const POLL_WAIT: Duration = Duration::from_millis(500);
const EMPTY_POLLS: usize = 10;
/// The most records of one append.
const STEP_RECORDS: usize = 20_000;

pub(super) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    match command {
        Command::List(which) => list(context, which)?,
        Command::Read(arguments) => read(context, arguments)?,
        Command::Write(arguments) => append(context, arguments)?,
        Command::Trim(arguments) => trim(context, arguments)?,
    }
    Ok(Outcome::Done)
}

fn list(context: &Context, which: &Which) -> Result<()> {
    let mut rows = Vec::new();
    let embedded = if which.kafka { None } else { logs::embedded(context, Mode::ReadOnly)? };
    if let Some(logs::Embedded { log, .. }) = &embedded {
        for topic in log.topics() {
            for (partition, extent) in (0..).zip(&topic.partitions) {
                // One whose first block is damaged is listed all the same.
                let oldest = log.oldest(&topic.name, Partition(partition)).unwrap_or_default();
                let oldest = oldest.map_or(Json::Null, |oldest| json!(EventTime(oldest.0 / 1_000_000 * 1_000_000).to_string()));
                let (start, end, bytes) = (json!(extent.start.0), json!(extent.end.0), json!(extent.bytes));
                rows.push(vec![
                    json!(topic.name),
                    json!("log"),
                    json!(partition),
                    start,
                    end,
                    bytes,
                    oldest,
                    json!(topic.retention.to_string()),
                ]);
            }
        }
    }
    let topics = kafka_topics(context);
    if !topics.is_empty() {
        let kafka = logs::kafka(context);
        for topic in topics {
            let mut ends = kafka.reader(&topic)?.ends().map_err(|error| error.context(format_args!("topic {topic}")))?;
            ends.sort_unstable();
            rows.extend(ends.iter().map(|(partition, end)| {
                vec![json!(topic), json!("kafka"), json!(partition.0), Json::Null, json!(end.0), Json::Null, Json::Null, Json::Null]
            }));
        }
    }
    context.print.rows(&["topic", "system", "partition", "start", "end", "bytes", "oldest", "keeps"], rows)
}

/// The topics of the definitions that are on Kafka; none where there are no definitions.
fn kafka_topics(context: &Context) -> BTreeSet<String> {
    let plan = language::load(&context.config.features).ok().and_then(|files| definitions::compile(&files).plan);
    let mut topics = BTreeSet::new();
    for source in plan.iter().flat_map(|plan| &plan.sources) {
        if source.origin.system == System::Kafka {
            topics.insert(source.topic().to_owned());
        }
    }
    topics
}

/// Where a topic is: on Kafka when that is said, in the embedded log when it has it, else on Kafka when definitions
/// read from there.
fn system_of(context: &Context, topic: &str, which: &Which, mode: Mode) -> Result<Opened> {
    if which.kafka {
        return Ok(Opened::Kafka(logs::kafka(context)));
    }
    let known = |log: &Log| log.topics().iter().any(|known| known.name == topic);
    match logs::embedded(context, mode)? {
        Some(embedded) if known(&embedded.log) => Ok(Opened::Embedded(embedded)),
        _ if !kafka_topics(context).is_empty() => Ok(Opened::Kafka(logs::kafka(context))),
        Some(embedded) if mode == Mode::ReadWrite => Ok(Opened::Embedded(embedded)),
        Some(embedded) => {
            let names: Vec<_> = embedded.log.topics().into_iter().map(|topic| topic.name).collect();
            Err(lookup::unknown("topic", topic, names.iter()))
        }
        None => Err(Error::not_found(format!(
            "there is no topic {topic}: {} holds no log yet; push records, or name the folder with --data",
            context.config.data.display()
        ))),
    }
}

fn read(context: &Context, arguments: &ReadArguments) -> Result<()> {
    let system = system_of(context, &arguments.topic, &arguments.which, Mode::ReadOnly)?;
    let mut reader = system.reader(&arguments.topic)?;
    let ends: BTreeMap<Partition, Offset> = reader.ends()?.into_iter().collect();
    let starts = match &system {
        Opened::Embedded(embedded) => embedded.log.topic(&arguments.topic)?.partitions.iter().map(|extent| extent.start).collect(),
        Opened::Kafka(_) => Vec::new(),
    };
    for (partition, end) in &ends {
        let start = starts.get(partition.0 as usize).copied().unwrap_or_default();
        reader.seek(*partition, if arguments.from == From::End { *end } else { start })?;
    }
    let mut open = ends.clone();
    open.retain(|partition, end| *end > starts.get(partition.0 as usize).copied().unwrap_or_default());
    // From the end: records that come from now on, for as long as they come.
    if arguments.from == From::End {
        open = ends.keys().map(|partition| (*partition, Offset(u64::MAX))).collect();
    }
    let mut printer = Records { output: context.config.output, left: arguments.max.unwrap_or(u64::MAX), printed: 0 };
    let mut empty = 0;
    while !open.is_empty() && printer.left > 0 && (empty < EMPTY_POLLS || arguments.from == From::End) {
        let runs = reader.poll(POLL_RECORDS, POLL_WAIT)?;
        empty = if runs.is_empty() { empty + 1 } else { 0 };
        for run in &runs {
            let from = if let From::Time(time) = arguments.from { time.0 } else { i64::MIN };
            let end = open.get(&run.partition).copied().unwrap_or_default();
            printer.print(run, from, end)?;
            if run.records.last().is_some_and(|last| last.offset.0 + 1 >= end.0) {
                open.remove(&run.partition);
            }
        }
    }
    printer.finish()
}

/// Prints records as they come.
struct Records {
    output: Output,
    left: u64,
    printed: u64,
}

impl Records {
    /// The records of a run with a timestamp of at least `from` and an offset before `end`.
    fn print(&mut self, run: &RecordRun, from: i64, end: Offset) -> Result<()> {
        let mut text = String::new();
        for (index, record) in run.records.iter().enumerate() {
            if record.timestamp < from || record.offset >= end || self.left == 0 {
                continue;
            }
            self.left -= 1;
            self.printed += 1;
            let time = EventTime(record.timestamp).to_string();
            match self.output {
                Output::Table => {
                    let key = run.key(index).map_or_else(|| "-".to_owned(), legible);
                    let value = run.value(index).map_or_else(|| "-".to_owned(), legible);
                    text.push_str(&format!("{}:{}  {time}  {key}  {value}", run.partition.0, record.offset.0));
                    for (name, header) in record.headers.iter().flat_map(|headers| headers.iter()) {
                        text.push_str(&format!("  {name}={}", legible(header)));
                    }
                    text.push('\n');
                }
                Output::Ndjson => text.push_str(&format!("{}\n", object(run, index, &time))),
                Output::Json => text.push_str(&format!("{} {}\n", if self.printed == 1 { '[' } else { ',' }, object(run, index, &time))),
            }
        }
        write(&text)
    }

    fn finish(self) -> Result<()> {
        match self.output {
            Output::Json => write(if self.printed == 0 { "[]\n" } else { "]\n" }),
            _ => Ok(()),
        }
    }
}

/// A record as JSON on one line.
fn object(run: &RecordRun, index: usize, time: &str) -> String {
    let record = &run.records[index];
    let key = run.key(index).map_or(Json::Null, |key| Json::String(legible(key)));
    let value = run.value(index).map_or_else(|| "null".to_owned(), value);
    let headers = record.headers.iter().flat_map(|headers| headers.iter());
    let headers = Json::Object(headers.map(|(name, header)| (name.clone(), Json::String(legible(header)))).collect());
    let (partition, offset, time) = (run.partition.0, record.offset.0, Json::from(time));
    format!(r#"{{"partition":{partition},"offset":{offset},"timestamp":{time},"key":{key},"value":{value},"headers":{headers}}}"#)
}

/// JSON as it was written, because reading numbers may change them; all else as text.
fn value(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Json>(bytes) {
        // Line breaks of a document lie between its tokens: texts have none.
        Ok(Json::Object(_) | Json::Array(_)) => legible(bytes.trim_ascii()).replace(['\n', '\r'], " "),
        _ => Json::String(legible(bytes)).to_string(),
    }
}

/// UTF-8 as it is; of other bytes those that are no printable ASCII as `\x00`.
fn legible(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn append(context: &Context, arguments: &WriteArguments) -> Result<()> {
    let records = lines(&arguments.file)?;
    let count = records.len();
    let topic = &arguments.topic;
    if let (Some(server), false) = (Client::of_running(context), arguments.which.kafka) {
        let plan = definitions::applied_or_current(context)?;
        let source = plan.sources.iter().find(|source| source.topic() == topic).ok_or_else(|| {
            Error::conflict(format!("the running server holds the log, and no source reads topic {topic}: stop the server to write to it"))
        })?;
        let path = format!("/v1/sources/{}/events", escaped(&source.name));
        let (records_max, bytes_max) = (STEP_RECORDS.min(context.config.records_max), context.config.request_bytes_max as usize);
        let mut done = 0;
        while done < count {
            let mut bytes = 0;
            let fits = |line: &&Vec<u8>| {
                bytes += line.len() + frames::LENGTH_BYTES;
                bytes <= bytes_max
            };
            let step = records[done..].iter().take(records_max).take_while(fits).count().max(1);
            let sent = server.send(&path, frames::CONTENT_TYPE, &frames::write(&records[done..done + step]));
            sent.map_err(|error| error.context(format_args!("{done} of {count} records are appended, and of the next it is not known")))?;
            done += step;
        }
    } else {
        let mut sink = system_of(context, topic, &arguments.which, Mode::ReadWrite)?.sink()?;
        for step in records.chunks(STEP_RECORDS) {
            let record = |line: &Vec<u8>| NewRecord { topic: topic.clone(), value: Some(line.clone()), ..NewRecord::default() };
            sink.append(&step.iter().map(record).collect::<Vec<_>>(), 0)?;
        }
    }
    context
        .print
        .one(&format!("{} appended to {topic}", definitions::counted(count, "record")), &json!({"topic": topic, "appended": count}))
}

fn trim(context: &Context, arguments: &TrimArguments) -> Result<()> {
    let topic = &arguments.topic;
    let (before, keep) = (arguments.before.map(|before| IngestTime(before.0)), arguments.keep.as_deref().map(size).transpose()?);
    let (records, bytes, unread) = match Client::of_running(context) {
        Some(server) => {
            let request = TrimRequest { topic: topic.clone(), before: before.map(|before| before.0), bytes: keep };
            let name = request.lay(&context.config.data)?;
            let answer = server.post("/v1/admin/trim", &json!({"request": name}));
            // Taken, or nobody's.
            let _ = std::fs::remove_file(context.config.data.join(&name));
            let answer = answer?;
            let of = |field: &str| answer[field].as_u64().unwrap_or_default();
            (of("records"), of("bytes"), of("unread"))
        }
        None => {
            let plan = definitions::applied_or_current(context)?;
            let trimmed = engine::trim_without_engine(&context.config, &plan, topic, (before, keep), Arc::clone(&context.clock))?;
            (trimmed.records, trimmed.bytes, trimmed.unread)
        }
    };
    let waits = if unread > 0 { format!("; {unread} more stay until they are read") } else { String::new() };
    let text = format!("{topic}: {} dropped, {bytes} bytes{waits}", definitions::counted(records as usize, "record"));
    context.print.one(&text, &json!({"topic": topic, "records": records, "bytes": bytes, "unread": unread}))
}

/// Bytes, of which a number alone may be a slip.
fn size(text: &str) -> Result<u64> {
    match text != "0" && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Err(Error::input(format!("--keep {text}: say of what, such as {text}MiB or {text}GiB"))),
        false => config::bytes(text),
    }
}

fn lines(file: &str) -> Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|error| Error::input(format!("cannot read {file}: {error}")))?;
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_legible() {
        assert_eq!(legible("é".as_bytes()), "é");
        assert_eq!(legible(b"a\xff\x00"), "a\\xff\\x00");
        assert_eq!(value(b"{\"a\":9007199254740993}"), "{\"a\":9007199254740993}");
        assert_eq!(value(b" [0.19999999999999998,\r\n-0.0]\n"), "[0.19999999999999998,  -0.0]");
        assert_eq!(value(b"12"), "\"12\"");
    }

    #[test]
    fn a_beginning_is_a_word_or_a_time() {
        assert_eq!("end".parse(), Ok(From::End));
        assert_eq!("1970-01-01".parse(), Ok(From::Time(EventTime(0))));
        assert!("yesterday".parse::<From>().is_err());
    }
}
