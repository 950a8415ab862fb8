//! Whether a model's inputs are a vector's columns. A decision over values; must never open a file.

use super::vector::is_number;
use crate::plan::{Element, ModelSignature, Tensor, Vector};
use crate::value::DataType;

/// What does not fit, one sentence each in lower case; empty when all does.
pub(super) fn mismatches(vector: &Vector, signature: &ModelSignature) -> Vec<String> {
    if let [input] = signature.inputs.as_slice() {
        let one_column = vector.columns.len() == 1 && vector.columns[0].name == input.name;
        if !one_column && input.shape.len() == 2 && matches!(input.element, Element::Float32 | Element::Float64) {
            return tensor(vector, input);
        }
    }
    let mut found = Vec::new();
    for input in &signature.inputs {
        match vector.columns.iter().find(|column| column.name == input.name) {
            Some(column) => found.extend(one(&column.data_type, input)),
            None => found.push(format!("input `{}` has no column of that name in vector `{}`", input.name, vector.name)),
        }
    }
    for column in &vector.columns {
        if signature.inputs.iter().all(|input| input.name != column.name) {
            found.push(format!("column `{}` of vector `{}` is no input of the model", column.name, vector.name));
        }
    }
    found
}

/// One tensor of all columns.
fn tensor(vector: &Vector, input: &Tensor) -> Vec<String> {
    let mut found = Vec::new();
    let width = vector.columns.len();
    if let Some(wanted) = input.shape[1].filter(|wanted| *wanted != width as i64) {
        found.push(format!("input `{}` takes {wanted} columns, vector `{}` has {width}", input.name, vector.name));
    }
    for column in vector.columns.iter().filter(|column| !fits_floats(&column.data_type)) {
        found.push(format!("column `{}` is {}, which the float tensor `{}` cannot hold", column.name, column.data_type, input.name));
    }
    found
}

/// One input of one column.
fn one(data_type: &DataType, input: &Tensor) -> Option<String> {
    let rows_only = match input.shape.as_slice() {
        [_] => true,
        [_, width] => matches!(width, None | Some(1)),
        _ => false,
    };
    if !rows_only {
        let shape: Vec<_> = input.shape.iter().map(|size| size.map_or_else(|| "N".to_owned(), |size| size.to_string())).collect();
        return Some(format!("input `{}` has shape [{}], a column has [N] or [N, 1]", input.name, shape.join(", ")));
    }
    let fits = match input.element {
        Element::Float32 | Element::Float64 => fits_floats(data_type),
        Element::Int64 => matches!(data_type, DataType::Int | DataType::Bool | DataType::Timestamp),
        Element::Int32 => matches!(data_type, DataType::Int | DataType::Bool),
        Element::Bool => *data_type == DataType::Bool,
        Element::Text => *data_type == DataType::Text,
        Element::Other => false,
    };
    (!fits).then(|| format!("input `{}` takes {}, its column is {data_type}", input.name, spelled(input.element)))
}

/// Timestamps are seconds there.
fn fits_floats(data_type: &DataType) -> bool {
    is_number(data_type) || *data_type == DataType::Timestamp
}

fn spelled(element: Element) -> &'static str {
    match element {
        Element::Float32 => "32-bit floats",
        Element::Float64 => "64-bit floats",
        Element::Int32 => "32-bit integers",
        Element::Int64 => "64-bit integers",
        Element::Bool => "booleans",
        Element::Text => "texts",
        Element::Other => "elements that no column can be turned into",
    }
}
