//! Forebay's own scalar functions, one group per file. Must never give a row a value that depends on other rows, on the
//! clock or on the machine's settings; what a function gives must never change, because identities hold its name alone.

mod bucket;
mod check;
mod cyclic;
mod date_trunc;
mod hash_mod;
mod haversine;
mod json_get;
mod known;
mod local;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::common::{DataFusionError, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

pub(super) use check::{arguments, given};
pub use known::{REFUSED_FUNCTIONS, functions};

use crate::time::Zone;

static ALL: &[Function] = &[
    date_trunc::DATE_TRUNC,
    date_trunc::DATETRUNC,
    local::ALL[0],
    local::ALL[1],
    local::ALL[2],
    local::ALL[3],
    local::ALL[4],
    local::ALL[5],
    local::ALL[6],
    local::ALL[7],
    bucket::BUCKET,
    cyclic::CYCLIC,
    cyclic::CYCLIC_COS,
    cyclic::CYCLIC_SIN,
    hash_mod::HASH_MOD,
    haversine::HAVERSINE,
    json_get::JSON_GET,
    json_get::JSON_GET_BIGINT,
    json_get::JSON_GET_BOOL,
    json_get::JSON_GET_DOUBLE,
];

/// What a file of this folder says of its function.
#[derive(Clone, Copy, Debug)]
struct Function {
    name: &'static str,
    /// How it is written: `bucket(x, bound, ..)`.
    form: &'static str,
    arguments: &'static [Argument],
    /// Whether the last argument may be repeated.
    repeats: bool,
    /// Whether numbers that are all integers stay so; otherwise they become doubles.
    keeps_integers: bool,
    result: fn() -> ArrowType,
    compute: fn(&[ColumnarValue], usize) -> Result<ArrayRef, DataFusionError>,
}

/// What may stand in an argument's place; a null may stand for any that is no literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Number,
    Text,
    /// A literal above zero.
    Period,
    /// A literal, each above the one before it.
    Bound,
    /// A whole literal above zero.
    Modulus,
    /// A literal that `json_get::path` reads.
    Path,
    /// A timestamp, or a literal that is one.
    Time,
    /// A literal, one of `date_trunc::units`.
    Unit,
    /// A literal, a time zone's name. It may be left out: UTC.
    Zone,
}

impl Function {
    /// How many arguments it has at least.
    fn required(&self) -> usize {
        self.arguments.iter().filter(|argument| **argument != Argument::Zone).count()
    }

    fn argument(&self, index: usize) -> Option<Argument> {
        self.arguments.get(index).or(if self.repeats { self.arguments.last() } else { None }).copied()
    }
}

/// All of them, as DataFusion plans them.
pub(super) fn all() -> impl Iterator<Item = Arc<ScalarUDF>> {
    ALL.iter().map(|function| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Planned { function, signature }))
    })
}

#[derive(Debug)]
struct Planned {
    function: &'static Function,
    signature: Signature,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Planned {}

impl Hash for Planned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Planned {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
        Ok((self.function.result)())
    }

    fn coerce_types(&self, given: &[ArrowType]) -> Result<Vec<ArrowType>, DataFusionError> {
        let Function { form, arguments, repeats, keeps_integers, .. } = self.function;
        if given.len() < self.function.required() || given.len() > arguments.len() && !repeats {
            return plan_err!("`{form}` has {} arguments here", given.len());
        }
        let integers = *keeps_integers && given.iter().all(ArrowType::is_integer);
        let number = if integers { ArrowType::Int64 } else { ArrowType::Float64 };
        let coerced = given.iter().enumerate().map(|(index, _)| match self.function.argument(index) {
            Some(Argument::Text | Argument::Path | Argument::Unit | Argument::Zone) => ArrowType::Utf8,
            Some(Argument::Time) => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            Some(Argument::Modulus) => ArrowType::Int64,
            _ => number.clone(),
        });
        Ok(coerced.collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        (self.function.compute)(&args.args, args.number_rows).map(ColumnarValue::Array)
    }
}

/// An argument as a column of `rows` values.
fn column(argument: &ColumnarValue, rows: usize) -> Result<ArrayRef, DataFusionError> {
    argument.to_array(rows)
}

/// An argument that was checked to be a literal.
fn literal(argument: &ColumnarValue) -> Result<&ScalarValue, DataFusionError> {
    match argument {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) => exec_err!("a column of {} stands where a literal belongs", array.data_type()),
    }
}

/// The time zone of an argument that was checked to name one; UTC where there is none.
fn zone(argument: Option<&ColumnarValue>) -> Result<Zone, DataFusionError> {
    match argument.map(literal).transpose()? {
        None => Ok(Zone::UTC),
        Some(ScalarValue::Utf8(Some(name))) => Zone::parse(name).ok_or_else(|| exec_datafusion_err!("there is no time zone {name}")),
        Some(other) => exec_err!("{other} stands where a time zone belongs"),
    }
}

/// The same of a number that was coerced to a double.
fn literal_double(argument: &ColumnarValue) -> Result<f64, DataFusionError> {
    match literal(argument)? {
        ScalarValue::Float64(Some(value)) => Ok(*value),
        other => exec_err!("{other} stands where a number belongs"),
    }
}

#[cfg(test)]
mod tests;
