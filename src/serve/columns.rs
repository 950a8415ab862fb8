//! Columns of values as JSON text, in the spelling of `crate::json`, without making a `Value` of each: the hot path of
//! lookups. Must never fail on a value, whatever it is.

use std::io::Write;

use arrow::array::{
    Array, BooleanArray, Float64Array, Int64Array, ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::json::{write_each, write_float, write_text};
use crate::time::EventTime;

/// A column, looked at once for all its rows.
enum Column<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
    Time(&'a TimestampMicrosecondArray),
    List(&'a ListArray, Box<Column<'a>>),
    /// With its keys and its values.
    Map(&'a MapArray, &'a StringArray, Box<Column<'a>>),
    /// With the name and the column of each field.
    Struct(&'a StructArray, Vec<(&'a str, Column<'a>)>),
}

impl<'a> Column<'a> {
    fn of(array: &'a dyn Array) -> Result<Self> {
        let any = array.as_any();
        if let Some(array) = any.downcast_ref() {
            return Ok(Self::Float(array));
        }
        if let Some(array) = any.downcast_ref() {
            return Ok(Self::Int(array));
        }
        if let Some(array) = any.downcast_ref() {
            return Ok(Self::Bool(array));
        }
        if let Some(array) = any.downcast_ref() {
            return Ok(Self::Text(array));
        }
        if let Some(array) = any.downcast_ref() {
            return Ok(Self::Time(array));
        }
        if let Some(array) = any.downcast_ref::<ListArray>() {
            return Ok(Self::List(array, Box::new(Self::of(array.values())?)));
        }
        if let Some(array) = any.downcast_ref::<MapArray>()
            && let Some(keys) = array.keys().as_any().downcast_ref()
        {
            return Ok(Self::Map(array, keys, Box::new(Self::of(array.values())?)));
        }
        if let Some(array) = any.downcast_ref::<StructArray>() {
            let field = |(field, column): (&'a arrow::datatypes::FieldRef, &'a arrow::array::ArrayRef)| {
                Self::of(column).map(|column| (field.name().as_str(), column))
            };
            return Ok(Self::Struct(array, array.fields().iter().zip(array.columns()).map(field).collect::<Result<_>>()?));
        }
        Err(Error::internal(format!("a column of type {} has no form in json", array.data_type())))
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(array) => array.is_null(row),
            Self::Int(array) => array.is_null(row),
            Self::Float(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::List(array, _) => array.is_null(row),
            Self::Map(array, ..) => array.is_null(row),
            Self::Struct(array, _) => array.is_null(row),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self {
            Self::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Self::Int(array) => int(array.value(row), out),
            Self::Float(array) => write_float(out, array.value(row)),
            Self::Text(array) => write_text(out, array.value(row)),
            Self::Time(array) => time(EventTime(array.value(row)), out),
            Self::List(array, items) => {
                let offsets = array.value_offsets();
                out.push(b'[');
                write_each(out, offsets[row] as usize..offsets[row + 1] as usize, |out, item| items.write(item, out));
                out.push(b']');
            }
            Self::Map(array, keys, values) => {
                let offsets = array.value_offsets();
                out.push(b'{');
                write_each(out, offsets[row] as usize..offsets[row + 1] as usize, |out, entry| {
                    write_text(out, keys.value(entry));
                    out.push(b':');
                    values.write(entry, out);
                });
                out.push(b'}');
            }
            Self::Struct(_, fields) => {
                out.push(b'{');
                write_each(out, fields.iter(), |out, (name, field)| {
                    write_text(out, name);
                    out.push(b':');
                    field.write(row, out);
                });
                out.push(b'}');
            }
        }
    }
}

/// The rows of a batch as an array of arrays: `[[1,2.5],[3,null]]`.
pub(super) fn rows(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    let columns: Vec<_> = batch.columns().iter().map(|column| Column::of(column)).collect::<Result<_>>()?;
    out.push(b'[');
    write_each(out, 0..batch.num_rows(), |out, row| {
        out.push(b'[');
        write_each(out, columns.iter(), |out, column| column.write(row, out));
        out.push(b']');
    });
    out.push(b']');
    Ok(())
}

/// Appends a whole number.
pub(super) fn int(value: i64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

/// Appends a time as RFC 3339.
pub(super) fn time(value: EventTime, out: &mut Vec<u8>) {
    let _ = write!(out, "\"{value}\"");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListBuilder};

    use super::*;
    use crate::value::{DataType, Value};
    use crate::vector::array_of;

    #[test]
    fn every_type_has_its_form() {
        let mut lists = ListBuilder::new(arrow::array::Float64Builder::new());
        lists.append_value([Some(1.0), None]);
        lists.append_null();
        lists.append_value([]);
        let entries = |entries: &[(&str, Value)]| Value::Map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect());
        let maps = [entries(&[("", Value::Float(-0.0)), ("k\"", Value::Null)]), Value::Null, entries(&[])];
        let structure = DataType::Struct(vec![("z".to_owned(), DataType::Int), ("a\"".to_owned(), DataType::Text)]);
        let fields = Value::Struct([("z".into(), Value::Int(7)), ("a\"".into(), Value::Null)].into());
        let structs = [Value::List([fields, Value::Null].into()), Value::Null, Value::List([].into())];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("i", Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None, Some(i64::MIN)]))),
            ("f", Arc::new(Float64Array::from(vec![1.0, 0.1 + 0.2, f64::NAN]))),
            ("g", Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NEG_INFINITY, -0.0]))),
            ("t", Arc::new(StringArray::from(vec!["a\"b", "é\n", ""]))),
            ("m", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000, -1]))),
            ("l", Arc::new(lists.finish())),
            ("o", array_of(&DataType::Map(Box::new(DataType::Float)), maps.iter()).unwrap()),
            ("s", array_of(&DataType::List(Box::new(structure)), structs.iter()).unwrap()),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut out = Vec::new();
        rows(&batch, &mut out).unwrap();
        let expected = concat!(
            r#"[[true,9007199254740993,1.0,"Infinity","a\"b","1970-01-01T00:00:00Z",[1.0,null],{"":-0.0,"k\"":null},[{"z":7,"a\"":null},null]],"#,
            r#"[null,null,0.30000000000000004,"-Infinity","é\n","1970-01-01T00:00:01.500Z",null,null,null],"#,
            r#"[false,-9223372036854775808,"NaN",-0.0,"","1969-12-31T23:59:59.999999Z",[],{},[]]]"#
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
