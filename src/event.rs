//! Accepted events as the engine commits them, the Parquet log holds them and training reads them.

use arrow::array::{Array, ArrayRef, BooleanArray, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::id::{Offset, Partition, Position, Seq};
use crate::time::{EventTime, IngestTime};

/// The columns that follow a source's own in `EventBatch` and in Parquet. No field of a source has such a name.
pub const SYSTEM_COLUMNS: [&str; 6] = ["partition", "offset", "ingest_time", "seq", "retracts_time", "retracts_offset"];

/// Accepted events of one source in the order of their `seq`, which rises but need not be dense within a batch. A row
/// that retracts an event is none itself.
#[derive(Clone, Debug)]
pub struct EventBatch {
    pub source: String,
    /// The source's fields, then `partition` (uint32), `offset` (uint64), `ingest_time` (timestamp, us), `seq` (uint64),
    /// these four never null, then `retracts_time` (timestamp, us) and `retracts_offset` (uint64): the place of the event
    /// of the same partition that the row retracts, null for an event.
    pub rows: RecordBatch,
}

impl EventBatch {
    /// The schema of `rows` for a source with this schema.
    #[must_use]
    pub fn schema(source: &Schema) -> SchemaRef {
        let mut fields: Vec<_> = source.fields().iter().cloned().collect();
        let time = ArrowType::Timestamp(TimeUnit::Microsecond, None);
        let types = [ArrowType::UInt32, ArrowType::UInt64, time.clone(), ArrowType::UInt64, time, ArrowType::UInt64];
        for (name, data_type) in SYSTEM_COLUMNS.into_iter().zip(types) {
            fields.push(Arc::new(Field::new(name, data_type, name.starts_with("retracts_"))));
        }
        Arc::new(Schema::new(fields))
    }

    /// Rows as they were stored. Those of a version that knew no retractions retract nothing.
    pub fn stored(source: &str, rows: RecordBatch) -> Result<Self> {
        if rows.schema_ref().index_of(SYSTEM_COLUMNS[5]).is_ok() {
            return Ok(Self { source: source.to_owned(), rows });
        }
        let mut fields: Vec<_> = rows.schema_ref().fields().iter().cloned().collect();
        let mut columns = rows.columns().to_vec();
        for field in &Self::schema(&Schema::empty()).fields()[4..] {
            columns.push(new_null_array(field.data_type(), rows.num_rows()));
            fields.push(Arc::clone(field));
        }
        Ok(Self { source: source.to_owned(), rows: RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)? })
    }

    /// Puts the system columns of events behind a source's own.
    pub fn new(source: &str, own: &RecordBatch, partitions: Vec<u32>, offsets: Vec<u64>, ingest: Vec<i64>, seqs: Vec<u64>) -> Result<Self> {
        let mut columns: Vec<ArrayRef> = own.columns().to_vec();
        columns.push(Arc::new(UInt32Array::from(partitions)));
        columns.push(Arc::new(UInt64Array::from(offsets)));
        columns.push(Arc::new(TimestampMicrosecondArray::from(ingest)));
        columns.push(Arc::new(UInt64Array::from(seqs)));
        let schema = Self::schema(&own.schema());
        for place in [4, 5] {
            columns.push(new_null_array(schema.field(own.num_columns() + place).data_type(), own.num_rows()));
        }
        Ok(Self { source: source.to_owned(), rows: RecordBatch::try_new(schema, columns)? })
    }

    /// The same rows, of which those with a position here, one or none for each, retract the event there.
    pub fn retracting(self, events: &[Option<Position>]) -> Result<Self> {
        let mut columns = self.rows.columns().to_vec();
        let first = columns.len() - 2;
        columns[first] = Arc::new(events.iter().map(|event| event.map(|at| at.time.0)).collect::<TimestampMicrosecondArray>());
        columns[first + 1] = Arc::new(events.iter().map(|event| event.map(|at| at.offset.0)).collect::<UInt64Array>());
        Ok(Self { source: self.source, rows: RecordBatch::try_new(self.rows.schema(), columns)? })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The source's own columns alone.
    #[must_use]
    pub fn own(&self) -> RecordBatch {
        let count = self.rows.num_columns() - SYSTEM_COLUMNS.len();
        let keep: Vec<usize> = (0..count).collect();
        self.rows.project(&keep).unwrap_or_else(|_| RecordBatch::new_empty(self.rows.schema()))
    }

    /// So many rows from that one on.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        Self { source: self.source.clone(), rows: self.rows.slice(from, rows) }
    }

    /// The events with `after < seq <= upto`.
    pub fn between(&self, after: Seq, upto: Seq) -> Result<Self> {
        let keep: BooleanArray = self.seqs()?.iter().map(|seq| seq.map(|seq| seq > after.0 && seq <= upto.0)).collect();
        Ok(Self { source: self.source.clone(), rows: filter_record_batch(&self.rows, &keep)? })
    }

    /// The system column with that place in `SYSTEM_COLUMNS`, or an error when the batch was built otherwise.
    fn system<A: Array + 'static>(&self, place: usize) -> Result<&A> {
        let column = self.rows.num_columns().checked_sub(SYSTEM_COLUMNS.len() - place);
        column
            .and_then(|index| self.rows.column(index).as_any().downcast_ref::<A>())
            .ok_or_else(|| Error::corrupt(format!("events of {}: no column {}", self.source, SYSTEM_COLUMNS[place])))
    }

    pub fn partitions(&self) -> Result<&UInt32Array> {
        self.system(0)
    }

    pub fn offsets(&self) -> Result<&UInt64Array> {
        self.system(1)
    }

    pub fn ingest_times(&self) -> Result<&TimestampMicrosecondArray> {
        self.system(2)
    }

    pub fn seqs(&self) -> Result<&UInt64Array> {
        self.system(3)
    }

    /// For each row the event that it retracts.
    pub fn retractions(&self) -> Result<impl Iterator<Item = Option<Position>>> {
        let (partitions, times) = (self.partitions()?, self.system::<TimestampMicrosecondArray>(4)?);
        let offsets = self.system::<UInt64Array>(5)?;
        let position = |row: usize| Position {
            time: EventTime(times.value(row)),
            partition: Partition(partitions.value(row)),
            offset: Offset(offsets.value(row)),
        };
        Ok((0..self.len()).map(move |row| offsets.is_valid(row).then(|| position(row))))
    }

    /// Whether some row retracts an event.
    pub fn retracts(&self) -> Result<bool> {
        let offsets = self.system::<UInt64Array>(5)?;
        Ok(offsets.null_count() < offsets.len())
    }

    /// Event times: the column of the source's fields with this index.
    pub fn times(&self, event_time: usize) -> Result<&TimestampMicrosecondArray> {
        self.rows
            .column(event_time)
            .as_any()
            .downcast_ref()
            .ok_or_else(|| Error::corrupt(format!("events of {}: event time is no timestamp", self.source)))
    }

    pub fn position(&self, event_time: usize, row: usize) -> Result<Position> {
        Ok(Position {
            time: EventTime(self.times(event_time)?.value(row)),
            partition: Partition(self.partitions()?.value(row)),
            offset: Offset(self.offsets()?.value(row)),
        })
    }

    pub fn seq(&self, row: usize) -> Result<Seq> {
        Ok(Seq(self.seqs()?.value(row)))
    }

    pub fn ingest_time(&self, row: usize) -> Result<IngestTime> {
        Ok(IngestTime(self.ingest_times()?.value(row)))
    }
}
