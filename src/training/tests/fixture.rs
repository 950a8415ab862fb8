//! A plan made by hand, random payments, and the naive answer to each of its features.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field as ArrowField, Schema};

use crate::aggregate;
use crate::error::Result;
use crate::event::EventBatch;
use crate::id::{Identity, Position, Seq};
use crate::offline::Store;
use crate::plan::{
    ColumnSource, Dedup, Entity, Evaluate, Expression, Feature, Field, Fold, Format, Origin, Partitioning, Plan, Read, Relation,
    RequestColumn, Source, Vector, VectorColumn, View, Window, WindowBounds,
};
use crate::time::{EventTime, Span};
use crate::value::{DataType, Value};

pub const MINUTE: i64 = Span::MINUTE.0;

/// One payment, with what the engine gave it.
#[derive(Clone, Debug)]
pub struct Payment {
    pub id: String,
    pub user: Option<i64>,
    pub amount: Option<f64>,
    pub declined: bool,
    pub at: Position,
    pub ingest: i64,
    pub seq: u64,
}

/// xorshift64*: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

struct Pick(&'static str);

impl Evaluate for Pick {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column_by_name(self.0).unwrap().clone())
    }
}

struct Declined;

impl Evaluate for Declined {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let status = batch.column_by_name("status").unwrap().as_string::<i32>();
        Ok(Arc::new(status.iter().map(|status| status.map(|status| status == "declined")).collect::<BooleanArray>()))
    }
}

fn field(name: &str, data_type: DataType) -> Field {
    Field { name: name.to_owned(), data_type }
}

fn expression(text: &str, data_type: DataType, evaluator: impl Evaluate + 'static) -> Expression {
    Expression { text: text.into(), data_type, evaluator: Arc::new(evaluator) }
}

fn source() -> Source {
    let fields = vec![
        field("payment_id", DataType::Text),
        field("user_id", DataType::Int),
        field("amount", DataType::Float),
        field("status", DataType::Text),
        field("event_time", DataType::Timestamp),
    ];
    let arrow: Vec<_> = fields.iter().map(|field| ArrowField::new(&field.name, field.data_type.arrow(), true)).collect();
    Source {
        name: "payments".to_owned(),
        id: Identity::of("payments"),
        fields,
        schema: Arc::new(Schema::new(arrow)),
        origin: Origin { partitions: Some(Partitioning { count: 2, by: Vec::new() }), ..Origin::log("payments") },
        epochs: Vec::new(),
        format: Format::Json,
        event_time: 4,
        lateness: Span::DAY,
        max_ahead: Span::HOUR,
        history: Span::DAY,
        dedup: Some(Dedup { columns: vec![0], within: Span::DAY }),
        expects: Vec::new(),
        deletes: None,
        tombstones: false,
        files: None,
    }
}

fn window(minutes: Option<i64>) -> Window {
    let frame = minutes.map_or(WindowBounds::All, |minutes| WindowBounds::Range { length: Span(minutes * MINUTE), open: false });
    Window::of(frame)
}

