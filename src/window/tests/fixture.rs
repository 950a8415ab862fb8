//! A view with every aggregate over many windows, events for it, and a store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;

use super::super::*;
use crate::aggregate::{Aggregate, MapLimit, bind};
use crate::error::Error;
use crate::id::{Identity, Offset, Partition};
use crate::plan::{Evaluate, Expression, Feature, Fold, Relation, View, Window, WindowBounds};
use crate::time::{Span, Unit, Zone};
use crate::value::DataType;

pub(super) struct Column(pub(super) usize);

impl Evaluate for Column {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column(self.0).clone())
    }
}

/// The inputs of the view, which are the columns of its source.
pub(super) const COLUMNS: [(&str, DataType); 5] =
    [("amount", DataType::Float), ("n", DataType::Int), ("category", DataType::Text), ("ok", DataType::Bool), ("at", DataType::Timestamp)];

pub(super) fn expression(column: usize) -> Expression {
    let (name, data_type) = &COLUMNS[column];
    Expression { text: Arc::from(*name), data_type: data_type.clone(), evaluator: Arc::new(Column(column)) }
}

/// Every aggregate with its inputs, and some under the filter `ok`.
fn folds() -> Vec<(String, Aggregate, Vec<usize>, Option<usize>)> {
    let specs: &[(&str, &[usize], &[Value], bool)] = &[
        ("count", &[], &[], false),
        ("count", &[0], &[], false),
        ("sum", &[0], &[], false),
        ("avg", &[0], &[], false),
        ("min", &[0], &[], false),
        ("max", &[0], &[], false),
        ("var_pop", &[0], &[], false),
        ("stddev_samp", &[1], &[], false),
        ("var_samp", &[0], &[], true),
        ("stddev_pop", &[0], &[], false),
        ("sum", &[1], &[], false),
        ("avg", &[1], &[], true),
        ("max", &[1], &[], false),
        ("min", &[2], &[], false),
        ("max", &[4], &[], false),
        ("first", &[2], &[], false),
        ("last", &[0], &[], true),
        ("last", &[3], &[], false),
        ("latest", &[0], &[], false),
        ("latest", &[2], &[], true),
        ("last_n", &[0], &[Value::Int(3)], false),
        ("last_n", &[2], &[Value::Int(100)], true),
        ("min_by", &[2, 0], &[], false),
        ("max_by", &[1, 2], &[], false),
        ("bool_and", &[3], &[], false),
        ("bool_or", &[3], &[], false),
        ("count_distinct", &[2], &[Value::Int(3)], false),
        ("count_distinct", &[0], &[], false),
        ("sum", &[0], &[], true),
        ("count", &[], &[], true),
    ];
    let fold = |(name, inputs, parameters, filtered): &(&str, &[usize], &[Value], bool)| {
        let types: Vec<DataType> = inputs.iter().map(|input| COLUMNS[*input].1.clone()).collect();
        let aggregate = bind(name, &types, parameters).unwrap();
        let mut label = (*name).to_owned();
        inputs.iter().for_each(|input| label.push_str(&format!("_{}", COLUMNS[*input].0)));
        if *filtered {
            label.push_str("_where_ok");
        }
        (label, aggregate, inputs.to_vec(), filtered.then_some(0))
    };
    specs.iter().map(fold).collect()
}

/// Maps: an aggregate with its inputs, a last input by which events are grouped, and the keys that it keeps.
fn maps() -> Vec<(String, Aggregate, Vec<usize>, MapLimit)> {
    let specs: [(&str, &[usize], MapLimit); 5] = [
        ("sum", &[0, 2], MapLimit { limit: 2, by_value: false }),
        ("count", &[1], MapLimit { limit: 5, by_value: false }),
        ("max", &[0, 4], MapLimit { limit: 3, by_value: true }),
        ("last", &[1, 3], MapLimit { limit: 1, by_value: true }),
        ("var_samp", &[1, 2], MapLimit { limit: 3, by_value: true }),
    ];
    let map = |(name, inputs, keep): (&str, &[usize], MapLimit)| {
        let mut types: Vec<DataType> = inputs.iter().map(|input| COLUMNS[*input].1.clone()).collect();
        let key = types.pop().unwrap();
        let label = inputs.iter().fold(format!("{name}_by"), |label, input| format!("{label}_{}", COLUMNS[*input].0));
        (label, bind(name, &types, &[]).unwrap().by(&key).unwrap(), inputs.to_vec(), keep)
    };
    specs.map(map).into()
}

