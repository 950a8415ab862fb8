//! Where records go: rejected ones to the dead-letter topic as they came, pushed ones to the partition that their
//! source's fields choose.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use xxhash_rust::xxh3::xxh3_64;

use super::{Decoded, Reject};
use crate::id::Partition;
use crate::key::EntityKey;
use crate::plan::{Partitioning, Source};
use crate::record::{NewRecord, RecordRun};
use crate::value::{DataType, Value};

/// The record for the source's dead-letter topic: the original key, payload, timestamp and headers, and the headers
/// that Kafka's tools know: where it came from and what is wrong with it.
#[must_use]
pub fn dead_letter(source: &Source, run: &RecordRun, reject: &Reject) -> NewRecord {
    let index = reject.record as usize;
    let record = &run.records[index];
    let mut headers = record.headers.as_deref().cloned().unwrap_or_default();
    let ours = [
        ("__connect.errors.topic", run.topic.clone()),
        ("__connect.errors.partition", run.partition.0.to_string()),
        ("__connect.errors.offset", record.offset.0.to_string()),
        ("__connect.errors.exception.class.name", reject.reason.to_owned()),
        ("__connect.errors.exception.message", reject.message.clone()),
        ("forebay.reason", reject.reason.to_owned()),
    ];
    headers.extend(ours.map(|(name, value)| (name.to_owned(), value.into_bytes())));
    NewRecord {
        topic: source.dead_letter_topic(),
        partition: None,
        timestamp: Some(record.timestamp),
        key: run.key(index).map(<[u8]>::to_vec),
        value: run.value(index).map(<[u8]>::to_vec),
        headers,
    }
}

/// For each of the `records` records that were decoded the partition that the source's `partitions .. by` chooses: the
/// hash of those fields. `None` leaves the choice to the log: for a source without `by`, a reject, a null.
#[must_use]
pub fn partitions(source: &Source, decoded: &Decoded, records: usize) -> Vec<Option<Partition>> {
    let mut chosen = vec![None; records];
    if let Some(Partitioning { count, by }) = &source.origin.partitions
        && !by.is_empty()
        && *count > 0
    {
        for (row, record) in decoded.records.iter().enumerate() {
            let values: Vec<_> = by.iter().map(|field| value(source, &decoded.batch, *field, row)).collect();
            if let (Some(key), Some(chosen)) = (EntityKey::of(&values), chosen.get_mut(*record as usize)) {
                *chosen = Some(Partition((xxh3_64(&key.0) % u64::from(*count)) as u32));
            }
        }
    }
    chosen
}

fn value(source: &Source, batch: &RecordBatch, field: usize, row: usize) -> Value {
    let column = batch.column(field);
    if column.is_null(row) {
        return Value::Null;
    }
    match source.fields[field].data_type {
        DataType::Bool => Value::Bool(column.as_boolean().value(row)),
        DataType::Int => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float => Value::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Text => Value::Text(column.as_string::<i32>().value(row).into()),
        DataType::Timestamp => Value::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::List(_) | DataType::Map(_) | DataType::Struct(_) => Value::Null,
    }
}
