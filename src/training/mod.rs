//! Training sets: the features of a vector for rows of keys and times, each value the same bits that were or would have
//! been served. One planned DataFusion query: scans of the event log, sorts by key that may spill, our own operator that
//! sweeps each key through the state that serves online, and the assembly that serves online.
//! Must never compute a feature by other code than `window` and `vector`.

mod assembly;
mod cast;
mod current;
mod cut;
mod derive;
mod files;
mod handed;
mod parquet;
mod point_in_time;
mod query;
mod retracted;
mod scan;
mod spine;
mod sweep;
#[cfg(test)]
mod tests;
mod verified;
mod write;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, collect};

use self::assembly::{Assembly, Place};
pub use self::cast::to_type;
use self::current::{Current, Wanted};
use self::cut::Cuts;
pub use self::files::read_spine;
pub use self::query::Stage;
use self::query::{Queries, Resources};
use self::retracted::Retracted;
use self::scan::Events;
pub use self::spine::Spine;
use self::spine::SpineRows;
use self::sweep::Reading;
pub use self::write::write_table;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventBatch;
use crate::offline::{Snapshot, Store};
use crate::plan::{ColumnSource, Plan, Vector};
use crate::time::EventTime;
use crate::value::DataType;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The vector's name.
    pub vector: String,
    pub spine: Spine,
    /// The spine's column of times. Default: called like the event time of a source involved, `event_time` or `time`.
    pub time: Option<String>,
    /// The source whose events the rows are.
    pub event: Option<String>,
    /// Values at the cut that was known then, instead of by event time.
    pub as_known: bool,
}

/// A training set: the spine's columns, then the vector's, in the spine's order.
#[derive(Clone, Debug)]
pub struct Output {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    pub report: Report,
}

/// What it took.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub rows: u64,
    /// Events that were read, each source once.
    pub events: u64,
    /// Rows that were matched to an event.
    pub matched: u64,
    /// Time by stage, summed over threads.
    pub stages: Vec<Stage>,
}

/// Computes a training set. `recent` are committed events that the Parquet log may not hold yet; read them before this is
/// called: the manifest is read again here, so that what left `recent` meanwhile is in the files. Runs on the caller's
/// tokio runtime, on as many threads as that has and the machine has cores.
///
/// `NotFound` for a vector or source that is not declared, `Input` for a spine that does not fit, `Unavailable` when the
/// disk is full or a file was merged away meanwhile.
pub async fn training_set(plan: &Plan, store: &Store, recent: Vec<EventBatch>, request: Request) -> Result<Output> {
    let vector = plan.vector(&request.vector).ok_or_else(|| no_vector(plan, &request.vector))?;
    let event = request.event.as_deref().map(|name| source_index(plan, name)).transpose()?;
    let resources = Resources::new()?;
    store.reload()?;
    let snapshot = store.snapshot();
    let events = |source: usize| Events::new(&plan.sources[source], &snapshot, &recent);

    let spine = request.spine.rows()?.counting(plan, vector, event);
    let mut times = spine.times(plan, vector, event, request.time.as_deref())?;
    let fields = event.map(|source| event_fields(plan, vector, source)).unwrap_or_default();
    let reading = if request.as_known { Reading::AsKnown } else { Reading::AsOf };
    let involved: BTreeSet<usize> = vector.reads.iter().flat_map(|read| plan.views[read.view].rows.sources()).chain(event).collect();
    for source in &involved {
        let name = &plan.sources[*source].name;
        if let lost @ 1.. = snapshot.lost(name) + snapshot.lost("") {
            tracing::warn!("{lost} events of {name} were given up when the event log was built again: values over their times lack them");
        }
    }
    let mut retracted: BTreeMap<usize, Arc<Retracted>> = BTreeMap::new();
    for source in involved {
        retracted.insert(source, Arc::new(Retracted::of(&events(source)?, resources.threads, &resources.context()).await?));
    }
    let retracted = |source: usize| retracted.get(&source).cloned().unwrap_or_default();
    let current = match event {
        Some(source) => {
            let wanted = Wanted { times: times.as_deref(), fields: &fields, reading, retracted: &retracted(source) };
            Some(current::find(&events(source)?, &spine, &wanted, resources.threads, resources.context()).await?)
        }
        None => None,
    };
    if times.is_none() {
        times = current.as_ref().map(|current| current.positions.iter().map(|position| position.time.0).collect());
    }
    let times = times.ok_or_else(|| spine.no_time(plan, vector, event))?;
    let row = Rows { vector, spine: &spine, event, fields: &fields, current: current.as_ref() };
    let keys = row.keys()?;
    let columns = row.request(&times)?;
    let cuts = match request.as_known {
        true => Some(cuts(&row, &times, &source_events(plan, vector, &snapshot, &recent)?, &resources).await?),
        false => None,
    };
    let queries = Queries {
        keys: &keys,
        times: &times,
        cuts: cuts.as_deref(),
        event,
        positions: current.as_ref().map(|current| current.positions.as_slice()),
        reading,
    };

    let mut used: Vec<(&str, &DataType)> = Vec::new();
    used.extend(
        vector.keys.iter().chain(vector.request.iter().map(|request| &request.field)).map(|field| (field.name.as_str(), &field.data_type)),
    );
    used.extend(spine.time_name(plan, vector, event, request.time.as_deref()).map(|name| (name, &DataType::Timestamp)));
    let assembly = Arc::new(assembly(vector, &spine, &used, columns)?);
    let mut reads = Vec::new();
    for read in &vector.reads {
        let view = &plan.views[read.view];
        let sources = view.rows.branches.iter().map(|branch| branch.source);
        let events = sources.clone().map(&events).collect::<Result<Vec<_>>>()?;
        reads.push(query::read_plan(view, read, &events, sources.map(&retracted).collect(), &queries, resources.threads)?);
    }
    let root: Arc<dyn ExecutionPlan> =
        Arc::new(assembly::AssembleExec::new(assembly.clone(), reads.iter().map(|read| read.plan.clone()).collect()));
    let batches = collect(root.clone(), resources.context()).await.map_err(query_error)?;
    let report = Report {
        rows: spine.len() as u64,
        events: query::events_read(&reads),
        matched: current.map_or(0, |current| current.positions.len() as u64),
        stages: query::stages(&root),
    };
    Ok(Output { schema: assembly.schema.clone(), batches, report })
}

