//! Number and exact sum of the values in each position of lists: what `vector_sum` and `vector_avg` read.

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::exact::ExactSum;
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, Tiled};
use super::super::packed::unpacked;
use crate::error::{Error, Result};

/// Of lists whose elements are numbers of that kind.
#[derive(Debug)]
struct SumsOfLists(Kind);

/// The fold of lists of that kind of numbers that gives `Vectors`.
pub(in crate::aggregate) fn fold(kind: Kind) -> Fold {
    Fold::Own(CustomFold::tiled(SumsOfLists(kind)))
}

/// Sums by position, as long as all lists have as many elements.
#[derive(Clone, Debug)]
pub(in crate::aggregate) enum Vectors {
    NoList,
    Sums(Vec<Position>),
    Unequal,
}

#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Position {
    /// Of elements that are not null.
    pub(in crate::aggregate) count: u64,
    pub(in crate::aggregate) sum: ExactSum,
}

impl Vectors {
    /// The positions to add a list of so many elements to; none where another list has another length.
    fn positions(&mut self, length: usize) -> Option<&mut [Position]> {
        if matches!(self, Self::NoList) {
            *self = Self::Sums(vec![Position::default(); length]);
        }
        match self {
            Self::Sums(positions) if positions.len() == length => {}
            _ => *self = Self::Unequal,
        }
        if let Self::Sums(positions) = self { Some(positions) } else { None }
    }
}

impl Algorithm for SumsOfLists {
    type State = Vectors;

    fn text(&self) -> String {
        format!("vectors {}", self.0.text())
    }

    fn empty(&self) -> Vectors {
        Vectors::NoList
    }

    fn add(&self, state: &mut Vectors, event: Event<'_>) {
        let elements = unpacked(event.text(0));
        let Some(positions) = state.positions(elements.len()) else { return };
        for (position, element) in positions.iter_mut().zip(elements) {
            let Some(word) = element else { continue };
            position.count += 1;
            match self.0 {
                Kind::Float => position.sum.add_double(f64::from_bits(word)),
                _ => position.sum.add_int(word as i64),
            }
        }
    }

    fn encode(&self, state: &Vectors, bytes: &mut Vec<u8>) {
        match state {
            Vectors::NoList => bytes.push(0),
            Vectors::Sums(positions) => {
                bytes.push(1);
                put_unsigned(bytes, positions.len() as u64);
                for position in positions {
                    put_unsigned(bytes, position.count);
                    position.sum.encode(bytes);
                }
            }
            Vectors::Unequal => bytes.push(2),
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Vectors> {
        Ok(match reader.byte()? {
            0 => Vectors::NoList,
            1 => {
                let length = reader.length()?;
                let mut position = || Ok(Position { count: reader.counted()?, sum: ExactSum::decode(reader)? });
                Vectors::Sums((0..length).map(|_| position()).collect::<Result<_>>()?)
            }
            2 => Vectors::Unequal,
            _ => return Err(Error::corrupt("stored state: an unknown form of vectors")),
        })
    }

    fn heap(state: &Vectors) -> usize {
        match state {
            Vectors::Sums(positions) => {
                positions.capacity() * size_of::<Position>() + positions.iter().map(|position| position.sum.heap()).sum::<usize>()
            }
            Vectors::NoList | Vectors::Unequal => 0,
        }
    }
}

impl Tiled for SumsOfLists {
    fn merge(&self, state: &mut Vectors, other: &Vectors) {
        match other {
            Vectors::NoList => {}
            Vectors::Unequal => *state = Vectors::Unequal,
            Vectors::Sums(others) => {
                for (position, other) in state.positions(others.len()).into_iter().flatten().zip(others) {
                    position.count += other.count;
                    position.sum.merge(&other.sum);
                }
            }
        }
    }
}