fn windows() -> Vec<(&'static str, Window)> {
    let range = |length: i64, open: bool| WindowBounds::Range { length: Span(length), open };
    let window = |frame: WindowBounds, before: bool, excluding_current: bool, offset: i64| Window {
        frame,
        before,
        excluding_current,
        offset: Span(offset),
        limit: None,
    };
    let rows = |limit: u32, window: Window| Window { limit: Some(limit), ..window };
    let session = |gap: i64| WindowBounds::Session { gap: Span(gap) };
    vec![
        ("10", window(range(10, false), false, false, 0)),
        ("10_open", window(range(10, true), false, false, 0)),
        ("100", window(range(100, false), false, false, 0)),
        ("1000_open", window(range(1_000, true), false, false, 0)),
        ("all", window(WindowBounds::All, false, false, 0)),
        ("endless", window(range(i64::MAX, false), false, false, 0)),
        ("10_before", window(range(10, false), true, false, 0)),
        ("1000_before_excluding", window(range(1_000, false), true, true, 0)),
        ("10_excluding", window(range(10, false), false, true, 0)),
        ("all_excluding", window(WindowBounds::All, false, true, 0)),
        ("10_offset", window(range(10, false), false, false, 7)),
        ("100_offset_before", window(range(100, true), true, false, 7)),
        ("all_offset", window(WindowBounds::All, false, false, 7)),
        ("hop", window(WindowBounds::Hop { length: Span(100), hop: Span(30) }, false, false, 0)),
        ("hop_offset_before", window(WindowBounds::Hop { length: Span(7), hop: Span(7) }, true, false, 7)),
        ("minute_endless", window(WindowBounds::Calendar { unit: Unit::Minute, zone: Zone::UTC }, false, false, 0)),
        ("last_minute_endless", window(WindowBounds::Last { unit: Unit::Minute, zone: Zone::UTC }, false, false, 0)),
        ("last_hour_endless", window(WindowBounds::Last { unit: Unit::Hour, zone: Zone::UTC }, true, true, 7)),
        ("day_endless", window(WindowBounds::Calendar { unit: Unit::Day, zone: Zone::parse("Asia/Kolkata").unwrap() }, false, true, 7)),
        ("session", window(session(7), false, false, 0)),
        ("session_wide", window(session(1_000), false, false, 0)),
        ("session_excluding", window(session(3), false, true, 0)),
        ("session_offset_before", window(session(7), true, false, 7)),
        ("session_limit", rows(3, window(session(20), false, false, 0))),
        ("rows", rows(3, window(WindowBounds::All, false, false, 0))),
        ("rows_many", rows(150, window(WindowBounds::All, false, false, 0))),
        ("rows_excluding", rows(3, window(WindowBounds::All, false, true, 0))),
        ("rows_offset_before", rows(1, window(WindowBounds::All, true, false, 7))),
        ("100_limit", rows(4, window(range(100, false), false, false, 0))),
        ("1000_limit_excluding", rows(90, window(range(1_000, true), false, true, 0))),
    ]
}

fn rows() -> Relation {
    Relation {
        name: "events".into(),
        id: Identity::default(),
        fields: vec![],
        schema: Arc::new(Schema::empty()),
        event_time: 0,
        branches: vec![],
    }
}

