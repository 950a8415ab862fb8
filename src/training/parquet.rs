//! Parquet files whose columns are encoded side by side: encoding is nearly all that writing a wide table takes. Must never
//! reorder rows.

use std::fs::File;
use std::panic::resume_unwind;
use std::thread;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;

/// Rows of a row group, at most, unless one batch has more.
const GROUP_ROWS: usize = 1 << 20;

/// Writes batches of one schema, at least one.
pub(super) fn write(file: File, batches: &[RecordBatch]) -> Result<File> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let (mut file, columns) = ArrowWriter::try_new(file, batches[0].schema(), Some(properties))?.into_serialized_writer()?;
    for (index, group) in groups(batches).into_iter().enumerate() {
        let chunks = encoded(group, columns.create_column_writers(index)?)?;
        let mut row_group = file.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut row_group))?;
        row_group.close()?;
    }
    file.into_inner()
}

/// The batches of each row group; none has no rows.
fn groups(batches: &[RecordBatch]) -> Vec<&[RecordBatch]> {
    let (mut groups, mut from, mut rows) = (Vec::new(), 0, 0);
    for (at, batch) in batches.iter().enumerate() {
        if rows > 0 && rows + batch.num_rows() > GROUP_ROWS {
            groups.push(&batches[from..at]);
            (from, rows) = (at, 0);
        }
        rows += batch.num_rows();
    }
    if rows > 0 {
        groups.push(&batches[from..]);
    }
    groups
}

/// The chunks of a row group's columns, in their order.
fn encoded(group: &[RecordBatch], writers: Vec<ArrowColumnWriter>) -> Result<Vec<ArrowColumnChunk>> {
    let schema = group[0].schema();
    let mut writers = writers.into_iter();
    // A nested column has a writer for each of its leaves.
    let of_column = |(column, field)| -> Result<Vec<ArrowColumnWriter>> {
        let leaves = compute_leaves(field, group[0].column(column))?.len();
        Ok(writers.by_ref().take(leaves).collect())
    };
    let columns = schema.fields().iter().map(AsRef::as_ref).enumerate().map(of_column).collect::<Result<Vec<_>>>()?;
    let encode = |column: usize, mut writers: Vec<ArrowColumnWriter>| -> Result<Vec<ArrowColumnChunk>> {
        for batch in group.iter().filter(|batch| batch.num_rows() > 0) {
            let leaves = compute_leaves(schema.field(column), batch.column(column))?;
            writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))?;
        }
        writers.into_iter().map(ArrowColumnWriter::close).collect()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(columns.len());
    let waiting = Mutex::new(columns.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = waiting.lock().next();
            let Some((column, writers)) = next else { return done };
            done.push((column, encode(column, writers)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(column, _)| *column);
    Ok(done.into_iter().map(|(_, chunks)| chunks).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::value::{DataType, Value};
    use crate::vector::array_of;

    #[test]
    fn what_is_written_is_read_in_its_order() {
        let batch = |from: i64, rows: i64| {
            let pairs = DataType::List(Box::new(DataType::Struct(vec![("a".into(), DataType::Int), ("b".into(), DataType::Int)])));
            let pair = |row: i64| {
                let fields = Value::Struct([("a".into(), Value::Int(row)), ("b".into(), Value::Null)].into());
                Value::List(vec![fields; row as usize % 3].into())
            };
            let values: Vec<Value> = (from..from + rows).map(|row| if row % 3 == 0 { Value::Null } else { pair(row) }).collect();
            let columns: [(&str, ArrayRef); 3] = [
                ("n", Arc::new(Int64Array::from_iter_values(from..from + rows))),
                ("pairs", array_of(&pairs, values.iter()).unwrap()),
                ("t", Arc::new(StringArray::from_iter_values((from..from + rows).map(|row| (row % 7).to_string())))),
            ];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let half = GROUP_ROWS as i64 / 2;
        for (batches, groups) in [
            (vec![batch(0, 0)], 0),
            (vec![batch(0, 0), batch(0, 5), batch(5, 0), batch(5, 9)], 1),
            (vec![batch(0, 7), batch(7, half), batch(half + 7, half), batch(2 * half + 7, 1)], 2),
        ] {
            let file = write(tempfile::tempfile().unwrap(), &batches).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), groups);
            let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
            let schema = batches[0].schema();
            assert_eq!(concat_batches(&schema, &read).unwrap(), concat_batches(&schema, &batches).unwrap());
        }
    }
}
