//! The rows that a training set is asked for: entity keys, a time, and whatever else the caller keeps beside them.
//! Must never change the rows' order or drop one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimestampMicrosecondType, UInt32Type, UInt64Type};

use super::{cast, write, written};
use crate::error::{Error, Result};
use crate::plan::{Plan, Vector};
use crate::time::Epoch;
use crate::value::DataType;

/// Rows to compute features for.
#[derive(Clone, Debug)]
pub struct Spine {
    /// What errors call it: the file's path.
    pub name: String,
    pub schema: SchemaRef,
    /// Columns of text formats are as they were written (`written`).
    pub batches: Vec<RecordBatch>,
    /// Columns of the file that are none of its rows: what pandas keeps an index without a name as.
    pub left_out: Vec<String>,
}

impl Spine {
    /// A spine in memory. All batches have that schema.
    #[must_use]
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { name: "the spine".to_owned(), schema, batches, left_out: Vec::new() }
    }

    /// All rows in one batch, columns of these names with these types, others of text formats with those of their values: a
    /// table that is no spine. Errors as for spines.
    pub fn table(&self, types: &[(&str, &DataType)]) -> Result<RecordBatch> {
        let rows = self.rows()?;
        let batch = write::typed(&rows.output(types)?)?;
        let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
        for (name, to) in types.iter().filter(|(_, to)| !matches!(to, DataType::Map(_) | DataType::Struct(_))) {
            if let (Some(column), Some((at, _))) = (rows.column(name, to)?, batch.schema().column_with_name(name)) {
                fields[at] = Arc::new(Field::new(*name, to.arrow(), true));
                columns[at] = column;
            }
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// All rows in one batch. `Input` when there is none, or when two columns have one name.
    pub(super) fn rows(&self) -> Result<SpineRows<'_>> {
        let rows = concat_batches(&self.schema, &self.batches)?;
        if rows.num_rows() == 0 {
            return Err(Error::input(format!("{} holds no rows: there is nothing to compute features for", self.name)));
        }
        let names = self.schema.fields().iter().map(|field| field.name());
        for (at, name) in names.clone().enumerate() {
            if names.clone().take(at).any(|earlier| earlier == name) {
                let twice =
                    if name.is_empty() { "columns without a name: name each" } else { &format!("columns called {name}: rename one") };
                return Err(Error::input(format!("{} has two {twice}", self.name)));
            }
        }
        Ok(SpineRows { spine: self, rows, epochs: HashMap::new() })
    }
}

/// A spine's rows in one batch.
#[derive(Debug)]
pub(super) struct SpineRows<'a> {
    spine: &'a Spine,
    rows: RecordBatch,
    /// What integers count that stand for times, by column; microseconds in the others.
    epochs: HashMap<String, Epoch>,
}

