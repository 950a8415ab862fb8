//! What is behind one value: the events of its window and what each contributes.

use super::events::{ViewEvents, load_view};
use crate::engine::{Handle, LookupRow};
use crate::error::{Error, Result};
use crate::event::EventBatch;
use crate::id::Position;
use crate::key::append_key_value;
use crate::offline::Store;
use crate::plan::{ColumnSource, Feature, Plan, Vector, VectorColumn, Window, WindowBounds};
use crate::time::EventTime;
use crate::value::{DataType, Value};
use crate::vector::{self, value_at};

/// One value of a vector, and where it comes from.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub column: String,
    pub value: Value,
    /// How it is computed: the aggregate, its input, filter and window, or a derived column's expression.
    pub meaning: String,
    /// The query time.
    pub as_of: EventTime,
    /// The events of the window, in total order. Empty for a derived column.
    pub events: Vec<UsedEvent>,
    /// The columns of the frame that a derived column is computed from, with their values.
    pub inputs: Vec<(String, Value)>,
}

/// One event of a window.
#[derive(Clone, Debug)]
pub struct UsedEvent {
    pub source: String,
    /// Which part of the view's stream makes a row of it, from 1; `None` where the view reads a source, or a stream of one
    /// part.
    pub part: Option<usize>,
    /// Which of the event's elements makes the row in a part that unnests, from 1; where a list is unnested out of another,
    /// which of all that the event has.
    pub element: Option<usize>,
    pub position: Position,
    /// The aggregate's inputs for this event.
    pub inputs: Vec<Value>,
    /// Whether the feature's `where` holds for it: only then it counts.
    pub counted: bool,
}

/// Explains one column of a vector for one row at a time.
///
/// # Errors
/// As a lookup; `NotFound` for a column that the vector does not have.
pub fn explain(
    handle: &Handle,
    store: &Store,
    recent: &[EventBatch],
    vector: &str,
    column: &str,
    row: LookupRow,
    as_of: EventTime,
) -> Result<Explanation> {
    let plan = handle.plan();
    let vector = plan.vector(vector).ok_or_else(|| Error::not_found(format!("there is no vector {vector}")))?;
    let index = vector.columns.iter().position(|candidate| candidate.name == column).ok_or_else(|| {
        let known: Vec<&str> = vector.columns.iter().map(|column| column.name.as_str()).collect();
        Error::not_found(format!("vector {} has no column {column}; it has: {}", vector.name, known.join(", ")))
    })?;
    let column = &vector.columns[index];
    let answer = handle.lookup_of(&with_frame(plan, vector, column), std::slice::from_ref(&row), as_of)?;
    let values = answer.rows.iter().next().unwrap_or_default();
    let value_of = |place: usize| values.get(place).cloned().unwrap_or_default();
    let mut explanation = Explanation {
        column: column.name.clone(),
        value: value_of(0),
        meaning: String::new(),
        as_of,
        events: Vec::new(),
        inputs: Vec::new(),
    };
    match &column.from {
        ColumnSource::Derived(expression) => {
            explanation.meaning = expression.text.to_string();
            for (place, field) in vector.frame.fields().iter().enumerate().filter(|(_, field)| names(&expression.text, field.name())) {
                explanation.inputs.push((field.name().clone(), value_of(place + 1)));
            }
        }
        ColumnSource::Frame(frame) => match feature_of(vector, *frame) {
            None => "the caller's request, or the scored event".clone_into(&mut explanation.meaning),
            Some((read, feature)) => {
                store.reload()?;
                let view_index = vector.reads[read].view;
                let view = &plan.views[view_index];
                let fold = &view.folds[view.features[feature].fold];
                let inputs: Vec<&str> = fold.inputs.iter().map(|input| view.inputs[*input].text.as_ref()).collect();
                let filter = fold.filter.map(|filter| format!(" where {}", view.filters[filter].text)).unwrap_or_default();
                let Feature { window, data_type, keep, .. } = &view.features[feature];
                let aggregate = fold.aggregate.text();
                // A map's key is the last input, and its aggregate's text ends with `by`.
                let (name, inputs, by) = match (data_type, inputs.split_last()) {
                    (DataType::Map(_), Some((key, inputs))) => (aggregate.trim_end_matches(" by"), inputs, format!(" by {key} {keep}")),
                    _ => (aggregate.as_str(), inputs.as_slice(), String::new()),
                };
                let inputs = if inputs.is_empty() { "*".to_owned() } else { inputs.join(", ") };
                explanation.meaning = format!("{name} of ({inputs}){filter}{by}, {}", window_text(window, as_of));
                if let Some(ttl) = view.ttl {
                    explanation.meaning += &format!(", after the last silence of its key of more than {ttl} (ttl)");
                }
                let mut key = Vec::new();
                let named = |index: &usize| row.keys.get(*index);
                let valid = vector.reads[read].keys.iter().all(|index| named(index).is_some_and(|value| append_key_value(&mut key, value)));
                if valid {
                    let logged = load_view(plan, view, &store.snapshot(), recent, answer.seq)?;
                    let events = ViewEvents::scan(view, &logged, std::iter::once(key.clone()))?;
                    for (position, batch, at) in events.in_window(&key, feature, as_of) {
                        let own = events.own(batch).slice(at, 1);
                        let evaluate =
                            |expression: &crate::plan::Expression| expression.evaluate(&own).map(|array| value_at(array.as_ref(), 0));
                        let inputs = fold.inputs.iter().map(|input| evaluate(&view.inputs[*input])).collect::<Result<_>>()?;
                        let counted = match fold.filter {
                            Some(filter) => evaluate(&view.filters[filter])? == Value::Bool(true),
                            None => true,
                        };
                        let (place, branches) = (usize::from(position.branch()), &view.rows.branches);
                        let source = plan.sources[branches[place].source].name.clone();
                        let part = (branches.len() > 1).then_some(place + 1);
                        let element = branches[place].unnests().then_some(position.element() + 1);
                        let position = view.rows.in_log(position);
                        explanation.events.push(UsedEvent { source, part, element, position, inputs, counted });
                    }
                }
            }
        },
    }
    Ok(explanation)
}

