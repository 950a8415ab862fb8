//! Random definitions, each as text for the engine and as a meaning for the oracle, and random events for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::calls::{any, calls};
use crate::chance::Chance;
use crate::oracle::{Aggregate, By, Calendar, Cell, Clocks, Event, Feature, Frame, Input, Place, Window, column};

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// 2024-03-01T00:00:00Z, around which events happen.
pub const START: i64 = 1_709_251_200 * SECOND;

/// The fields of the source `events`, in this order: the cells of an `Event` are theirs.
pub const FIELDS: [&str; 11] = ["id", "k", "i", "x", "s", "b", "u", "t", "d", "xs", "ns"];
const ID: usize = 0;
const K: usize = 1;
const I: usize = 2;
const X: usize = 3;
const S: usize = 4;
const B: usize = 5;
const U: usize = 6;
const T: usize = 7;
const D: usize = 8;
const XS: usize = 9;
const NS: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Float,
    Text,
    Bool,
    Time,
    Floats,
    Ints,
}

/// A scalar expression in both of its forms.
pub(crate) struct Scalar {
    pub(crate) text: &'static str,
    of: Type,
    pub(crate) input: Input,
}

fn scalar(text: &'static str, of: Type, input: impl Fn(&Event) -> Cell + 'static) -> Scalar {
    Scalar { text, of, input: Rc::new(input) }
}

fn scalars() -> Vec<Scalar> {
    let plain = |text, of, index| Scalar { text, of, input: column(index) };
    vec![
        plain("i", Type::Int, I),
        plain("x", Type::Float, X),
        plain("s", Type::Text, S),
        plain("b", Type::Bool, B),
        plain("u", Type::Time, U),
        plain("xs", Type::Floats, XS),
        plain("ns", Type::Ints, NS),
        plain("i", Type::Int, I),
        plain("x", Type::Float, X),
        scalar("coalesce(i, 0)", Type::Int, |event| match &event.cells[I] {
            Cell::Null => Cell::Int(0),
            other => other.clone(),
        }),
        scalar("x * 2.0", Type::Float, |event| match &event.cells[X] {
            Cell::Float(x) => Cell::Float(x * 2.0),
            _ => Cell::Null,
        }),
        scalar("case when b then x end", Type::Float, |event| match (&event.cells[B], &event.cells[X]) {
            (Cell::Bool(true), x) => x.clone(),
            _ => Cell::Null,
        }),
    ]
}

fn filters() -> Vec<(&'static str, Input)> {
    let filter = |test: fn(&Event) -> Option<bool>| -> Input { Rc::new(move |event| test(event).map_or(Cell::Null, Cell::Bool)) };
    vec![
        ("b", column(B)),
        ("i > 0", filter(|event| if let Cell::Int(i) = event.cells[I] { Some(i > 0) } else { None })),
        ("s = 'a'", filter(|event| if let Cell::Text(s) = &event.cells[S] { Some(s == "a") } else { None })),
        ("x is not null", filter(|event| Some(!event.cells[X].is_null()))),
        (
            "s in ('a', 'b') and i is null",
            filter(|event| match &event.cells[S] {
                Cell::Text(s) => Some((s == "a" || s == "b") && event.cells[I].is_null()),
                _ => {
                    if event.cells[I].is_null() {
                        None
                    } else {
                        Some(false)
                    }
                }
            }),
        ),
    ]
}

pub(crate) const LENGTHS: [(&str, i64); 7] =
    [("1s", SECOND), ("10s", 10 * SECOND), ("1m", MINUTE), ("10m", 10 * MINUTE), ("1h", HOUR), ("1d", DAY), ("7d", 7 * DAY)];

const UNITS: [&str; 7] = ["minute", "hour", "day", "week", "month", "quarter", "year"];

const ROWS: [usize; 5] = [1, 2, 3, 10, 100];

