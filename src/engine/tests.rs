//! Fails every step of the engine at its first, second and sixth turn. The next start continues, and its answers, ledgers and
//! outputs are those of a run without a fault.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::{Engine, LookupRequest, LookupRow, push_without_engine};
use crate::config::{Config, Layers};
use crate::error::ErrorKind;
use crate::failpoint;
use crate::id::{Offset, Partition};
use crate::language::{self, SourceFile};
use crate::log::embedded::{Log, Mode};
use crate::model::Inspector;
use crate::online::Ledger;
use crate::plan::Plan;
use crate::telemetry::Metrics;
use crate::time::{Clock, EventTime, IngestTime};
use crate::value::Value;

const DEFINITIONS: &str = "
source payments (id bigint, k bigint, x double, t timestamp)
from log 'payments' partitions 2 by k format json
event time t lateness '1 hour' history '30 days'
dedup by id within '1 day';
entity thing (k bigint);
features things of thing from payments (n = count(*) over 1h, spend = sum(x) default 0 over 1h, last_x = last(x) over all);
vector v (things.*);
";
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const RECORDS: i64 = 1_500;
const KEYS: i64 = 13;

/// Names of `failpoint!`.
const FAILPOINTS: [&str; 11] = [
    "recover::catch_up",
    "read::poll",
    "commit::admit",
    "commit::append",
    "commit::appended",
    "apply::begin",
    "apply::folded",
    "publish::step",
    "publish::put",
    "drain::write",
    "drain::written",
];

/// A clock that goes on by a microsecond whenever it is asked.
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> IngestTime {
        IngestTime(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(Steps(AtomicI64::new(START + 86_400_000_000)))
}

fn plan() -> Plan {
    let files = [SourceFile { path: PathBuf::from("test.bay"), text: DEFINITIONS.to_owned() }];
    let compiled = language::compile_with(&files, &Inspector);
    compiled.plan.unwrap_or_else(|| panic!("{}", language::render(&compiled.diagnostics, &files, false)))
}

/// Some are sent twice, and some are no events.
fn payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for id in 0..RECORDS {
        let time = EventTime(START + id * 1_000_000);
        let event = format!(r#"{{"id":{id},"k":{},"x":{}.5,"t":"{time}"}}"#, id % KEYS, id % 101).into_bytes();
        if id % 20 == 0 {
            payloads.push(event.clone());
        }
        if id % 50 == 0 {
            payloads.push(format!("rubbish {id}").into_bytes());
        }
        payloads.push(event);
    }
    payloads
}

/// What a run comes to.
#[derive(Debug, PartialEq)]
struct Outcome {
    features: Vec<Vec<Value>>,
    ledger: Ledger,
    dead: Vec<Vec<u8>>,
    in_parquet: u64,
}

/// Takes the records in, with this fault in the first start where there is one.
fn run(fault: Option<(&'static str, u32)>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let config =
        Config { batch_events_max: 100, ..Layers { file: None, environment: Vec::new(), flags: vec![("data", data)] }.config().unwrap() };
    let plan = plan();
    for payloads in payloads().chunks(70) {
        push_without_engine(&config, &plan, "payments", payloads, clock()).unwrap();
    }
    let start = || Engine::start(&config, plan.clone(), DEFINITIONS, clock(), Metrics::new());
    if fault.is_some() {
        failpoint::ask(fault);
        // Most faults end the engine, and some are tried again.
        let _ = start().and_then(|engine| engine.wait_until_caught_up().and(engine.stop()));
        failpoint::ask(None);
    }
    // Threads of a start that failed end by themselves, and have the folder until then.
    let until = Instant::now() + Duration::from_secs(10);
    let engine = loop {
        match start() {
            Err(error) if error.kind() == ErrorKind::Conflict && Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            started => break started.unwrap(),
        }
    };
    engine.wait_until_caught_up().unwrap();
    let rows = (0..KEYS).map(|k| LookupRow { keys: vec![Value::Int(k)], request: Vec::new() }).collect();
    let as_of = Some(EventTime(START + RECORDS * 1_000_000));
    let answer = engine.handle().lookup(&LookupRequest { rows, as_of, ..LookupRequest::default() }).unwrap();
    let features = answer.rows.iter().map(<[Value]>::to_vec).collect();
    let ledger = engine.handle().sources().unwrap().remove(0).ledger;
    let in_parquet = engine.offline.upto().0;
    engine.stop().unwrap();
    drop(engine);
    let log = Log::open(&config.data.join("log"), Mode::ReadOnly, clock()).unwrap();
    let letters = log.read("payments.dead", Partition(0), Offset(0), usize::MAX).unwrap();
    let dead = (0..letters.records.len()).map(|index| letters.value(index).unwrap().to_vec()).collect();
    Outcome { features, ledger, dead, in_parquet }
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let expected = run(None);
    assert_eq!(expected.ledger.accepted, RECORDS as u64);
    assert_eq!((expected.dead.len(), expected.in_parquet), (30, RECORDS as u64));
    for name in FAILPOINTS {
        let before = failpoint::met();
        for turns in [0, 1, 5] {
            assert_eq!(run(Some((name, turns))), expected, "{name} after {turns} turns");
        }
        assert!(failpoint::met() > before, "{name} was never reached");
    }
}
