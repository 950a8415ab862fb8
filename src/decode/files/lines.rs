//! The records of NDJSON, one a line, or of one JSON array. Must never hold more of a record than may be one, and never
//! drop one: what is wrong with a record is the decoder's business, what is wrong with the file is an error with its line.

use std::io::{BufRead, Read};

use super::Payload;
use super::text::unreadable;
use crate::decode::PAYLOAD_BYTES_MAX;
use crate::error::{Error, Result};

/// A payload that is longer is one byte longer, by which the decoder knows it.
const KEPT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 1;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing was read that tells lines from an array.
    Beginning,
    Line,
    /// The first element of the array, or its end.
    First,
    /// Another element, behind a comma.
    Element,
    /// Nothing: the array has ended.
    Behind,
    End,
}

/// Reads one record after another. Ends after the first error.
pub struct Lines<R> {
    text: R,
    /// Of the byte that is read next, from 1.
    line: u64,
    /// Bytes before the one that is read next.
    at: usize,
    /// Bytes before the record that was read last.
    start: usize,
    next: Next,
}

impl<R: BufRead> Lines<R> {
    pub fn new(text: R) -> Self {
        Self { text, line: 1, at: 0, start: 0, next: Next::Beginning }
    }

    /// How many bytes stand before the record that was read last.
    pub fn start(&self) -> usize {
        self.start
    }

    fn consume(&mut self, bytes: usize) {
        self.text.consume(bytes);
        self.at += bytes;
    }

    fn read(&mut self) -> Result<Option<Payload>> {
        if self.next == Next::Beginning {
            match self.skip_blanks()? {
                Some(b'[') => {
                    self.consume(1);
                    self.next = Next::First;
                }
                Some(_) => self.next = Next::Line,
                None => return Ok(None),
            }
        }
        match self.next {
            Next::Line => self.line(),
            Next::First | Next::Element => self.element(),
            Next::Behind => self.behind(),
            Next::Beginning | Next::End => Ok(None),
        }
    }

