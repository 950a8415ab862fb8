//! One aggregate per file: its types, the fold that it reads, its result. Pure: no I/O, no clock, no threads.
//!
//! A *fold* (`fold`) is what a state keeps; an *aggregate* is a reading of one: `sum`, `avg` and `count` of the same
//! input read the same fold. A new aggregate is a file here, its `mod` line and a line in `ALL`: it reads a fold that is there, or it
//! brings its own as an `Algorithm`.

// What aggregates are made of.
mod bytes;
mod dyadic;
mod exact;
mod fold;
mod packed;
mod round;
mod rows;
mod state;

// The aggregates.
mod approx_distinct;
mod approx_median;
mod approx_percentile;
mod array_agg;
mod avg;
mod bool_and;
mod bool_or;
mod collect;
mod corr;
mod count;
mod count_distinct;
mod decayed_sum;
mod delta;
mod distance_sum;
mod distinct_n;
mod drawdown;
mod entropy;
mod ewma;
mod first;
mod first_n;
mod histogram;
mod interarrival_avg;
mod interarrival_stddev;
mod kurtosis;
mod lag;
mod last;
mod last_distinct_n;
mod last_n;
mod latest;
mod max;
mod max_by;
mod median;
mod median_abs_deviation;
mod min;
mod min_by;
mod mode;
mod pct_change;
mod percentile;
mod rate;
mod regr_slope;
mod seconds_since_first;
mod seconds_since_last;
mod skewness;
mod stddev_pop;
mod stddev_samp;
mod streak;
mod sum;
mod time_since;
mod time_weighted_avg;
mod top_k;
mod trend;
mod var_pop;
mod var_samp;
mod vector_avg;
mod vector_sum;
mod zscore_last;

use std::fmt;

use crate::time::Span;
use crate::value::{DataType, Value};

pub(crate) use bytes::{ByteReader, put_signed, put_unsigned};
pub(crate) use exact::ExactSum;
pub use fold::MapLimit;
use fold::{By, CustomFold, Groups};
pub(crate) use fold::{Fold, FoldSpec, Kind, Partial};
pub(crate) use packed::{PACKED_MAX, pack};
pub(crate) use rows::{META, OFFSET, Rows, SortKey, TIME, biased, unbiased};
pub(crate) use state::buckets::{bucket, middle};

/// Sorted by name.
static ALL: &[Definition] = &[
    approx_distinct::DEFINITION,
    approx_median::DEFINITION,
    approx_percentile::DEFINITION,
    array_agg::DEFINITION,
    avg::DEFINITION,
    bool_and::DEFINITION,
    bool_or::DEFINITION,
    collect::DEFINITION,
    corr::DEFINITION,
    count::DEFINITION,
    count_distinct::DEFINITION,
    decayed_sum::DEFINITION,
    delta::DEFINITION,
    distance_sum::DEFINITION,
    distinct_n::DEFINITION,
    drawdown::DEFINITION,
    entropy::DEFINITION,
    ewma::DEFINITION,
    first::DEFINITION,
    first_n::DEFINITION,
    histogram::DEFINITION,
    interarrival_avg::DEFINITION,
    interarrival_stddev::DEFINITION,
    kurtosis::DEFINITION,
    lag::DEFINITION,
    last::DEFINITION,
    last_distinct_n::DEFINITION,
    last_n::DEFINITION,
    latest::DEFINITION,
    max::DEFINITION,
    max_by::DEFINITION,
    median::DEFINITION,
    median_abs_deviation::DEFINITION,
    min::DEFINITION,
    min_by::DEFINITION,
    mode::DEFINITION,
    pct_change::DEFINITION,
    percentile::DEFINITION,
    rate::DEFINITION,
    regr_slope::DEFINITION,
    seconds_since_first::DEFINITION,
    seconds_since_last::DEFINITION,
    skewness::DEFINITION,
    stddev_pop::DEFINITION,
    stddev_samp::DEFINITION,
    streak::DEFINITION,
    sum::DEFINITION,
    time_since::DEFINITION,
    time_weighted_avg::DEFINITION,
    top_k::DEFINITION,
    trend::DEFINITION,
    var_pop::DEFINITION,
    var_samp::DEFINITION,
    vector_avg::DEFINITION,
    vector_sum::DEFINITION,
    zscore_last::DEFINITION,
];

