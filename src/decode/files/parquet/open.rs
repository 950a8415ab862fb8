//! Parquet files of others, column by column. Their reader panics on some of what it does not know: every call of it is
//! made here, guarded. Must never decode a column that nobody asks for.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use ::parquet::file::metadata::ParquetMetaData;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampSecondType};
use arrow::record_batch::RecordBatch;

use super::{footer, pages};
use crate::decode::files::guarded;
use crate::error::{Error, Result};

/// What becomes of a time of 96 bits that microseconds of 64 bits do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongTimes {
    /// The first or last time that they hold, which is out of the range of every field.
    OutOfRange,
    /// An error that names it.
    Refused,
}

/// An open file, and what its columns are.
pub struct ParquetFile {
    file: File,
    names: Vec<String>,
    schema: SchemaRef,
    metadata: Arc<ParquetMetaData>,
    /// Columns of times of 96 bits.
    long: Vec<usize>,
}

impl ParquetFile {
    /// Reads the footer, as far as it is about columns that are wanted. Input error for a file that is no Parquet, or
    /// whose wanted columns cannot be read.
    pub fn open(file: File, wanted: &dyn Fn(&str) -> bool) -> Result<Self> {
        let length = file.metadata().map_err(|error| Error::input(format!("cannot be read: {error}")))?.len();
        let whole = reading(|| footer::read(&file))?;
        let names = footer::names(&whole);
        let roots: Vec<usize> = (0..names.len()).filter(|root| wanted(&names[*root]) && footer::has_values(&whole, *root)).collect();
        let mut seen = HashSet::new();
        // A column without a name is nobody's, where nobody wants it.
        if let Some(twice) = names.iter().find(|name| (!name.is_empty() || wanted(name)) && !seen.insert(*name)) {
            return Err(Error::input(format!("two columns are called '{twice}': rename one")));
        }
        let part = |roots: &[usize]| -> Result<(Arc<ParquetMetaData>, SchemaRef)> {
            let metadata = Arc::new(reading(|| footer::of_columns(&whole, roots, length))?);
            let schema = reading(|| ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new()))?.schema().clone();
            Ok((metadata, schema))
        };
        let (metadata, schema) = part(&roots).map_err(|error| {
            let faulty = roots.iter().find_map(|root| Some((root, part(&[*root]).err()?)));
            faulty.map_or(error, |(root, error)| error.context(format!("column {}", names[*root])))
        })?;
        let mut long = Vec::new();
        for (column, root) in roots.iter().enumerate() {
            match footer::long_times(&whole, *root) {
                (0, _) => {}
                (1, 1) if long_type(schema.field(column).data_type(), TimeUnit::Second).is_some() => long.push(column),
                _ => return Err(Error::input(format!("column {}: times of 96 bits are read alone and in lists", names[*root]))),
            }
        }
        let schema = with_unit(&schema, &long, TimeUnit::Microsecond);
        Ok(Self { file, names, schema, metadata, long })
    }

    /// The names of all columns of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The wanted columns, in the order of the file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of the wanted columns in batches of at most so many. Ends after an error.
    pub fn batches(self, rows: usize, beyond: LongTimes) -> Result<Batches> {
        let reader = |schema: &SchemaRef| -> Result<ParquetRecordBatchReader> {
            let options = ArrowReaderOptions::new().with_schema(schema.clone());
            let file = self.file.try_clone().map_err(|error| Error::input(format!("cannot be read: {error}")))?;
            reading(|| {
                let metadata = ArrowReaderMetadata::try_new(self.metadata.clone(), options)?;
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(rows).build()
            })
        };
        let parts = || self.metadata.row_groups().iter().flat_map(|group| group.columns());
        reading(|| parts().try_for_each(|column| pages::check(&self.file, column)))?;
        let seconds = match self.long.is_empty() {
            true => None,
            false => Some(reader(&with_unit(&self.schema, &self.long, TimeUnit::Second))?),
        };
        Ok(Batches { reader: Some(reader(&self.schema)?), seconds, long: self.long, schema: self.schema, beyond, rows: 0 })
    }
}

fn reading<T>(read: impl FnOnce() -> ::parquet::errors::Result<T>) -> Result<T> {
    guarded(|| read().map_err(|error| Error::input(format!("is no readable Parquet file: {error}"))))
}