    /// The next line that is not blank, without its end.
    fn line(&mut self) -> Result<Option<Payload>> {
        loop {
            let (place, mut bytes) = (self.line, Vec::new());
            self.start = self.at;
            let room = KEPT_BYTES_MAX as u64;
            let read = (&mut self.text).take(room).read_until(b'\n', &mut bytes).map_err(|error| unreadable(&error))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.at += read;
            if bytes.pop_if(|last| *last == b'\n').is_some() {
                bytes.pop_if(|last| *last == b'\r');
            } else if read == KEPT_BYTES_MAX {
                self.at += self.text.skip_until(b'\n').map_err(|error| unreadable(&error))?;
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some(Payload { place, bytes }));
            }
        }
    }

    /// The next element of the array; none where it ends.
    fn element(&mut self) -> Result<Option<Payload>> {
        let first = std::mem::replace(&mut self.next, Next::Element) == Next::First;
        match self.skip_blanks()? {
            Some(b']') if first => {
                self.consume(1);
                self.behind()
            }
            Some(b',' | b']') => {
                Err(Error::input(format!("line {}: a comma of the array stands beside no record: take it out", self.line)))
            }
            Some(_) => self.whole_element().map(Some),
            None => Err(Error::input(format!("line {}: the array does not end with ]: it is cut off", self.line))),
        }
    }

    /// Reads up to the comma or the bracket behind the element, and over it.
    fn whole_element(&mut self) -> Result<Payload> {
        let (place, mut bytes, mut length) = (self.line, Vec::new(), 0);
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        self.start = self.at;
        loop {
            let buffer = self.text.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return Err(Error::input(format!(
                    "line {place}: the record that begins here does not end: a quote or a bracket of it is not closed, or it is cut off"
                )));
            }
            let mut end = None;
            for (at, byte) in buffer.iter().enumerate() {
                match byte {
                    b'\n' => self.line += 1,
                    _ if escaped => {}
                    b'"' => in_text = !in_text,
                    b'[' | b'{' if !in_text => depth += 1,
                    b',' | b']' if !in_text && depth == 0 => end = Some((at, *byte)),
                    b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if end.is_some() {
                    break;
                }
                escaped = in_text && !escaped && *byte == b'\\';
            }
            let read = end.map_or(buffer.len(), |(at, _)| at);
            let room = KEPT_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&buffer[..read.min(room)]);
            length += read;
            self.consume(read + usize::from(end.is_some()));
            if let Some((_, byte)) = end {
                if length == bytes.len() {
                    bytes.truncate(bytes.trim_ascii_end().len());
                }
                if byte == b']' {
                    self.next = Next::Behind;
                }
                return Ok(Payload { place, bytes });
            }
        }
    }

    /// Sees that nothing stands behind the array.
    fn behind(&mut self) -> Result<Option<Payload>> {
        match self.skip_blanks()? {
            Some(_) => Err(Error::input(format!("line {}: something stands behind the array: a file is one array, or lines", self.line))),
            None => Ok(None),
        }
    }

    /// The byte behind the blanks, which is not read over.
    fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            let buffer = self.text.fill_buf().map_err(|error| unreadable(&error))?;
            let Some(first) = buffer.first().copied() else { return Ok(None) };
            if !first.is_ascii_whitespace() {
                return Ok(Some(first));
            }
            self.line += u64::from(first == b'\n');
            self.consume(1);
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Payload>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.next = Next::End;
        }
        read.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    /// The records with their lines, then the error.
    fn read(text: &str, buffer: usize) -> (Vec<(u64, String)>, Option<String>) {
        let (mut records, mut error) = (Vec::new(), None);
        for record in Lines::new(BufReader::with_capacity(buffer, Cursor::new(text.as_bytes().to_vec()))) {
            match record {
                Ok(Payload { place, bytes }) => records.push((place, String::from_utf8(bytes).unwrap())),
                Err(wrong) => error = Some(wrong.to_string()),
            }
        }
        (records, error)
    }

    #[test]
    fn lines_and_arrays_are_told_apart_and_keep_their_lines() {
        for (text, records, error) in [
            ("", &[][..], None),
            ("\n {\"a\":1}\r\n\n \r\nbad\n{}", &[(2, "{\"a\":1}"), (5, "bad"), (6, "{}")], None),
            ("{}\n[1]\n", &[(1, "{}"), (2, "[1]")], None),
            (" [ ]\n", &[], None),
            ("[\n{\"a\":\"],\\\"\"} ,\n {\"b\":[1,{\"c\":\n2}]}\n]\n", &[(2, "{\"a\":\"],\\\"\"}"), (3, "{\"b\":[1,{\"c\":\n2}]}")], None),
            ("[{}, bad word, {}{}, 7]", &[(1, "{}"), (1, "bad word"), (1, "{}{}"), (1, "7")], None),
            ("[{},\n]", &[(1, "{}")], Some("line 2: a comma of the array")),
            ("[{},,{}]", &[(1, "{}")], Some("line 1: a comma of the array")),
            ("[{}\n", &[], Some("line 1: the record that begins here does not end")),
            ("[{},\n{\"a\":\"b}]\n", &[(1, "{}")], Some("line 2: the record that begins here does not end")),
            ("[{},", &[(1, "{}")], Some("line 1: the array does not end")),
            ("[", &[], Some("line 1: the array does not end")),
            ("[{}]\n[]", &[(1, "{}")], Some("line 2: something stands behind the array")),
        ] {
            for buffer in [1, 2, 1024] {
                let (found, wrong) = read(text, buffer);
                assert!(found.iter().map(|(line, text)| (*line, text.as_str())).eq(records.iter().copied()), "{text:?}: {found:?}");
                let as_wanted = error.is_none_or(|error| wrong.as_deref().is_some_and(|wrong| wrong.starts_with(error)));
                assert!(as_wanted && wrong.is_some() == error.is_some(), "{text:?}: {wrong:?}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_kept_in_part() {
        let long = "a".repeat(KEPT_BYTES_MAX + 5);
        for text in [format!("{{}}\n{long}\n{{}}\n"), format!("[{{}},\n{long},\n{{}}]")] {
            let (found, wrong) = read(&text, 1 << 20);
            let lengths: Vec<(u64, usize)> = found.iter().map(|(line, text)| (*line, text.len())).collect();
            assert_eq!((lengths, wrong), (vec![(1, 2), (2, KEPT_BYTES_MAX), (3, 2)], None));
        }
        let fits = "a".repeat(PAYLOAD_BYTES_MAX);
        assert_eq!(read(&format!("{fits}\n{{}}"), 1 << 20).0[0].1.len(), PAYLOAD_BYTES_MAX);
        let one_more = "a".repeat(KEPT_BYTES_MAX);
        let (found, _) = read(&format!("{one_more}\n{{}}"), 1 << 20);
        assert_eq!(found.iter().map(|(line, text)| (*line, text.len())).collect::<Vec<_>>(), [(1, KEPT_BYTES_MAX), (2, 2)]);
    }
}
