//! What a Parquet file says of itself, cut down to some of its columns before anything is made of it. Must never believe a
//! size that the file does not have.

use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use ::parquet::basic::Type as PhysicalType;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use ::parquet::schema::types::{SchemaDescriptor, Type};
use arrow::datatypes::{Field, Schema};
use arrow::ipc;

/// A value of a fixed length may have so many bytes.
const FIXED_BYTES_MAX: i32 = 1 << 16;

pub(super) fn read(file: &File) -> Result<ParquetMetaData> {
    ParquetMetaDataReader::new().parse_and_finish(file)
}

/// The columns of a file, by name.
pub(super) fn names(metadata: &ParquetMetaData) -> Vec<String> {
    roots(metadata).iter().map(|root| root.name().to_owned()).collect()
}

fn roots(metadata: &ParquetMetaData) -> &[Arc<Type>] {
    metadata.file_metadata().schema_descr().root_schema().get_fields()
}

/// The places of a column's leaves: a group without members has none.
fn leaves(metadata: &ParquetMetaData, root: usize) -> impl Iterator<Item = usize> {
    let schema = metadata.file_metadata().schema_descr();
    (0..schema.num_columns()).filter(move |leaf| schema.get_column_root_idx(*leaf) == root)
}

pub(super) fn has_values(metadata: &ParquetMetaData, root: usize) -> bool {
    leaves(metadata, root).next().is_some()
}

/// How many of a column's leaves are times of 96 bits, and how many leaves it has.
pub(super) fn long_times(metadata: &ParquetMetaData, root: usize) -> (usize, usize) {
    let schema = metadata.file_metadata().schema_descr();
    let long = leaves(metadata, root).filter(|leaf| schema.column(*leaf).physical_type() == PhysicalType::INT96);
    (long.count(), leaves(metadata, root).count())
}

/// The footer of a file that has these columns alone.
pub(super) fn of_columns(metadata: &ParquetMetaData, kept: &[usize], length: u64) -> Result<ParquetMetaData> {
    let file = metadata.file_metadata();
    let fields = kept.iter().map(|root| roots(metadata)[*root].clone()).collect();
    let root = Type::group_type_builder(file.schema_descr().name()).with_fields(fields).build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let hints = hints(file, &schema)?;
    let kept: Vec<usize> = kept.iter().flat_map(|root| leaves(metadata, *root)).collect();
    let group = |group: &RowGroupMetaData| -> Result<RowGroupMetaData> {
        let columns: Vec<_> = kept.iter().map(|leaf| group.column(*leaf).clone()).collect();
        for column in &columns {
            let (start, bytes) = column.byte_range();
            if start.checked_add(bytes).is_none_or(|end| end > length) || column.num_values() < 0 {
                return Err(ParquetError::General(format!("column {} is said to lie where the file has ended", column.column_path())));
            }
            if column.column_descr().physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY
                && !(0..=FIXED_BYTES_MAX).contains(&column.column_descr().type_length())
            {
                return Err(ParquetError::General(format!("column {} has values of too many bytes", column.column_path())));
            }
        }
        let rows = RowGroupMetaData::builder(schema.clone()).set_num_rows(group.num_rows()).set_total_byte_size(group.total_byte_size());
        rows.set_column_metadata(columns).build()
    };
    let groups = metadata.row_groups().iter().map(group).collect::<Result<_>>()?;
    let created_by = file.created_by().map(ToOwned::to_owned);
    Ok(ParquetMetaData::new(FileMetaData::new(file.version(), file.num_rows(), created_by, hints, schema.clone(), None), groups))
}

/// What the writer, where it was one of Arrow, noted of its own types of these columns: Parquet alone does not know the
/// seconds of a time.
fn hints(file: &FileMetaData, schema: &SchemaDescriptor) -> Result<Option<Vec<KeyValue>>> {
    let noted = file.key_value_metadata().into_iter().flatten().find(|entry| entry.key == ARROW_SCHEMA_META_KEY);
    let Some(noted) = noted.and_then(|entry| entry.value.as_deref()) else { return Ok(None) };
    let wrong = |what: &str| ParquetError::General(format!("its Arrow schema {what}"));
    let bytes = base64(noted).ok_or_else(|| wrong("is no base64"))?;
    let message = if bytes.starts_with(&[0xff; 4]) { bytes.get(8..).unwrap_or_default() } else { &bytes };
    let message = ipc::root_as_message(message).map_err(|error| wrong(&format!("is none: {error}")))?;
    let noted = message.header_as_schema().and_then(|schema| schema.fields()).ok_or_else(|| wrong("is none"))?;
    let field = |root: &Arc<Type>| {
        let own = noted.iter().find(|field| field.name() == Some(root.name()));
        own.map(Field::from).ok_or_else(|| wrong(&format!("has no column {}", root.name())))
    };
    let fields = schema.root_schema().get_fields().iter().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Some(vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&Schema::new(fields)))]))
}

/// The bytes of a text of base64, with or without its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes().map(|digit| {
        Some(match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    });
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for digit in digits {
        bits = bits << 6 | u32::from(digit?);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}