/// The vector with one of its columns, and all of its frame behind it.
fn with_frame(plan: &Plan, vector: &Vector, column: &VectorColumn) -> Vector {
    let features =
        vector.reads.iter().flat_map(|read| read.features.iter().map(|feature| &plan.views[read.view].features[*feature].data_type));
    let types = features.chain(vector.request.iter().map(|request| &request.field.data_type));
    let frame = types.zip(vector.frame.fields()).enumerate().map(|(place, (data_type, field))| VectorColumn {
        name: field.name().clone(),
        data_type: data_type.clone(),
        from: ColumnSource::Frame(place),
        default: None,
    });
    let columns: Vec<_> = std::iter::once(column.clone()).chain(frame).collect();
    Vector { schema: Vector::schema_of(&columns), columns, ..vector.clone() }
}

/// Whether an expression's text names a column: in double quotes, or as a word of its own outside of them.
fn names(text: &str, name: &str) -> bool {
    let joins = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let is_word = |piece: &str, at: usize| !joins(piece[..at].chars().next_back()) && !joins(piece[at + name.len()..].chars().next());
    text.split('"').enumerate().any(|(place, piece)| match place % 2 {
        1 => piece == name,
        _ => piece.match_indices(name).any(|(at, _)| is_word(piece, at)),
    })
}

/// The read and the view's feature behind a column of the frame; `None` for a request column.
fn feature_of(vector: &Vector, frame: usize) -> Option<(usize, usize)> {
    (0..vector.reads.len()).rev().find_map(|read| {
        let place = frame.checked_sub(vector::read_offset(vector, read))?;
        Some((read, *vector.reads[read].features.get(place)?))
    })
}

fn window_text(window: &Window, q: EventTime) -> String {
    let upper = q.minus(window.offset);
    let Some(upper) = window.frame.end(i128::from(upper.0)).and_then(|end| i64::try_from(end).ok()).map(EventTime) else {
        return format!("over {window}, which lies beyond the calendar");
    };
    let end = if window.before || window.frame.ends_before() { format!("t < {upper}") } else { format!("t <= {upper}") };
    let written = match (&window.frame, window.limit) {
        (WindowBounds::Range { length, open }, None) => {
            return format!("{} {} t, {end}", upper.minus(*length), if *open { "<" } else { "<=" });
        }
        (WindowBounds::All, None) => return end,
        _ => format!("over {window}"),
    };
    match window.frame.start(i128::from(upper.0)).and_then(|start| i64::try_from(start).ok()) {
        Some(start) => format!("{written}, {} <= t, {end}", EventTime(start)),
        None => format!("{written}, {end}"),
    }
}
