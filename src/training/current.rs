//! Which event of the log a spine row is, when the caller says that its rows are events. Must never guess: a row that
//! matches nothing is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::query_error;
use super::retracted::{Retracted, Since};
use super::scan::{Bounds, Events};
use super::spine::SpineRows;
use super::sweep::Reading;
use crate::error::{Error, Result};
use crate::event::SYSTEM_COLUMNS;
use crate::id::{Offset, Partition, Position};
use crate::never::OrNever;
use crate::time::EventTime;

/// For each spine row the event that it is.
pub struct Current {
    pub positions: Vec<Position>,
    pub seqs: Vec<u64>,
    /// The fields of the event that were asked for, in that order, one value per spine row.
    pub fields: Vec<ArrayRef>,
}

/// What is wanted of the events that rows are.
pub struct Wanted<'a> {
    /// When the rows ask, where that is known.
    pub times: Option<&'a [i64]>,
    /// Fields of the events.
    pub fields: &'a [usize],
    pub reading: Reading,
    pub retracted: &'a Retracted,
}

/// By what rows are matched.
struct Identity {
    names: Vec<String>,
    /// Into the columns of event batches.
    columns: Vec<usize>,
    values: Vec<ArrayRef>,
}

/// Finds the event of every row: by `partition` and `offset` where the spine has both, else by the columns that
/// identify an event of the source (`dedup by`). Where several events have equal ones, the nearest in time to the
/// row's, then one that was not retracted, then the first in total order. What was retracted is an event as it was known,
/// and none by event time. `Input` counts the rows that are no event.
pub async fn find(
    events: &Events<'_>,
    spine: &SpineRows<'_>,
    wanted: &Wanted<'_>,
    threads: usize,
    context: Arc<TaskContext>,
) -> Result<Current> {
    let identity = identity(events, spine)?;
    let fields = wanted.fields;
    let own = events.source.fields.len();
    let mut columns: Vec<usize> = fields.iter().chain(&identity.columns).copied().collect();
    columns.extend([events.source.event_time, own, own + 1, own + 3]);
    columns.sort_unstable();
    columns.dedup();
    let place = |column: usize| columns.binary_search(&column).ok().or_never("a column of the scan");
    let mut search = Search::new(spine.len(), &identity, wanted)?;
    let places = Places {
        identity: identity.columns.iter().map(|column| place(*column)).collect(),
        fields: fields.iter().map(|column| place(*column)).collect(),
        time: place(events.source.event_time),
        partition: place(own),
        offset: place(own + 1),
        seq: place(own + 3),
    };
    let scan = events.scan(&columns, Bounds::ALL, threads)?;
    let mut stream = execute_stream(scan.plan, context).map_err(query_error)?;
    while let Some(batch) = stream.next().await {
        search.add(&batch.map_err(query_error)?, &places)?;
    }
    search.finish(events, spine, &identity, fields)
}

fn identity(events: &Events<'_>, spine: &SpineRows<'_>) -> Result<Identity> {
    let source = events.source;
    let own = source.fields.len();
    if let (Some(partitions), Some(offsets)) = (spine.counts(SYSTEM_COLUMNS[0])?, spine.counts(SYSTEM_COLUMNS[1])?) {
        // A partition beyond 32 bits is no partition: it matches nothing.
        let partitions: UInt32Array = partitions.iter().map(|value| u32::try_from(*value).ok()).collect();
        return Ok(Identity {
            names: SYSTEM_COLUMNS[..2].iter().map(ToString::to_string).collect(),
            columns: vec![own, own + 1],
            values: vec![Arc::new(partitions), Arc::new(UInt64Array::from(offsets))],
        });
    }
    let Some(dedup) = &source.dedup else {
        return Err(spine.missing(&format!(
            "rows of {} cannot be matched to events of {}: it lacks columns partition and offset, and the source declares no 'dedup by'",
            spine.name(),
            source.name
        )));
    };
    let mut identity = Identity { names: Vec::new(), columns: dedup.columns.clone(), values: Vec::new() };
    for column in &dedup.columns {
        let field = &source.fields[*column];
        let Some(values) = spine.column(&field.name, &field.data_type)? else {
            return Err(spine.missing(&format!(
                "rows of {} cannot be matched to events of {}: it has neither partition and offset nor {}",
                spine.name(),
                source.name,
                field.name
            )));
        };
        identity.names.push(field.name.clone());
        identity.values.push(values);
    }
    Ok(identity)
}

/// The columns of scanned batches.
struct Places {
    identity: Vec<usize>,
    fields: Vec<usize>,
    time: usize,
    partition: usize,
    offset: usize,
    seq: usize,
}

struct Search<'a> {
    converter: RowConverter,
    wanted: Rows,
    /// The first spine row of each identity; rows with an equal one hang on `next`.
    first: HashTable<u32>,
    next: Vec<Option<u32>>,
    asked: &'a Wanted<'a>,
    best: Vec<Option<Candidate>>,
    /// The asked fields of matched events, batch by batch.
    chunks: Vec<Vec<ArrayRef>>,
}

