//! Folds that live in files of their own: an aggregate brings its state and its algorithm, and this file makes a `Fold`
//! of them. Must know no aggregate.
//!
//! An `Algorithm` is a left fold over events in total order. It is `Tiled` as well where its states merge in any order,
//! so that tiles can keep them; where it is not, a window folds its events each time it is read.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::super::bytes::ByteReader;
use super::super::rows::{Rows, SortKey, unbiased};
use super::cell::{Kind, Scalar, ordered_word};
use super::placed::PositionedValue;
use crate::error::Result;

/// How an aggregate folds events. Two algorithms of equal `text` are the same and share one state.
pub(crate) trait Algorithm: fmt::Debug + Send + Sync + 'static {
    type State: Clone + fmt::Debug + Send + Sync + 'static;

    /// What identifies it, with its parameters and types, in stored rows: never changes for the same meaning.
    fn text(&self) -> String;

    /// The fold of no events.
    fn empty(&self) -> Self::State;

    /// Folds one event, whose inputs are not null unless it takes nulls.
    fn add(&self, state: &mut Self::State, event: Event<'_>);

    /// Appends the state: at least one byte, and equal bytes for equal states.
    fn encode(&self, state: &Self::State, bytes: &mut Vec<u8>);

    /// Reads what `encode` wrote; any other bytes give `Corrupt` or a state, never a panic.
    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Self::State>;

    /// Bytes held outside of the state itself, roughly.
    fn heap(_: &Self::State) -> usize {
        0
    }

    /// Whether events count whose inputs are null, of which `Event::given` tells.
    fn takes_nulls(&self) -> bool {
        false
    }

    /// Why its state grows with every event, so that it must not be kept of forgotten ones.
    fn needs_bounded(&self) -> Option<&'static str> {
        None
    }
}

/// An algorithm whose states are functions of the set of events, whatever the order in which they were merged.
pub(crate) trait Tiled: Algorithm {
    fn merge(&self, state: &mut Self::State, other: &Self::State);

    /// Whether a tile had better forget the state and let its children, or raw events, tell.
    fn outgrows_tile(&self, _: &Self::State) -> bool {
        false
    }
}

/// One event that counts, as an algorithm sees it.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    /// A single row.
    pub(crate) rows: Rows<'a>,
    /// The words that hold the inputs.
    pub(crate) inputs: &'a [usize],
    /// See `FoldSpec::present`.
    present: &'a [(usize, u64)],
}

/// An algorithm of any kind, as a fold holds it.
#[derive(Clone)]
pub(crate) struct CustomFold(Arc<dyn Erased>);

/// A state of any kind.
pub(crate) struct OwnState(Box<dyn AnyState>);

impl Event<'_> {
    pub(crate) fn word(&self, input: usize) -> u64 {
        self.inputs.get(input).and_then(|word| self.rows.words.get(*word)).copied().unwrap_or_default()
    }

    /// The input as it came, of an algorithm that takes nulls; `None` where it is null.
    pub(crate) fn given(&self, kind: Kind, input: usize) -> Option<Scalar> {
        let (word, bit) = self.present.get(input)?;
        (self.rows.words[*word] & bit != 0).then(|| self.plain(kind, input))
    }

    /// The input as a double: a bigint is rounded to the nearest.
    pub(crate) fn number(&self, kind: Kind, input: usize) -> f64 {
        match kind {
            Kind::Float => f64::from_bits(self.word(input)),
            _ => self.word(input) as i64 as f64,
        }
    }

    /// The input as a text.
    pub(crate) fn text(&self, input: usize) -> &str {
        self.rows.texts.get(self.word(input) as usize).map_or("", |text| text)
    }

    /// The input to the bit as it came.
    pub(crate) fn plain(&self, kind: Kind, input: usize) -> Scalar {
        Scalar::plain(kind, self.word(input), self.rows.texts)
    }

    /// The input in the form that compares as the values do.
    pub(crate) fn ordered(&self, kind: Kind, input: usize) -> Scalar {
        Scalar::ordered(kind, self.word(input), self.rows.texts)
    }

    /// The same of an input that is no text.
    pub(crate) fn ordered_word(&self, kind: Kind, input: usize) -> u64 {
        ordered_word(kind, self.word(input))
    }

    /// The input as it came, with the event's place.
    pub(crate) fn placed(&self, kind: Kind, input: usize) -> PositionedValue {
        PositionedValue { place: self.place(), value: self.plain(kind, input) }
    }

    pub(crate) fn place(&self) -> SortKey {
        SortKey::of(self.rows.words)
    }

    /// Microseconds since the epoch.
    pub(crate) fn time(&self) -> i64 {
        unbiased(self.place().time)
    }
}

impl CustomFold {
    /// A fold that tiles keep.
    pub(crate) fn tiled<A: Tiled>(algorithm: A) -> Self {
        Self(Arc::new(Adapter { algorithm, tiled: Some((A::merge, A::outgrows_tile)) }))
    }

    /// A fold that depends on the order of events.
    pub(crate) fn ordered<A: Algorithm>(algorithm: A) -> Self {
        Self(Arc::new(Adapter { algorithm, tiled: None }))
    }

    pub(super) fn text(&self) -> String {
        self.0.text()
    }

    pub(super) fn is_tiled(&self) -> bool {
        self.0.is_tiled()
    }

