//! What runs: sources, entities, feature views, vectors and models, resolved and typed, with identities by meaning.
//! `language` makes a plan from text; every room after it reads plans only. Must never parse, plan SQL or do I/O.

mod clauses;
mod contents;
mod cost;
mod derived;
mod diff;
pub(crate) mod identity;
mod relation;
mod takes;
mod unnest;
mod usage;
mod window;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::aggregate::{Aggregate, MapLimit};
use crate::error::Result;
use crate::id::Identity;
use crate::record::System;
use crate::time::{Epoch, Span};
use crate::value::{DataType, Value};

pub use clauses::Kind;
pub use contents::Contents;
pub use cost::Scan;
pub use derived::{DerivedFeature, FeatureRef};
pub use diff::{Change, Difference, diff};
pub use relation::{BRANCHES_MAX, Branch, Derived, Relation, Step, rows_of};
pub use takes::{FedColumn, Feeding, InputFeed, feeding};
pub use unnest::ELEMENTS_MAX;
pub use usage::{
    CHANCE_REMEDY, Element, Fault, INPUTS_REMEDY, Inspection, ModelFiles, ModelSignature, NEIGHBOURS_REMEDY, Part, Tensor, Usage,
};
pub use window::{Window, WindowBounds};

/// Everything that a folder of definitions declares. Indices in its parts point into these lists.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub sources: Vec<Source>,
    /// Derived streams, in the order of their names' first use.
    pub streams: Vec<Arc<Relation>>,
    pub entities: Vec<Entity>,
    pub views: Vec<View>,
    pub vectors: Vec<Vector>,
    pub models: Vec<Model>,
}

/// A named and typed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub data_type: DataType,
}

/// A stream of events in a topic, or the rows of a table, which come in files and lie in a topic of the same name.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub id: Identity,
    pub fields: Vec<Field>,
    /// What integers count that stand for times, for each field; those that are missing count microseconds.
    pub epochs: Vec<Epoch>,
    /// `fields` as Arrow, every one nullable: the schema of decoded batches.
    pub schema: SchemaRef,
    pub origin: Origin,
    pub format: Format,
    /// The field, a timestamp, that holds the event time.
    pub event_time: usize,
    pub lateness: Span,
    pub max_ahead: Span,
    /// At least `lateness`.
    pub history: Span,
    pub dedup: Option<Dedup>,
    pub expects: Vec<Expect>,
    /// A record for which it holds is no event: it retracts the one with its `dedup` columns. Only with `dedup`.
    pub deletes: Option<Expression>,
    /// A record without a payload retracts the latest event whose `dedup` columns are its key. Only with `dedup`, of Kafka.
    pub tombstones: bool,
    /// A table: the Parquet file, or the folder of such, whose rows are appended to its log. As resolved against the folder of
    /// the file that declares it.
    pub files: Option<PathBuf>,
}

/// The topic that the records of a source come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub system: System,
    pub topic: String,
    /// The partitions that the source declares; `None` if the system decides.
    pub partitions: Option<Partitioning>,
}

/// How a topic that Forebay makes is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitioning {
    pub count: u32,
    /// The fields whose values choose a record's partition. If there are none, the key of the record chooses it.
    pub by: Vec<usize>,
}

impl Origin {
    /// A topic of the embedded log with one partition.
    #[must_use]
    pub fn log(topic: &str) -> Self {
        Self { system: System::Embedded, topic: topic.to_owned(), partitions: Some(Partitioning { count: 1, by: Vec::new() }) }
    }

    #[must_use]
    pub fn kafka(topic: &str) -> Self {
        Self { system: System::Kafka, topic: topic.to_owned(), partitions: None }
    }
}

impl Source {
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.origin.topic
    }

    /// What integers count that stand for times in that field.
    #[must_use]
    pub fn epoch(&self, field: usize) -> Epoch {
        self.epochs.get(field).copied().unwrap_or_default()
    }

    /// Whether some record may retract an event.
    #[must_use]
    pub fn retracts(&self) -> bool {
        self.deletes.is_some() || self.tombstones
    }

    /// Where records go that cannot be used.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dead", self.topic())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
}

/// Events of one partition with equal columns at most `within` apart in event time are one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    pub columns: Vec<usize>,
    pub within: Span,
}

/// A condition that every event must meet; one that does not (or for which it is null) is dead-lettered.
#[derive(Clone, Debug)]
pub struct Expect {
    pub condition: Expression,
}

#[derive(Clone, Debug)]
pub struct Entity {
    pub name: String,
    pub keys: Vec<Field>,
}

/// The features of one entity from one source or stream: the unit of state.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// Of source, key columns, entity, `ttl` and name: what a state row is stored under. Features come and go within it.
    pub id: Identity,
    pub entity: usize,
    /// What its events are.
    pub rows: Arc<Relation>,
    /// For each key of the entity, the field of `rows` that holds it.
    pub key_columns: Vec<usize>,
    pub ttl: Option<Span>,
    /// The distinct inputs of all folds, evaluated on batches of `rows`.
    pub inputs: Vec<Expression>,
    /// The distinct `where` conditions of all folds.
    pub filters: Vec<Expression>,
    pub folds: Vec<Fold>,
    pub features: Vec<Feature>,
    /// Each reads features and earlier ones of these.
    pub derived: Vec<DerivedFeature>,
    /// Its features and derived features as they were declared, which is the order of `view.*`.
    pub declared: Vec<FeatureRef>,
}

impl View {
    /// How long raw events are needed for any window that is bounded in time: the longest with its offset.
    #[must_use]
    pub fn window_max(&self) -> Span {
        self.features.iter().map(|feature| feature.window.reach()).max().unwrap_or_default()
    }
}