/// The aggregates whose input is a list.
const OF_LISTS: &[&str] = &[vector_avg::DEFINITION.name, vector_sum::DEFINITION.name];

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
    examples: &'static [Example],
}

/// A worked example, which is run as a test and printed in `docs/aggregates.md`.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// `lag(x, 2)`
    pub call: &'static str,
    /// Events in total order, each its time and its inputs: `0s 1.5 | 10s null`.
    pub events: &'static str,
    /// The query time, and where it matters the window's start: `60s`, `60s from 0s`.
    pub at: &'static str,
    /// What the aggregate gives, as SQL writes it; lists in brackets.
    pub value: &'static str,
}

/// When a window is read, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The query time, moved by the window's offset.
    pub(crate) query: i64,
    /// Where the window starts; `None` where that is no matter of time alone. An open window does not hold that very time.
    pub(crate) start: Option<i64>,
}

/// An aggregate's types and the fold that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    result: DataType,
    fold: Fold,
    /// As they appear in `Aggregate::text`, with defaults filled in.
    parameters: Vec<Value>,
}

/// An aggregate bound to the types of its inputs and its literal parameters.
#[derive(Clone)]
pub struct Aggregate {
    definition: &'static Definition,
    bound: Bound,
    grouped: Option<Grouped>,
}

/// What turns an aggregate into one for each value of a further, last input.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grouped {
    by: By,
    result: DataType,
    fold: Fold,
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

/// Whether the aggregate of that name takes its inputs as one `struct(..)`, and their names as parameters at the end.
#[must_use]
pub fn takes_struct(name: &str) -> bool {
    name == collect::DEFINITION.name
}

/// Worked examples of the aggregate of that name; none when there is no such aggregate.
#[must_use]
pub fn examples(name: &str) -> &'static [Example] {
    definition(name).map_or(&[], |definition| definition.examples)
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
    if let Some(many) = inputs.iter().find(|input| !input.is_single())
        && !OF_LISTS.contains(&name)
    {
        return Err(BindError(format!("{name} takes single values, not {many}")));
    }
    Ok(Aggregate { definition, bound: (definition.bind)(inputs, parameters)?, grouped: None })
}