#[derive(Clone, Copy)]
struct Candidate {
    /// Distance in time, whether it was retracted, place in the total order: the least wins.
    rank: (u64, bool, Position),
    seq: u64,
    chunk: usize,
    row: usize,
}

impl<'a> Search<'a> {
    fn new(rows: usize, identity: &Identity, asked: &'a Wanted<'a>) -> Result<Self> {
        let fields = identity.values.iter().map(|values| SortField::new(values.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let wanted = converter.convert_columns(&identity.values)?;
        let mut first: HashTable<u32> = HashTable::with_capacity(rows);
        let mut next = vec![None; rows];
        let hash = |row: &u32| xxh3_64(wanted.row(*row as usize).data());
        let count = u32::try_from(rows).map_err(|_| Error::input("a spine of more than 2^32 rows: split it"))?;
        for row in 0..count {
            let data = wanted.row(row as usize);
            match first.find_mut(hash(&row), |other| wanted.row(*other as usize) == data) {
                Some(head) => {
                    next[row as usize] = Some(*head);
                    *head = row;
                }
                None => {
                    first.insert_unique(hash(&row), row, hash);
                }
            }
        }
        Ok(Self { converter, wanted, first, next, asked, best: vec![None; rows], chunks: Vec::new() })
    }

    fn add(&mut self, batch: &RecordBatch, places: &Places) -> Result<()> {
        let times = batch.column(places.time);
        let keys: Vec<ArrayRef> = places.identity.iter().map(|column| batch.column(*column).clone()).collect();
        let keys = self.converter.convert_columns(&keys)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let partitions = batch.column(places.partition).as_primitive::<UInt32Type>().values();
        let offsets = batch.column(places.offset).as_primitive::<UInt64Type>().values();
        let seqs = batch.column(places.seq).as_primitive::<UInt64Type>().values();
        let mut kept: Vec<u32> = Vec::new();
        for at in 0..batch.num_rows() {
            let key = keys.row(at);
            let mut spine_row = self.first.find(xxh3_64(key.data()), |row| self.wanted.row(*row as usize) == key).copied();
            // What was accepted under another event time may have none, and is no event then.
            if spine_row.is_none() || times.is_null(at) {
                continue;
            }
            let retracted = match (self.asked.retracted.since(partitions[at], offsets[at]), self.asked.reading) {
                (None, _) => false,
                (Some(Since::Seq(_)), Reading::AsKnown) => true,
                (Some(Since::Ever), _) | (Some(_), Reading::AsOf) => continue,
            };
            let position = Position { time: EventTime(times.value(at)), partition: Partition(partitions[at]), offset: Offset(offsets[at]) };
            while let Some(row) = spine_row {
                let distance = self.asked.times.map_or(0, |asked| asked[row as usize].abs_diff(times.value(at)));
                let candidate =
                    Candidate { rank: (distance, retracted, position), seq: seqs[at], chunk: self.chunks.len(), row: kept.len() };
                let best = &mut self.best[row as usize];
                if best.is_none_or(|best| candidate.rank < best.rank) {
                    *best = Some(candidate);
                }
                spine_row = self.next[row as usize];
            }
            kept.push(at as u32);
        }
        if !kept.is_empty() {
            let kept = UInt32Array::from(kept);
            let fields = places.fields.iter().map(|column| take(batch.column(*column), &kept, None));
            self.chunks.push(fields.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    fn finish(self, events: &Events<'_>, spine: &SpineRows<'_>, identity: &Identity, fields: &[usize]) -> Result<Current> {
        let found: Vec<Candidate> = self.best.iter().flatten().copied().collect();
        if found.len() < self.best.len() {
            let first = self.best.iter().position(Option::is_none).unwrap_or_default();
            let names: Vec<&str> = identity.names.iter().map(String::as_str).collect();
            return Err(Error::input(format!(
                "{} of {} rows of {} are no event of {}, first row {} ({}): drop them, or wait until the events are in{}",
                self.best.len() - found.len(),
                self.best.len(),
                spine.name(),
                events.source.name,
                first + 1,
                spine.row_text(first, &names),
                if self.asked.retracted.is_empty() { "" } else { "; those that were retracted are events with --as-known only" },
            )));
        }
        let places: Vec<(usize, usize)> = found.iter().map(|candidate| (candidate.chunk, candidate.row)).collect();
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = self.chunks.iter().map(|chunk| chunk[at].as_ref()).collect();
            interleave(&parts, &places)
        };
        Ok(Current {
            positions: found.iter().map(|candidate| candidate.rank.2).collect(),
            seqs: found.iter().map(|candidate| candidate.seq).collect(),
            fields: (0..fields.len()).map(column).collect::<Result<_, _>>()?,
        })
    }
}