pub(super) fn view() -> View {
    let plain = folds().into_iter().map(|(label, aggregate, inputs, filter)| (label, aggregate, inputs, filter, MapLimit::default()));
    let maps = maps().into_iter().map(|(label, aggregate, inputs, keep)| (label, aggregate, inputs, None, keep));
    let folds: Vec<_> = plain.chain(maps).collect();
    let features = folds.iter().enumerate().flat_map(|(fold, (label, aggregate, .., keep))| {
        windows().into_iter().map(move |(name, window)| Feature {
            name: format!("{label}_{name}"),
            id: Identity::default(),
            fold,
            window,
            keep: *keep,
            default: (label == "sum_n").then_some(Value::Int(0)),
            data_type: aggregate.result_type().clone(),
        })
    });
    View {
        derived: Vec::new(),
        declared: Vec::new(),
        name: "view".into(),
        id: Identity::default(),
        entity: 0,
        rows: Arc::new(rows()),
        key_columns: vec![],
        ttl: None,
        inputs: (0..COLUMNS.len()).map(expression).collect(),
        filters: vec![expression(3)],
        features: features.collect(),
        folds: folds
            .into_iter()
            .map(|(label, aggregate, inputs, filter, _)| Fold { id: Identity::of(&label), aggregate, inputs, filter })
            .collect(),
    }
}