/// A feature's line in the view, without its comma, and what it means. Named `name` whatever its window.
fn random_feature(chance: &mut Chance, name: String) -> (String, Feature) {
    let (call, aggregate, inputs) = random_aggregate(chance);
    let mut text = format!("{name} = {call}");
    let filter = chance.once_in(3).then(|| chance.pick(&filters()).clone());
    if let Some((condition, _)) = &filter {
        let _ = write!(text, " where {condition}");
    }
    let by = (groups(&aggregate) && chance.once_in(4)).then(|| random_by(chance, &mut text));
    let mut default = None;
    if by.is_none() && matches!(aggregate, Aggregate::Sum) && chance.once_in(3) {
        let of_int = call.contains("sum(i)") || call.contains("coalesce");
        text.push_str(if of_int { " default 7" } else { " default 0.5" });
        default = Some(if of_int { Cell::Int(7) } else { Cell::Float(0.5) });
    }
    let window = random_window(chance, &mut text, by.is_none() && !matches!(aggregate, Aggregate::Percentile(_)));
    let _ = write!(text, " as {name}");
    (text, Feature { name, aggregate, inputs, by, filter: filter.map(|(_, input)| input), window, default })
}

/// Whether the aggregate gives single values, does not need its events in order and passes nulls over.
fn groups(aggregate: &Aggregate) -> bool {
    use Aggregate::*;
    let lists = matches!(
        aggregate,
        LastN(_) | FirstN(_) | Collect(_) | VectorSum | VectorAvg | LastDistinctN(_) | DistinctN(_) | TopK(_) | Histogram(_)
    );
    let ordered = matches!(aggregate, Ewma(_) | DecayedSum(_) | TimeWeightedAvg | InterarrivalStddev | Streak | Drawdown | DistanceSum);
    !lists && !ordered && !matches!(aggregate, Percentile(_) | Latest)
}

/// A `by` clause, appended to the text.
fn random_by(chance: &mut Chance, text: &mut String) -> By {
    let keys: Vec<Scalar> = scalars().into_iter().filter(|scalar| any(scalar.of) && scalar.of != Type::Float).collect();
    let key = chance.pick(&keys);
    let _ = write!(text, " by {}", key.text);
    let mut by = By { key: key.input.clone(), limit: 32, by_value: false };
    if !chance.once_in(4) {
        by.limit = 1 + chance.below(4);
        by.by_value = chance.once_in(2);
        let _ = write!(text, " limit {}{}", by.limit, if by.by_value { " by value" } else { "" });
    }
    by
}

/// A window, appended to the text; `unbounded` says whether it may have no lower bound.
fn random_window(chance: &mut Chance, text: &mut String, unbounded: bool) -> Window {
    let mut window = Window::range(0);
    let (length, micros) = *chance.pick(&LENGTHS);
    let mut can_limit = true;
    match chance.below(14) {
        0 | 1 if unbounded => {
            window.frame = Frame::All;
            text.push_str(" over all");
        }
        2 | 3 => {
            let fitting: Vec<_> = LENGTHS.iter().filter(|(_, hop)| *hop <= micros).collect();
            let (hop, every) = **chance.pick(&fitting);
            window.frame = Frame::Hop { length: micros, hop: every };
            let _ = write!(text, " over {length} hop {hop}");
        }
        4 | 5 => {
            let unit = *chance.pick(&UNITS);
            let (zone, clocks) = *chance.pick(&[("", Clocks::Utc), (" in 'UTC'", Clocks::Utc), (" in 'Europe/Berlin'", Clocks::Berlin)]);
            let calendar = Calendar { unit, clocks };
            let is_last = chance.once_in(2);
            window.frame = if is_last { Frame::Last(calendar) } else { Frame::Calendar(calendar) };
            let _ = write!(text, " over {}{unit}{zone}", if is_last { "last " } else { "" });
        }
        6 | 7 if unbounded => {
            window.frame = Frame::Session(micros);
            let _ = write!(text, " over session {length}");
        }
        8 | 9 => {
            let rows = *chance.pick(&ROWS);
            (window.frame, window.limit, can_limit) = (Frame::All, Some(rows), false);
            let _ = write!(text, " over {rows} rows");
        }
        _ => {
            let open = chance.once_in(3);
            window.frame = Frame::Range { length: micros, open };
            let _ = write!(text, " over {length}{}", if open { " open" } else { "" });
        }
    }
    if chance.once_in(4) {
        window.before = true;
        text.push_str(" before");
    }
    if chance.once_in(4) {
        window.excluding_current = true;
        text.push_str(" excluding current");
    }
    if chance.once_in(4) {
        let (length, micros) = chance.pick(&LENGTHS);
        window.offset = *micros;
        let _ = write!(text, " offset {length}");
    }
    if can_limit && chance.once_in(5) {
        let rows = *chance.pick(&ROWS);
        window.limit = Some(rows);
        let _ = write!(text, " limit {rows} rows");
    }
    window
}

