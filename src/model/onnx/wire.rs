//! Protocol buffers as far as they say where a field starts and ends: whatever the bytes are, reading them ends, stays
//! within them and never panics.

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u64,
    pub content: Content<'a>,
    /// The field as it is written, its tag included.
    pub written: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Number(u64),
    /// A text, a message, or numbers one after another.
    Bytes(&'a [u8]),
    /// Of four or eight bytes.
    Fixed,
}

/// The fields of a message, in their order. Ends after the first that is malformed.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let whole = *rest;
    let tag = number(rest)?;
    let content = match tag & 7 {
        0 => Content::Number(number(rest)?),
        1 => take(rest, 8).map(|_| Content::Fixed)?,
        2 => {
            let length = usize::try_from(number(rest)?).map_err(|_| Malformed)?;
            Content::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Content::Fixed)?,
        _ => return Err(Malformed),
    };
    Ok(Field { number: tag >> 3, content, written: &whole[..whole.len() - rest.len()] })
}

/// Seven bits in each byte, the lowest first; the eighth says that more follow.
pub fn number(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(count).ok_or(Malformed)?;
    *rest = left;
    Ok(taken)
}

/// Appends a field of bytes.
pub fn write_bytes(number: u64, bytes: &[u8], into: &mut Vec<u8>) {
    write_number(number << 3 | 2, into);
    write_number(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

fn write_number(mut number: u64, into: &mut Vec<u8>) {
    while number > 0x7f {
        into.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut bytes = Vec::new();
        for (number, content) in [(1, vec![7; 300]), (900, vec![]), (2, vec![0x80])] {
            write_bytes(number, &content, &mut bytes);
        }
        let read: Vec<_> = fields(&bytes).map(|field| field.unwrap()).collect();
        assert_eq!(read.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 900, 2]);
        assert_eq!(read[0].content, Content::Bytes(&[7; 300]));
        assert_eq!(read.iter().flat_map(|field| field.written).copied().collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn what_is_no_message_ends() {
        for bytes in
            [&[0x0a, 0xff][..], &[0xff; 12], &[0x0b], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &[0x0d, 1]]
        {
            assert_eq!(fields(bytes).last(), Some(Err(Malformed)), "{bytes:?}");
        }
    }
}