/// Features of a user: payments and spend over an hour, the last id ever, declines over a day (0 when none), payments of
/// an hour without the row's own, spend of the hour before the last, payments of half an hour strictly before.
pub fn plan() -> Plan {
    let fold = |name: &str, inputs: Vec<usize>, filter: Option<usize>| {
        let types: Vec<DataType> = inputs.iter().map(|input| [DataType::Float, DataType::Text][*input].clone()).collect();
        let id = Identity::of(&format!("{name} {inputs:?} {filter:?}"));
        Fold { id, aggregate: aggregate::bind(name, &types, &[]).unwrap(), inputs, filter }
    };
    let folds = vec![fold("count", vec![], None), fold("sum", vec![0], None), fold("last", vec![1], None), fold("count", vec![], Some(0))];
    let feature = |name: &str, fold: usize, data_type: DataType, window: Window| Feature {
        name: name.to_owned(),
        id: Identity::of(name),
        fold,
        window,
        keep: crate::aggregate::MapLimit::default(),
        default: None,
        data_type,
    };
    let features = vec![
        feature("count_1h", 0, DataType::Int, window(Some(60))),
        feature("spend_1h", 1, DataType::Float, window(Some(60))),
        feature("last_id", 2, DataType::Text, window(None)),
        feature("declined_1d", 3, DataType::Int, window(Some(24 * 60))),
        feature("others_1h", 0, DataType::Int, Window { excluding_current: true, ..window(Some(60)) }),
        feature("spend_1h_offset_1h", 1, DataType::Float, Window { offset: Span::HOUR, ..window(Some(60)) }),
        feature("before_30m", 0, DataType::Int, Window { before: true, ..window(Some(30)) }),
    ];
    let view = View {
        derived: Vec::new(),
        declared: Vec::new(),
        name: "user_payments".to_owned(),
        id: Identity::of("user_payments"),
        entity: 0,
        rows: Arc::new(Relation::of_source(0, &source())),
        key_columns: vec![1],
        ttl: None,
        inputs: vec![expression("amount", DataType::Float, Pick("amount")), expression("payment_id", DataType::Text, Pick("payment_id"))],
        filters: vec![expression("status = 'declined'", DataType::Bool, Declined)],
        folds,
        features,
    };
    let vectors = vec![vector("user_v1", &view, &[0, 1, 2, 3, 4, 5, 6]), vector("user_v2", &view, &[0, 1, 2, 3])];
    Plan {
        sources: vec![source()],
        streams: Vec::new(),
        entities: vec![Entity { name: "user".to_owned(), keys: vec![field("user_id", DataType::Int)] }],
        views: vec![view],
        vectors,
        models: Vec::new(),
    }
}

fn vector(name: &str, view: &View, features: &[usize]) -> Vector {
    let mut frame: Vec<ArrowField> = Vec::new();
    let mut columns = Vec::new();
    for feature in features {
        let feature = &view.features[*feature];
        let from = ColumnSource::Frame(frame.len());
        frame.push(ArrowField::new(&feature.name, feature.data_type.arrow(), true));
        columns.push(VectorColumn { name: feature.name.clone(), data_type: feature.data_type.clone(), from, default: None });
    }
    let request = [("amount", DataType::Float, 2), ("event_time", DataType::Timestamp, 4)].map(|(name, data_type, column)| {
        let from = ColumnSource::Frame(frame.len());
        frame.push(ArrowField::new(name, data_type.arrow(), true));
        columns.push(VectorColumn { name: name.to_owned(), data_type: data_type.clone(), from, default: None });
        RequestColumn { field: field(name, data_type), source_column: Some(column), is_event_time: name == "event_time" }
    });
    Vector {
        name: name.to_owned(),
        id: Identity::of(name),
        on: Some(0),
        keys: vec![field("user_id", DataType::Int)],
        key_columns: vec![1],
        request: request.into(),
        reads: vec![Read { view: 0, keys: vec![0], features: features.to_vec() }],
        frame: Arc::new(Schema::new(frame)),
        schema: Vector::schema_of(&columns),
        columns,
    }
}

/// Payments in the order of their `seq`, late and of equal times among them, of users 0 to 9 (one in four of user 0).
pub fn payments(count: u64, seed: u64) -> Vec<Payment> {
    let mut random = Random(seed);
    let mut offsets = [0, 0];
    let payment = |at: u64| {
        let partition = random.below(2) as usize;
        offsets[partition] += 1;
        // Whole minutes, so that edges and ties are met exactly.
        let minute = at as i64 / 3 - random.below(90) as i64;
        Payment {
            id: format!("p{at}"),
            user: (random.below(20) > 0).then(|| if random.below(4) == 0 { 0 } else { random.below(10) as i64 }),
            amount: (random.below(10) > 0).then(|| random.below(400) as f64 / 4.0),
            declined: random.below(5) == 0,
            at: Position {
                time: EventTime(minute * MINUTE),
                partition: crate::id::Partition(partition as u32),
                offset: crate::id::Offset(offsets[partition] - 1),
            },
            ingest: (at as i64 / 7) * MINUTE,
            seq: at + 1,
        }
    };
    (0..count).map(payment).collect()
}

