//! Records without a payload, of a source with `deletes on tombstone`: their keys, as the `dedup by` columns of the events
//! that they retract.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::columns::Columns;
use super::json::{self, Fields, Row, Slot};
use super::value::Clipped;
use super::{Rejection, reason};
use crate::error::Result;
use crate::plan::{Dedup, Field, Source};
use crate::value::DataType;

/// The keys of a run's tombstones.
#[derive(Clone, Debug)]
pub struct TombstoneKeys {
    /// For each its record's index in the run; rising.
    pub records: Vec<u32>,
    /// The source's `dedup by` columns, in their order, none of them null.
    pub ids: RecordBatch,
}

/// Reads keys of records.
#[derive(Debug)]
pub(super) struct Keys {
    fields: Fields,
    /// The column, of a source that names its events by one.
    single: Option<Field>,
    schema: SchemaRef,
}

/// The keys of a run, as far as they were read.
pub(super) struct Reading {
    records: Vec<u32>,
    columns: Columns,
    row: Row,
}

impl Keys {
    /// `None` for a source without `deletes on tombstone`.
    pub fn of(source: &Source) -> Option<Self> {
        let Dedup { columns, .. } = source.dedup.as_ref().filter(|_| source.tombstones)?;
        let fields: Vec<Field> = columns.iter().map(|column| source.fields[*column].clone()).collect();
        let arrow = columns.iter().map(|column| Arc::clone(&source.schema.fields()[*column]));
        Some(Self {
            fields: Fields::of(source, columns.iter().copied()),
            single: if let [field] = fields.as_slice() { Some(field.clone()) } else { None },
            schema: Arc::new(Schema::new(arrow.collect::<Vec<_>>())),
        })
    }

    pub fn reading(&self) -> Result<Reading> {
        Ok(Reading { records: Vec::new(), columns: Columns::new(&self.fields, 0)?, row: Row::default() })
    }

    /// Reads the key of a record without a payload.
    pub fn read(&self, record: u32, key: Option<&[u8]>, into: &mut Reading) -> Result<(), Rejection> {
        let bad = |message: String| Rejection::new(reason::BAD_KEY, message);
        let key = key.ok_or_else(|| bad("a record without a payload and without a key retracts nothing".to_owned()))?;
        let text = std::str::from_utf8(key).map_err(|error| bad(format!("byte {} of the key is not UTF-8", error.valid_up_to())))?;
        let object = self.object(text).ok_or_else(|| {
            let names: Vec<&str> = self.fields.iter().map(|(name, _)| name).collect();
            bad(format!("the key {:?} is no JSON object with {}", Clipped(text), names.join(", ")))
        })?;
        json::read(&self.fields, &object, &mut into.row).map_err(|rejection| bad(format!("the key: {}", rejection.message)))?;
        if let Some(missing) = into.row.slots.iter().position(|slot| matches!(slot, Slot::Null)) {
            return Err(bad(format!("the key has no {}, by which it would name its event", self.fields.name(missing))));
        }
        into.columns.push(&into.row);
        into.records.push(record);
        Ok(())
    }

    /// The key as a JSON object of the columns: as it is, or as the value of the one that there is.
    fn object<'a>(&self, key: &'a str) -> Option<Cow<'a, str>> {
        if key.starts_with('{') {
            return Some(Cow::Borrowed(key));
        }
        let field = self.single.as_ref()?;
        // What is not JSON is the text itself; a number is JSON, but no text.
        // A number is JSON, but no text. It stays as it is written: the decoder of payloads reads it.
        let is_json = match field.data_type {
            DataType::Text => serde_json::from_str::<String>(key).is_ok(),
            _ => serde_json::from_str::<IgnoredAny>(key).is_ok(),
        };
        let value = if is_json { Cow::Borrowed(key) } else { Cow::Owned(Json::from(key).to_string()) };
        Some(Cow::Owned(format!("{{{}:{value}}}", Json::from(field.name.as_str()))))
    }

    pub fn finish(&self, Reading { records, columns, .. }: Reading) -> Result<TombstoneKeys> {
        Ok(TombstoneKeys { records, ids: RecordBatch::try_new(Arc::clone(&self.schema), columns.finish())? })
    }
}