/// The rows of a spine, with the events that they are.
struct Rows<'a> {
    vector: &'a Vector,
    spine: &'a SpineRows<'a>,
    event: Option<usize>,
    /// The fields of the event's source that `current` holds.
    fields: &'a [usize],
    current: Option<&'a Current>,
}

impl Rows<'_> {
    /// One column per key of the vector: from the spine, else from the row's own event.
    fn keys(&self) -> Result<Vec<ArrayRef>> {
        let column = |(at, key): (usize, &crate::plan::Field)| -> Result<ArrayRef> {
            if let Some(column) = self.spine.column(&key.name, &key.data_type)? {
                return Ok(column);
            }
            let field = self.vector.key_columns.get(at).copied();
            self.own(field).ok_or_else(|| {
                let (vector, spine) = (&self.vector.name, self.spine.name());
                self.spine.missing(&format!("vector {vector} is read by {0}, and {spine} has no column {0}", key.name))
            })
        };
        self.vector.keys.iter().enumerate().map(column).collect()
    }

    /// One column per request column of the vector: from the spine, else from the row's own event; a missing event time
    /// is the time that is asked at.
    fn request(&self, times: &[i64]) -> Result<Vec<ArrayRef>> {
        let column = |request: &crate::plan::RequestColumn| -> Result<ArrayRef> {
            if let Some(column) = self.spine.column(&request.field.name, &request.field.data_type)? {
                return Ok(column);
            }
            if let Some(column) = self.own(request.source_column) {
                return Ok(column);
            }
            if request.is_event_time {
                return Ok(Arc::new(TimestampMicrosecondArray::from_iter_values(times.iter().copied())));
            }
            let (vector, name, spine) = (&self.vector.name, &request.field.name, self.spine.name());
            Err(self.spine.missing(&format!("vector {vector} takes {name} from its caller, and {spine} has no column {name}")))
        };
        self.vector.request.iter().map(column).collect()
    }

    /// A field of the event that each row is, where that is an event of the vector's source.
    fn own(&self, field: Option<usize>) -> Option<ArrayRef> {
        let current = self.current.filter(|_| self.event == self.vector.on)?;
        let at = self.fields.iter().position(|known| Some(*known) == field)?;
        Some(current.fields[at].clone())
    }
}

/// The fields of an event that can stand in for columns that the spine lacks.
fn event_fields(plan: &Plan, vector: &Vector, source: usize) -> Vec<usize> {
    if vector.on != Some(source) {
        return Vec::new();
    }
    let request = vector.request.iter().filter_map(|request| request.source_column);
    let fields: BTreeSet<usize> = vector.key_columns.iter().copied().chain(request).collect();
    fields.into_iter().filter(|field| *field < plan.sources[source].fields.len()).collect()
}