    pub(super) fn takes_nulls(&self) -> bool {
        self.0.takes_nulls()
    }

    pub(super) fn needs_bounded(&self) -> Option<&'static str> {
        self.0.needs_bounded()
    }

    pub(super) fn empty(&self) -> OwnState {
        self.0.empty()
    }

    pub(super) fn add<'a>(
        &self,
        state: &mut OwnState,
        inputs: &[usize],
        present: &[(usize, u64)],
        rows: &mut dyn Iterator<Item = Rows<'a>>,
    ) {
        self.0.add(state, inputs, present, rows);
    }

    pub(super) fn merge(&self, state: &mut OwnState, other: &OwnState) {
        self.0.merge(state, other);
    }

    pub(super) fn outgrows_tile(&self, state: &OwnState) -> bool {
        self.0.outgrows_tile(state)
    }

    pub(super) fn encode(&self, state: &OwnState, bytes: &mut Vec<u8>) {
        self.0.encode(state, bytes);
    }

    pub(super) fn decode(&self, reader: &mut ByteReader<'_>) -> Result<OwnState> {
        self.0.decode(reader)
    }
}

impl PartialEq for CustomFold {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for CustomFold {}

impl std::hash::Hash for CustomFold {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl fmt::Debug for CustomFold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl OwnState {
    fn of<A: Algorithm>(state: A::State) -> Self {
        Self(Box::new(Held { state, heap: A::heap }))
    }

    /// The state, where it is of that type.
    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref::<Held<T>>().map(|held| &held.state)
    }

    fn get_mut<T: 'static>(&mut self) -> Option<&mut Held<T>> {
        let any: &mut dyn Any = &mut *self.0;
        any.downcast_mut()
    }

    pub(super) fn heap(&self) -> usize {
        self.0.bytes()
    }
}

impl Clone for OwnState {
    fn clone(&self) -> Self {
        Self(self.0.boxed_clone())
    }
}

impl fmt::Debug for OwnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A state and how its algorithm tells the bytes that it holds elsewhere.
#[derive(Clone, Debug)]
struct Held<T> {
    state: T,
    heap: fn(&T) -> usize,
}

trait AnyState: Any + fmt::Debug + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn AnyState>;
    fn bytes(&self) -> usize;
}

impl<T: Clone + fmt::Debug + Send + Sync + 'static> AnyState for Held<T> {
    fn boxed_clone(&self) -> Box<dyn AnyState> {
        Box::new(self.clone())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + (self.heap)(&self.state)
    }
}

/// An algorithm without its type. A state of another algorithm is left as it is.
trait Erased: Send + Sync {
    fn text(&self) -> String;
    fn is_tiled(&self) -> bool;
    fn takes_nulls(&self) -> bool;
    fn needs_bounded(&self) -> Option<&'static str>;
    fn empty(&self) -> OwnState;
    fn add<'a>(&self, state: &mut OwnState, inputs: &[usize], present: &[(usize, u64)], rows: &mut dyn Iterator<Item = Rows<'a>>);
    fn merge(&self, state: &mut OwnState, other: &OwnState);
    fn outgrows_tile(&self, state: &OwnState) -> bool;
    fn encode(&self, state: &OwnState, bytes: &mut Vec<u8>);
    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<OwnState>;
}

type Merge<A> = fn(&A, &mut <A as Algorithm>::State, &<A as Algorithm>::State);
type Outgrows<A> = fn(&A, &<A as Algorithm>::State) -> bool;

struct Adapter<A: Algorithm> {
    algorithm: A,
    /// Absent where states do not merge.
    tiled: Option<(Merge<A>, Outgrows<A>)>,
}

impl<A: Algorithm> Erased for Adapter<A> {
    fn text(&self) -> String {
        self.algorithm.text()
    }

    fn is_tiled(&self) -> bool {
        self.tiled.is_some()
    }

    fn takes_nulls(&self) -> bool {
        self.algorithm.takes_nulls()
    }

    fn needs_bounded(&self) -> Option<&'static str> {
        self.algorithm.needs_bounded()
    }

    fn empty(&self) -> OwnState {
        OwnState::of::<A>(self.algorithm.empty())
    }

    fn add<'a>(&self, state: &mut OwnState, inputs: &[usize], present: &[(usize, u64)], rows: &mut dyn Iterator<Item = Rows<'a>>) {
        if let Some(held) = state.get_mut::<A::State>() {
            rows.for_each(|rows| self.algorithm.add(&mut held.state, Event { rows, inputs, present }));
        }
    }

    fn merge(&self, state: &mut OwnState, other: &OwnState) {
        if let (Some((merge, _)), Some(held), Some(other)) = (self.tiled, state.get_mut::<A::State>(), other.get::<A::State>()) {
            merge(&self.algorithm, &mut held.state, other);
        }
    }

    fn outgrows_tile(&self, state: &OwnState) -> bool {
        match (self.tiled, state.get::<A::State>()) {
            (Some((_, outgrows)), Some(state)) => outgrows(&self.algorithm, state),
            _ => true,
        }
    }

    fn encode(&self, state: &OwnState, bytes: &mut Vec<u8>) {
        if let Some(state) = state.get::<A::State>() {
            self.algorithm.encode(state, bytes);
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<OwnState> {
        self.algorithm.decode(reader).map(OwnState::of::<A>)
    }
}
