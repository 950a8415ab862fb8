//! Records of topics as `forebay topics read` prints them, and what Parquet holds.

use std::fs::{self, File};
use std::path::Path;

use arrow::array::{Array, UInt32Array, UInt64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value as Json};

use crate::answers::read_ndjson;
use crate::harness::Project;

/// One record of a topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: u64,
    pub offset: u64,
    pub value: Json,
    pub headers: Map<String, Json>,
}

impl Record {
    /// # Panics
    /// When it is not what `topics read` prints.
    #[must_use]
    pub fn of(json: &Json) -> Self {
        let number = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"));
        let headers = json["headers"].as_object().cloned().unwrap_or_default();
        Self { partition: number("partition"), offset: number("offset"), value: json["value"].clone(), headers }
    }

    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        (self.partition, self.offset)
    }

    /// What a reader drops equal predictions by: the identity in the headers.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn identity(&self) -> Vec<String> {
        let names = ["forebay.source", "forebay.partition", "forebay.offset", "forebay.model"];
        names.iter().map(|name| self.headers.get(*name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_string()).collect()
    }

    /// The place of the event that a prediction is about.
    ///
    /// # Panics
    /// When this is no prediction.
    #[must_use]
    pub fn event_place(&self) -> (u64, u64) {
        let number = |name: &str| self.value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.value));
        (number("partition"), number("offset"))
    }
}

/// All records of a topic of the embedded log.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn read_topic(project: &Project, topic: &str) -> Vec<Record> {
    let read = project.run(&["topics", "read", topic, "--from", "start", "--output", "ndjson"]).ok();
    read_ndjson(&read.stdout).iter().map(Record::of).collect()
}

/// Place and `seq` of every event in the Parquet files below a folder.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn parquet_places(folder: &Path) -> Vec<((u64, u64), u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(parquet_places(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.extend(places_of_file(&path));
        }
    }
    found
}

fn places_of_file(path: &Path) -> Vec<((u64, u64), u64)> {
    let file = File::open(path).expect("a file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").build().expect("its rows");
    let mut found = Vec::new();
    for batch in batches {
        let batch = batch.expect("rows");
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{}: no {name}", path.display()));
        let partitions = column("partition").as_any().downcast_ref::<UInt32Array>().expect("uint32");
        let offsets = column("offset").as_any().downcast_ref::<UInt64Array>().expect("uint64");
        let seqs = column("seq").as_any().downcast_ref::<UInt64Array>().expect("uint64");
        found.extend((0..batch.num_rows()).map(|row| ((u64::from(partitions.value(row)), offsets.value(row)), seqs.value(row))));
        assert_eq!(partitions.null_count() + offsets.null_count() + seqs.null_count(), 0);
    }
    found
}