/// A parameter as in SQL.
fn written(parameter: &Value) -> String {
    match parameter {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Bool(value) => value.to_string(),
        other => format!("{other:?}"),
    }
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

impl Bound {
    /// The whole number at that place among the parameters.
    fn integer(&self, place: usize) -> i64 {
        match self.parameters.get(place) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    fn double(&self, place: usize) -> f64 {
        match self.parameters.get(place) {
            Some(Value::Float(number)) => *number,
            _ => 0.0,
        }
    }

    /// The fields of the structs in a list that is the result.
    fn struct_fields(&self) -> Option<&[(String, DataType)]> {
        match &self.result {
            DataType::List(item) => match item.as_ref() {
                DataType::Struct(fields) => Some(fields),
                _ => None,
            },
            _ => None,
        }
    }

    /// The kind of the values in a list that is the result.
    fn item_kind(&self) -> Kind {
        match &self.result {
            DataType::List(item) => Kind::of(item),
            other => Kind::of(other),
        }
    }
}

impl Aggregate {
    #[must_use]
    pub fn result_type(&self) -> &DataType {
        self.grouped.as_ref().map_or(&self.bound.result, |grouped| &grouped.result)
    }

    /// The aggregate for each value of a key, which is one more input, the last. Its result is a map.
    ///
    /// # Errors
    /// A key that has no canonical text; an aggregate that gives lists or depends on the order of events.
    pub fn by(self, key: &DataType) -> Result<Self, BindError> {
        let name = self.definition.name;
        if !key.is_single() || *key == DataType::Float {
            return Err(BindError(format!("by takes a text, a bigint, a boolean or a timestamp, not {key}: cast it, or use bucket(..)")));
        }
        if !self.bound.result.is_single() {
            return Err(BindError(format!("{name} cannot be grouped with by: its results are {}", self.bound.result)));
        }
        if self.bound.fold.takes_nulls() {
            return Err(BindError(format!("{name} cannot be grouped with by: maps are made of inputs that are not null; use last")));
        }
        if !self.bound.fold.is_tiled() || self.bound.fold.needs_bounded().is_some() {
            return Err(BindError(format!("{name} cannot be grouped with by: it reads every event of its window")));
        }
        let by = By::new(Kind::of(key), self.bound.fold.clone());
        let grouped =
            Grouped { result: DataType::Map(Box::new(self.bound.result.clone())), fold: Fold::Own(CustomFold::tiled(by.clone())), by };
        Ok(Self { grouped: Some(grouped), ..self })
    }

    /// As it is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.definition.name
    }

    /// What identifies this aggregate with its parameters in an identity: `last_n(5)`, `sum by`.
    #[must_use]
    pub fn text(&self) -> String {
        let by = if self.grouped.is_some() { " by" } else { "" };
        if self.bound.parameters.is_empty() {
            return format!("{}{by}", self.definition.name);
        }
        let parameters: Vec<String> = self.bound.parameters.iter().map(written).collect();
        format!("{}({}){by}", self.definition.name, parameters.join(", "))
    }

    /// Whether tiles keep partial results of it; one that is not reads its window's events each time.
    #[must_use]
    pub fn is_tiled(&self) -> bool {
        self.fold().is_tiled()
    }

    /// Why the aggregate cannot be computed without raw events, which windows without a lower bound forget.
    pub(crate) fn needs_bounded(&self) -> Option<&'static str> {
        self.fold().needs_bounded()
    }

    /// What a state keeps for it.
    pub(crate) fn fold(&self) -> &Fold {
        self.grouped.as_ref().map_or(&self.bound.fold, |grouped| &grouped.fold)
    }

    /// The aggregate's value over the events in `partial`, a partial of `self.fold()` or of one that covers it. A map has
    /// the keys that `keep` says.
    pub(crate) fn finish(&self, partial: &Partial, moment: &Moment, keep: MapLimit) -> Value {
        let result = |partial: &Partial| (self.definition.finish)(partial, &self.bound, moment);
        match (&self.grouped, partial.own::<Groups>()) {
            (None, _) => result(partial),
            (Some(grouped), Some(groups)) => grouped.by.map(groups, keep, result),
            (Some(_), None) => Value::Null,
        }
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && self.bound == other.bound && self.grouped == other.grouped
    }
}

impl Eq for Aggregate {}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} :: {}", self.text(), self.result_type())
    }
}

/// The shape of `name()`.
const NO_INPUTS: Shape = Shape { inputs_min: 0, inputs_max: 0, parameters_min: 0, parameters_max: 0 };
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

/// The kind of the numeric input; an error for an input that is no number.
fn number_kind(name: &str, input: &DataType) -> Result<Kind, BindError> {
    is_double(name, input).map(|double| if double { Kind::Float } else { Kind::Int })
}

/// The kind of the elements of a list of numbers; an error for any other input.
fn list_of_numbers(name: &str, input: &DataType) -> Result<Kind, BindError> {
    match input {
        DataType::List(item) if item.is_numeric() => Ok(Kind::of(item)),
        other => Err(BindError(format!("{name} takes a bigint[] or a double[], not {other}"))),
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

/// A parameter from 0 to 1.
fn share(name: &str, parameter: &Value) -> Result<f64, BindError> {
    let number = match parameter {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        _ => f64::NAN,
    };
    let within = (0.0..=1.0).contains(&number);
    within.then_some(number + 0.0).ok_or_else(|| BindError(format!("{name} takes a number p from 0 to 1, such as 0.95")))
}

/// A parameter that is a length of time.
fn span(name: &str, what: &str, parameter: &Value) -> Result<Span, BindError> {
    let span = match parameter {
        Value::Text(text) => Span::parse(text).filter(|span| span.0 > 0),
        _ => None,
    };
    span.ok_or_else(|| BindError(format!("{name} takes {what} as a length of time in quotes, such as '1h'")))
}

/// What is left of 1 from one time to a later one, both in microseconds, when it halves every `half_life`.
fn decay(from: i64, to: i64, half_life: i64) -> f64 {
    (-((i128::from(to) - i128::from(from)) as f64 / half_life as f64)).exp2()
}

/// From one time to another, both in microseconds, rounded once.
fn seconds_between(from: i64, to: i64) -> f64 {
    exact::quotient(i128::from(to) - i128::from(from), 1_000_000)
}

#[cfg(test)]
mod tests;
