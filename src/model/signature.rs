//! What a model takes and gives: its signature as plan data, how its inputs are fed and which output is the score.
//! Must never look at values.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::error::{Error, Result};
use crate::plan::{Element, ModelSignature, Tensor};

/// How a row of columns becomes a model's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// One tensor `[N, width]`, the columns in the vector's order. `width` is `None` where the model leaves it free.
    Matrix { name: String, element: Element, width: Option<usize> },
    /// One tensor per column, matched by name.
    Columns(Vec<ColumnInput>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInput {
    pub name: String,
    pub element: Element,
    /// `[N, 1]` rather than `[N]`.
    pub is_matrix: bool,
}

/// What can be run: found once, when the model is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub inputs: Inputs,
    /// The name of the output that holds the score: `[N]`, `[N, 1]` or `[N, K]`, of which the last column is it.
    pub output: String,
    pub output_element: Element,
    /// Some input has a fixed batch of one row.
    pub one_row_only: bool,
}

/// The names that an output may have to be taken as the score, the first first.
const SCORE_NAMES: [&str; 3] = ["score", "probabilities", "probability"];

pub fn of(session: &Session) -> ModelSignature {
    let tensors = |outlets: &[Outlet]| outlets.iter().map(tensor).collect();
    ModelSignature { inputs: tensors(session.inputs()), outputs: tensors(session.outputs()) }
}

fn tensor(outlet: &Outlet) -> Tensor {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => Element::Float32,
                TensorElementType::Float64 => Element::Float64,
                TensorElementType::Int32 => Element::Int32,
                TensorElementType::Int64 => Element::Int64,
                TensorElementType::Bool => Element::Bool,
                TensorElementType::String => Element::Text,
                _ => Element::Other,
            };
            (element, shape.iter().map(|&size| (size >= 0).then_some(size)).collect())
        }
        _ => (Element::Other, Vec::new()),
    };
    Tensor { name: outlet.name().to_owned(), element, shape }
}

/// How to run a model of this signature. An `Input` error names the tensor and the remedy.
pub fn interface(signature: &ModelSignature, has_map_output: bool) -> Result<Interface> {
    let inputs = inputs(&signature.inputs)?;
    let output = score(&signature.outputs, has_map_output)?;
    let one_row_only = signature.inputs.iter().any(|input| input.shape.first() == Some(&Some(1)));
    Ok(Interface { inputs, output: output.name.clone(), output_element: output.element, one_row_only })
}

fn inputs(tensors: &[Tensor]) -> Result<Inputs> {
    if tensors.is_empty() {
        return Err(Error::input("the model has no inputs; export it with one input per column or one [N, width] tensor"));
    }
    for tensor in tensors {
        let refuse = |what: &str| Err(Error::input(format!("input {:?} {what}", tensor.name)));
        if tensor.element == Element::Other {
            return refuse("is no tensor of float32, float64, int32, int64, bool or string; export the model with one of these");
        }
        if tensor.shape.is_empty() || tensor.shape.len() > 2 {
            return refuse(&format!("has {} dimensions; export the model with [N], [N, 1] or [N, width]", tensor.shape.len()));
        }
        if tensor.shape[0].is_some_and(|rows| rows != 1) {
            return refuse("has a fixed batch of several rows; export the model with a free first dimension");
        }
    }
    if let [Tensor { name, element: element @ (Element::Float32 | Element::Float64), shape }] = tensors
        && let [_, width] = shape[..]
    {
        let width = width.and_then(|width| usize::try_from(width).ok());
        return Ok(Inputs::Matrix { name: name.clone(), element: *element, width });
    }
    let columns = tensors.iter().map(|tensor| {
        if tensor.shape.len() == 2 && tensor.shape[1].is_some_and(|width| width != 1) {
            let message = format!("input {:?} is wider than one column; export one input per column, or one for all", tensor.name);
            return Err(Error::input(message));
        }
        Ok(ColumnInput { name: tensor.name.clone(), element: tensor.element, is_matrix: tensor.shape.len() == 2 })
    });
    Ok(Inputs::Columns(columns.collect::<Result<_>>()?))
}

fn score(outputs: &[Tensor], has_map_output: bool) -> Result<&Tensor> {
    let is_float = |tensor: &&Tensor| matches!(tensor.element, Element::Float32 | Element::Float64) && tensor.shape.len() <= 2;
    let named = SCORE_NAMES.iter().find_map(|name| outputs.iter().filter(is_float).find(|output| output.name == *name));
    if let Some(output) = named {
        return Ok(output);
    }
    let floats: Vec<&Tensor> = outputs.iter().filter(is_float).collect();
    match floats[..] {
        [output] => Ok(output),
        _ if has_map_output => Err(Error::input(
            "the model gives its probabilities as a sequence of maps; export it with zipmap off (onnxmltools: zipmap=False, \
             skl2onnx: options={'zipmap': False})",
        )),
        [] => Err(Error::input("the model has no float output; export it with one called \"score\", of shape [N] or [N, 1]")),
        _ => {
            let names: Vec<&str> = floats.iter().map(|output| output.name.as_str()).collect();
            Err(Error::input(format!("the model has several float outputs ({}); call the one to be used \"score\"", names.join(", "))))
        }
    }
}

/// Whether some output is a sequence or a map.
pub fn has_map_output(session: &Session) -> bool {
    session.outputs().iter().any(|output| !matches!(output.dtype(), ValueType::Tensor { .. }))
}
