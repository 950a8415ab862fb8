//! All values, for exact percentiles: of a bounded window only, since nothing smaller than the values will do.

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::exact::{ExactSum, scaled};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, unordered_word};
use crate::error::Result;

#[derive(Debug)]
struct AllValues(Kind);

/// The fold of numbers of that kind that gives `Values`.
pub(in crate::aggregate) fn fold(kind: Kind) -> Fold {
    Fold::Own(CustomFold::ordered(AllValues(kind)))
}

#[derive(Clone, Debug)]
pub(in crate::aggregate) struct Values {
    kind: Kind,
    /// They compare as the numbers do, and stand in the order of events.
    words: Vec<u64>,
}

impl Values {
    /// The `p`-th percentile as SQL's `percentile_cont`, for `p` from 0 to 1: the value at rank `p * (n - 1)`, counted
    /// from 0 in ascending order, and between two values their mean by the rank's fraction, exact until it is rounded.
    pub(in crate::aggregate) fn percentile(&self, p: f64) -> Option<f64> {
        let kind = self.kind;
        let last = self.words.len().checked_sub(1)?;
        let rank = p * last as f64;
        let at = (rank as usize).min(last);
        let fraction = rank - at as f64;
        let mut words = self.words.clone();
        let (_, low, above) = words.select_nth_unstable(at);
        let low = unordered_word(kind, *low);
        match above.iter().min() {
            Some(high) if fraction > 0.0 => Some(between(kind, low, unordered_word(kind, *high), fraction)),
            _ => Some(number(kind, low)),
        }
    }
}

/// `low + (high - low) * fraction`, for a fraction between 0 and 1.
fn between(kind: Kind, low: u64, high: u64, fraction: f64) -> f64 {
    let parts = (scaled(kind, low), scaled(kind, high), scaled(Kind::Float, fraction.to_bits()));
    let (Some((low, low_exponent)), Some((high, high_exponent)), Some((share, exponent))) = parts else {
        let (low, high) = (number(kind, low), number(kind, high));
        return if low == high { low } else { low * (1.0 - fraction) + high * fraction };
    };
    let (low, high, share) = (i128::from(low), i128::from(high), i128::from(share));
    let mut sum = ExactSum::default();
    sum.add_scaled(low, low_exponent);
    sum.add_scaled(high * share, high_exponent + exponent);
    sum.add_scaled(-low * share, low_exponent + exponent);
    sum.round()
}

fn number(kind: Kind, word: u64) -> f64 {
    match kind {
        Kind::Float => f64::from_bits(word),
        _ => word as i64 as f64,
    }
}

impl Algorithm for AllValues {
    type State = Values;

    fn text(&self) -> String {
        format!("values {}", self.0.text())
    }

    fn empty(&self) -> Values {
        Values { kind: self.0, words: Vec::new() }
    }

    fn add(&self, state: &mut Values, event: Event<'_>) {
        state.words.push(event.ordered_word(self.0, 0));
    }

    fn encode(&self, state: &Values, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.words.len() as u64);
        state.words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Values> {
        let length = reader.length()?;
        Ok(Values { kind: self.0, words: (0..length).map(|_| reader.word()).collect::<Result<_>>()? })
    }

    fn heap(state: &Values) -> usize {
        8 * state.words.capacity()
    }

    fn needs_bounded(&self) -> Option<&'static str> {
        Some("an exact percentile needs every value")
    }
}
