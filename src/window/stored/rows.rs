//! Runs of raw events as bytes, column by column, and which columns they are. A run that was written under other
//! inputs or filters is read as long as it holds those that are needed.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::layout::{Label, Layout, RowShape};
use super::super::leaf::Leaf;
use super::doubles;
use crate::aggregate::{ByteReader, Kind, META, OFFSET, Rows, TIME, put_signed, put_unsigned};
use crate::error::{Error, Result};

/// The first byte of a segment.
const VERSION: u8 = 2;
/// That of segments whose doubles are all plain, which are still read.
const VERSION_PLAIN: u8 = 1;

/// Flags of a run, where all events agree or not.
const NONE: u8 = 0;
const ALL: u8 = 1;
const SOME: u8 = 2;

/// Stored columns: what they are and where the layout has them.
pub(in super::super) struct Columns {
    inputs: Vec<(Kind, Option<usize>)>,
    filters: Vec<Option<usize>>,
    /// Whether a run's doubles have a power of ten.
    has_powers: bool,
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => 1,
        Kind::Int => 2,
        Kind::Float => 3,
        Kind::Text => 4,
        Kind::Timestamp => 5,
    }
}

fn kind_of(byte: u8) -> Result<Kind> {
    Ok(match byte {
        1 => Kind::Bool,
        2 => Kind::Int,
        3 => Kind::Float,
        4 => Kind::Text,
        5 => Kind::Timestamp,
        _ => return Err(corrupt("an unknown type")),
    })
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("stored events: {what}"))
}

pub(super) fn read_label(reader: &mut ByteReader<'_>) -> Result<Label> {
    let mut label = Label::default();
    label.copy_from_slice(reader.take(8)?);
    Ok(label)
}

pub(super) fn encode_columns(layout: &Layout, bytes: &mut Vec<u8>) {
    put_unsigned(bytes, layout.input_labels.len() as u64);
    for (kind, label) in layout.shape.kinds.iter().zip(&layout.input_labels) {
        bytes.push(kind_byte(*kind));
        bytes.extend(label);
    }
    put_unsigned(bytes, layout.filter_labels.len() as u64);
    layout.filter_labels.iter().for_each(|label| bytes.extend(label));
}

/// Which columns follow; `None` when they do not hold all that the layout needs.
pub(super) fn decode_columns(layout: &Layout, reader: &mut ByteReader<'_>, has_powers: bool) -> Result<Option<Columns>> {
    let inputs = (0..reader.length()?)
        .map(|_| {
            let (kind, label) = (kind_of(reader.byte()?)?, read_label(reader)?);
            let at = layout.input_labels.iter().position(|known| *known == label);
            Ok((kind, at.filter(|at| layout.shape.kinds[*at] == kind)))
        })
        .collect::<Result<Vec<_>>>()?;
    let filters = (0..reader.length()?)
        .map(|_| {
            let label = read_label(reader)?;
            Ok(layout.filter_labels.iter().position(|known| *known == label))
        })
        .collect::<Result<Vec<_>>>()?;
    let has_input = |wanted: usize| inputs.iter().any(|(_, at)| *at == Some(wanted));
    let complete =
        (0..layout.input_labels.len()).all(has_input) && (0..layout.filter_labels.len()).all(|wanted| filters.contains(&Some(wanted)));
    Ok(complete.then_some(Columns { inputs, filters, has_powers }))
}

pub(super) fn encode_segment(layout: &Layout, rows: Rows<'_>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    encode_columns(layout, &mut bytes);
    encode(layout, rows, &mut bytes);
    bytes
}

/// Appends a segment's events to `into`.
pub(in super::super) fn decode_segment(layout: &Layout, bytes: &[u8], into: &mut Leaf) -> Result<()> {
    let mut reader = ByteReader(bytes);
    let has_powers = match reader.byte()? {
        VERSION => true,
        VERSION_PLAIN => false,
        _ => return Err(corrupt("an unknown format")),
    };
    let columns = decode_columns(layout, &mut reader, has_powers)?.ok_or_else(|| corrupt("columns that their row has are missing"))?;
    decode(layout, &columns, &mut reader, into)?;
    if reader.is_empty() { Ok(()) } else { Err(corrupt("bytes after their end")) }
}

/// Appends rows that are in order.
pub(super) fn encode(layout: &Layout, rows: Rows<'_>, bytes: &mut Vec<u8>) {
    let events = || rows.words.chunks_exact(rows.stride);
    put_unsigned(bytes, rows.len() as u64);
    let Some(first) = events().next() else { return };
    bytes.extend(first[TIME].to_le_bytes());
    for (event, next) in events().zip(events().skip(1)) {
        put_unsigned(bytes, next[TIME] - event[TIME]);
    }
    let same_partition = events().all(|event| event[META] >> 32 == first[META] >> 32);
    bytes.push(u8::from(!same_partition));
    for event in events().take(if same_partition { 1 } else { usize::MAX }) {
        put_unsigned(bytes, event[META] >> 32);
    }
    let mut previous = 0;
    for event in events() {
        put_signed(bytes, event[OFFSET].wrapping_sub(previous) as i64);
        previous = event[OFFSET];
    }
    for flag in 0..layout.shape.kinds.len() + layout.shape.filters {
        let (word, bit) = RowShape::input_flag(flag);
        put_bits(bytes, events().map(|event| event[word] & bit != 0));
    }
    for (input, kind) in layout.shape.kinds.iter().enumerate() {
        let (flag_word, bit) = RowShape::input_flag(input);
        let words = events().filter(|event| event[flag_word] & bit != 0).map(|event| event[layout.shape.inputs_at + input]);
        match kind {
            Kind::Float => doubles::put(bytes, words),
            Kind::Int | Kind::Timestamp => words.for_each(|word| put_signed(bytes, word as i64)),
            Kind::Bool => put_bits(bytes, words.map(|word| word != 0)),
            Kind::Text => put_texts(bytes, words.map(|word| rows.texts.get(word as usize).map_or("", |text| text))),
        }
    }
}

