//! What `make fuzz` kept, tried again, and the same few mutations of it in every run. Nothing may panic, hang or lose
//! count (`attempts`).

use std::fs;

use forebay_integration::attempts::{self, Target};
use forebay_integration::chance::Chance;
use forebay_integration::folders::here;

/// Tries what is kept and the seeds, then mutations of both.
fn replay(mut target: Target, mutations: usize) {
    let words = words(target.name);
    let mut corpus = target.seeds;
    let entries = fs::read_dir(here("fuzz/corpus").join(target.name)).expect("kept inputs");
    let mut kept: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    kept.sort();
    for path in kept {
        println!("{}", path.display());
        let input = fs::read(path).expect("a kept input");
        (target.attempt)(&input);
        corpus.push(input);
    }
    let mut chance = Chance::for_test(31);
    for _ in 0..mutations {
        let input = mutated(&mut chance, &corpus, &words);
        println!("{}", input.escape_ascii());
        (target.attempt)(&input);
    }
}

/// The words of a dictionary, one to a line: `"\"t\":"`.
fn words(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(here("fuzz/dictionaries").join(target)).unwrap_or_default();
    let word = |line: &str| line[1..line.len() - 1].replace("\\\"", "\"").replace("\\\\", "\\").into_bytes();
    text.lines().map(word).collect()
}

/// One of the corpus with a few bytes, pieces or words changed, often with a piece of another one.
fn mutated(chance: &mut Chance, corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
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
            5 if !words.is_empty() => drop(input.splice(at..end, chance.pick(words).clone())),
            6 => input.truncate(at),
            _ => drop(input.splice(at..at, chance.bits().to_le_bytes())),
        }
    }
    input
}

#[test]
fn definitions() {
    replay(attempts::definitions(), 200);
}

#[test]
fn parquet() {
    replay(attempts::parquet(), 300);
}

#[test]
fn records() {
    replay(attempts::records(), 5_000);
}

#[test]
fn state() {
    replay(attempts::state(), 2_000);
}
