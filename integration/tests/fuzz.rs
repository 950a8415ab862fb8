//! What comes from outside or from a disk, broken in every way that chance finds: definitions, JSON records, stored
//! state. Nothing may panic, hang or lose count. A few seconds in `make test`, as long as one likes with `make fuzz`
//! (`FOREBAY_FUZZ_SECONDS` for each target). An input that fails is kept in `fixtures/fuzz`, and tried first ever after.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use forebay::decode::Decoder;
use forebay::language::{SourceFile, compile, format};
use forebay::plan::{ModelSignature, Plan};
use forebay::window::{ChunkId, Chunks, Decoded, Inputs, KeyState, Layout};
use forebay::{Error, EventTime, Offset, Partition, Position, RecordRun, Result, Seq};
use forebay_integration::batches::batch;
use forebay_integration::cases::{random_definitions, random_events};
use forebay_integration::chance::Chance;
use forebay_integration::folders::here;

/// Tries what once failed, then mutations of the corpus until the time is up.
fn fuzz(target: &str, corpus: &[Vec<u8>], words: &[&[u8]], mut attempt: impl FnMut(&[u8])) {
    let kept = here("fixtures/fuzz").join(target);
    let mut attempt = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| attempt(input))) {
            fs::create_dir_all(&kept).expect("a folder for inputs");
            let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
            fs::write(kept.join(format!("{name:016x}")), input).expect("a kept input");
            resume_unwind(panic);
        }
    };
    for entry in fs::read_dir(&kept).into_iter().flatten() {
        attempt(&fs::read(entry.expect("an entry").path()).expect("a kept input"));
    }
    let seconds = std::env::var("FOREBAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut chance = Chance::for_test(31);
    let (started, mut tried) = (Instant::now(), 0_u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        attempt(&mutated(&mut chance, corpus, words));
        tried += 1;
    }
    println!("{target}: {tried} inputs from a corpus of {}", corpus.len());
}

/// One of the corpus with a few bytes, pieces or words changed, often with a piece of another one.
fn mutated(chance: &mut Chance, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = chance.pick(corpus).clone();
    for _ in 0..=chance.below(6) {
        let at = chance.below(input.len() + 1);
        let end = at + chance.below((input.len() - at).min(40) + 1);
        match chance.below(8) {
            0 if at < input.len() => input[at] ^= 1 << chance.below(8),
            1 if at < input.len() => input[at] = *chance.pick(&[0, 1, 0x7f, 0x80, 0xff, b'"', b'\'', b'(', b')', b'0']),
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let other = chance.pick(corpus);
                let from = chance.below(other.len() + 1);
                let to = from + chance.below((other.len() - from).min(200) + 1);
                input.splice(at..end, other[from..to].to_vec());
            }
            5 if !words.is_empty() => drop(input.splice(at..end, chance.pick(words).to_vec())),
            6 => input.truncate(at),
            _ => drop(input.splice(at..at, chance.bits().to_le_bytes())),
        }
    }
    input
}

fn files(folder: &Path, extension: &str, into: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files(&entry, extension, into);
        } else if entry.extension().is_some_and(|found| found == extension) {
            into.push(fs::read(entry).expect("a file"));
        }
    }
}

fn no_models(_: &Path) -> Result<ModelSignature> {
    Err(Error::not_found("no models here"))
}

fn plan_of(text: &str) -> Plan {
    let compiled = compile(&[SourceFile { path: "fuzz.bay".into(), text: text.to_owned() }], &no_models);
    compiled.plan.unwrap_or_else(|| panic!("{:?}\n{text}", compiled.diagnostics))
}

#[test]
fn definitions() {
    let mut corpus = Vec::new();
    for folder in ["../features", "scenarios", "tests/diagnostics"] {
        files(&here(folder), "bay", &mut corpus);
    }
    let words: Vec<&[u8]> =
        "source entity features vector model stream table of by from over where default limit rows session hop all day in before \
        excluding current offset as on takes score watch drift every against alert when into ttl lateness history dedup within expect else \
        quarantine deletes event time log kafka topic format json ( ) , ; = * :: ' \" -- /* */ 0 1h -1 1e999 null case end [ ] struct( collect( vector_sum( double[]"
            .split(' ')
            .map(str::as_bytes)
            .collect();
    fuzz("definitions", &corpus, &words, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let file = SourceFile { path: "fuzz.bay".into(), text: text.to_owned() };
        let compiled = compile(std::slice::from_ref(&file), &no_models);
        assert!(compiled.plan.is_some() || !compiled.diagnostics.is_empty(), "no plan and no reason:\n{text}");
        let _ = forebay::language::render(&compiled.diagnostics, std::slice::from_ref(&file), false);
        if let Ok(formatted) = format(&file) {
            let again = format(&SourceFile { path: "fuzz.bay".into(), text: formatted.clone() });
            assert!(
                again.as_ref().is_ok_and(|again| *again == formatted),
                "fmt is not idempotent:\n{text}\n-- gave\n{formatted}\n-- then\n{again:?}"
            );
        }
    });
}