fn put_bits(bytes: &mut Vec<u8>, bits: impl Iterator<Item = bool> + Clone) {
    let same = if bits.clone().all(|bit| bit) { Some(ALL) } else { (!bits.clone().any(|bit| bit)).then_some(NONE) };
    if let Some(same) = same {
        return bytes.push(same);
    }
    bytes.push(SOME);
    for (index, bit) in bits.enumerate() {
        if index % 8 == 0 {
            bytes.push(0);
        }
        if let Some(last) = bytes.last_mut() {
            *last |= u8::from(bit) << (index % 8);
        }
    }
}

fn put_texts<'a>(bytes: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    let mut places: HashMap<&str, u64> = HashMap::new();
    let (mut distinct, mut indices) = (Vec::new(), Vec::new());
    for text in texts {
        let place = *places.entry(text).or_insert_with(|| {
            distinct.push(text);
            distinct.len() as u64 - 1
        });
        put_unsigned(&mut indices, place);
    }
    put_unsigned(bytes, distinct.len() as u64);
    for text in distinct {
        put_unsigned(bytes, text.len() as u64);
        bytes.extend(text.as_bytes());
    }
    bytes.extend(indices);
}

/// Appends the events that follow to `into`, as the layout has them.
pub(super) fn decode(layout: &Layout, columns: &Columns, reader: &mut ByteReader<'_>, into: &mut Leaf) -> Result<()> {
    let count = reader.length()?;
    if count == 0 {
        return Ok(());
    }
    let (stride, start) = (layout.shape.stride, into.words.len());
    into.words.resize(start + count * stride, 0);
    let words = &mut into.words[start..];
    let mut time = reader.word()?;
    for row in 0..count {
        if row > 0 {
            time = time.checked_add(reader.unsigned()?).ok_or_else(|| corrupt("a time out of range"))?;
        }
        words[row * stride + TIME] = time;
    }
    let partitions_differ = reader.byte()? != 0;
    let mut partition = 0;
    for row in 0..count {
        if row == 0 || partitions_differ {
            partition = u64::from(u32::try_from(reader.unsigned()?).map_err(|_| corrupt("a partition out of range"))?);
        }
        words[row * stride + META] = partition << 32;
    }
    let mut offset = 0u64;
    for event in words.chunks_exact_mut(stride) {
        offset = offset.wrapping_add(reader.signed()? as u64);
        event[OFFSET] = offset;
    }
    let mut present = Vec::with_capacity(columns.inputs.len());
    for (_, at) in &columns.inputs {
        let bits = bits(reader, count)?;
        set_flags(words, stride, at.map(RowShape::input_flag), &bits);
        present.push(bits);
    }
    for at in &columns.filters {
        let bits = bits(reader, count)?;
        set_flags(words, stride, at.map(|filter| layout.shape.filter_flag(filter)), &bits);
    }
    for ((kind, at), present) in columns.inputs.iter().zip(&present) {
        let at = at.map(|input| layout.shape.inputs_at + input);
        let rows: Vec<usize> = (0..count).filter(|row| present[*row]).map(|row| row * stride).collect();
        let mut put = |row: usize, word: u64| {
            if let Some(at) = at {
                words[rows[row] + at] = word;
            }
        };
        match kind {
            Kind::Float => doubles::read(reader, rows.len(), columns.has_powers, put)?,
            Kind::Int | Kind::Timestamp => (0..rows.len()).try_for_each(|row| reader.signed().map(|word| put(row, word as u64)))?,
            Kind::Bool => bits(reader, rows.len())?.into_iter().enumerate().for_each(|(row, bit)| put(row, u64::from(bit))),
            Kind::Text => {
                let distinct = (0..reader.length()?).map(|_| Ok(Arc::from(reader.text()?))).collect::<Result<Vec<Arc<str>>>>()?;
                let first = into.texts.len() as u64;
                for row in 0..rows.len() {
                    let place = reader.unsigned()?;
                    if place >= distinct.len() as u64 {
                        return Err(corrupt("a text that is not among theirs"));
                    }
                    put(row, first + place);
                }
                if at.is_some() {
                    into.texts.extend(distinct);
                }
            }
        }
    }
    Ok(())
}

fn set_flags(words: &mut [u64], stride: usize, flag: Option<(usize, u64)>, bits: &[bool]) {
    if let Some((word, flag)) = flag {
        for (event, _) in words.chunks_exact_mut(stride).zip(bits).filter(|(_, bit)| **bit) {
            event[word] |= flag;
        }
    }
}

fn bits(reader: &mut ByteReader<'_>, count: usize) -> Result<Vec<bool>> {
    Ok(match reader.byte()? {
        NONE => vec![false; count],
        ALL => vec![true; count],
        SOME => {
            let bytes = reader.take(count.div_ceil(8))?;
            (0..count).map(|index| bytes[index / 8] >> (index % 8) & 1 == 1).collect()
        }
        _ => return Err(corrupt("an unknown run of flags")),
    })
}
