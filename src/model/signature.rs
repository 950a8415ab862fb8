//! What a model says of its inputs and outputs. Must never look at values.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::plan::{Element, ModelSignature, Tensor};

pub fn of(session: &Session) -> ModelSignature {
    let tensors = |outlets: &[Outlet]| outlets.iter().map(tensor).collect();
    ModelSignature { inputs: tensors(session.inputs()), outputs: tensors(session.outputs()) }
}

fn tensor(outlet: &Outlet) -> Tensor {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => (element(*ty), shape.iter().map(|&size| (size >= 0).then_some(size)).collect()),
        _ => (Element::Other, Vec::new()),
    };
    Tensor { name: outlet.name().to_owned(), element, shape }
}

pub fn element(element: TensorElementType) -> Element {
    match element {
        TensorElementType::Float16 => Element::Float16,
        TensorElementType::Float32 => Element::Float32,
        TensorElementType::Float64 => Element::Float64,
        TensorElementType::Int8 => Element::Int8,
        TensorElementType::Int16 => Element::Int16,
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Int64 => Element::Int64,
        TensorElementType::Uint8 => Element::UInt8,
        TensorElementType::Uint16 => Element::UInt16,
        TensorElementType::Uint32 => Element::UInt32,
        TensorElementType::Uint64 => Element::UInt64,
        TensorElementType::Bool => Element::Bool,
        TensorElementType::String => Element::Text,
        _ => Element::Other,
    }
}

/// What an output holds, as far as a score is looked for in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Floats,
    Integers,
    Texts,
    /// A sequence of maps from labels to numbers (zipmap).
    Maps,
    Other,
}

pub fn holds(output: &Outlet) -> Holds {
    match output.dtype() {
        ValueType::Tensor { ty, .. } => match element(*ty) {
            Element::Float16 | Element::Float32 | Element::Float64 => Holds::Floats,
            Element::Text => Holds::Texts,
            Element::Other => Holds::Other,
            _ => Holds::Integers,
        },
        ValueType::Sequence(of) => match **of {
            ValueType::Map {
                key: TensorElementType::Int64 | TensorElementType::String,
                value: TensorElementType::Float32 | TensorElementType::Float64,
            } => Holds::Maps,
            _ => Holds::Other,
        },
        _ => Holds::Other,
    }
}
