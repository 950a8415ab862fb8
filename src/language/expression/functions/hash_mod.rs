//! `hash_mod(text, n)`: the XXH3 hash (64 bits, seed 0) of the text's UTF-8 bytes, modulo n: a category without a
//! dictionary. n is a whole literal above zero. Type: bigint, from 0 to n - 1.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::ColumnarValue;
use xxhash_rust::xxh3::xxh3_64;

use super::{Argument, Function, column, literal};

pub(super) const HASH_MOD: Function = Function {
    name: "hash_mod",
    form: "hash_mod(text, n)",
    arguments: &[Argument::Text, Argument::Modulus],
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Int64,
    compute,
};

fn compute(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef, DataFusionError> {
    let n = match literal(&arguments[1])? {
        ScalarValue::Int64(Some(n)) if *n > 0 => *n as u64,
        other => return exec_err!("{other} stands where a whole number above zero belongs"),
    };
    let column = column(&arguments[0], rows)?;
    let hash = |text: Option<&str>| text.map(|text| (xxh3_64(text.as_bytes()) % n) as i64);
    Ok(Arc::new(column.as_string::<i32>().iter().map(hash).collect::<Int64Array>()))
}