impl SpineRows<'_> {
    /// The same, where a column that is called like one of a source that is asked about counts what is declared there.
    #[must_use]
    pub fn counting(mut self, plan: &Plan, vector: &Vector, event: Option<usize>) -> Self {
        let read = vector.reads.iter().flat_map(|read| plan.views[read.view].rows.sources());
        for source in event.into_iter().chain(vector.on).chain(read).map(|source| &plan.sources[source]) {
            for (index, field) in source.fields.iter().enumerate().filter(|(_, field)| field.data_type == DataType::Timestamp) {
                self.epochs.entry(field.name.clone()).or_insert(source.epoch(index));
            }
        }
        self
    }

    fn epoch(&self, name: &str) -> Epoch {
        self.epochs.get(name).copied().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        &self.spine.name
    }

    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    pub fn has(&self, name: &str) -> bool {
        self.rows.schema().index_of(name).is_ok()
    }

    fn found(&self, name: &str) -> Option<(&ArrayRef, &Field)> {
        let (at, field) = self.spine.schema.column_with_name(name)?;
        Some((self.rows.column(at), field))
    }

    /// The column as that type of the language; `None` when there is no such column.
    pub fn column(&self, name: &str, to: &DataType) -> Result<Option<ArrayRef>> {
        self.found(name).map(|(column, field)| cast::to_type(column, field, to, self.epoch(name), &self.called(name))).transpose()
    }

    /// The times at which the rows ask, from the named column or from one that is called as times are in this plan.
    /// `None` when no name was given and there is no such column.
    pub fn times(&self, plan: &Plan, vector: &Vector, event: Option<usize>, named: Option<&str>) -> Result<Option<Vec<i64>>> {
        let Some(name) = self.time_name(plan, vector, event, named) else {
            return match named {
                None => Ok(None),
                Some(name) => Err(self.missing(&format!("{} has no column {name}, which --time names", self.name()))),
            };
        };
        let Some((column, field)) = self.found(name) else { return Ok(None) };
        let times = cast::times(column, field, self.epoch(name), &self.called(name))?;
        let nulls = times.null_count();
        if nulls > 0 {
            let first = (0..times.len()).find(|row| times.is_null(*row)).unwrap_or_default();
            return Err(Error::input(format!(
                "{} is null in {nulls} of {} rows, first in row {}: every row needs the time that it asks at",
                self.called(name),
                self.len(),
                first + 1,
            )));
        }
        Ok(Some(times.as_primitive::<TimestampMicrosecondType>().values().to_vec()))
    }

    /// The column at whose times the rows ask, where there is one.
    pub fn time_name<'n>(&self, plan: &'n Plan, vector: &Vector, event: Option<usize>, named: Option<&'n str>) -> Option<&'n str> {
        let candidates = named.map_or_else(|| time_names(plan, vector, event), |name| vec![name]);
        candidates.into_iter().find(|name| self.has(name))
    }

    /// The error for rows that carry no time.
    pub fn no_time(&self, plan: &Plan, vector: &Vector, event: Option<usize>) -> Error {
        let looked_for = time_names(plan, vector, event).join(" or ");
        self.missing(&format!("{} has no time: no column is called {looked_for}; name it with --time COLUMN", self.name()))
    }

    /// A column of counts (`partition`, `offset`, `seq`), which is never null.
    pub fn counts(&self, name: &str) -> Result<Option<Vec<u64>>> {
        let Some((column, field)) = self.found(name) else { return Ok(None) };
        let wide = match column.data_type() {
            ArrowType::UInt64 => column.as_primitive::<UInt64Type>().values().to_vec(),
            ArrowType::UInt32 => column.as_primitive::<UInt32Type>().values().iter().map(|v| u64::from(*v)).collect(),
            _ => {
                let column = cast::to_type(column, field, &DataType::Int, Epoch::default(), &self.called(name))?;
                let values = column.as_primitive::<arrow::datatypes::Int64Type>().values();
                let count = |value: &i64| {
                    u64::try_from(*value)
                        .map_err(|_| Error::input(format!("{} holds {value}, which is no place in a log", self.called(name))))
                };
                values.iter().map(count).collect::<Result<_>>()?
            }
        };
        if column.null_count() > 0 {
            return Err(Error::input(format!(
                "{} is null in {} of {} rows: give every row its {name}, or drop the column",
                self.called(name),
                column.null_count(),
                self.len(),
            )));
        }
        Ok(Some(wide))
    }

    /// The rows as they come out again. Columns of text formats note their types: those that they are used as, else those of
    /// their values.
    pub fn output(&self, used: &[(&str, &DataType)]) -> Result<RecordBatch> {
        let schema = self.rows.schema();
        let fields = schema.fields().iter().zip(self.rows.columns()).map(|(field, column)| {
            let used = used.iter().find(|(name, _)| name == field.name());
            written::with_type(field, column, used.map(|(_, data_type)| *data_type), self.epoch(field.name()))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), self.rows.columns().to_vec())?)
    }

    /// An error about a column that is not there, with those that are.
    pub fn missing(&self, what: &str) -> Error {
        let names: Vec<&str> = self.spine.schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::input(format!("{what} (its columns: {})", names.join(", ")))
    }

    /// One row in words, for errors.
    pub fn row_text(&self, row: usize, columns: &[&str]) -> String {
        let value = |name: &&str| {
            let text = self.rows.column_by_name(name).and_then(|column| arrow::util::display::array_value_to_string(column, row).ok());
            format!("{name} = {}", text.unwrap_or_default())
        };
        columns.iter().map(value).collect::<Vec<_>>().join(", ")
    }

    fn called(&self, name: &str) -> String {
        format!("column {name} of {}", self.name())
    }
}

/// What the column of times may be called: as the event times of the event's source, of the vector's, of those that it
/// reads, then `event_time` and `time`.
fn time_names<'a>(plan: &'a Plan, vector: &Vector, event: Option<usize>) -> Vec<&'a str> {
    let sources = event.into_iter().chain(vector.on).map(|source| &plan.sources[source]);
    let mut names: Vec<&str> = sources.map(|source| source.fields[source.event_time].name.as_str()).collect();
    for read in &vector.reads {
        let rows = &plan.views[read.view].rows;
        names.push(&rows.fields[rows.event_time].name);
    }
    names.extend(["event_time", "time"]);
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}
