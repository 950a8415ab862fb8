//! Weights that an ONNX file keeps in other files: which they are, and the same model with all of them inside. Must
//! never open a file.

use std::collections::BTreeMap;

use super::Message;
use super::wire::{Content, Field, Malformed, fields, write_bytes};
use crate::error::{Error, Result};

/// Messages lie in one another at most so deep; deeper ones are no model.
const DEPTH_MAX: usize = 64;

const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;
const RAW_DATA: u64 = 9;

/// The part of a file that holds a tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// As it is written.
    pub file: String,
    pub offset: u64,
    /// `None`: to the end.
    pub length: Option<u64>,
}

/// The places of all tensors that lie elsewhere.
pub fn places(model: &[u8]) -> Result<Vec<Place>, Malformed> {
    let mut found = Vec::new();
    collect(model, Message::Model, 0, &mut found)?;
    Ok(found)
}

fn collect(bytes: &[u8], message: Message, depth: usize, found: &mut Vec<Place>) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed);
    }
    if message == Message::Tensor {
        found.extend(place(bytes)?);
        return Ok(());
    }
    for field in fields(bytes) {
        let field = field?;
        if let (Some(inner), Content::Bytes(bytes)) = (message.inner(field.number), field.content) {
            collect(bytes, inner, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Where a tensor lies; `None`: in the model itself.
fn place(tensor: &[u8]) -> Result<Option<Place>, Malformed> {
    let (mut is_external, mut place) = (false, Place::default());
    for field in fields(tensor) {
        match field? {
            Field { number: DATA_LOCATION, content: Content::Number(location), .. } => is_external = location == 1,
            Field { number: EXTERNAL_DATA, content: Content::Bytes(entry), .. } => {
                is_external = true;
                let (key, value) = entry_of(entry)?;
                match key {
                    "location" => value.clone_into(&mut place.file),
                    "offset" => place.offset = value.parse().map_err(|_| Malformed)?,
                    "length" => place.length = Some(value.parse().map_err(|_| Malformed)?),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(is_external.then_some(place))
}

fn entry_of(entry: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut key, mut value) = ("", "");
    for field in fields(entry) {
        let Field { number, content: Content::Bytes(bytes), .. } = field? else { continue };
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        match number {
            1 => key = text,
            2 => value = text,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The model with the data of all its tensors inside. `files` has the contents of each file of `places`, by its written
/// name.
///
/// # Errors
/// `Input` when a file is shorter than a tensor says, or the bytes are no model.
pub fn inlined(model: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let mut whole = Vec::with_capacity(model.len() + files.values().map(Vec::len).sum::<usize>());
    copy(model, Message::Model, files, &mut whole)?;
    Ok(whole)
}

/// `places` has been through: the depth is known to be bounded.
fn copy(bytes: &[u8], message: Message, files: &BTreeMap<String, Vec<u8>>, into: &mut Vec<u8>) -> Result<()> {
    let malformed = |_: Malformed| Error::input("it is no ONNX model");
    let place = if message == Message::Tensor { place(bytes).map_err(malformed)? } else { None };
    for field in fields(bytes) {
        let field = field.map_err(malformed)?;
        match (message.inner(field.number), field.content) {
            (Some(inner), Content::Bytes(bytes)) => {
                let mut copied = Vec::new();
                copy(bytes, inner, files, &mut copied)?;
                write_bytes(field.number, &copied, into);
            }
            _ if place.is_some() && matches!(field.number, EXTERNAL_DATA | DATA_LOCATION) => {}
            _ => into.extend_from_slice(field.written),
        }
    }
    if let Some(place) = place {
        write_bytes(RAW_DATA, part(&place, files)?, into);
    }
    Ok(())
}

fn part<'f>(place: &Place, files: &'f BTreeMap<String, Vec<u8>>) -> Result<&'f [u8]> {
    let file = files.get(&place.file).ok_or_else(|| Error::internal(format!("external data {:?} was not read", place.file)))?;
    let end = place.length.map_or(Some(file.len() as u64), |length| place.offset.checked_add(length));
    let bounds = usize::try_from(place.offset).ok().zip(end.and_then(|end| usize::try_from(end).ok()));
    bounds.and_then(|(start, end)| file.get(start..end)).ok_or_else(|| {
        let asked = place.length.map_or_else(String::new, |length| format!(" and {length} bytes"));
        let message = format!(
            "its external data {:?} has {} bytes, and a tensor asks for offset {}{asked}: the two files are not of one export",
            place.file,
            file.len(),
            place.offset
        );
        Error::input(message)
    })
}