/// The view with only those features, and only the folds, inputs and filters that they need.
pub(super) fn narrowed(keep: impl Fn(&Feature) -> bool) -> View {
    let mut view = view();
    view.features.retain(|feature| keep(feature));
    let mut folds: Vec<usize> = view.features.iter().map(|feature| feature.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    let mut inputs: Vec<usize> = folds.iter().flat_map(|fold| view.folds[*fold].inputs.clone()).collect();
    inputs.sort_unstable();
    inputs.dedup();
    view.features.iter_mut().for_each(|feature| feature.fold = folds.binary_search(&feature.fold).unwrap());
    view.folds = folds.iter().map(|fold| view.folds[*fold].clone()).collect();
    view.folds.iter_mut().for_each(|fold| fold.inputs.iter_mut().for_each(|input| *input = inputs.binary_search(input).unwrap()));
    view.inputs = inputs.iter().map(|input| view.inputs[*input].clone()).collect();
    if view.folds.iter().all(|fold| fold.filter.is_none()) {
        view.filters.clear();
    }
    view
}

/// The layout of a view of which tiles leave out some parts, chosen by the bits of `left_out`.
pub(super) fn layout(view: &View, left_out: u64) -> Layout {
    let mut layout = Layout::new(view);
    layout.tiled.iter_mut().enumerate().for_each(|(part, tiled)| *tiled = left_out >> (part % 64) & 1 == 0);
    layout
}

pub(super) fn all_features(layout: &Layout) -> Vec<usize> {
    (0..layout.features.len()).collect()
}

/// The features that read chunks of a key's events in different ways.
pub(super) fn of_long_windows() -> View {
    narrowed(|feature| ["_10", "_1000_open", "_all", "_excluding", "_offset"].iter().any(|end| feature.name.ends_with(end)))
}

/// Rows of one key, so many that most lie in chunks, with gaps and equal times among them.
pub(super) fn in_chunks(next: &mut impl FnMut() -> u64, count: usize) -> Vec<(i64, u32, u64)> {
    let mut now = 0;
    let row = |_| {
        now += if next().is_multiple_of(50) { 3_000 } else { (next() % 4) as i64 };
        (now, (next() % 3) as u32, next())
    };
    (0..count).map(row).collect()
}

/// Numbers of a xorshift generator.
pub(super) fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// The inputs of an event, with all kinds of hard cases among them.
fn values(seed: u64) -> [Value; 5] {
    let mut next = random(seed);
    let amounts = [0.1, -0.0, 1e308, -1e308, 1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324];
    let amount = match next() % 12 {
        0 => Value::Null,
        1 if next().is_multiple_of(8) => Value::Float(amounts[next() as usize % amounts.len()]),
        2 => Value::Float(f64::from_bits(((next() % 0x7ff) << 52) ^ (next() >> 12) ^ (next() << 63))),
        _ => Value::Float((next() % 100_000) as f64 / 100.0 - 200.0),
    };
    let n = if next().is_multiple_of(9) { Value::Int(i64::MAX - (next() % 3) as i64) } else { Value::Int((next() % 21) as i64 - 10) };
    let category = ["", "a", "b", "groceries", "ü"][next() as usize % 5];
    let ok = [Value::Null, Value::Bool(false), Value::Bool(true)][next() as usize % 3].clone();
    let at = if next().is_multiple_of(7) { Value::Null } else { Value::Timestamp(next() as i64) };
    [amount, n, if next().is_multiple_of(4) { Value::Null } else { Value::Text(category.into()) }, ok, at]
}

#[derive(Clone, Debug)]
pub(super) struct Events {
    pub(super) positions: Vec<Position>,
    /// The inputs of each: `Null` where they are null.
    pub(super) values: Vec<[Value; 5]>,
}

impl Events {
    /// Events in order of arrival, from (time, partition, seed of the inputs).
    pub(super) fn new(rows: &[(i64, u32, u64)]) -> Self {
        let position = |(row, (time, partition, seed)): (usize, &(i64, u32, u64))| Position {
            time: EventTime(*time),
            partition: Partition(*partition),
            // Offsets do not rise with arrival, so that ties are ordered otherwise than they came.
            offset: Offset((seed % 5) * 1_000_000 + row as u64),
        };
        Self { positions: rows.iter().enumerate().map(position).collect(), values: rows.iter().map(|row| values(row.2)).collect() }
    }

    pub(super) fn first(&self, count: usize) -> Self {
        Self { positions: self.positions[..count].to_vec(), values: self.values[..count].to_vec() }
    }

    pub(super) fn only(&self, rows: &[usize]) -> Self {
        Self {
            positions: rows.iter().map(|row| self.positions[*row]).collect(),
            values: rows.iter().map(|row| self.values[*row].clone()).collect(),
        }
    }

    pub(super) fn batch(&self) -> RecordBatch {
        let rows = &self.values;
        let amounts: Float64Array = rows.iter().map(|row| if let Value::Float(value) = row[0] { Some(value) } else { None }).collect();
        let ns: Int64Array = rows.iter().map(|row| if let Value::Int(value) = row[1] { Some(value) } else { None }).collect();
        let texts: StringArray =
            rows.iter().map(|row| if let Value::Text(value) = &row[2] { Some(value.as_ref()) } else { None }).collect();
        let oks: BooleanArray = rows.iter().map(|row| if let Value::Bool(value) = row[3] { Some(value) } else { None }).collect();
        let ats: TimestampMicrosecondArray =
            rows.iter().map(|row| if let Value::Timestamp(value) = row[4] { Some(value) } else { None }).collect();
        let fields: Vec<Field> = COLUMNS.iter().map(|(name, data_type)| Field::new(*name, data_type.arrow(), true)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(amounts), Arc::new(ns), Arc::new(texts), Arc::new(oks), Arc::new(ats)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    pub(super) fn inputs(&self) -> Inputs {
        Inputs::evaluate(&view(), &self.batch()).unwrap()
    }
}

/// Chunks in memory.
#[derive(Default)]
pub(super) struct Store {
    pub(super) chunks: BTreeMap<[u8; 11], Vec<u8>>,
    /// Bytes of all chunks ever put.
    pub(super) written: usize,
}

impl Chunks for Store {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        assert_eq!(ChunkId::from_be_bytes(id.to_be_bytes()), id);
        self.chunks.get(&id.to_be_bytes()).cloned().ok_or_else(|| Error::corrupt("no such chunk"))
    }
}

impl Store {
    pub(super) fn put(&mut self, layout: &Layout, state: &mut KeyState) -> Vec<u8> {
        state.encode(layout, Seq(5), &mut |id, bytes| match bytes {
            Some(bytes) => {
                self.written += bytes.len();
                self.chunks.insert(id.to_be_bytes(), bytes.to_vec());
            }
            None => assert!(self.chunks.remove(&id.to_be_bytes()).is_some(), "only chunks that were put are deleted"),
        })
    }

    /// Stores the state and reads it back.
    pub(super) fn reload(&mut self, layout: &Layout, mut state: KeyState) -> KeyState {
        let row = self.put(layout, &mut state);
        match KeyState::decode(layout, &row).unwrap() {
            Decoded::State(decoded, seq) => {
                assert_eq!(seq, Seq(5));
                assert_eq!(decoded.last_event(), state.last_event());
                decoded
            }
            Decoded::Incomplete => panic!("the same layout must read its own rows"),
        }
    }
}
