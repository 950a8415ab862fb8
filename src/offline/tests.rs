use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field as ArrowField, Schema};

use super::*;
use crate::id::Identity;
use crate::plan::{Field, Format, Origin};
use crate::time::IngestTime;
use crate::value::DataType;

fn source(fields: &[(&str, DataType)]) -> Source {
    let fields: Vec<Field> =
        fields.iter().map(|(name, data_type)| Field { name: (*name).to_owned(), data_type: data_type.clone() }).collect();
    let arrow: Vec<ArrowField> = fields.iter().map(|field| ArrowField::new(&field.name, field.data_type.arrow(), true)).collect();
    Source {
        name: "payments".to_owned(),
        id: Identity::default(),
        event_time: fields.iter().position(|field| field.name == "event_time").unwrap(),
        fields,
        schema: Arc::new(Schema::new(arrow)),
        origin: Origin::kafka("payments"),
        epochs: Vec::new(),
        format: Format::Json,
        lateness: Span::DAY,
        max_ahead: Span::HOUR,
        history: Span::DAY,
        dedup: None,
        expects: Vec::new(),
        deletes: None,
        tombstones: false,
        files: None,
    }
}

fn payments() -> Source {
    source(&[("user_id", DataType::Int), ("status", DataType::Text), ("event_time", DataType::Timestamp)])
}

/// Events with those seqs; the event time of seq `s` is `s * 7 hours`, odd ones a day earlier.
fn events(source: &Source, seqs: std::ops::Range<u64>) -> EventBatch {
    let seqs: Vec<u64> = seqs.collect();
    let columns = source.fields.iter().map(|field| -> ArrayRef {
        match field.data_type {
            DataType::Int => Arc::new(Int64Array::from_iter_values(seqs.iter().map(|seq| *seq as i64 % 5))),
            DataType::Float => Arc::new(Float64Array::from_iter_values(seqs.iter().map(|seq| *seq as f64 / 2.0))),
            DataType::Text => Arc::new(StringArray::from_iter_values(seqs.iter().map(|seq| format!("s{}", seq % 3)))),
            _ => Arc::new(TimestampMicrosecondArray::from_iter_values(
                seqs.iter().map(|seq| *seq as i64 * 7 * Span::HOUR.0 - (*seq as i64 % 2) * Span::DAY.0),
            )),
        }
    });
    let own = RecordBatch::try_new(source.schema.clone(), columns.collect()).unwrap();
    let ingest = seqs.iter().map(|seq| *seq as i64).collect();
    EventBatch::new("payments", &own, vec![0; seqs.len()], seqs.clone(), ingest, seqs).unwrap()
}

/// The seqs that a reader of the folder sees, sorted, after checking each file's order and description.
fn seen(folder: &Path, source: &Source) -> Vec<u64> {
    let snapshot = Store::open_read_only(folder).unwrap().snapshot();
    let mut all = Vec::new();
    for file in snapshot.files(source).unwrap() {
        let rows = snapshot.read_stored(file).unwrap();
        let batch = EventBatch { source: source.name.clone(), rows };
        let time = batch.rows.schema().index_of("event_time").unwrap();
        let positions: Vec<_> = (0..batch.len()).map(|row| batch.position(time, row).unwrap()).collect();
        assert!(positions.is_sorted());
        assert_eq!(file.rows as usize, batch.len());
        assert_eq!((file.time_min, file.time_max), (positions[0].time, positions[batch.len() - 1].time));
        let dated = |time: i64| if source.files.is_some() { year_of(time).to_string() } else { date_text(day_of(time)) };
        assert!(positions.iter().all(|at| dated(at.time.0) == file.date));
        let seqs = batch.seqs().unwrap().values().to_vec();
        assert_eq!(Some(file.seq_min.0), seqs.iter().copied().min());
        assert_eq!(Some(file.seq_max.0), seqs.iter().copied().max());
        all.extend(seqs);
    }
    all.sort_unstable();
    all
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let sources = folders_in(folder).unwrap();
    let dates = sources.iter().flat_map(|source| folders_in(source).unwrap());
    dates.flat_map(|date| fs::read_dir(date).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn what_is_written_is_read_once_and_by_date() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    assert_eq!(store.upto(), Seq(0));
    store.write(&[events(&source, 1..20), events(&source, 20..40)], Seq(39)).unwrap();
    assert_eq!(store.upto(), Seq(39));
    assert_eq!(seen(folder.path(), &source), (1..40).collect::<Vec<_>>());
    assert!(folder.path().join("payments/date=1970-01-01").is_dir());
    assert!(folder.path().join("payments/date=1969-12-31").is_dir(), "times before 1970 have their own date");
}

#[test]
fn rows_of_tables_lie_by_year() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source { files: Some("payments".into()), ..payments() };
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    for seq in 1..50 {
        store.write(&[events(&source, seq * 40..(seq + 1) * 40)], Seq((seq + 1) * 40 - 1)).unwrap();
    }
    assert_eq!(seen(folder.path(), &source), (40..2000).collect::<Vec<_>>());
    let files = store.snapshot().files(&source).unwrap().len();
    store.compact(IngestTime(0), &|| true).unwrap();
    assert_eq!(seen(folder.path(), &source), (40..2000).collect::<Vec<_>>());
    assert!(store.snapshot().files(&source).unwrap().len() < files);
    assert!(folder.path().join("payments/year=1971").is_dir());
    assert_eq!((year_of(i64::MIN), year_of(-1), year_of(0), year_of(i64::MAX)), (i64::MIN, 1969, 1970, i64::MAX));
}

