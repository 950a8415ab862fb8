//! Partials as stored bytes; see `docs/storage-format.md`. Equal partials give equal bytes.

use std::sync::Arc;

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::exact::ExactSum;
use super::super::rows::SortKey;
use super::cell::{Kind, Scalar};
use super::distinct::Distinct;
use super::moments::Moments;
use super::placed::{Chosen, PositionedValue};
use super::{Fold, FoldSpec, Partial};
use crate::error::Result;

impl FoldSpec {
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
            Partial::List(list) => put_list(bytes, list),
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
            Fold::Least(kind) | Fold::Greatest(kind) => Partial::Extreme(reader.optional(|reader| get_cell(reader, *kind))?),
            Fold::First(kind) | Fold::Last(kind) => Partial::Placed(reader.optional(|reader| get_placed(reader, *kind).map(Box::new))?),
            Fold::LastN(kind, n) => Partial::List(get_list(reader, *kind, *n as usize)?),
            Fold::LeastBy(kind, by) | Fold::GreatestBy(kind, by) => Partial::Chosen(reader.optional(|reader| {
                let by = get_cell(reader, *by)?;
                Ok(Box::new(Chosen { by, placed: get_placed(reader, *kind)? }))
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
            Fold::Own(own) => Partial::Own(own.decode(reader)?),
        })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_unsigned(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

pub(in crate::aggregate) fn put_cell(bytes: &mut Vec<u8>, cell: &Scalar) {
    match cell {
        Scalar::Word(word) => bytes.extend(word.to_le_bytes()),
        Scalar::Text(text) => put_text(bytes, text),
    }
}

pub(in crate::aggregate) fn get_cell(reader: &mut ByteReader<'_>, kind: Kind) -> Result<Scalar> {
    Ok(match kind {
        Kind::Text => Scalar::Text(Arc::from(reader.text()?)),
        _ => Scalar::Word(reader.word()?),
    })
}

pub(in crate::aggregate) fn put_list(bytes: &mut Vec<u8>, list: &[PositionedValue]) {
    put_unsigned(bytes, list.len() as u64);
    list.iter().for_each(|placed| put_placed(bytes, placed));
}

/// Up to `most` of them.
pub(in crate::aggregate) fn get_list(reader: &mut ByteReader<'_>, kind: Kind, most: usize) -> Result<Vec<PositionedValue>> {
    let length = reader.length()?.min(most);
    (0..length).map(|_| get_placed(reader, kind)).collect()
}

fn put_placed(bytes: &mut Vec<u8>, placed: &PositionedValue) {
    placed.place.encode(bytes);
    put_cell(bytes, &placed.value);
}

fn get_placed(reader: &mut ByteReader<'_>, kind: Kind) -> Result<PositionedValue> {
    Ok(PositionedValue { place: SortKey::decode(reader)?, value: get_cell(reader, kind)? })
}
