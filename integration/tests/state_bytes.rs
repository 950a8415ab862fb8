//! What a sparse key takes in the store: at most 150 bytes, and 12 for each of its events, its key in the store included.
//! Bytes are no time: the same state has the same bytes on every machine.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, new_null_array};
use arrow::datatypes::DataType;
use forebay::language::{SourceFile, compile};
use forebay::online::state_key;
use forebay::plan::{ModelSignature, Plan};
use forebay::window::{Inputs, KeyState, Layout};
use forebay::{EntityKey, Error, EventTime, Offset, Partition, Position, Result, Seq, Value};
use forebay_integration::chance::Chance;
use forebay_integration::folders::workspace;

const MINIMAL: &str = "source payments (user_id bigint, amount double, event_time timestamp) from log 'payments' event time event_time;
entity user (user_id bigint);
features user_payments of user from payments (spend = sum(amount) over 1h);
";
/// Of which `SAMPLED` are made; offsets and numbers are those of a log of all of them.
const KEYS: u64 = 100_000;
const SAMPLED: u64 = 500;
const DAYS: i64 = 60;
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000_000;
const DAY: i64 = 86_400_000_000;

fn plan_of(text: &str) -> Plan {
    let files = [SourceFile { path: "payments.bay".into(), text: text.to_owned() }];
    let no_models = |_: &Path| -> Result<ModelSignature> { Err(Error::not_found("no models here")) };
    let compiled = compile(&files, &no_models);
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

/// Mean bytes of a key with so many payments, drawn evenly from the days: its place in the store, and its row.
fn bytes_of_a_key(plan: &Plan, events: u64) -> f64 {
    let mut chance = Chance::new(events);
    let view = plan.views.iter().find(|view| view.name == "user_payments").expect("the view");
    let layout = Layout::new(view);
    let mut bytes = 0;
    for key in 0..SAMPLED {
        let mut times: Vec<i64> = (0..events).map(|_| START + chance.between(0, DAYS * DAY - 1)).collect();
        times.sort_unstable();
        let amounts: Float64Array = times.iter().map(|_| Some(chance.between(100, 50_000) as f64 / 100.0)).collect();
        let column = |name: &str, of: &DataType| -> ArrayRef {
            if name == "amount" { Arc::new(amounts.clone()) } else { new_null_array(of, amounts.len()) }
        };
        let schema = plan.sources[0].schema.clone();
        let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
        let inputs = Inputs::evaluate(view, &RecordBatch::try_new(schema, columns).expect("columns of the source")).expect("a column");
        let mut state = KeyState::new(&layout);
        for (row, time) in times.iter().enumerate() {
            let offset = ((time - START) as u128 * u128::from(KEYS * events) / (DAYS * DAY) as u128) as u64;
            let at = Position { time: EventTime(*time), partition: Partition(0), offset: Offset(offset) };
            state.insert(&layout, at, &inputs, row);
        }
        let row = state.encode(&layout, Seq(KEYS * events), &mut |_, _| panic!("a sparse key has no chunks"));
        let key = EntityKey::of(&[Value::Int(key as i64)]).expect("a key");
        bytes += state_key(view.id, &key.0).len() + row.len();
    }
    bytes as f64 / SAMPLED as f64
}

#[test]
fn a_sparse_key_takes_150_bytes_and_12_for_each_event() {
    let payments = std::fs::read_to_string(workspace().join("benchmarks/definitions/payments.bay")).expect("the workload");
    let mut table = String::new();
    let mut most_over = f64::MIN;
    for (name, text) in [("16 features", payments.as_str()), ("1 feature", MINIMAL)] {
        let plan = plan_of(text);
        for events in [1, 5, 16, 64, 256] {
            let bytes = bytes_of_a_key(&plan, events);
            let allowed = 150.0 + 12.0 * events as f64;
            let _ = writeln!(table, "{name}, {events} events: {bytes:.1} bytes, allowed {allowed}");
            most_over = most_over.max(bytes - allowed);
        }
    }
    println!("{table}");
    assert!(most_over <= 0.0, "{table}");
}
