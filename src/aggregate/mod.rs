//! One aggregate per file: its types, the fold that it reads, its result. Pure: no I/O, no clock, no threads.
//!
//! A *fold* (`fold`) is what a state keeps; an *aggregate* is a reading of one: `sum`, `avg` and `count` of the same
//! input read the same fold. A new aggregate is a file here and a line in `ALL`.

mod avg;
mod bool_and;
mod bool_or;
mod bytes;
mod count;
mod count_distinct;
mod exact;
mod first;
mod fold;
mod last;
mod last_n;
mod max;
mod max_by;
mod min;
mod min_by;
mod rows;
mod stddev_pop;
mod stddev_samp;
mod sum;
mod var_pop;
mod var_samp;
mod wide;

use std::fmt;

use crate::value::{DataType, Value};

pub(crate) use bytes::{ByteReader, put_signed, put_unsigned};
pub(crate) use fold::{Fold, Kind, Part, Partial};
pub(crate) use rows::{META, OFFSET, Place, Rows, TIME, biased, unbiased};

/// Sorted by name.
static ALL: &[Definition] = &[
    avg::DEFINITION,
    bool_and::DEFINITION,
    bool_or::DEFINITION,
    count::DEFINITION,
    count_distinct::DEFINITION,
    first::DEFINITION,
    last::DEFINITION,
    last_n::DEFINITION,
    max::DEFINITION,
    max_by::DEFINITION,
    min::DEFINITION,
    min_by::DEFINITION,
    stddev_pop::DEFINITION,
    stddev_samp::DEFINITION,
    sum::DEFINITION,
    var_pop::DEFINITION,
    var_samp::DEFINITION,
];

/// The names of the language that this version cannot run yet, sorted.
pub const NOT_YET: &[&str] = &[
    "approx_distinct",
    "approx_median",
    "approx_percentile",
    "array_agg",
    "corr",
    "decayed_sum",
    "drawdown",
    "entropy",
    "ewma",
    "first_n",
    "histogram",
    "interarrival_avg",
    "interarrival_stddev",
    "kurtosis",
    "lag",
    "last_distinct_n",
    "median",
    "percentile",
    "rate",
    "regr_slope",
    "seconds_since_first",
    "seconds_since_last",
    "skewness",
    "time_weighted_avg",
    "top_k",
    "vector_avg",
    "vector_sum",
];

/// How an aggregate is written: `name(inputs.., parameters..)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many leading arguments are expressions. `count` takes 0 (`count(*)`) or 1.
    pub inputs_min: usize,
    pub inputs_max: usize,
    /// How many literals may follow them.
    pub parameters_min: usize,
    pub parameters_max: usize,
}

/// Why an aggregate could not be bound; the text says what was expected, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError(pub String);

/// What a file of this room says of its aggregate.
struct Definition {
    name: &'static str,
    shape: Shape,
    bind: fn(&[DataType], &[Value]) -> Result<Bound, BindError>,
    finish: fn(&Partial, &Bound, &Moment) -> Value,
}

/// When a window is read, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The query time, moved by the window's offset.
    pub(crate) query: i64,
    /// The first time that the window holds; `None` where it has no lower bound.
    pub(crate) from: Option<i64>,
}

/// An aggregate's types and the fold that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    result: DataType,
    fold: Fold,
    /// As it appears in `Aggregate::text`, with defaults filled in.
    parameter: Option<i64>,
}

/// An aggregate bound to the types of its inputs and its literal parameters.
#[derive(Clone)]
pub struct Aggregate {
    definition: &'static Definition,
    bound: Bound,
}

/// All names that `bind` knows, sorted.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|definition| definition.name).collect()
}

/// How the aggregate of that name is written; `None` when there is none.
#[must_use]
pub fn shape(name: &str) -> Option<Shape> {
    Some(definition(name)?.shape)
}

/// Binds an aggregate to the types of its inputs and the values of its parameters.
///
/// # Errors
/// An unknown name, a wrong number of inputs or parameters, a type or a parameter that the aggregate cannot take.
pub fn bind(name: &str, inputs: &[DataType], parameters: &[Value]) -> Result<Aggregate, BindError> {
    let definition = definition(name).ok_or_else(|| BindError(format!("there is no aggregate {name}")))?;
    let shape = definition.shape;
    expect_number(name, "input", inputs.len(), shape.inputs_min, shape.inputs_max)?;
    expect_number(name, "parameter", parameters.len(), shape.parameters_min, shape.parameters_max)?;
    if let Some(list) = inputs.iter().find(|input| matches!(input, DataType::List(_))) {
        return Err(BindError(format!("{name} takes single values, not {list}")));
    }
    Ok(Aggregate { definition, bound: (definition.bind)(inputs, parameters)? })
}

fn definition(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|definition| definition.name == name)
}

fn expect_number(name: &str, what: &str, given: usize, min: usize, max: usize) -> Result<(), BindError> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let expected = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let plural = if min == 1 && max == 1 { "" } else { "s" };
    Err(BindError(format!("{name} takes {expected} {what}{plural}, {given} given")))
}

impl Aggregate {
    #[must_use]
    pub fn result_type(&self) -> &DataType {
        &self.bound.result
    }

    /// What identifies this aggregate with its parameters in an identity: `last_n(5)`.
    #[must_use]
    pub fn text(&self) -> String {
        match self.bound.parameter {
            Some(parameter) => format!("{}({parameter})", self.definition.name),
            None => self.definition.name.to_owned(),
        }
    }

    /// What a state keeps for it.
    pub(crate) fn fold(&self) -> &Fold {
        &self.bound.fold
    }

    /// The aggregate's value over the events in `partial`, a partial of `self.fold()` or of one that covers it.
    pub(crate) fn finish(&self, partial: &Partial, moment: &Moment) -> Value {
        (self.definition.finish)(partial, &self.bound, moment)
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && self.bound == other.bound
    }
}

impl Eq for Aggregate {}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} :: {}", self.text(), self.bound.result)
    }
}

/// The shape of `name(x)`.
const ONE_INPUT: Shape = Shape { inputs_min: 1, inputs_max: 1, parameters_min: 0, parameters_max: 0 };
/// The shape of `name(x, y)`.
const TWO_INPUTS: Shape = Shape { inputs_min: 2, inputs_max: 2, parameters_min: 0, parameters_max: 0 };

/// Whether the numeric input is a double; an error for an input that is no number.
fn is_double(name: &str, input: &DataType) -> Result<bool, BindError> {
    match input {
        DataType::Int => Ok(false),
        DataType::Float => Ok(true),
        other => Err(BindError(format!("{name} takes a bigint or a double, not {other}"))),
    }
}

fn expect_boolean(name: &str, input: &DataType) -> Result<(), BindError> {
    match input {
        DataType::Bool => Ok(()),
        other => Err(BindError(format!("{name} takes a boolean, not {other}"))),
    }
}

/// The integer parameter, within 1 and `max`.
fn small_integer(name: &str, what: &str, parameter: &Value, max: i64) -> Result<i64, BindError> {
    match parameter {
        Value::Int(number) if (1..=max).contains(number) => Ok(*number),
        Value::Int(number) => Err(BindError(format!("{name} takes {what} from 1 to {max}, not {number}"))),
        _ => Err(BindError(format!("{name} takes {what} as a whole number from 1 to {max}"))),
    }
}

#[cfg(test)]
mod tests;
