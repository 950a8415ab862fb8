//! Records in one body, each behind its length. No byte of a record can break this framing, as a line break does if records are
//! lines. Must never accept a part of a body.

use crate::serve::error::Refusal;

/// What such a body calls itself.
pub const CONTENT_TYPE: &str = "application/vnd.forebay.records";
/// Of a length: an unsigned number, the highest byte first.
pub const LENGTH_BYTES: usize = 4;

/// Records as a body. Each is shorter than 4 GiB.
#[must_use]
pub fn write(records: &[Vec<u8>]) -> Vec<u8> {
    let bytes = records.iter().map(|record| LENGTH_BYTES + record.len()).sum();
    let mut body = Vec::with_capacity(bytes);
    for record in records {
        body.extend((record.len() as u32).to_be_bytes());
        body.extend(record);
    }
    body
}

/// The records of a body, which must end where its last record does. Of more than `most` one more is read.
pub(in crate::serve) fn read(body: &[u8], most: usize) -> Result<Vec<&[u8]>, Refusal> {
    let wrong = |at: usize, what: String| {
        let message = format!("byte {at}: {what}: before each record stands its length, {LENGTH_BYTES} bytes with the highest first");
        Refusal::bad("invalid_frames", None, message)
    };
    let (mut records, mut rest) = (Vec::new(), body);
    while !rest.is_empty() && records.len() <= most {
        let at = body.len() - rest.len();
        let Some((length, behind)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(wrong(at, format!("the body ends after {} bytes of a length", rest.len())));
        };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((record, behind)) = behind.split_at_checked(length) else {
            return Err(wrong(at, format!("a record says that it has {length} bytes, and {} are left", behind.len())));
        };
        records.push(record);
        rest = behind;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_that_lie_and_bodies_that_are_cut_off_are_refused() {
        let body = write(&[b"a\nb".to_vec(), Vec::new(), b"\"\x00\xff".to_vec()]);
        assert_eq!(read(&body, 100).unwrap(), [&b"a\nb"[..], b"", b"\"\x00\xff"]);
        assert_eq!(read(b"", 100).unwrap(), Vec::<&[u8]>::new());
        for end in 1..body.len() {
            // Behind a whole record a body may end.
            let whole = [7, 11].contains(&end);
            assert_eq!(read(&body[..end], 100).map_err(|refusal| refusal.code).is_ok(), whole, "{end}");
        }
        for lie in [&b"\xff\xff\xff\xffab"[..], b"\0\0\0\x02a", b"\0\0\0\x01ab", b"{\"a\":1}"] {
            assert_eq!(read(lie, 100).unwrap_err().code, "invalid_frames");
        }
        assert_eq!(
            read(b"\0\0\0\x09ab", 100).unwrap_err().message.split(": before").next(),
            Some("byte 0: a record says that it has 9 bytes, and 2 are left")
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_any_bytes_are_read_or_refused(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let body = write(&records);
            prop_assert_eq!(read(&body, 100).unwrap(), records);
            if let Ok(records) = read(&bytes, 100) {
                let records: Vec<Vec<u8>> = records.into_iter().map(<[u8]>::to_vec).collect();
                prop_assert_eq!(write(&records), bytes);
            }
        }
    }
}