fn source_events<'a>(plan: &'a Plan, vector: &Vector, snapshot: &'a Snapshot, recent: &[EventBatch]) -> Result<Vec<Events<'a>>> {
    let sources: BTreeSet<usize> = vector.reads.iter().flat_map(|read| plan.views[read.view].rows.sources()).collect();
    sources.into_iter().map(|source| Events::new(&plan.sources[source], snapshot, recent)).collect()
}

/// The cut of each row: its own event's `seq`, else its `seq` column, else what had been taken in by its time.
async fn cuts(rows: &Rows<'_>, times: &[i64], events: &[Events<'_>], resources: &Resources) -> Result<Vec<u64>> {
    if let Some(current) = rows.current {
        return Ok(current.seqs.clone());
    }
    if let Some(seqs) = rows.spine.counts("seq")? {
        return Ok(seqs);
    }
    let cuts = Cuts::of(events, resources.threads, &resources.context()).await?;
    Ok(times.iter().map(|time| cuts.at(*time)).collect())
}

/// Lays out the output: the spine's columns in their order, then the vector's. A vector's column that hands a request
/// column on under its own name stands in the spine's place, as the model sees it; any other shared name is an error.
fn assembly(vector: &Vector, spine: &SpineRows<'_>, used: &[(&str, &DataType)], request: Vec<ArrayRef>) -> Result<Assembly> {
    let rows = spine.output(used)?;
    let features = vector.frame.fields().len() - vector.request.len();
    let handed_on = |at: usize| match &vector.columns[at].from {
        ColumnSource::Frame(column) => {
            column.checked_sub(features).is_some_and(|request| vector.request[request].field.name == vector.columns[at].name)
        }
        ColumnSource::Derived(_) => false,
    };
    let mut places = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    let vector_field = |at: usize| Field::new(&vector.columns[at].name, vector.columns[at].data_type.arrow(), true);
    for (at, field) in rows.schema().fields().iter().enumerate() {
        match vector.columns.iter().position(|column| column.name == *field.name()) {
            None => {
                places.push(Place::Spine(at));
                fields.push(field.as_ref().clone().with_nullable(true));
            }
            Some(column) if handed_on(column) => {
                places.push(Place::Vector(column));
                fields.push(vector_field(column));
            }
            Some(_) => {
                let message = format!(
                    "{} has a column {name}, and so has vector {}: rename the spine's column {name}",
                    spine.name(),
                    vector.name,
                    name = field.name()
                );
                return Err(Error::input(message));
            }
        }
    }
    for at in 0..vector.columns.len() {
        if !places.contains(&Place::Vector(at)) {
            places.push(Place::Vector(at));
            fields.push(vector_field(at));
        }
    }
    Ok(Assembly { vector: vector.clone(), spine: rows, request, places, schema: Arc::new(Schema::new(fields)) })
}

fn source_index(plan: &Plan, name: &str) -> Result<usize> {
    plan.source(name).map(|(at, _)| at).ok_or_else(|| {
        let names = plan.sources.iter().map(|source| source.name.as_str());
        Error::not_found(format!("there is no source {name}: {}", instead(name, names)))
    })
}

fn no_vector(plan: &Plan, name: &str) -> Error {
    let names = plan.vectors.iter().map(|vector| vector.name.as_str());
    Error::not_found(format!("there is no vector {name}: {}", instead(name, names)))
}

/// What to ask for instead: a near name, else what there is.
fn instead<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let near = names.iter().map(|other| (strsim::levenshtein(name, other), other)).min();
    match near {
        None => "none is declared".to_owned(),
        Some((distance, near)) if distance <= name.chars().count() / 3 => format!("do you mean {near}?"),
        Some(_) => format!("declared are {}", names.join(", ")),
    }
}

/// What a query's failure means to the caller: our own errors come out as they went in.
fn query_error(error: DataFusionError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(at) = cause {
        if let Some(own) = at.downcast_ref::<Error>() {
            return own.clone();
        }
        cause = at.source();
    }
    let root = error.find_root();
    let kind = match root {
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ResourcesExhausted(_) => ErrorKind::Unavailable,
        DataFusionError::ParquetError(_) => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    };
    let remedy = match kind {
        ErrorKind::Unavailable => "; ask again, with enough memory and free disk space for sorting",
        ErrorKind::Corrupt => "; restore the event log from a copy",
        _ => "",
    };
    Error::new(kind, format!("training set: {root}{remedy}"))
}

/// The times between which rows ask.
fn span_of(times: &[i64]) -> (EventTime, EventTime) {
    let first = times.iter().copied().min().unwrap_or_default();
    let last = times.iter().copied().max().unwrap_or_default();
    (EventTime(first), EventTime(last))
}