#[test]
fn records() {
    let plan = plan_of(
        "source s (i bigint, x double, s text, b boolean, t timestamp, xs double[], tags text[]) from log 's' format json event time t expect i > 0 else quarantine;",
    );
    let mut corpus: Vec<Vec<u8>> = [
        r#"{"i":9007199254740993,"x":-0.0,"s":"é\ud83d\ude00\n","b":true,"t":"2024-05-01T00:00:00.123456Z"}"#,
        r#"{"i":1,"x":"NaN","s":"","b":null,"t":1714521600000000,"other":{"a":[1,{"b":null}]}}"#,
        r#"{"t":"2024-05-01 00:00:00","i":-5,"i":7,"x":1e308}"#,
        r#"{"t":0,"i":1,"xs":[1,-0.0,null,"NaN"],"tags":["a",null,"\u00e9"],"xs":[]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    files(&here("scenarios"), "ndjson", &mut corpus);
    let words: Vec<&[u8]> =
        [r#""i":"#, r#""t":"#, "[[[[", "}}", "\\u0000", "\\ud800", "1e400", "-", "18446744073709551616", "\"Infinity\"", "null"]
            .map(str::as_bytes)
            .into();
    let mut decoder = Decoder::new(&plan.sources[0]);
    fuzz("records", &corpus, &words, |input| {
        let mut run = RecordRun { topic: "s".into(), ..RecordRun::default() };
        for (offset, payload) in input.split(|byte| *byte == b'\n').enumerate() {
            run.push(Offset(offset as u64), 0, None, Some(payload), Vec::new());
        }
        let decoded = decoder.decode(&run).expect("what is wrong with a record is no fault");
        assert_eq!(decoded.batch.num_rows(), decoded.records.len());
        let mut told: Vec<u32> = decoded.records.iter().copied().chain(decoded.rejects.iter().map(|reject| reject.record)).collect();
        told.sort_unstable();
        assert!(told.into_iter().eq(0..run.records.len() as u32), "every record is a row or a reject, once");
    });
}

/// Chunks of a state, as a disk gives them back.
#[derive(Default)]
struct Kept(RefCell<HashMap<ChunkId, Vec<u8>>>);

impl Chunks for Kept {
    fn load(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.0.borrow().get(&id).cloned().ok_or_else(|| Error::corrupt("a chunk that is not there"))
    }
}

#[test]
fn stored_state() {
    let mut chance = Chance::new(32);
    let mut layouts = Vec::new();
    let mut corpus = Vec::new();
    for events in [0, 5, 200, 5_000] {
        let definitions = random_definitions(&mut chance, 40, 1);
        let plan = plan_of(&definitions.text);
        let layout = Layout::new(&plan.views[0]);
        let events = random_events(&mut chance, events, 2, false);
        let inputs = Inputs::evaluate(&plan.views[0], &batch(&plan.sources[0].schema, &events)).expect("inputs that cannot fail");
        let mut state = KeyState::new(&layout);
        for (row, event) in events.iter().enumerate() {
            let at = Position {
                time: EventTime(event.place.time),
                partition: Partition(event.place.partition),
                offset: Offset(event.place.offset),
            };
            state.insert(&layout, at, &inputs, row);
        }
        if let Some(middle) = events.get(events.len() / 2) {
            state.trim(&layout, EventTime(middle.place.time), &Kept::default()).expect("a state in memory");
        }
        let mut chunks = BTreeMap::new();
        let row = state.encode(&layout, Seq(9), &mut |id, bytes| drop(chunks.insert(id, bytes.map(<[u8]>::to_vec))));
        // The layout's number, the length of the row, the row, then the first chunk.
        let mut input = vec![layouts.len() as u8];
        input.extend((row.len() as u32).to_le_bytes());
        input.extend(row);
        let first = chunks.values().flatten().next().cloned().unwrap_or_default();
        input.extend(first);
        corpus.push(input);
        layouts.push((layout, plan.views[0].features.len(), chunks.keys().copied().collect::<Vec<_>>()));
    }
    fuzz("stored_state", &corpus, &[], |input| {
        let Some((number, rest)) = input.split_first() else { return };
        let (layout, features, ids) = &layouts[usize::from(*number) % layouts.len()];
        let Some((length, rest)) = rest.split_at_checked(4) else { return };
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let (row, chunk) = rest.split_at(length.min(rest.len()));
        let kept = Kept(RefCell::new(ids.iter().map(|id| (*id, chunk.to_vec())).collect()));
        let Ok(Decoded::State(mut state, _)) = KeyState::decode(layout, row) else { return };
        let all: Vec<usize> = (0..*features).collect();
        let mut values = Vec::new();
        for q in [i64::MIN, 0, 1_714_521_600_000_000, i64::MAX] {
            values.clear();
            let _ = state.read(layout, EventTime(q), &[], &all, &kept, &mut values);
        }
        let _ = state.trim(layout, EventTime(1_714_521_600_000_000), &kept);
        state.encode(layout, Seq(10), &mut |_, _| {});
    });
}
