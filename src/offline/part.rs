//! One Parquet file: its order, its encoding, its columns. Must never decide which events belong in it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimestampMicrosecondType, UInt32Type, UInt64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::checksum::{Checksums, Summing};
use super::io_error;
use super::manifest::Column;
use super::reading::{PartFile, damaged};
use crate::error::{Error, Result};
use crate::event::{EventBatch, SYSTEM_COLUMNS};
use crate::value::DataType;

const ROW_GROUP_ROWS: usize = 256 * 1024;
/// A text column whose dictionary outgrows this is written plainly from there on.
const DICTIONARY_BYTES: usize = 256 * 1024;
/// How many texts of a column are looked at to tell whether they repeat.
const SHOWN: usize = 1024;

/// How hard to press: fresh files are written in the engine's path, merged ones are read for years.
#[derive(Clone, Copy, Debug)]
pub enum Press {
    Fast,
    Small,
}

/// The types of the language that columns in Arrow have; other types keep Arrow's own spelling.
pub fn columns_of(schema: &Schema) -> Vec<Column> {
    let single = [DataType::Bool, DataType::Int, DataType::Float, DataType::Text, DataType::Timestamp];
    let known: Vec<DataType> = single.iter().map(|item| DataType::List(Box::new(item.clone()))).chain(single.clone()).collect();
    let spelled = |data_type: &ArrowType| {
        known.iter().find(|known| known.arrow() == *data_type).map_or_else(|| data_type.to_string(), ToString::to_string)
    };
    schema.fields().iter().map(|field| Column { name: field.name().clone(), data_type: spelled(field.data_type()) }).collect()
}

/// Rows in the total order of their source: by event time, then partition, then offset.
pub fn sorted(rows: RecordBatch, event_time: &str) -> Result<RecordBatch> {
    let times = column(&rows, event_time)?.as_primitive_opt::<TimestampMicrosecondType>();
    let partitions = column(&rows, SYSTEM_COLUMNS[0])?.as_primitive_opt::<UInt32Type>();
    let offsets = column(&rows, SYSTEM_COLUMNS[1])?.as_primitive_opt::<UInt64Type>();
    let (Some(times), Some(partitions), Some(offsets)) = (times, partitions, offsets) else {
        return Err(Error::internal("events whose time, partition or offset has another type"));
    };
    if times.null_count() > 0 {
        return Err(Error::internal(format!("{} events whose time {event_time} is null", times.null_count())));
    }
    let count = u32::try_from(rows.num_rows()).map_err(|_| Error::internal("more than 2^32 events in one file"))?;
    let (times, partitions, offsets) = (times.values(), partitions.values(), offsets.values());
    let mut order: Vec<(i64, u32, u64, u32)> =
        (0..count).map(|row| (times[row as usize], partitions[row as usize], offsets[row as usize], row)).collect();
    if order.is_sorted() {
        return Ok(rows);
    }
    order.sort(); // stable: arrivals are runs that are sorted already
    let order = UInt32Array::from_iter_values(order.iter().map(|entry| entry.3));
    Ok(take_record_batch(&rows, &order)?)
}

/// The named column, or an error when the rows have none.
pub fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    rows.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| Error::internal(format!("events without a column {name}")))
}

/// Bytes of memory that rows take, roughly: what lists and texts hold, and a word for every other value.
pub fn memory(rows: &RecordBatch) -> u64 {
    let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
    rows.columns().iter().map(of).sum::<usize>() as u64
}

/// Writes rows to a new file, synced, and returns its length in bytes and its checksums. Nothing is left behind where that
/// fails.
pub fn write(path: &Path, rows: &RecordBatch, press: Press) -> Result<(u64, Checksums)> {
    let attempt = || -> Result<(u64, Checksums), ParquetError> {
        let file = Summing::new(File::create(path)?);
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties(rows, press)?))?;
        writer.write(rows)?;
        let (file, checksums) = writer.into_inner()?.finish();
        file.sync_all()?;
        Ok((file.metadata()?.len(), checksums))
    };
    attempt().map_err(|error| {
        // The failure that matters is the write's; a file that stays is swept at the next start.
        let _ = fs::remove_file(path);
        parquet_error("write", path, &error)
    })
}

/// Rising numbers as differences, text that repeats by dictionary, everything else as it is: what costs least per event.
fn properties(rows: &RecordBatch, press: Press) -> Result<WriterProperties, ParquetError> {
    let compression = match press {
        Press::Fast => Compression::LZ4_RAW,
        Press::Small => Compression::ZSTD(ZstdLevel::try_new(1)?),
    };
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("forebay".to_owned())
        .set_compression(compression)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let path = ColumnPath::from(field.name().as_str());
        builder = match field.data_type() {
            ArrowType::Int64 | ArrowType::UInt32 | ArrowType::UInt64 | ArrowType::Timestamp(_, _) => {
                builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            ArrowType::Utf8 => builder.set_column_dictionary_enabled(path, repeats(column)),
            _ => builder,
        };
    }
    Ok(builder.build())
}

/// Whether some of the first texts are the same: a dictionary of ones that never are costs much and saves nothing.
fn repeats(column: &dyn Array) -> bool {
    let texts = column.as_string::<i32>();
    let shown = texts.len().min(SHOWN);
    let different: HashSet<_> = (0..shown).map(|row| texts.value(row)).collect();
    different.len() <= shown / 2
}

/// All rows of a file.
pub fn read(path: &Path, file: &PartFile) -> Result<RecordBatch> {
    let bytes = file.read(0..file.bytes())?;
    let attempt = || -> Result<RecordBatch, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(64 * 1024);
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    };
    attempt().map_err(|error| parquet_error("read", path, &error))
}

/// The columns of all these batches, in the order of the last one, what only earlier ones have before the system
/// columns. `None` when a column changes its type among them.
pub fn union_schema(schemas: &[SchemaRef]) -> Option<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for field in schemas.iter().rev().flat_map(|schema| schema.fields()) {
        match fields.iter().find(|known| known.name() == field.name()) {
            Some(known) if known.data_type() != field.data_type() => return None,
            Some(_) => {}
            None if SYSTEM_COLUMNS.contains(&field.name().as_str()) => {}
            None => fields.push(field.clone()),
        }
    }
    Some(EventBatch::schema(&Schema::new(fields)))
}

/// The rows with exactly those columns; one that they lack is null.
pub fn fitted(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), rows.num_rows()),
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect())?)
}

fn parquet_error(doing: &str, path: &Path, error: &ParquetError) -> Error {
    if let ParquetError::External(inner) = error
        && let Some(inner) = inner.downcast_ref::<std::io::Error>()
    {
        return io_error(doing, path, inner);
    }
    if doing == "read" {
        return damaged(path, &error.to_string());
    }
    Error::internal(format!("cannot {doing} {}: {error}", path.display()))
}
