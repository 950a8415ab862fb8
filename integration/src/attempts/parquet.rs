//! Any bytes as a Parquet file, pushed, as a table's and as a spine: rows or an error; each row is an event or a reject.

use std::fs;

use forebay::decode::{Decoder, Payloads, file_to_records, table_to_records};
use forebay::training::read_spine;
use forebay::{DataType, Offset, RecordRun};

use super::{Target, plan_of};
use crate::folders::here;

const SOURCE: &str = "
source s (b boolean, i bigint, x double, s text, t timestamp, xs double[], is bigint[], ts timestamp[], tags text[])
from log 's' format json event time t;";

/// The inputs are files. Those to begin with are what other writers make of these columns.
#[must_use]
pub fn parquet() -> Target {
    let folder = tempfile::tempdir().expect("a folder");
    let source = plan_of(SOURCE).sources[0].clone();
    let mut decoder = Decoder::new(&source);
    let attempt = move |input: &[u8]| {
        let path = folder.path().join("s.parquet");
        fs::write(&path, input).expect("a file can be written");
        for records in [file_to_records(&source, &path), table_to_records(&source, &path)] {
            records.into_iter().for_each(|payloads| decode(&mut decoder, payloads));
        }
        if let Ok(spine) = read_spine(&path) {
            let _ = spine.table(&[("i", &DataType::Int), ("t", &DataType::Timestamp), ("s", &DataType::Text)]);
        }
    };
    let mut seeds = Vec::new();
    super::files(&here("fixtures/parquet"), "parquet", &mut seeds);
    Target { name: "parquet", seeds, attempt: Box::new(attempt) }
}

fn decode(decoder: &mut Decoder, payloads: Payloads) {
    for batch in payloads {
        let Ok(batch) = batch else { return };
        let mut run = RecordRun { topic: "s".into(), ..RecordRun::default() };
        for (offset, payload) in batch.iter().enumerate() {
            run.push(Offset(offset as u64), 0, None, Some(&payload.bytes), Vec::new());
        }
        let decoded = decoder.decode(&run).expect("what is wrong with a row is no fault");
        assert_eq!(decoded.records.len() + decoded.rejects.len(), batch.len(), "every row is an event or a reject");
    }
}
