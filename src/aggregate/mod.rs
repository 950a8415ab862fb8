//! One aggregate per file: types, fold, merge, subtract, finish, encode. Pure: no I/O, no clock, no threads.

use crate::value::{DataType, Value};

/// An aggregate bound to the types of its inputs and its literal parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    result: DataType,
}

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

/// The names of the language that this version cannot run yet.
pub const NOT_YET: &[&str] = &[];

/// All names that `bind` knows, sorted.
#[must_use]
pub fn names() -> Vec<&'static str> {
    Vec::new()
}

/// How the aggregate of that name is written; `None` when there is none.
#[must_use]
pub fn shape(_name: &str) -> Option<Shape> {
    None
}

/// Binds an aggregate to the types of its inputs and the values of its parameters.
pub fn bind(name: &str, _inputs: &[DataType], _parameters: &[Value]) -> Result<Aggregate, BindError> {
    Err(BindError(format!("there is no aggregate {name}")))
}

impl Aggregate {
    #[must_use]
    pub fn result_type(&self) -> &DataType {
        &self.result
    }

    /// What identifies this aggregate with its parameters in an identity: `last_n(5)`.
    #[must_use]
    pub fn text(&self) -> String {
        String::new()
    }
}
