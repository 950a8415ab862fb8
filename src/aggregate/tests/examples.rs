//! Worked examples, run in every way in which states come about, and the page that prints them. `BLESS=1` writes the
//! page anew.

use super::super::*;
use crate::aggregate::rows::{META, OFFSET, TIME, biased};
use smallvec::SmallVec;
use std::sync::Arc;

/// Values and times of an example.
struct Case {
    aggregate: Aggregate,
    part: FoldSpec,
    words: Vec<u64>,
    stride: usize,
    texts: Vec<Arc<str>>,
    moment: Moment,
}

fn value(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with('[') => {
            let items = text.trim_matches(['[', ']']).split(',').filter(|item| !item.is_empty());
            Value::List(items.map(value).collect())
        }
        _ if text.starts_with('\'') => Value::Text(text.trim_matches('\'').into()),
        _ if text.contains(['.', 'e']) => Value::Float(text.parse().unwrap()),
        _ => Value::Int(text.parse().unwrap()),
    }
}

fn time(text: &str) -> i64 {
    Span::parse(text).unwrap_or_else(|| panic!("{text} is no time")).0
}

fn printed(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Struct(fields) => {
            format!("{{{}}}", fields.iter().map(|(name, value)| format!("{name}: {}", printed(value))).collect::<Vec<_>>().join(", "))
        }
        Value::List(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(", ")),
        other => written(other),
    }
}

fn data_type(values: impl Iterator<Item = Value>) -> DataType {
    let known = values.into_iter().find_map(|value| match value {
        Value::Bool(_) => Some(DataType::Bool),
        Value::Int(_) => Some(DataType::Int),
        Value::Float(_) => Some(DataType::Float),
        Value::Text(_) => Some(DataType::Text),
        Value::List(items) if !items.is_empty() => Some(DataType::List(Box::new(data_type(items.iter().cloned())))),
        _ => None,
    });
    known.expect("an input that is not always null")
}

impl Case {
    fn of(example: &Example) -> Self {
        let (name, arguments) = example.call.trim_end_matches(')').split_once('(').unwrap();
        let events: Vec<(i64, Vec<Value>)> = example
            .events
            .split('|')
            .map(|event| {
                let mut words = event.split_whitespace();
                (time(words.next().unwrap()), words.map(value).collect())
            })
            .collect();
        let inputs = events[0].1.len();
        let types: Vec<DataType> = (0..inputs).map(|input| data_type(events.iter().map(|event| event.1[input].clone()))).collect();
        let mut parameters: Vec<Value> =
            arguments.split(", ").skip(inputs).filter(|text| !text.is_empty() && *text != "*").map(value).collect();
        if let Some((names, _)) = arguments.strip_prefix("struct(").and_then(|names| names.split_once(')')) {
            parameters.extend(names.split(", ").map(|name| Value::Text(name.into())));
        }
        let aggregate = bind(name, &types, &parameters).unwrap();
        let (stride, mut words, mut texts) = (META + 1 + inputs, Vec::new(), Vec::new());
        for (offset, (time, values)) in events.iter().enumerate() {
            let start = words.len();
            words.resize(start + stride, 0);
            let row = &mut words[start..];
            (row[TIME], row[OFFSET]) = (biased(*time), offset as u64);
            for (input, value) in values.iter().enumerate() {
                row[META] |= u64::from(!value.is_null()) << input;
                row[META + 1 + input] = match value {
                    Value::Bool(value) => u64::from(*value),
                    Value::Int(value) => *value as u64,
                    Value::Float(value) => value.to_bits(),
                    Value::Text(text) => {
                        texts.push(text.clone());
                        texts.len() as u64 - 1
                    }
                    Value::List(items) => {
                        let mut text = String::new();
                        for item in items.iter() {
                            pack(
                                &mut text,
                                match item {
                                    Value::Int(value) => Some(*value as u64),
                                    Value::Float(value) => Some(value.to_bits()),
                                    _ => None,
                                },
                            );
                        }
                        texts.push(text.into());
                        texts.len() as u64 - 1
                    }
                    _ => 0,
                };
            }
        }
        let part = FoldSpec {
            fold: aggregate.fold().clone(),
            inputs: (META + 1..stride).collect::<SmallVec<[usize; 2]>>(),
            needs: (META, if aggregate.fold().takes_nulls() { 0 } else { (1 << inputs) - 1 }),
            needs_more: Box::default(),
            present: (0..inputs).map(|input| (META, 1 << input)).collect(),
        };
        let (query, start) = example.at.split_once(" from ").map_or((example.at, None), |(query, from)| (query, Some(time(from))));
        Self { aggregate, part, words, stride, texts, moment: Moment { query: time(query), start } }
    }