pub fn batch(plan: &Plan, payments: &[Payment]) -> EventBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(payments.iter().map(|payment| Some(payment.id.as_str())).collect::<StringArray>()),
        Arc::new(payments.iter().map(|payment| payment.user).collect::<Int64Array>()),
        Arc::new(payments.iter().map(|payment| payment.amount).collect::<Float64Array>()),
        Arc::new(StringArray::from_iter_values(payments.iter().map(|payment| if payment.declined { "declined" } else { "approved" }))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(payments.iter().map(|payment| payment.at.time.0))),
    ];
    let own = RecordBatch::try_new(plan.sources[0].schema.clone(), columns).unwrap();
    EventBatch::new(
        "payments",
        &own,
        payments.iter().map(|payment| payment.at.partition.0).collect(),
        payments.iter().map(|payment| payment.at.offset.0).collect(),
        payments.iter().map(|payment| payment.ingest).collect(),
        payments.iter().map(|payment| payment.seq).collect(),
    )
    .unwrap()
}

/// A store with all but the last tenth of the payments; the last fifth are recent, so that the two overlap.
pub fn stored(plan: &Plan, payments: &[Payment]) -> (tempfile::TempDir, Store, Vec<EventBatch>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &plan.sources).unwrap();
    let written = payments.len() * 9 / 10;
    for chunk in payments[..written].chunks(written.div_ceil(3).max(1)) {
        store.write(&[batch(plan, chunk)], Seq(chunk[chunk.len() - 1].seq)).unwrap();
    }
    let recent = vec![batch(plan, &payments[payments.len() * 8 / 10..])];
    (folder, store, recent)
}

/// What the features of `user_v1` are for that user and time over these payments, by a loop.
pub fn naive(payments: &[Payment], user: Option<i64>, q: i64, current: Option<Position>) -> Vec<Value> {
    let mut mine: Vec<&Payment> = payments.iter().filter(|payment| user.is_some() && payment.user == user).collect();
    mine.sort_by_key(|payment| payment.at);
    let between = |range: RangeInclusive<i64>| mine.iter().filter(move |payment| range.contains(&payment.at.time.0));
    let spend = |range: RangeInclusive<i64>| {
        let amounts: Vec<f64> = between(range).filter_map(|payment| payment.amount).collect();
        if amounts.is_empty() { Value::Null } else { Value::Float(amounts.iter().sum()) }
    };
    let last = between(i64::MIN..=q).next_back();
    vec![
        Value::Int(between(q - 60 * MINUTE..=q).count() as i64),
        spend(q - 60 * MINUTE..=q),
        last.map_or(Value::Null, |payment| Value::Text(payment.id.as_str().into())),
        Value::Int(between(q - 24 * 60 * MINUTE..=q).filter(|payment| payment.declined).count() as i64),
        Value::Int(between(q - 60 * MINUTE..=q).filter(|payment| Some(payment.at) != current).count() as i64),
        spend(q - 120 * MINUTE..=q - 60 * MINUTE),
        Value::Int(between(q - 30 * MINUTE..=q - 1).count() as i64),
    ]
}

/// A spine of users and times, with further columns.
pub fn spine(users: &[Option<i64>], times: &[i64], more: Vec<(&str, ArrayRef)>) -> super::super::Spine {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(users.iter().copied().collect::<Int64Array>())),
        ("event_time", Arc::new(TimestampMicrosecondArray::from(times.to_vec()))),
        ("amount", Arc::new(Float64Array::from(vec![1.5; users.len()]))),
    ];
    for (name, column) in more {
        columns.retain(|(known, _)| *known != name);
        columns.push((name, column));
    }
    of_columns(columns)
}

pub fn of_columns(columns: Vec<(&str, ArrayRef)>) -> super::super::Spine {
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    super::super::Spine::new(rows.schema(), vec![rows])
}
