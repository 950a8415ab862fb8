//! The nodes of an ONNX file: their operators, and the labels and categories that they know.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Message;
use super::wire::{Content, Field, Malformed, fields};

/// The inputs of a graph, and their element type of 64-bit floats.
const INPUT: u64 = 11;
const DOUBLE: u64 = 11;

/// Operators that draw random numbers.
const RANDOM: [&str; 6] = ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Operators that leave each number in its column.
const IN_PLACE: [&str; 6] = ["Identity", "Cast", "Clip", "Normalizer", "Sigmoid", "Softmax"];

/// Domains whose operators ONNX Runtime has.
const DOMAINS: [&str; 5] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.ms.internal.nhwc"];

/// Texts that are kept for made-up rows: more teach nothing.
const TEXTS_MAX: usize = 64;

/// Longer lists are no labels.
const LABELS_MAX: i64 = 10_000;

/// Messages lie in one another at most so deep; deeper ones are not looked into.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Lists of labels among the initializers, by name.
    lists: HashMap<String, Vec<String>>,
    /// Random operators, wherever they are.
    pub random: BTreeSet<String>,
    /// Operators of domains that ONNX Runtime does not have, with these.
    pub foreign: BTreeSet<String>,
    /// Whether some input is of 64-bit floats.
    pub takes_doubles: bool,
    /// The categories of each node that has such, in the order of the nodes.
    pub categories: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    operator: String,
    domain: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// `classlabels_*`
    labels: Vec<String>,
    /// Texts of any attribute.
    texts: Vec<String>,
}

impl Graph {
    /// An operator of trees that is fed doubles, which ONNX Runtime does not have.
    pub fn trees_of_doubles(&self) -> Option<&str> {
        let mut operators = self.nodes.iter().map(|node| node.operator.as_str());
        operators.find(|operator| self.takes_doubles && operator.starts_with("TreeEnsemble"))
    }

    /// The labels of the classes of which this output names one: those of the nearest node before it that knows labels.
    pub fn labels(&self, output: &str) -> Option<&[String]> {
        let producers: HashMap<&str, &Node> =
            self.nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node))).collect();
        let mut seen = BTreeSet::new();
        let mut waiting = VecDeque::from([output]);
        while let Some(name) = waiting.pop_front() {
            let Some(node) = producers.get(name).filter(|_| seen.insert(name)) else { continue };
            if !node.labels.is_empty() {
                return Some(&node.labels);
            }
            let chosen_from = node.inputs.first().and_then(|list| self.lists.get(list));
            if let Some(labels) = chosen_from.filter(|_| node.operator == "ArrayFeatureExtractor") {
                return Some(labels);
            }
            waiting.extend(node.inputs.iter().map(String::as_str));
        }
        None
    }

    /// The labels of the columns of this output, where they are the numbers of a classifier, in its order.
    pub fn labels_of_columns(&self, output: &str) -> Option<&[String]> {
        let mut name = output;
        // No chain is longer than there are nodes.
        for _ in &self.nodes {
            let node = self.nodes.iter().find(|node| node.outputs.iter().any(|output| output == name))?;
            if !node.labels.is_empty() {
                // A classifier's first output is the label.
                return node.outputs.get(1).filter(|numbers| *numbers == name).map(|_| node.labels.as_slice());
            }
            name = node.inputs.first().filter(|_| IN_PLACE.contains(&node.operator.as_str()))?;
        }
        None
    }
}

/// The nodes of a model.
pub fn read(model: &[u8]) -> Result<Graph, Malformed> {
    let mut graph = Graph::default();
    for field in fields(model) {
        let Field { number, content: Content::Bytes(bytes), .. } = field? else { continue };
        if Message::Model.inner(number) == Some(Message::Graph) {
            for field in fields(bytes) {
                let Field { number, content: Content::Bytes(bytes), .. } = field? else { continue };
                match Message::Graph.inner(number) {
                    Some(Message::Node) => graph.nodes.push(node(bytes)?),
                    Some(Message::Tensor) => graph.lists.extend(list(bytes)?),
                    _ if number == INPUT => graph.takes_doubles |= element(bytes)? == Some(DOUBLE),
                    _ => {}
                }
            }
        }
    }
    operators(model, Message::Model, 0, &mut graph)?;
    let texts = graph.nodes.iter().filter(|node| node.labels.is_empty() && !node.texts.is_empty());
    graph.categories = texts.map(|node| node.texts.clone()).collect();
    Ok(graph)
}