    fn rows(&self, from: usize, to: usize) -> Rows<'_> {
        Rows { words: &self.words[from * self.stride..to * self.stride], stride: self.stride, texts: &self.texts }
    }

    fn folded(&self, from: usize, to: usize) -> Partial {
        let mut partial = self.part.empty();
        self.part.add(&mut partial, self.rows(from, to));
        partial
    }

    fn stored_and_read(&self, partial: &Partial) -> Partial {
        let mut bytes = Vec::new();
        self.part.encode(partial, &mut bytes);
        assert!(!bytes.is_empty(), "{:?} stores nothing", self.aggregate);
        let mut reader = ByteReader(&bytes);
        let decoded = self.part.decode(&mut reader).unwrap();
        assert!(reader.is_empty());
        let mut again = Vec::new();
        self.part.encode(&decoded, &mut again);
        assert_eq!(bytes, again, "{:?}", self.aggregate);
        for end in 0..bytes.len() {
            // Bytes that end early are an error or another state.
            let _ = self.part.decode(&mut ByteReader(&bytes[..end]));
        }
        decoded
    }

    fn finish(&self, partial: &Partial) -> String {
        printed(&self.aggregate.finish(partial, &self.moment, MapLimit::default()))
    }
}

#[test]
fn examples_hold_however_their_states_come_about() {
    for name in names() {
        assert!(!examples(name).is_empty(), "{name} has no example");
        for example in examples(name) {
            let case = Case::of(example);
            let count = case.words.len() / case.stride;
            assert_eq!(case.finish(&case.folded(0, count)), example.value, "{}", example.call);
            for at in 0..=count {
                let mut begun = case.stored_and_read(&case.folded(0, at));
                if case.part.fold.is_tiled() {
                    // Merged in both directions.
                    let mut later = case.folded(at, count);
                    case.part.merge(&mut later, &begun);
                    assert_eq!(case.finish(&later), example.value, "{} in two parts", example.call);
                    case.part.merge(&mut begun, &case.stored_and_read(&case.folded(at, count)));
                } else {
                    case.part.add(&mut begun, case.rows(at, count));
                }
                assert_eq!(case.finish(&begun), example.value, "{} in two parts", example.call);
            }
        }
    }
}

/// Stored bytes of every example: a change of one needs a new version of rows.
#[test]
fn partials_are_stored_as_they_were() {
    let mut page = String::new();
    for example in names().into_iter().flat_map(examples) {
        let case = Case::of(example);
        let mut bytes = Vec::new();
        case.part.encode(&case.folded(0, case.words.len() / case.stride), &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        page.push_str(&format!("{} over {}: {} {hex}\n", example.call, example.events, case.part.fold.text()));
    }
    blessed("src/aggregate/tests/stored.txt", &page);
}

#[test]
fn bytes_that_nobody_wrote_are_refused_or_read() {
    for example in names().into_iter().flat_map(examples) {
        let case = Case::of(example);
        let whole = case.folded(0, case.words.len() / case.stride);
        let mut bytes = Vec::new();
        case.part.encode(&whole, &mut bytes);
        for at in 0..bytes.len() {
            for wrong in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 0x10] {
                let mut changed = bytes.clone();
                changed[at] = wrong;
                if let Ok(mut partial) = case.part.decode(&mut ByteReader(&changed)) {
                    let _ = case.finish(&partial);
                    case.part.add(&mut partial, case.rows(0, 1));
                    if case.part.fold.is_tiled() {
                        case.part.merge(&mut partial, &whole);
                    }
                    let _ = (case.finish(&partial), partial.heap());
                }
            }
        }
    }
}

/// What the page says before its sections.
const INTRODUCTION: &str = "\
# Aggregates

This page describes every aggregate of the [language](language.md). The text of each section is the text of the aggregate's source file. A test writes this page (`BLESS=1`).

An example writes each event with its time and its inputs: `2s null` is an event at second 2 whose input is null. The value `60s from 0s` in the column `query at` is a query at 60 seconds over a window that starts at 0 seconds. The examples run as tests.

| term | meaning |
|---|---|
| total order of events | the order by event time, then by partition, then by offset |
| values that are not null | an aggregate skips an event if an input is null. Only `count(*)`, `latest` and `collect` count such events |
| over no rows | the [window](glossary.md) holds no event that the aggregate counts |
| reading | the computation of the aggregate for one query time |
| [tile](glossary.md) | the partial aggregates of an aligned interval of a key's events |
| [fold](glossary.md) | the state that an aggregate reads. Aggregates that read the same fold share its memory and cost |
| window without a lower bound | `all` without a `limit`. Every other window is a bounded window |
";

#[test]
fn the_page_of_aggregates_is_what_their_files_say() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut page = String::from(INTRODUCTION);
    for name in names() {
        let source = std::fs::read_to_string(root.join(format!("src/aggregate/{name}.rs"))).unwrap();
        let header: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        assert!(header[0].starts_with(&format!("`{name}(")), "{name}.rs opens with its call");
        page.push_str(&format!("\n## {name}\n\n{}\n\n| call | events | query at | value |\n|---|---|---|---|\n", header.join("\n")));
        for Example { call, events, at, value } in examples(name) {
            page.push_str(&format!("| `{call}` | `{}` | {at} | `{value}` |\n", events.replace(" | ", ", ")));
        }
    }
    blessed("docs/aggregates.md", &page);
}

/// Compares with the file, or writes it.
fn blessed(path: &str, text: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap_or_default() == text, "{path} differs: BLESS=1 writes it");
}
