//! How a vector's columns become a model's inputs: decided here once, for `check` and for every call. Must never look at
//! values.

use super::{Element, Field, ModelSignature, Tensor};
use crate::value::DataType;

/// The longest list that may feed an input: what a made-up row of it holds stays small.
const ITEMS_MAX: i64 = 16_384;

/// What feeds each input of a model, in the order of its inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feeding {
    pub inputs: Vec<InputFeed>,
    /// Some input has a fixed batch of one row.
    pub one_row_only: bool,
}

/// A tensor `[N, width]`, or `[N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFeed {
    pub name: String,
    pub element: Element,
    /// `[N]`: one column of single values.
    pub is_flat: bool,
    /// Side by side, in this order.
    pub columns: Vec<FedColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedColumn {
    /// In the vector.
    pub place: usize,
    /// How many items the lists of this column have; `None`: its values are single.
    pub items: Option<usize>,
}

impl InputFeed {
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.iter().map(FedColumn::width).sum()
    }
}

impl FedColumn {
    #[must_use]
    pub fn width(&self) -> usize {
        self.items.unwrap_or(1)
    }
}

/// The kinds of elements that a group of columns is told apart by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Floats,
    Integers,
    Bools,
    Texts,
}

/// One input takes all columns in their order; of several, each takes the column of its name, and those without one share
/// what is left by its type: numbers, texts, booleans.
///
/// # Errors
/// What does not fit, one sentence each in lower case.
pub fn feeding(signature: &ModelSignature, vector: &str, columns: &[Field]) -> Result<Feeding, Vec<String>> {
    let mut problems: Vec<String> = signature.inputs.iter().filter_map(unusable).collect();
    if signature.inputs.is_empty() {
        problems.push("the model has no inputs".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let named = |input: &Tensor| columns.iter().position(|column| column.name == input.name);
    let takes_all = matches!(signature.inputs.as_slice(), [input] if !is_flat(input));
    let mut places: Vec<Vec<usize>> = Vec::with_capacity(signature.inputs.len());
    for input in &signature.inputs {
        places.push(if takes_all { (0..columns.len()).collect() } else { named(input).into_iter().collect() });
    }
    if !takes_all {
        share(signature, columns, &mut places, &mut problems);
    }
    for (place, column) in columns.iter().enumerate() {
        if places.iter().all(|taken| !taken.contains(&place)) {
            problems.push(format!("column `{}` of vector `{vector}` is no input of the model", column.name));
        }
    }
    let mut inputs = Vec::with_capacity(places.len());
    for (input, taken) in signature.inputs.iter().zip(&places) {
        if taken.is_empty() {
            problems.push(format!("input `{}` has no column of that name in vector `{vector}`", input.name));
            continue;
        }
        inputs.extend(feed(input, vector, columns, taken, &mut problems));
    }
    let one_row_only = signature.inputs.iter().any(|input| input.shape.first() == Some(&Some(1)));
    if problems.is_empty() { Ok(Feeding { inputs, one_row_only }) } else { Err(problems) }
}

/// Why no vector can feed this input.
fn unusable(input: &Tensor) -> Option<String> {
    let name = &input.name;
    if input.element == Element::Other {
        return Some(format!("input `{name}` takes elements that no column can be turned into"));
    }
    if input.shape.len() > 2 {
        let shape: Vec<_> = input.shape.iter().map(|size| size.map_or_else(|| "N".to_owned(), |size| size.to_string())).collect();
        return Some(format!("input `{name}` has shape [{}], columns are [N], [N, 1] or [N, columns]", shape.join(", ")));
    }
    let rows = input.shape.first().copied().flatten().filter(|rows| *rows != 1)?;
    Some(format!("input `{name}` takes exactly {rows} rows; export the model with a free first dimension"))
}

/// An input whose shape is not said is taken to be `[N, columns]`.
fn is_flat(input: &Tensor) -> bool {
    input.shape.len() == 1
}

/// Gives the columns that no input names to the inputs that no column names.
fn share(signature: &ModelSignature, columns: &[Field], places: &mut [Vec<usize>], problems: &mut Vec<String>) {
    let nameless: Vec<usize> = (0..places.len()).filter(|index| places[*index].is_empty() && !is_flat(&signature.inputs[*index])).collect();
    let of_class = |class: Class| nameless.iter().copied().filter(move |index| class_of(signature.inputs[*index].element) == class);
    let taken: Vec<usize> = places.iter().flatten().copied().collect();
    let mut left: Vec<(Class, Vec<usize>)> = Vec::new();
    for (place, column) in columns.iter().enumerate().filter(|(place, _)| !taken.contains(place)) {
        let Some(class) = classes(&column.data_type).iter().copied().find(|class| of_class(*class).next().is_some()) else { continue };
        match left.iter_mut().find(|(of, _)| *of == class) {
            Some((_, places)) => places.push(place),
            None => left.push((class, vec![place])),
        }
    }
    for (class, mut rest) in left {
        let inputs: Vec<usize> = of_class(class).collect();
        for (turn, &index) in inputs.iter().enumerate() {
            let width = signature.inputs[index].shape.get(1).copied().flatten().and_then(|width| usize::try_from(width).ok());
            let count = match width {
                _ if turn + 1 == inputs.len() => rest.len(),
                Some(width) => width.min(rest.len()),
                None => {
                    let name = &signature.inputs[index].name;
                    problems.push(format!("input `{name}` does not say how many columns it takes, and other inputs take such columns too"));
                    return;
                }
            };
            places[index] = rest.drain(..count).collect();
        }
    }
}

fn class_of(element: Element) -> Class {
    match element {
        Element::Float16 | Element::Float32 | Element::Float64 => Class::Floats,
        Element::Bool => Class::Bools,
        Element::Text => Class::Texts,
        _ => Class::Integers,
    }
}

/// Where columns of a type go, the first that there is.
fn classes(data_type: &DataType) -> &'static [Class] {
    match data_type {
        DataType::Int => &[Class::Integers, Class::Floats],
        DataType::Float | DataType::Timestamp => &[Class::Floats],
        DataType::Bool => &[Class::Bools, Class::Integers, Class::Floats],
        DataType::Text => &[Class::Texts],
        DataType::List(item) if item.is_single() => classes(item),
        _ => &[],
    }
}

/// One input of these columns.
fn feed(input: &Tensor, vector: &str, columns: &[Field], taken: &[usize], problems: &mut Vec<String>) -> Option<InputFeed> {
    let before = problems.len();
    let is_list = |place: &&usize| matches!(columns[**place].data_type, DataType::List(_));
    let (lists, singles) = (taken.iter().filter(is_list).count(), taken.iter().filter(|place| !is_list(place)).count());
    let width = input.shape.get(1).copied().flatten();
    let name = &input.name;
    let items = match (lists, width) {
        (0, None) => 0,
        (0, Some(width)) if width == singles as i64 || is_flat(input) => 0,
        (0, Some(width)) => {
            problems.push(match taken {
                [one] if columns[*one].name == *name => format!("input `{name}` takes {width} columns, its column holds single values"),
                _ if taken.len() == columns.len() => format!("input `{name}` takes {width} columns, vector `{vector}` has {singles}"),
                _ => format!("input `{name}` takes {width} columns, vector `{vector}` has {singles} for it"),
            });
            0
        }
        _ if is_flat(input) => {
            problems.push(format!("input `{name}` has shape [N], and its column is a list"));
            0
        }
        (1, Some(width)) if width > ITEMS_MAX => {
            problems.push(format!("input `{name}` takes {width} columns, and lists have at most {ITEMS_MAX} items"));
            0
        }
        (1, Some(width)) if width > singles as i64 => usize::try_from(width).unwrap_or(usize::MAX) - singles,
        (1, Some(width)) => {
            problems.push(format!("input `{name}` takes {width} columns, and single values fill them: none is left for the list"));
            0
        }
        (1, None) => {
            problems.push(format!(
                "input `{name}` does not say how wide it is, and so not how long its lists are: export it with a fixed width"
            ));
            0
        }
        _ => {
            problems.push(format!("input `{name}` takes several lists side by side: give each an input of its own"));
            0
        }
    };
    let mut fed = Vec::with_capacity(taken.len());
    for &place in taken {
        let (single, items) = match &columns[place].data_type {
            DataType::List(item) => (item.as_ref(), Some(items)),
            single => (single, None),
        };
        if !fits(input.element, single) {
            let (column, data_type) = (&columns[place].name, &columns[place].data_type);
            problems.push(match column == name {
                true => format!("input `{name}` takes {}, its column is {data_type}", spelled(input.element)),
                false => format!("column `{column}` is {data_type}, which the {} tensor `{name}` cannot hold", tensor_of(input.element)),
            });
        }
        fed.push(FedColumn { place, items });
    }
    (problems.len() == before).then(|| InputFeed { name: name.clone(), element: input.element, is_flat: is_flat(input), columns: fed })
}

/// Timestamps are seconds in floats, of which 16 bits cannot hold today's, and microseconds in 64-bit integers.
fn fits(element: Element, data_type: &DataType) -> bool {
    match class_of(element) {
        Class::Floats if *data_type == DataType::Timestamp => element != Element::Float16,
        Class::Floats => matches!(data_type, DataType::Int | DataType::Float | DataType::Bool),
        Class::Integers if *data_type == DataType::Timestamp => element == Element::Int64,
        Class::Integers => matches!(data_type, DataType::Int | DataType::Bool) && element != Element::Other,
        Class::Bools => *data_type == DataType::Bool,
        Class::Texts => *data_type == DataType::Text,
    }
}

fn tensor_of(element: Element) -> &'static str {
    match class_of(element) {
        Class::Floats if element == Element::Float16 => "16-bit float",
        Class::Floats => "float",
        Class::Integers => "integer",
        Class::Bools => "boolean",
        Class::Texts => "text",
    }
}

fn spelled(element: Element) -> &'static str {
    match element {
        Element::Float16 => "16-bit floats",
        Element::Float32 => "32-bit floats",
        Element::Float64 => "64-bit floats",
        Element::Int8 | Element::UInt8 => "8-bit integers",
        Element::Int16 | Element::UInt16 => "16-bit integers",
        Element::Int32 | Element::UInt32 => "32-bit integers",
        Element::Int64 | Element::UInt64 => "64-bit integers",
        Element::Bool => "booleans",
        Element::Text => "texts",
        Element::Other => "elements that no column can be turned into",
    }
}
