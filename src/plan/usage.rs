//! What is declared of a model's file, what the file is found to be, and who finds it. Must never open a file.

use std::fmt;
use std::path::Path;

use super::{Field, Model, Vector, feeding};
use crate::error::Result;

/// Which number of what a model gives is the score, and what is allowed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The output that holds the score; `None`: the evident one.
    pub output: Option<String>,
    /// The number of that output; `None`: the evident one.
    pub part: Option<Part>,
    /// Outputs that are handed on beside the score.
    pub also: Vec<String>,
    /// `runs row by row`: each row is run alone, so that others cannot matter.
    pub row_by_row: bool,
    /// `runs with chance`: the same row may get another score.
    pub chance: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// By the label of a class, as it is written.
    Class(String),
    /// Counted from 1.
    Column(usize),
}

/// What a model says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSignature {
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub element: Element,
    /// `None` is a free dimension; empty, where the model does not say.
    pub shape: Vec<Option<i64>>,
}

/// A tensor's element type, as far as vectors can feed it or scores be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float16,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Bool,
    Text,
    /// A type that no column can be turned into; of outputs also maps and sequences.
    Other,
}

/// What was found when a model was run on made-up rows of its vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The SHA-256 of all that is loaded, lower-case hexadecimal.
    pub version: String,
    /// Why it cannot score the vector as declared.
    pub fault: Option<Fault>,
    /// Why nothing was found out: it takes no made-up row, and may yet take real ones.
    pub unproven: Option<String>,
}

/// Messages are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not the pinned file.
    OtherFile,
    /// The vector does not feed it: one sentence for each misfit.
    Inputs(Vec<String>),
    /// Which number is the score is not evident, or what is declared is not there.
    Output { message: String, remedy: String },
    /// It fails on every made-up row, or gives what cannot be read.
    Fails(String),
    /// A row's score depends on the rows beside it.
    Neighbours(String),
    /// The same row gets another score.
    Chance(String),
}

pub const INPUTS_REMEDY: &str = "one input takes all columns in their order, as [N, columns]; several take the column of their name, as [N] or [N, 1], or share \
     the others by type, numbers apart from texts; a list feeds [N, its length]";
pub const NEIGHBOURS_REMEDY: &str =
    "export it without what looks at the whole batch, or declare `runs row by row`: then the score of a row is the one it gets alone";
pub const CHANCE_REMEDY: &str = "export it without random operators (for training only, such as dropout), or declare `runs with chance`: then no score can be had twice";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherFile => f.write_str("it is not the pinned file"),
            Self::Inputs(misfits) => write!(f, "it does not take its vector: {}", misfits.join("; ")),
            Self::Output { message, remedy } => write!(f, "{message}; {remedy}"),
            Self::Fails(message) => f.write_str(message),
            Self::Neighbours(message) => write!(f, "{message}; {NEIGHBOURS_REMEDY}"),
            Self::Chance(message) => write!(f, "{message}; {CHANCE_REMEDY}"),
        }
    }
}

/// Finds out what model files are: `model` does, by running them.
pub trait ModelFiles {
    /// `Input` when the file is no model that can be loaded.
    fn inspect(&self, model: &Model, vector: &Vector) -> Result<Inspection>;
}

/// A signature alone can say whether the inputs fit.
impl<F: Fn(&Path) -> Result<ModelSignature>> ModelFiles for F {
    fn inspect(&self, model: &Model, vector: &Vector) -> Result<Inspection> {
        let misfits = feeding(&self(&model.path)?, &vector.name, &vector.fields()).err();
        Ok(Inspection { fault: misfits.map(Fault::Inputs), ..Inspection::default() })
    }
}

impl Vector {
    /// Its columns' names and types.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| Field { name: column.name.clone(), data_type: column.data_type.clone() }).collect()
    }
}