#[test]
fn a_write_is_idempotent_and_overlaps_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[events(&source, 1..20)], Seq(19)).unwrap();
    store.write(&[events(&source, 1..20)], Seq(19)).unwrap();
    store.write(&[events(&source, 10..30)], Seq(29)).unwrap();
    drop(store);
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[events(&source, 25..31)], Seq(30)).unwrap();
    assert_eq!(seen(folder.path(), &source), (1..31).collect::<Vec<_>>());
}

#[test]
fn files_without_a_manifest_are_not_seen_and_are_swept_by_the_writer_only() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[events(&source, 1..20)], Seq(19)).unwrap();
    let before = parts(folder.path()).len();
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    store.write(&[events(&source, 20..40)], Seq(39)).unwrap();
    // A crash just before the rename: the files are there, the manifest is the old one.
    ["manifest.json", "manifest.copy.json"].iter().for_each(|name| fs::write(folder.path().join(name), &manifest).unwrap());
    drop(store);
    assert_eq!(seen(folder.path(), &source), (1..20).collect::<Vec<_>>());
    Store::open_read_only(folder.path()).unwrap();
    assert!(parts(folder.path()).len() > before, "a reader removes nothing");
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    assert_eq!(parts(folder.path()).len(), before);
    assert_eq!(store.upto(), Seq(19));
    store.write(&[events(&source, 1..40)], Seq(39)).unwrap();
    assert_eq!(seen(folder.path(), &source), (1..40).collect::<Vec<_>>());
}

#[test]
fn compaction_keeps_every_event_once_and_old_readers_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    let first = 1..9;
    store.write(&[events(&source, first)], Seq(8)).unwrap();
    // The same days again and again.
    for round in 1..6_u64 {
        let mut again = events(&source, 1..9);
        let seqs: Vec<u64> = (1..9).map(|seq| round * 8 + seq).collect();
        again = EventBatch::new("payments", &again.own(), vec![0; 8], seqs.clone(), vec![0; 8], seqs).unwrap();
        store.write(&[again], Seq(round * 8 + 8)).unwrap();
    }
    let old = Store::open_read_only(folder.path()).unwrap().snapshot();
    let files_before = old.files(&source).unwrap().len();
    let report = store.compact(IngestTime(0), &|| true).unwrap();
    assert_eq!((report.files_merged, report.rows, report.files_removed), (files_before, 48, 0));
    assert_eq!(seen(folder.path(), &source), (1..49).collect::<Vec<_>>());
    for file in old.files(&source).unwrap() {
        assert!(old.read_stored(file).is_ok(), "a reader of the older manifest still finds its files");
    }
    drop(store);
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    assert!(old.read_stored(old.files(&source).unwrap()[0]).is_ok(), "the grace outlives a restart");
    assert_eq!(store.compact(IngestTime(Span::MINUTE.0), &|| true).unwrap(), CompactionReport::default());
    let report = store.compact(IngestTime(Span::HOUR.0), &|| true).unwrap();
    assert_eq!(report.files_removed, files_before);
    assert_eq!(parts(folder.path()).len(), store.snapshot().files(&source).unwrap().len());
    assert_eq!(seen(folder.path(), &source), (1..49).collect::<Vec<_>>());
}

