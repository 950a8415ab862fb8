//! Texts. A code point that is none, or zero, has no letter.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use datafusion::common::exec_err;

use super::Takes::Integer;
use super::{Sense, each, sense};

pub(super) static SENSES: &[Sense] = &[sense(
    "chr",
    &[Integer],
    |_| Ok(ArrowType::Utf8),
    |given| {
        let n = given[0].as_primitive::<Int64Type>();
        let letter = |row| char::from_u32(u32::try_from(n.value(row)).ok().filter(|n| *n > 0)?).map(String::from);
        if (0..n.len()).any(|row| n.is_valid(row) && letter(row).is_none()) {
            return exec_err!("`chr` takes the number of a letter in Unicode");
        }
        Ok(Arc::new(each(given, letter).collect::<StringArray>()))
    },
)];
