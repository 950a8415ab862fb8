//! One element of a list, a part of it, whether one is in it, a list without one; the value of a key of a map. A place outside the list is null, and none is counted
//! from its end.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DynComparator, ListArray, UInt32Array, make_comparator};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortOptions, cast, interleave, take};
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use datafusion::common::{DataFusionError, plan_err};

use super::Takes::{Any, Integer, Text};
use super::{Sense, order, sense};

pub(super) static SENSES: &[Sense] = &[
    sense("array_element", &[Any, Integer], item, element),
    sense("array_slice", &[Any, Integer, Integer], |given| Ok(given[0].clone()), slice),
    sense("array_has", &[Any, Any], |_| Ok(ArrowType::Boolean), has),
    sense("array_remove", &[Any, Any], list, |given| without(given, i64::MAX)),
    sense("array_remove_n", &[Any, Any, Integer], list, |given| without(given, i64::MAX)),
    sense("array_remove_all", &[Any, Any], list, |given| without(given, i64::MAX)),
    sense("array_replace", &[Any, Any, Any], list, |given| replaced(given, i64::MAX)),
    sense("array_replace_n", &[Any, Any, Any, Integer], list, |given| replaced(given, i64::MAX)),
    sense("array_replace_all", &[Any, Any, Any], list, |given| replaced(given, i64::MAX)),
    sense("value of key", &[Any, Text], value, value_of_key),
];

fn item(given: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    match &given[0] {
        ArrowType::List(item) => Ok(item.data_type().clone()),
        other => plan_err!("a {other} has no elements"),
    }
}

fn value(given: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    match &given[0] {
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) => Ok(fields[1].data_type().clone()),
            other => plan_err!("a map of {other} has no values"),
        },
        other => plan_err!("a {other} has no keys"),
    }
}

fn list(given: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
    item(given)?;
    Ok(given[0].clone())
}

/// Whether the element behind a row of a list is equal to that of the row; nulls are to nulls.
struct Equal {
    compare: DynComparator,
}

impl Equal {
    fn of(list: &ListArray, elements: &ArrayRef) -> Result<Self, DataFusionError> {
        let types = [list.values().data_type().clone(), elements.data_type().clone()];
        let common = order::common(&types)?;
        let form = |values: &ArrayRef| Ok::<_, DataFusionError>(order::one_form(&cast(values, &common)?));
        Ok(Self { compare: make_comparator(&form(list.values())?, &form(elements)?, SortOptions::default())? })
    }

    fn is(&self, place: usize, row: usize) -> bool {
        (self.compare)(place, row) == Ordering::Equal
    }
}

fn places(list: &ListArray, row: usize) -> Range<usize> {
    list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize
}

/// As `element = any(list)`: null where an element that is null might be it.
fn has(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let list = given[0].as_list::<i32>();
    let equal = Equal::of(list, &given[1])?;
    let has = |row: usize| {
        let mut places = list.is_valid(row).then(|| places(list, row))?;
        let (empty, unknown) = (places.is_empty(), places.clone().any(|place| list.values().is_null(place)));
        match given[1].is_valid(row) {
            true if places.any(|place| equal.is(place, row)) => Some(true),
            true => (!unknown).then_some(false),
            false => empty.then_some(false),
        }
    };
    Ok(Arc::new((0..list.len()).map(has).collect::<BooleanArray>()))
}

/// The list without the first so many of an element; a third argument says how many.
fn without(given: &[ArrayRef], most: i64) -> Result<ArrayRef, DataFusionError> {
    let list = given[0].as_list::<i32>();
    let equal = Equal::of(list, &given[1])?;
    let (mut kept, mut lengths) = (Vec::new(), Vec::new());
    for row in 0..list.len() {
        let mut left = count(given.get(2), row, most);
        let before = kept.len();
        for place in places(list, row) {
            if left > 0 && equal.is(place, row) {
                left -= 1;
            } else {
                kept.push(place as u32);
            }
        }
        lengths.push(kept.len() - before);
    }
    let ArrowType::List(item) = list.data_type() else { return plan_err!("no list") };
    let items = take(list.values(), &UInt32Array::from(kept), None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, list.nulls().cloned())?))
}

/// The list with the first so many of an element replaced; a fourth argument says how many.
fn replaced(given: &[ArrayRef], most: i64) -> Result<ArrayRef, DataFusionError> {
    let list = given[0].as_list::<i32>();
    let equal = Equal::of(list, &given[1])?;
    let other = cast(&given[2], list.values().data_type())?;
    let (mut from, mut lengths) = (Vec::new(), Vec::new());
    for row in 0..list.len() {
        let mut left = count(given.get(3), row, most);
        lengths.push(places(list, row).len());
        for place in places(list, row) {
            let is = left > 0 && equal.is(place, row);
            left -= i64::from(is);
            from.push(if is { (1, row) } else { (0, place) });
        }
    }
    let ArrowType::List(item) = list.data_type() else { return plan_err!("no list") };
    let items = interleave(&[list.values().as_ref(), other.as_ref()], &from)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, list.nulls().cloned())?))
}

/// How many of an element are meant.
fn count(argument: Option<&ArrayRef>, row: usize, most: i64) -> i64 {
    argument.map_or(most, |argument| if argument.is_valid(row) { argument.as_primitive::<Int64Type>().value(row) } else { 0 })
}

fn element(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let (list, index) = (given[0].as_list::<i32>(), given[1].as_primitive::<Int64Type>());
    let place = |row: usize| {
        let place = (list.is_valid(row) && index.is_valid(row)).then(|| index.value(row).checked_sub(1)).flatten()?;
        (0..i64::from(list.value_length(row))).contains(&place).then(|| list.value_offsets()[row] as u32 + place as u32)
    };
    let places: UInt32Array = (0..list.len()).map(place).collect();
    Ok(take(list.values(), &places, None)?)
}

/// From one place to another, both included.
fn slice(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let list = given[0].as_list::<i32>();
    let (from, to) = (given[1].as_primitive::<Int64Type>(), given[2].as_primitive::<Int64Type>());
    let (mut places, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..list.len() {
        let is_valid = list.is_valid(row) && from.is_valid(row) && to.is_valid(row);
        let (start, length) = if is_valid { (list.value_offsets()[row], list.value_length(row)) } else { (0, 0) };
        let first = if is_valid { from.value(row).clamp(1, i64::from(length) + 1) - 1 } else { 0 };
        let end = if is_valid { to.value(row).clamp(first, i64::from(length)) } else { 0 };
        places.extend((first..end).map(|place| start as u32 + place as u32));
        lengths.push((end - first) as usize);
        valid.push(is_valid);
    }
    let ArrowType::List(item) = list.data_type() else { return plan_err!("no list") };
    let items = take(list.values(), &UInt32Array::from(places), None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, Some(valid.into()))?))
}

/// Null where the map has no such key.
fn value_of_key(given: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let (map, keys) = (given[0].as_map(), given[1].as_string::<i32>());
    let names = map.keys().as_string::<i32>();
    let place = |row: usize| {
        let key = (map.is_valid(row) && keys.is_valid(row)).then(|| keys.value(row))?;
        let entries = map.value_offsets()[row]..map.value_offsets()[row + 1];
        entries.map(|place| place as u32).find(|place| names.value(*place as usize) == key)
    };
    let places: UInt32Array = (0..map.len()).map(place).collect();
    Ok(take(map.values(), &places, None)?)
}