/// Events of one time.
fn one_day(source: &Source, seqs: std::ops::Range<u64>) -> EventBatch {
    let batch = events(source, seqs);
    let mut columns = batch.own().columns().to_vec();
    columns[source.event_time] = Arc::new(TimestampMicrosecondArray::from(vec![5; batch.len()]));
    let own = RecordBatch::try_new(source.schema.clone(), columns).unwrap();
    let seqs = batch.seqs().unwrap().values().to_vec();
    EventBatch::new("payments", &own, vec![0; seqs.len()], seqs.clone(), vec![0; seqs.len()], seqs).unwrap()
}

#[test]
fn an_added_field_is_null_in_older_files_also_once_merged() {
    let folder = tempfile::tempdir().unwrap();
    let old = payments();
    let new =
        source(&[("user_id", DataType::Int), ("amount", DataType::Float), ("status", DataType::Text), ("event_time", DataType::Timestamp)]);
    let store = Store::open(folder.path(), std::slice::from_ref(&old)).unwrap();
    store.write(&[one_day(&old, 1..5)], Seq(4)).unwrap();
    store.write(&[one_day(&old, 5..9)], Seq(8)).unwrap();
    drop(store);
    let store = Store::open(folder.path(), std::slice::from_ref(&new)).unwrap();
    store.write(&[one_day(&new, 9..13)], Seq(12)).unwrap();
    store.write(&[one_day(&new, 13..17)], Seq(16)).unwrap();
    let report = store.compact(IngestTime(0), &|| true).unwrap();
    assert_eq!((report.files_merged, report.files_made), (4, 1));
    let snapshot = store.snapshot();
    let files = snapshot.files(&new).unwrap();
    let rows = snapshot.read_stored(files[0]).unwrap();
    assert_eq!(rows.schema().fields().len(), 4 + SYSTEM_COLUMNS.len());
    assert_eq!(rows.column_by_name("amount").unwrap().null_count(), 8);
    assert_eq!(seen(folder.path(), &new), (1..17).collect::<Vec<_>>());
}

#[test]
fn retractions_are_counted_and_files_of_before_them_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    for first in [1, 5, 9, 13] {
        let mut batch = one_day(&source, first..first + 4);
        let at = batch.position(source.event_time, 0).unwrap();
        match first {
            1 => batch.rows = batch.rows.project(&(0..batch.rows.num_columns() - 2).collect::<Vec<_>>()).unwrap(),
            5 => {}
            _ => batch = batch.retracting(&[None, None, Some(at), Some(at)]).unwrap(),
        }
        store.write(&[batch], Seq(first + 3)).unwrap();
    }
    let counted = |store: &Store| store.snapshot().files(&source).unwrap().iter().map(|file| file.retractions).sum::<u64>();
    assert_eq!(counted(&store), 4);
    assert_eq!(store.compact(IngestTime(0), &|| true).unwrap().files_made, 1);
    assert_eq!(counted(&Store::open_read_only(folder.path()).unwrap()), 4);
    let snapshot = store.snapshot();
    let read = |file| EventBatch { source: source.name.clone(), rows: snapshot.read(file, &source).unwrap() };
    let batches: Vec<EventBatch> = snapshot.files(&source).unwrap().into_iter().map(read).collect();
    let retracted: usize = batches.iter().map(|batch| batch.retractions().unwrap().flatten().count()).sum();
    assert_eq!((retracted, seen(folder.path(), &source).len()), (4, 16));
}

#[test]
fn a_changed_type_is_an_error_that_names_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let old = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&old)).unwrap();
    store.write(&[events(&old, 1..3)], Seq(2)).unwrap();
    let new = source(&[("user_id", DataType::Text), ("event_time", DataType::Timestamp)]);
    let error = store.snapshot().files(&new).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let text = error.to_string();
    assert!(text.contains(".parquet holds payments.user_id as bigint, but it is declared text now"), "{text}");
}

