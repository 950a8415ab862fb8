//! One row for each element of a list: where an event's rows begin, which columns they repeat, and how many they may be.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::relation::{Derived, Step};
use crate::error::{Error, Result};

/// How many rows one event may have by one branch.
pub const ELEMENTS_MAX: usize = 1 << 16;
/// How many bytes of texts and lists the rows of one event may repeat: a short record must not become a large one.
const REPEATED_BYTES_MAX: usize = 16 << 20;

/// Bytes that a row repeats of a column whose values differ in length: an element of a list of numbers counts as ten.
fn width(column: &ArrayRef, row: usize) -> usize {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.value_length(row) as usize;
    }
    let Some(lists) = column.as_list_opt::<i32>() else { return 0 };
    let (from, to) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    match lists.values().as_string_opt::<i32>() {
        Some(texts) => (texts.value_offsets()[to] - texts.value_offsets()[from]) as usize,
        None => 10 * (to - from),
    }
}

fn too_much(error: ArrowError, step: &Step, list: usize, column: usize) -> Error {
    let ArrowError::OffsetOverflowError(bytes) = error else { return error.into() };
    let (list, column) = (&step.columns[list].text, &step.columns[column].text);
    Error::input(format!("unnest({list}) repeats {column} to {bytes} bytes in one batch; leave it out of the select"))
}

/// The rows that a step makes of `before`: for each element of the list in column `list` the values of the others. A list
/// that is null or empty makes none.
pub(super) fn unnest(before: &Derived, step: &Step, mut columns: Vec<ArrayRef>, list: usize) -> Result<Derived> {
    let wrong = || Error::internal(format!("{:?} gave values of type {}", step.columns[list], columns[list].data_type()));
    let lists = columns[list].as_list_opt::<i32>().ok_or_else(wrong)?.clone();
    let (mut repeated, mut elements): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut starts = vec![0];
    let events = before.starts.as_ref().map_or(lists.len(), |starts| starts.len() - 1);
    for event in 0..events {
        let rows = before.rows_of(event);
        let within = |row: &usize| if lists.is_valid(*row) { lists.value_length(*row) as usize } else { 0 };
        let count: usize = rows.clone().map(|row| within(&row)).sum();
        let others = || columns.iter().enumerate().filter(|(index, _)| *index != list).map(|(_, column)| column);
        let repeats: usize = rows.clone().map(|row| within(&row) * others().map(|column| width(column, row)).sum::<usize>()).sum();
        if count > ELEMENTS_MAX || repeats > REPEATED_BYTES_MAX {
            // What a filter leaves out makes no row however long it is, so that a filter can be the remedy.
            if rows.clone().any(|row| before.keeps(row)) {
                let text = &step.columns[list].text;
                let what = if count > ELEMENTS_MAX {
                    format!("makes {count} rows of one event, at most {ELEMENTS_MAX} can be")
                } else {
                    format!("repeats {repeats} bytes of one event's texts and lists, at most {REPEATED_BYTES_MAX} can be")
                };
                return Err(Error::input(format!("unnest({text}) {what}; send it in parts, or leave it out by `where`")));
            }
        } else {
            for row in rows {
                let from = lists.value_offsets()[row] as u32;
                let count = within(&row) as u32;
                repeated.extend(std::iter::repeat_n(row as u32, count as usize));
                elements.extend(from..from + count);
            }
        }
        let end = u32::try_from(repeated.len());
        starts.push(end.map_err(|_| Error::input("unnest makes more than 2^32 rows of one batch"))?);
    }
    let (repeated, elements) = (UInt32Array::from(repeated), UInt32Array::from(elements));
    for (index, column) in columns.iter_mut().enumerate() {
        let taken = if index == list { take(lists.values(), &elements, None) } else { take(column, &repeated, None) };
        *column = taken.map_err(|error| too_much(error, step, list, index))?;
    }
    let kept = before.kept.as_ref().map(|kept| Ok::<_, Error>(take(kept, &repeated, None)?.as_boolean().clone())).transpose()?;
    Ok(Derived { rows: RecordBatch::try_new(Arc::clone(&step.schema), columns)?, starts: Some(starts.into()), kept })
}
