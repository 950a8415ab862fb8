//! Any bytes as JSON records: each is a row or a reject, once. And any bytes as a file of records: read the same in pieces
//! of every size, to an end.

use std::io::BufReader;

use forebay::decode::{CsvRow, CsvTable, Decoder, Lines};
use forebay::{Offset, RecordRun};

use super::{Target, files, plan_of};
use crate::folders::here;

const SOURCE: &str = "
source s (i bigint, x double, s text, b boolean, t timestamp, xs double[], tags text[])
from log 's' format json event time t expect i > 0 else quarantine;";

/// The inputs are records, one to a line.
#[must_use]
pub fn records() -> Target {
    let mut seeds: Vec<Vec<u8>> = [
        r#"{"i":9007199254740993,"x":-0.0,"s":"é\ud83d\ude00\n","b":true,"t":"2024-05-01T00:00:00.123456Z"}"#,
        r#"{"i":1,"x":"NaN","s":"","b":null,"t":1714521600000000,"other":{"a":[1,{"b":null}]}}"#,
        r#"{"t":"2024-05-01 00:00:00","i":-5,"i":7,"x":1e308}"#,
        r#"{"t":0,"i":1,"x":1e400,"x":-0.0,"other":[-1E999,"1e400"],"s":7,"s":"last"}"#,
        r#"[{"t":0,"i":1},{"t":"]\"","i":[[1]]},7]"#,
        "i,x,s\r\n1,\"a,\"\"b\nc\",\n\n2,3,\"d\"\n",
        r#"{"t":0,"i":1,"xs":[1,-0.0,null,"NaN"],"tags":["a",null,"\u00e9"],"xs":[]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    files(&here("scenarios"), "ndjson", &mut seeds);
    let mut decoder = Decoder::new(&plan_of(SOURCE).sources[0]);
    let attempt = move |input: &[u8]| {
        let mut run = RecordRun { topic: "s".into(), ..RecordRun::default() };
        for (offset, payload) in input.split(|byte| *byte == b'\n').enumerate() {
            run.push(Offset(offset as u64), 0, None, Some(payload), Vec::new());
        }
        let decoded = decoder.decode(&run).expect("what is wrong with a record is no fault");
        assert_eq!(decoded.batch.num_rows(), decoded.records.len());
        let mut told: Vec<u32> = decoded.records.iter().copied().chain(decoded.rejects.iter().map(|reject| reject.record)).collect();
        told.sort_unstable();
        assert!(told.into_iter().eq(0..run.records.len() as u32), "every record is a row or a reject, once");
        for read in [lines, rows] {
            let whole = read(input, input.len().max(1));
            assert!([1, 7].into_iter().all(|piece| read(input, piece) == whole), "a file is the same in pieces");
        }
    };
    Target { name: "records", seeds, attempt: Box::new(attempt) }
}

/// The lines and bytes of a file's records, and whether it is one to its end.
type File = (Vec<(u64, Vec<u8>)>, bool);

fn lines(input: &[u8], piece: usize) -> File {
    let (mut records, mut sound) = (Vec::new(), true);
    for record in Lines::new(BufReader::with_capacity(piece, input)) {
        match record {
            Ok(record) => records.push((record.place, record.bytes)),
            Err(_) => sound = false,
        }
    }
    (records, sound)
}

fn rows(input: &[u8], piece: usize) -> File {
    let (mut rows, mut row) = (Vec::new(), CsvRow::default());
    let Ok(mut table) = CsvTable::new(BufReader::with_capacity(piece, input)) else { return (rows, false) };
    loop {
        match table.read(&mut row) {
            Ok(true) => rows.push((row.line, row.cells().collect::<Vec<_>>().join(&b'|'))),
            Ok(false) => return (rows, true),
            Err(_) => return (rows, false),
        }
    }
}