#[test]
fn manifests_that_cannot_be_trusted_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest.json"), "{\"format\":1,").unwrap();
    assert_eq!(Store::open_read_only(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    fs::write(folder.path().join("manifest.json"), "{\"format\":2}").unwrap();
    assert_eq!(Store::open_read_only(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    fs::write(folder.path().join("manifest.json"), crate::codec::seal_json(3, &Manifest::default()).unwrap()).unwrap();
    assert_eq!(Store::open(folder.path(), &[]).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn a_full_disk_is_said_with_its_remedy() {
    let error = io_error("write", Path::new("data/part"), &std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "cannot write data/part: the disk is full; free some space, nothing is lost meanwhile");
}

#[test]
fn a_failed_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[events(&source, 1..3)], Seq(2)).unwrap();
    // A file where a date's folder should be.
    fs::write(folder.path().join("payments/date=1970-01-03"), "").unwrap();
    assert!(store.write(&[events(&source, 3..12)], Seq(11)).is_err());
    assert_eq!(store.upto(), Seq(2));
    fs::remove_file(folder.path().join("payments/date=1970-01-03")).unwrap();
    store.write(&[events(&source, 3..12)], Seq(11)).unwrap();
    assert_eq!(seen(folder.path(), &source), (1..12).collect::<Vec<_>>());
}

#[test]
fn names_are_safe_as_folders() {
    assert_eq!(escaped("payments_2-b"), "payments_2-b");
    assert_eq!(escaped("../a b"), "%2E%2E%2Fa%20b");
    ["payments_2-b", "../a b", "100%", "zürich"].iter().for_each(|name| assert_eq!(unescaped(&escaped(name)), *name));
}

#[test]
fn every_byte_that_is_changed_in_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[one_day(&source, 1..40)], Seq(39)).unwrap();
    let snapshot = store.snapshot();
    let file = &snapshot.all_files()[0];
    let path = snapshot.locate(file);
    let written = fs::read(&path).unwrap();
    for at in 0..written.len() {
        let mut bad = written.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        let error = snapshot.read(file, &source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert!(error.to_string().contains("forebay rebuild offline"), "{error}");
    }
    fs::write(&path, &written[..written.len() - 1]).unwrap();
    assert_eq!(snapshot.read(file, &source).unwrap_err().kind(), ErrorKind::Corrupt);
    fs::remove_file(&path).unwrap();
    let error = snapshot.read(file, &source).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("is missing"), "{error}");
    let merged = Manifest { files: Vec::new(), generation: 9, ..Manifest::clone(&snapshot.manifest) };
    merged.publish(folder.path()).unwrap();
    assert_eq!(snapshot.read(file, &source).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_manifest_that_is_damaged_or_gone_is_replaced_by_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.write(&[events(&source, 1..20)], Seq(19)).unwrap();
    drop(store);
    let paths = ["manifest.json", "manifest.copy.json"].map(|name| folder.path().join(name));
    let written = fs::read(&paths[0]).unwrap();
    assert_eq!(fs::read(&paths[1]).unwrap(), written);
    assert!(Manifest::faults(folder.path()).unwrap().is_empty());
    for path in &paths {
        for at in (0..written.len()).step_by(7) {
            let mut bad = written.clone();
            bad[at] ^= 1;
            for bad in [&bad, &written[..at]] {
                fs::write(path, bad).unwrap();
                assert_eq!(Store::open_read_only(folder.path()).unwrap().upto(), Seq(19), "byte {at}");
                assert_eq!(Manifest::faults(folder.path()).unwrap().len(), 1, "byte {at}");
            }
        }
        fs::remove_file(path).unwrap();
        assert_eq!(Store::open_read_only(folder.path()).unwrap().upto(), Seq(19));
        assert_eq!(Manifest::faults(folder.path()).unwrap().len(), 1);
        fs::write(path, &written).unwrap();
    }
    paths.iter().for_each(|path| fs::write(path, &written[1..]).unwrap());
    assert_eq!(Store::open_read_only(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn files_without_checksums_are_read_and_gain_them_when_they_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let source = payments();
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    for round in 0..4_u64 {
        store.write(&[one_day(&source, round * 8 + 1..round * 8 + 9)], Seq(round * 8 + 8)).unwrap();
    }
    drop(store);
    let mut manifest = Manifest::load(folder.path()).unwrap();
    manifest.files.iter_mut().for_each(|file| file.checksums = None);
    let mut first = serde_json::to_value(&manifest).unwrap();
    first["format"] = 1.into();
    fs::write(folder.path().join("manifest.json"), first.to_string()).unwrap();
    fs::remove_file(folder.path().join("manifest.copy.json")).unwrap();
    assert_eq!(seen(folder.path(), &source), (1..33).collect::<Vec<_>>());
    assert!(Manifest::faults(folder.path()).unwrap().is_empty());
    let store = Store::open(folder.path(), std::slice::from_ref(&source)).unwrap();
    store.compact(IngestTime(0), &|| true).unwrap();
    assert!(store.snapshot().all_files().iter().all(|file| file.checksums.is_some()));
    assert_eq!(seen(folder.path(), &source), (1..33).collect::<Vec<_>>());
}