fn random_aggregate(chance: &mut Chance) -> (String, Aggregate, Vec<Input>) {
    let all = scalars();
    let calls = calls(chance);
    let call = chance.pick(&calls).clone();
    let fitting: Vec<&Scalar> = all.iter().filter(|scalar| (call.accepts)(scalar.of)).collect();
    let chosen: Vec<&Scalar> = (0..call.inputs).map(|_| *chance.pick(&fitting)).collect();
    call.of(&chosen)
}

/// Definitions with one view of `count` features over the source `events`, or over a stream of it and `others`, and a
/// vector `v` of all of them.
pub struct Definitions {
    pub text: String,
    pub features: Vec<Feature>,
    /// Of the view, in microseconds.
    pub ttl: Option<i64>,
    /// What the view's rows are: the source as it is, or the parts of the stream.
    pub parts: Vec<Part>,
}

/// What one part of a stream makes of the events of its source.
pub struct Part {
    pub source: &'static str,
    pub columns: Vec<Input>,
    /// Which of `columns` gives lists, of whose elements each makes a row.
    pub unnest: Option<usize>,
    pub filter: Option<Input>,
}

/// A row of a view, and the event that it is made of.
#[derive(Clone)]
pub struct Row {
    /// Its place has the part before the partition, and the element behind the offset.
    pub event: Event,
    pub of: (&'static str, Place),
}

impl Definitions {
    /// Sources, each once.
    #[must_use]
    pub fn sources(&self) -> Vec<&'static str> {
        let mut sources: Vec<&str> = self.parts.iter().map(|part| part.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The rows of the view for these events of each source.
    #[must_use]
    pub fn rows(&self, events: &[(&str, Vec<Event>)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (place, part) in (0..).zip(&self.parts) {
            for event in events.iter().filter(|(source, _)| *source == part.source).flat_map(|(_, events)| events) {
                if part.filter.as_ref().is_none_or(|filter| matches!(filter(event), Cell::Bool(true))) {
                    let at = Place { partition: place * 1000 + event.place.partition, ..event.place };
                    let cells: Vec<Cell> = part.columns.iter().map(|column| column(event)).collect();
                    let of = (part.source, event.place);
                    let Some(list) = part.unnest else {
                        rows.push(Row { event: Event { place: at, cells }, of });
                        continue;
                    };
                    let Cell::List(elements) = &cells[list] else { continue };
                    for (element, value) in (0..).zip(elements) {
                        let at = Place { offset: event.place.offset * 1_000_000 + element, ..at };
                        let mut cells = cells.clone();
                        cells[list] = value.clone();
                        rows.push(Row { event: Event { place: at, cells }, of });
                    }
                }
            }
        }
        rows
    }
}

/// A part as it is written, and what it means. The second of one source may take another column for the key, and one
/// column may be that of a list's elements.
fn random_part(chance: &mut Chance, source: &'static str, keyed_by_i: bool, unnest: Option<usize>) -> (String, Part) {
    let all = scalars();
    let mut texts = Vec::new();
    let mut columns = Vec::new();
    for (index, field) in FIELDS.iter().enumerate() {
        let of = [
            Type::Int,
            Type::Int,
            Type::Int,
            Type::Float,
            Type::Text,
            Type::Bool,
            Type::Time,
            Type::Time,
            Type::Bool,
            Type::Floats,
            Type::Ints,
        ][index];
        let fitting: Vec<&Scalar> = all.iter().filter(|scalar| scalar.of == of && ![ID, K, T, D].contains(&index)).collect();
        if unnest == Some(index) {
            let list = if index == X { XS } else { NS };
            texts.push(format!("unnest({}) as {field}", FIELDS[list]));
            columns.push(column(list));
        } else if index == K && keyed_by_i {
            texts.push("i".to_owned());
            columns.push(column(I));
        } else if fitting.is_empty() || chance.once_in(2) {
            texts.push((*field).to_owned());
            columns.push(column(index));
        } else {
            let scalar = *chance.pick(&fitting);
            texts.push(format!("{} as {field}", scalar.text));
            columns.push(scalar.input.clone());
        }
    }
    let mut text = format!("  select {} from {source}", texts.join(", "));
    let filter = chance.once_in(2).then(|| chance.pick(&filters()).clone());
    if let Some((condition, _)) = &filter {
        let _ = write!(text, " where {condition}");
    }
    (text, Part { source, columns, unnest, filter: filter.map(|(_, input)| input) })
}

#[must_use]
pub fn random_definitions(chance: &mut Chance, count: usize, partitions: usize) -> Definitions {
    let (ttl, lines) = drawn(chance, count);
    definitions(lines, ttl, partitions, "events", vec![(String::new(), as_it_is())])
}

/// The same over a stream of two sources, of which one stands in two parts. Where it `unnests`, one part takes elements for
/// values, and one for keys.
#[must_use]
pub fn random_stream_definitions(chance: &mut Chance, count: usize, partitions: usize, unnests: bool) -> Definitions {
    let (values, keys) = if unnests { (Some(*chance.pick(&[X, I])), Some(K)) } else { (None, None) };
    let of_others = if unnests && chance.once_in(2) { Some(X) } else { None };
    let mut parts = vec![
        random_part(chance, "events", false, values),
        random_part(chance, "others", false, of_others),
        random_part(chance, "events", true, keys),
    ];
    // Names come from the first part.
    parts[..2].rotate_left(chance.below(2));
    let (ttl, lines) = drawn(chance, count);
    definitions(lines, ttl, partitions, "rows", parts)
}

/// The source's rows, unchanged.
fn as_it_is() -> Part {
    Part { source: "events", columns: (0..FIELDS.len()).map(column).collect(), unnest: None, filter: None }
}

type Ttl = Option<(&'static str, i64)>;

fn drawn(chance: &mut Chance, count: usize) -> (Ttl, Vec<(String, Feature)>) {
    let ttl = chance.once_in(4).then(|| *chance.pick(&LENGTHS));
    (ttl, (0..count).map(|index| random_feature(chance, format!("f{index}"))).collect())
}

/// Every aggregate that takes a double, of doubles, over a range and over rows.
#[must_use]
pub fn definitions_of_doubles(chance: &mut Chance, partitions: usize) -> Definitions {
    let x = Scalar { text: "x", of: Type::Float, input: column(X) };
    let of_doubles = calls(chance).into_iter().filter(|call| call.inputs > 0 && (call.accepts)(Type::Float));
    let mut lines = Vec::new();
    for call in of_doubles {
        let inputs = vec![&x; call.inputs];
        let (call, aggregate, inputs) = call.of(&inputs);
        let rows = Window { frame: Frame::All, limit: Some(10), ..Window::range(0) };
        for (over, window) in [("7d", Window::range(7 * DAY)), ("10 rows", rows)] {
            let name = format!("f{}", lines.len());
            let (aggregate, inputs) = (aggregate.clone(), inputs.clone());
            let feature = Feature { name: name.clone(), aggregate, inputs, by: None, filter: None, window, default: None };
            lines.push((format!("{name} = {call} over {over} as {name}"), feature));
        }
    }
    definitions(lines, None, partitions, "events", vec![(String::new(), as_it_is())])
}

/// The names of all aggregates here.
#[must_use]
pub fn aggregate_names() -> BTreeSet<&'static str> {
    calls(&mut Chance::new(0)).into_iter().map(|call| call.name).collect()
}

fn definitions(lines: Vec<(String, Feature)>, ttl: Ttl, partitions: usize, from: &str, parts: Vec<(String, Part)>) -> Definitions {
    let mut sources: Vec<&str> = parts.iter().map(|(_, part)| part.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut text = String::new();
    for source in sources {
        let _ = write!(
            text,
            "source {source} (\n  id bigint, k bigint, i bigint, x double, s text, b boolean, u timestamp, t timestamp, d boolean,\n  xs double[], ns bigint[]\n)\n"
        );
        let _ = writeln!(text, "from log '{source}' partitions {partitions} by id");
        text.push_str("format json\nevent time t\nlateness '60 days' history '90 days'\ndedup by id within '90 days'\ndeletes when d;\n\n");
    }
    text.push_str("entity thing (k bigint);\n\n");
    let (texts, parts): (Vec<String>, Vec<Part>) = parts.into_iter().unzip();
    if from != "events" {
        let _ = writeln!(text, "stream {from} as\n{};\n", texts.join("\n  union all\n"));
    }
    let clause = ttl.map(|(length, _)| format!(" ttl '{length}'")).unwrap_or_default();
    let _ = writeln!(text, "features things of thing from {from}{clause} (");
    let mut features = Vec::new();
    for (line, feature) in lines {
        let _ = writeln!(text, "  {line},");
        features.push(feature);
    }
    text.push_str(");\n\nvector v on events (things.*);\n");
    Definitions { text, features, ttl: ttl.map(|(_, micros)| micros), parts }
}

/// A time on a grid where ties and the edges of windows are common.
pub fn random_time(chance: &mut Chance) -> i64 {
    let grid = *chance.pick(&[0, SECOND, 10 * SECOND, MINUTE, 10 * MINUTE, HOUR, DAY]);
    let steps = chance.between(0, 12);
    START + chance.between(0, 3) * 7 * DAY + grid * steps + *chance.pick(&[0, 0, 0, 0, 1, -1])
}

/// A time at which some event enters or leaves some window, or one beside it.
pub fn random_query(chance: &mut Chance, events: &[Event]) -> i64 {
    if events.is_empty() || chance.once_in(8) {
        return random_time(chance);
    }
    if chance.once_in(8) {
        // Units and hops start between events.
        let near = chance.pick(events).place.time;
        return near - near.rem_euclid(*chance.pick(&[SECOND, MINUTE, HOUR, DAY])) + *chance.pick(&[-1, 0, 1, HOUR, 2 * HOUR]);
    }
    let length = if chance.once_in(2) { 0 } else { chance.pick(&LENGTHS).1 };
    let offset = if chance.once_in(2) { 0 } else { chance.pick(&LENGTHS).1 };
    chance.pick(events).place.time + length + offset + *chance.pick(&[0, 0, 0, 1, -1])
}

/// The cells of an event: nulls, extremes and ordinary values. `odd` also gives NaN and infinities.
pub fn random_cells(chance: &mut Chance, id: i64, keys: i64, odd: bool) -> Vec<Cell> {
    let time = random_time(chance);
    let mut cells = vec![Cell::Null; FIELDS.len()];
    cells[ID] = Cell::Int(id);
    cells[K] = if chance.once_in(12) { Cell::Null } else { Cell::Int(chance.between(1, keys)) };
    cells[I] = match chance.below(10) {
        0 | 1 => Cell::Null,
        2 => Cell::Int(*chance.pick(&[i64::MAX, i64::MIN, (1 << 53) + 1, -(1 << 53) - 1])),
        _ => Cell::Int(chance.between(-3, 3)),
    };
    cells[X] = match chance.below(12) {
        0 | 1 => Cell::Null,
        2 => Cell::Float(*chance.pick(&[1e308, -1e308, 5e-324, -2.2e-308, 1e16, 1.0, -0.0, 0.1])),
        3 if odd => Cell::Float(*chance.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        4..=7 => Cell::Float(chance.between(-500, 500) as f64 / 100.0),
        _ => Cell::Float((chance.unit() - 0.5) * 10_f64.powi(chance.between(-20, 20) as i32)),
    };
    cells[S] =
        if chance.once_in(6) { Cell::Null } else { Cell::Text((*chance.pick(&["a", "b", "c", "", "é", "aa", "__other"])).to_owned()) };
    cells[B] = if chance.once_in(5) { Cell::Null } else { Cell::Bool(chance.once_in(2)) };
    cells[U] = if chance.once_in(6) { Cell::Null } else { Cell::Time(chance.between(-3, 3) * HOUR + START) };
    cells[XS] = random_list(chance, |chance| match chance.below(6) {
        0 => Cell::Float(*chance.pick(&[1e308, -1e308, 5e-324, 1e16, 1.0, -0.0])),
        1 if odd => Cell::Float(*chance.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        _ => Cell::Float((chance.unit() - 0.5) * 10_f64.powi(chance.between(-20, 20) as i32)),
    });
    cells[NS] = random_list(chance, |chance| match chance.below(6) {
        0 => Cell::Int(*chance.pick(&[i64::MAX, i64::MIN])),
        _ => Cell::Int(chance.between(-3, 3)),
    });
    cells[T] = Cell::Time(time);
    cells
}

/// A list of three, seldom of another length; null now and then, as its elements are.
fn random_list(chance: &mut Chance, element: impl Fn(&mut Chance) -> Cell) -> Cell {
    if chance.once_in(6) {
        return Cell::Null;
    }
    let length = if chance.once_in(40) { chance.below(4) } else { 3 };
    Cell::List((0..length).map(|_| if chance.once_in(6) { Cell::Null } else { element(chance) }).collect())
}

/// Puts NaN, or an infinity, into the double of an event.
pub fn put_odd(chance: &mut Chance, cells: &mut [Cell]) {
    cells[X] = Cell::Float(*chance.pick(&[f64::NAN, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]));
}

/// The time of an event's cells.
///
/// # Panics
/// When they were not made by `random_cells`.
#[must_use]
pub fn time_of(cells: &[Cell]) -> i64 {
    let Cell::Time(time) = cells[T] else { panic!("events have times") };
    time
}

/// The key of an event, where it has one.
#[must_use]
pub fn key_of(event: &Event) -> Option<i64> {
    if let Cell::Int(key) = event.cells[K] { Some(key) } else { None }
}

/// An event as its record's payload; fields that are null are sometimes left out by the sender.
#[must_use]
pub fn payload(cells: &[Cell]) -> Json {
    let fields = FIELDS.iter().zip(cells).filter(|(name, cell)| !(cell.is_null() && **name == "s"));
    Json::Object(fields.map(|(name, cell)| ((*name).to_owned(), cell.to_json())).collect::<Map<_, _>>())
}

/// The record that takes an event back: its id, key and time. What else it holds does not matter.
#[must_use]
pub fn retraction(chance: &mut Chance, cells: &[Cell], keys: i64) -> Json {
    let mut taken = random_cells(chance, 0, keys, false);
    for same in [ID, K, T] {
        taken[same] = cells[same].clone();
    }
    taken[D] = Cell::Bool(true);
    payload(&taken)
}

/// Events at places as an embedded log would give them: equal times share partitions or not.
pub fn random_events(chance: &mut Chance, count: usize, partitions: usize, odd: bool) -> Vec<Event> {
    let mut ends = vec![0_u64; partitions];
    let mut events = Vec::with_capacity(count);
    for id in 0..count {
        let cells = random_cells(chance, id as i64, 1, odd);
        let partition = chance.below(partitions);
        let place = Place { time: time_of(&cells), partition: partition as u32, offset: ends[partition] };
        ends[partition] += 1;
        events.push(Event { place, cells });
    }
    events
}
