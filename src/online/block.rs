//! A block's bytes: the accepted events of one commit. Documented in `docs/storage-format.md`.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::codec;
use crate::error::{Error, Result};
use crate::event::EventBatch;

const VERSION: u8 = 1;

/// For each batch: the length of the source's name (u32 LE), the name, the length of an Arrow IPC stream (u32 LE),
/// the stream; all of it lz4-compressed with its size before it, sealed with version and checksum.
pub fn encode(batches: &[EventBatch]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    for batch in batches {
        body.extend((batch.source.len() as u32).to_le_bytes());
        body.extend(batch.source.as_bytes());
        let length_at = body.len();
        body.extend([0; 4]);
        let mut writer = StreamWriter::try_new(&mut body, &batch.rows.schema())?;
        writer.write(&batch.rows)?;
        writer.finish()?;
        drop(writer);
        let length = (body.len() - length_at - 4) as u32;
        body[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    Ok(codec::seal(VERSION, &lz4_flex::compress_prepend_size(&body)))
}

/// Reads what `encode` wrote.
pub fn decode(bytes: &[u8]) -> Result<Vec<EventBatch>> {
    let sealed = codec::open(VERSION, bytes, "event block")?;
    let body = lz4_flex::decompress_size_prepended(sealed).map_err(|error| Error::corrupt(format!("event block: {error}")))?;
    let mut rest = body.as_slice();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let name = take(&mut rest)?;
        let source = std::str::from_utf8(name).map_err(|_| Error::corrupt("event block: a source's name is no text"))?.to_owned();
        let stream = take(&mut rest)?;
        let broken = |error: arrow::error::ArrowError| Error::corrupt(format!("event block of {source}: {error}"));
        for rows in StreamReader::try_new(Cursor::new(stream), None).map_err(broken)? {
            batches.push(EventBatch::stored(&source, rows.map_err(broken)?)?);
        }
    }
    Ok(batches)
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let short = || Error::corrupt("event block: it ends too early");
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    *rest = after;
    Ok(part)
}
