//! The state of a hot key alone: an insertion, a reading of sixteen windowed features, and both as the history grows.
//! 16 features: count, sum, avg, max of a double over 1 hour, 1, 7 and 30 days; events spread over 60 days.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use forebay::aggregate::{MapLimit, bind};
use forebay::plan::{Evaluate, Expression, Feature, Fold, Relation, View, Window, WindowBounds};
use forebay::window::{ChunkId, Chunks, Decoded, Inputs, KeyState, Layout};
use forebay::{DataType, Error, EventTime, Identity, Offset, Partition, Position, Result, Seq, Span};

const DAYS: i64 = 60;

struct Amount;

impl Evaluate for Amount {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column(0).clone())
    }
}

/// Chunks of one key, in the order in which they were put.
#[derive(Default)]
struct Memory(Vec<(ChunkId, Vec<u8>)>);

impl Chunks for Memory {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        let found = self.0.iter().rev().find(|(known, _)| *known == id);
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| Error::corrupt("no such chunk"))
    }
}

fn main() {
    println!(
        "{:>10} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "events", "insert ns", "read p50 ns", "read p99 ns", "late ns", "bytes/event", "stored/event"
    );
    for events in [16, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
        measure(events);
    }
}

fn measure(events: usize) {
    let view = view();
    let layout = Layout::new(&view);
    let features: Vec<usize> = (0..view.features.len()).collect();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let amounts: Float64Array = (0..events).map(|_| Some((next() % 1_000_000) as f64 / 97.0)).collect();
    let schema = Schema::new(vec![Field::new("amount", DataType::Float.arrow(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(amounts)]).expect("one column");
    let inputs = Inputs::evaluate(&view, &batch).expect("a column is evaluated");
    let step = (DAYS * Span::DAY.0 / events as i64).max(1);
    let position = |row: usize, jitter: u64| Position {
        time: EventTime(1_700_000_000_000_000 + step * row as i64 + (jitter % step as u64) as i64),
        partition: Partition(0),
        offset: Offset(row as u64),
    };
    let positions: Vec<Position> = (0..events).map(|row| position(row, next())).collect();
    let mut state = KeyState::new(&layout);
    let (before, last) = positions.split_at(events - events / 4);
    before.iter().enumerate().for_each(|(row, at)| state.insert(&layout, *at, &inputs, row));
    let start = Instant::now();
    last.iter().enumerate().for_each(|(row, at)| state.insert(&layout, *at, &inputs, before.len() + row));
    let insert = start.elapsed().as_nanos() as usize / last.len().max(1);

    let end = positions[events - 1].time;
    let mut out = Vec::new();
    let mut times: Vec<u128> = (0..20_000)
        .map(|_| {
            let q = end.plus(Span((next() % 3_600_000_000) as i64));
            out.clear();
            let start = Instant::now();
            state.read(&layout, q, &[], &features, &Memory::default(), &mut out).expect("nothing is stored");
            black_box(&out);
            start.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();

    let memory = state.bytes() / events;
    let mut chunks = Memory::default();
    let row = state.encode(&layout, Seq(1), &mut |id, bytes| chunks.0.extend(bytes.map(|bytes| (id, bytes.to_vec()))));
    let stored = (row.len() + chunks.0.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()) / events;
    match KeyState::decode(&layout, &row) {
        Ok(Decoded::State(..)) => {}
        Ok(Decoded::Incomplete) => panic!("a row lacks what its own layout needs"),
        Err(error) => panic!("a row is read by its own layout: {error}"),
    }

    let late: Vec<Position> =
        (0..events / 4).map(|row| Position { offset: Offset((events + row) as u64), ..positions[next() as usize % events] }).collect();
    let start = Instant::now();
    late.iter().enumerate().for_each(|(row, at)| state.insert(&layout, *at, &inputs, row));
    let late_ns = start.elapsed().as_nanos() as usize / late.len().max(1);
    let percentile = |share: usize| times[times.len() * share / 100];
    println!("{events:>10} {insert:>12} {:>12} {:>12} {late_ns:>12} {memory:>12} {stored:>12}", percentile(50), percentile(99));
}

fn rows() -> Relation {
    let schema = Arc::new(Schema::empty());
    Relation { name: "payments".into(), id: Identity::default(), fields: vec![], schema, event_time: 0, branches: vec![] }
}

fn view() -> View {
    let amount = Expression { text: Arc::from("amount"), data_type: DataType::Float, evaluator: Arc::new(Amount) };
    let aggregates = ["count", "sum", "avg", "max"];
    let folds = aggregates.map(|name| {
        let inputs = if name == "count" { vec![] } else { vec![0] };
        let types = vec![DataType::Float; inputs.len()];
        Fold { id: Identity::of(name), aggregate: bind(name, &types, &[]).expect("takes a double"), inputs, filter: None }
    });
    let lengths = [Span::HOUR, Span::DAY, Span(7 * Span::DAY.0), Span(30 * Span::DAY.0)];
    let features = folds.iter().enumerate().flat_map(|(fold, of)| {
        lengths.map(|length| Feature {
            name: format!("{}_{length}", aggregates[fold]),
            id: Identity::default(),
            fold,
            window: Window::of(WindowBounds::Range { length, open: false }),
            keep: MapLimit::default(),
            default: None,
            data_type: of.aggregate.result_type().clone(),
        })
    });
    View {
        derived: Vec::new(),
        declared: Vec::new(),
        name: "payments".into(),
        id: Identity::default(),
        entity: 0,
        rows: Arc::new(rows()),
        key_columns: vec![],
        ttl: None,
        inputs: vec![amount],
        filters: vec![],
        features: features.collect(),
        folds: folds.to_vec(),
    }
}
