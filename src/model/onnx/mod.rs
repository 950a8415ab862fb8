//! What of an ONNX file is read by ourselves, without running it: where its weights lie, which operators it has, the labels
//! of its classes and the texts it knows. Bytes are foreign: must never panic, and never open a file.

pub mod external;
mod graph;
mod wire;

pub use graph::{Graph, read};
pub use wire::Malformed;

/// The messages of an ONNX file that hold others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Training,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
}

impl Message {
    /// What the field of this number holds.
    fn inner(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            _ => None,
        }
    }
}