/// The element type of an input that is a tensor.
fn element(input: &[u8]) -> Result<Option<u64>, Malformed> {
    // Of the value its type, of that the tensor, of that the elements.
    let mut message = input;
    for number in [2, 1] {
        let Some(inner) = fields(message).find_map(|field| match field {
            Ok(Field { number: of, content: Content::Bytes(bytes), .. }) if of == number => Some(Ok(bytes)),
            Ok(_) => None,
            Err(malformed) => Some(Err(malformed)),
        }) else {
            return Ok(None);
        };
        message = inner?;
    }
    Ok(fields(message).find_map(|field| match field {
        Ok(Field { number: 1, content: Content::Number(element), .. }) => Some(element),
        _ => None,
    }))
}

/// Looks at the operators of all graphs, also of those inside of nodes.
fn operators(bytes: &[u8], message: Message, depth: usize, graph: &mut Graph) -> Result<(), Malformed> {
    if message == Message::Node {
        let Node { operator, domain, .. } = node(bytes)?;
        if !DOMAINS.contains(&domain.as_str()) {
            graph.foreign.insert(format!("{operator} ({domain})"));
        } else if RANDOM.contains(&operator.as_str()) {
            graph.random.insert(operator);
        }
    }
    for field in fields(bytes) {
        let Field { number, content: Content::Bytes(bytes), .. } = field? else { continue };
        if let Some(inner) = message.inner(number).filter(|inner| !matches!(inner, Message::Tensor | Message::SparseTensor))
            && depth < DEPTH_MAX
        {
            operators(bytes, inner, depth + 1, graph)?;
        }
    }
    Ok(())
}

fn node(bytes: &[u8]) -> Result<Node, Malformed> {
    let mut node = Node::default();
    for field in fields(bytes) {
        let Field { number, content: Content::Bytes(bytes), .. } = field? else { continue };
        match number {
            1 => node.inputs.push(text(bytes)),
            2 => node.outputs.push(text(bytes)),
            4 => node.operator = text(bytes),
            5 => attribute(bytes, &mut node)?,
            7 => node.domain = text(bytes),
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8], node: &mut Node) -> Result<(), Malformed> {
    let (mut name, mut texts, mut numbers) = (String::new(), Vec::new(), Vec::new());
    for field in fields(bytes) {
        match field? {
            Field { number: 1, content: Content::Bytes(bytes), .. } => name = text(bytes),
            Field { number: 9, content: Content::Bytes(bytes), .. } => texts.push(text(bytes)),
            Field { number: 8, content, .. } => integers(content, &mut numbers)?,
            Field { number: 5, content: Content::Bytes(tensor), .. } => texts.extend(texts_of(tensor)?),
            _ => {}
        }
    }
    if name.starts_with("classlabels_") {
        node.labels.extend(texts.into_iter().chain(numbers.iter().map(ToString::to_string)));
    } else if !name.starts_with("nodes_") {
        node.texts.extend(texts.into_iter().take(TEXTS_MAX));
    }
    Ok(())
}

/// The texts of a tensor.
fn texts_of(tensor: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut texts = Vec::new();
    for field in fields(tensor) {
        if let Field { number: 6, content: Content::Bytes(bytes), .. } = field? {
            texts.push(text(bytes));
        }
    }
    Ok(texts)
}

/// A tensor that is a list of texts or integers, with its name.
fn list(bytes: &[u8]) -> Result<Option<(String, Vec<String>)>, Malformed> {
    const INT32: u64 = 6;
    const INT64: u64 = 7;
    let (mut name, mut data_type, mut sizes) = (String::new(), 0, Vec::new());
    let (mut labels, mut numbers, mut raw) = (Vec::new(), Vec::new(), &[][..]);
    for field in fields(bytes) {
        match field? {
            Field { number: 1, content, .. } => integers(content, &mut sizes)?,
            Field { number: 2, content: Content::Number(number), .. } => data_type = number,
            Field { number: 5 | 7, content, .. } => integers(content, &mut numbers)?,
            Field { number: 6, content: Content::Bytes(bytes), .. } => labels.push(text(bytes)),
            Field { number: 8, content: Content::Bytes(bytes), .. } => name = text(bytes),
            Field { number: 9, content: Content::Bytes(bytes), .. } => raw = bytes,
            _ => {}
        }
    }
    if !matches!(sizes.as_slice(), [2..=LABELS_MAX]) {
        return Ok(None);
    }
    match data_type {
        INT32 => numbers.extend(raw.as_chunks::<4>().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes)))),
        INT64 => numbers.extend(raw.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes))),
        _ => {}
    }
    labels.extend(numbers.iter().map(ToString::to_string));
    Ok((labels.len() > 1).then_some((name, labels)))
}

/// Repeated integers are written one by one, or all as one field.
fn integers(content: Content<'_>, into: &mut Vec<i64>) -> Result<(), Malformed> {
    match content {
        Content::Number(number) => into.push(number as i64),
        Content::Bytes(packed) => {
            let mut rest = packed;
            while !rest.is_empty() {
                into.push(super::wire::number(&mut rest)? as i64);
            }
        }
        Content::Fixed => return Err(Malformed),
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