/// The rows of a file.
pub struct Batches {
    /// Until the end, or an error.
    reader: Option<ParquetRecordBatchReader>,
    /// The same columns with times of 96 bits as seconds, which all of them fit into.
    seconds: Option<ParquetRecordBatchReader>,
    long: Vec<usize>,
    schema: SchemaRef,
    beyond: LongTimes,
    rows: usize,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let mut reader = self.reader.take()?;
        let batch = match reading(|| reader.next().transpose().map_err(Into::into)) {
            Ok(batch) => batch?,
            Err(error) => return Some(Err(error)),
        };
        let batch = self.with_long_times(batch);
        if let Ok(batch) = &batch {
            self.rows += batch.num_rows();
            self.reader = Some(reader);
        }
        Some(batch)
    }
}

impl Batches {
    /// The batch, with what is to be of times that wrapped when they became microseconds.
    fn with_long_times(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(reader) = &mut self.seconds else { return Ok(batch) };
        let seconds = reading(|| reader.next().transpose().map_err(Into::into))?.filter(|seconds| seconds.num_rows() == batch.num_rows());
        let seconds = seconds.ok_or_else(|| Error::input("is no readable Parquet file: its rows end early"))?;
        let mut columns = batch.columns().to_vec();
        for column in &self.long {
            let (exact, wrapped) = unwrapped(&columns[*column], seconds.column(*column))?;
            if let (Some(row), LongTimes::Refused) = (wrapped, self.beyond) {
                let (name, row) = (self.schema.field(*column).name(), self.rows + row + 1);
                let message = format!("column {name}, row {row}: the time lies outside the years that microseconds of 64 bits reach");
                return Err(Error::input(message));
            }
            columns[*column] = exact;
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// Times in microseconds, those that wrapped at the end of their range that they lie beyond; and the first such row.
fn unwrapped(micros: &ArrayRef, seconds: &ArrayRef) -> Result<(ArrayRef, Option<usize>)> {
    if let (Some(lists), Some(of_seconds)) = (micros.as_list_opt::<i32>(), seconds.as_list_opt::<i32>()) {
        let (items, wrapped) = unwrapped(lists.values(), of_seconds.values())?;
        let ArrowType::List(field) = lists.data_type() else { return Err(Error::internal("a list of another type")) };
        let row = wrapped.map(|item| lists.value_offsets().partition_point(|offset| *offset as usize <= item) - 1);
        return Ok((Arc::new(ListArray::try_new(field.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?), row));
    }
    let (micros, seconds) = (micros.as_primitive::<TimestampMicrosecondType>(), seconds.as_primitive::<TimestampSecondType>());
    let mut first = None;
    let mut exact = |row: usize| {
        let (micros, seconds) = (micros.value(row), seconds.value(row));
        if micros.div_euclid(1_000_000) == seconds {
            return micros;
        }
        first = first.or(Some(row));
        if seconds < 0 { i64::MIN } else { i64::MAX }
    };
    let values: Vec<i64> = (0..micros.len()).map(|row| if micros.is_null(row) { 0 } else { exact(row) }).collect();
    let ArrowType::Timestamp(_, zone) = micros.data_type() else { return Err(Error::internal("times of another type")) };
    let array = TimestampMicrosecondArray::new(values.into(), micros.nulls().cloned()).with_timezone_opt(zone.clone());
    Ok((Arc::new(array), first))
}

/// The type of times of 96 bits, or of lists of them, in another unit.
fn long_type(data_type: &ArrowType, unit: TimeUnit) -> Option<ArrowType> {
    match data_type {
        ArrowType::Timestamp(_, zone) => Some(ArrowType::Timestamp(unit, zone.clone())),
        ArrowType::List(item) => {
            let changed = long_type(item.data_type(), unit)?;
            Some(ArrowType::List(Arc::new(item.as_ref().clone().with_data_type(changed))))
        }
        _ => None,
    }
}

fn with_unit(schema: &SchemaRef, long: &[usize], unit: TimeUnit) -> SchemaRef {
    let field = |(column, field): (usize, &FieldRef)| match long_type(field.data_type(), unit) {
        Some(changed) if long.contains(&column) => Arc::new(field.as_ref().clone().with_data_type(changed)),
        _ => field.clone(),
    };
    let fields: Vec<FieldRef> = schema.fields().iter().enumerate().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
