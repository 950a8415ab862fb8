//! Partials as stored bytes; see `docs/storage-format.md`. Equal partials give equal bytes.

use std::sync::Arc;

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::exact::ExactSum;
use super::super::rows::Place;
use super::cell::{Cell, Kind};
use super::distinct::Distinct;
use super::moments::Moments;
use super::placed::{Chosen, Placed};
use super::{Fold, Part, Partial};
use crate::error::{Error, Result};

impl Part {
    pub(crate) fn encode(&self, partial: &Partial, bytes: &mut Vec<u8>) {
        match partial {
            Partial::Absent => {}
            Partial::Count(count) => put_unsigned(bytes, *count),
            Partial::Sum { count, sum } => {
                put_unsigned(bytes, *count);
                sum.encode(bytes);
            }
            Partial::Moments(moments) => {
                put_unsigned(bytes, moments.count);
                moments.sum.encode(bytes);
                moments.squares.encode(bytes);
            }
            Partial::Extreme(cell) => {
                bytes.push(u8::from(cell.is_some()));
                cell.iter().for_each(|cell| put_cell(bytes, cell));
            }
            Partial::Placed(placed) => {
                bytes.push(u8::from(placed.is_some()));
                placed.iter().for_each(|placed| put_placed(bytes, placed));
            }
            Partial::List(list) => {
                put_unsigned(bytes, list.len() as u64);
                list.iter().for_each(|placed| put_placed(bytes, placed));
            }
            Partial::Chosen(chosen) => {
                bytes.push(u8::from(chosen.is_some()));
                if let Some(chosen) = chosen {
                    put_cell(bytes, &chosen.by);
                    put_placed(bytes, &chosen.placed);
                }
            }
            Partial::Truths { count, trues } => {
                put_unsigned(bytes, *count);
                put_unsigned(bytes, *trues);
            }
            Partial::Distinct(distinct) => {
                put_unsigned(bytes, distinct.len() as u64);
                match distinct {
                    Distinct::Words(words) => words.iter().for_each(|word| bytes.extend(word.to_le_bytes())),
                    Distinct::Texts(texts) => texts.iter().for_each(|text| put_text(bytes, text)),
                }
            }
            Partial::Own(state) => {
                if let Fold::Own(own) = &self.fold {
                    own.encode(state, bytes);
                }
            }
        }
    }

    pub(crate) fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Partial> {
        Ok(match &self.fold {
            Fold::Count => Partial::Count(reader.counted()?),
            Fold::Sum { .. } => Partial::Sum { count: reader.counted()?, sum: ExactSum::decode(reader)? },
            Fold::Moments { .. } => {
                let (count, sum) = (reader.counted()?, ExactSum::decode(reader)?);
                Partial::Moments(Box::new(Moments { count, sum, squares: ExactSum::decode(reader)? }))
            }
            Fold::Least(kind) | Fold::Greatest(kind) => Partial::Extreme(optional(reader, |reader| cell(reader, *kind))?),
            Fold::First(kind) | Fold::Last(kind) => Partial::Placed(optional(reader, |reader| placed(reader, *kind).map(Box::new))?),
            Fold::LastN(kind, n) => {
                let length = reader.length()?.min(*n as usize);
                Partial::List((0..length).map(|_| placed(reader, *kind)).collect::<Result<_>>()?)
            }
            Fold::LeastBy(kind, by) | Fold::GreatestBy(kind, by) => Partial::Chosen(optional(reader, |reader| {
                let by = cell(reader, *by)?;
                Ok(Box::new(Chosen { by, placed: placed(reader, *kind)? }))
            })?),
            Fold::Truths => Partial::Truths { count: reader.counted()?, trues: reader.counted()? },
            Fold::Distinct(Kind::Text, _) => {
                let length = reader.length()?;
                Partial::Distinct(Distinct::Texts((0..length).map(|_| Ok(Arc::from(reader.text()?))).collect::<Result<_>>()?))
            }
            Fold::Distinct(..) => {
                let length = reader.length()?;
                Partial::Distinct(Distinct::Words((0..length).map(|_| reader.word()).collect::<Result<_>>()?))
            }
            // Whatever is kept takes a byte.
            Fold::Own(_) if reader.is_empty() => Partial::Absent,
            Fold::Own(own) => Partial::Own(own.decode(reader)?),
        })
    }
}

fn optional<T>(reader: &mut ByteReader<'_>, read: impl FnOnce(&mut ByteReader<'_>) -> Result<T>) -> Result<Option<T>> {
    match reader.byte()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(Error::corrupt("stored state: neither absent nor present")),
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_unsigned(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

pub(super) fn put_cell(bytes: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Word(word) => bytes.extend(word.to_le_bytes()),
        Cell::Text(text) => put_text(bytes, text),
    }
}

pub(super) fn cell(reader: &mut ByteReader<'_>, kind: Kind) -> Result<Cell> {
    Ok(match kind {
        Kind::Text => Cell::Text(Arc::from(reader.text()?)),
        _ => Cell::Word(reader.word()?),
    })
}

fn put_placed(bytes: &mut Vec<u8>, placed: &Placed) {
    bytes.extend(placed.place.time.to_le_bytes());
    put_unsigned(bytes, u64::from(placed.place.partition));
    put_unsigned(bytes, placed.place.offset);
    put_cell(bytes, &placed.value);
}

fn placed(reader: &mut ByteReader<'_>, kind: Kind) -> Result<Placed> {
    let time = reader.word()?;
    let partition = u32::try_from(reader.unsigned()?).map_err(|_| Error::corrupt("stored state: a partition out of range"))?;
    let place = Place { time, partition, offset: reader.unsigned()? };
    Ok(Placed { place, value: cell(reader, kind)? })
}