/// What is folded, windows excluded: many windows and features share one fold.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Of aggregate, inputs and filter.
    pub id: Identity,
    pub aggregate: Aggregate,
    /// Into the view's `inputs`; empty for `count(*)`.
    pub inputs: Vec<usize>,
    /// Into the view's `filters`.
    pub filter: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Feature {
    pub name: String,
    pub id: Identity,
    pub fold: usize,
    pub window: Window,
    /// Which keys the feature has room for, where it is a map.
    pub keep: MapLimit,
    /// Takes the place of null.
    pub default: Option<Value>,
    pub data_type: DataType,
}

/// What a model sees: named columns in order, for one row of entity keys and request columns.
#[derive(Clone, Debug)]
pub struct Vector {
    pub name: String,
    pub id: Identity,
    /// The source whose events can be scored with it.
    pub on: Option<usize>,
    /// The key columns of a lookup, in order of first use.
    pub keys: Vec<Field>,
    /// With `on`, for each of `keys` the field of that source; else empty.
    pub key_columns: Vec<usize>,
    /// Columns that come from the caller or from the scored event.
    pub request: Vec<RequestColumn>,
    /// One for each view and role, in order of first use.
    pub reads: Vec<Read>,
    /// The schema that `Derived` expressions see: the features of each read in order, then `request`.
    pub frame: SchemaRef,
    pub columns: Vec<VectorColumn>,
    /// `columns` as Arrow, every one nullable.
    pub schema: SchemaRef,
}

impl Vector {
    /// The `schema` of these columns.
    #[must_use]
    pub fn schema_of(columns: &[VectorColumn]) -> SchemaRef {
        Arc::new(Schema::new(
            columns.iter().map(|column| ArrowField::new(&column.name, column.data_type.arrow(), true)).collect::<Vec<_>>(),
        ))
    }
}

#[derive(Clone, Debug)]
pub struct RequestColumn {
    pub field: Field,
    /// With `on`, the field of that source.
    pub source_column: Option<usize>,
    /// It is the source's event time: a caller who does not send it means the query time.
    pub is_event_time: bool,
}

/// Some features of one view, read under one choice of key columns.
#[derive(Clone, Debug)]
pub struct Read {
    pub view: usize,
    /// For each key of the view's entity, which of the vector's `keys` holds it.
    pub keys: Vec<usize>,
    /// Into the view's `features`.
    pub features: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct VectorColumn {
    pub name: String,
    pub data_type: DataType,
    pub from: ColumnSource,
    /// Takes the place of null.
    pub default: Option<Value>,
}

#[derive(Clone, Debug)]
pub enum ColumnSource {
    /// A column of the vector's `frame`.
    Frame(usize),
    /// Evaluated on the vector's `frame`.
    Derived(Expression),
}

#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    /// As resolved against the folder of the file that declares it.
    pub path: PathBuf,
    /// Lower-case hexadecimal, where the declaration pins it.
    pub sha256: Option<String>,
    /// Of what its file held when the definitions were read, lower-case hexadecimal.
    pub version: String,
    pub usage: Usage,
    pub vector: usize,
    pub score: Option<Score>,
    pub watch: Option<Watch>,
}

/// Every event of `source` gives one record in `topic`.
#[derive(Clone, Debug)]
pub struct Score {
    pub source: usize,
    pub topic: String,
}

/// The last interval's columns and scores against a reference profile.
#[derive(Clone, Debug)]
pub struct Watch {
    pub every: Span,
    /// As resolved against the folder of the file that declares it.
    pub profile: PathBuf,
    pub alerts: Alerts,
    pub topic: String,
}

/// When a report is an alert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts {
    pub alerts: Vec<Alert>,
    /// Columns for which only alerts hold that name them.
    pub except: Vec<String>,
    /// Of fewer rows, and for distances of fewer values, no column breaches anything.
    pub unless_rows_below: Option<u64>,
    /// A distance by `ks` that chance gives more often than that is none.
    pub unless_p_value_above: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub metric: DriftMetric,
    /// For which columns it holds, before those for all; empty for all. The scores are called `score`.
    pub columns: Vec<String>,
    /// A breach is a value above it.
    pub threshold: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftMetric {
    /// Population stability index
    Psi,
    /// Kolmogorov-Smirnov statistic
    Ks,
    /// Share of nulls and NaNs in the window, and how far it is from that in the profile
    MissingRate,
}

impl DriftMetric {
    /// As definitions and reports spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::MissingRate => "missing_rate",
        }
    }
}

/// A typed SQL scalar expression. Equal text is equal meaning: the text is normalised.
#[derive(Clone)]
pub struct Expression {
    pub text: Arc<str>,
    pub data_type: DataType,
    pub evaluator: Arc<dyn Evaluate>,
}

/// Evaluates on batches of the schema that the expression was made for; implemented in `language` by DataFusion.
pub trait Evaluate: Send + Sync {
    /// One value per row; null where the value cannot be computed (an overflow, a bad cast), so that a row's value does not
    /// depend on the batch it is in. An error is a fault: a batch of another schema.
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef>;
}

impl Expression {
    /// One value per row, of the expression's type.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        self.evaluator.evaluate(batch)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} :: {}", self.text, self.data_type)
    }
}

impl Plan {
    #[must_use]
    pub fn vector(&self, name: &str) -> Option<&Vector> {
        self.vectors.iter().find(|vector| vector.name == name)
    }

    #[must_use]
    pub fn source(&self, name: &str) -> Option<(usize, &Source)> {
        self.sources.iter().enumerate().find(|(_, source)| source.name == name)
    }

    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
}
