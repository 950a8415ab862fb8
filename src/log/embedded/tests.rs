//! The embedded log on a real folder: what is appended is read back exactly, and survives a reopening.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Known, Log, Mended, Mode, Trimmed, block, store_error};
use crate::error::ErrorKind;
use crate::id::{Offset, Partition};
use crate::record::{NewRecord, RecordRun, Retention};
use crate::time::{Clock, IngestTime, Span};

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> IngestTime {
        IngestTime(self.0.load(Ordering::Relaxed))
    }
}

fn open(folder: &Path) -> Log {
    Log::open(folder, Mode::ReadWrite, Arc::new(Hand(AtomicI64::new(1_000)))).unwrap()
}

fn record(topic: &str, key: Option<&str>, value: Option<&str>) -> NewRecord {
    let bytes = |text: &str| text.as_bytes().to_vec();
    NewRecord { topic: topic.into(), key: key.map(bytes), value: value.map(bytes), ..NewRecord::default() }
}

fn values(run: &RecordRun) -> Vec<String> {
    (0..run.records.len()).map(|index| String::from_utf8_lossy(run.value(index).unwrap_or(b"-")).into_owned()).collect()
}

#[test]
fn keys_headers_tombstones_and_timestamps_are_kept_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let headers = vec![("a".to_owned(), vec![0, 255]), ("a".to_owned(), Vec::new())];
    let records = [
        NewRecord { headers: headers.clone(), timestamp: Some(i64::MIN), ..record("t", Some("k"), Some("v")) },
        NewRecord { timestamp: Some(i64::MAX), ..record("t", Some(""), None) },
        record("t", None, Some("")),
    ];
    let places = log.append(&records).unwrap();
    assert_eq!(places, [0, 1, 2].map(|offset| (Partition(0), Offset(offset))));
    let run = log.read("t", Partition(0), Offset(0), 10).unwrap();
    assert_eq!((0..3).map(|i| run.key(i)).collect::<Vec<_>>(), [Some(b"k".as_slice()), Some(b""), None]);
    assert_eq!((0..3).map(|i| run.value(i)).collect::<Vec<_>>(), [Some(b"v".as_slice()), None, Some(b"")]);
    assert_eq!(run.records.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [i64::MIN, i64::MAX, 1_000]);
    assert_eq!(run.records[0].headers.as_deref(), Some(&headers));
    assert!(run.records[1].headers.is_none());
}

#[test]
fn everything_survives_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.create_topic("t", 3).unwrap();
    let places = log.append(&(0..3000).map(|i| record("t", Some(&i.to_string()), Some("x"))).collect::<Vec<_>>()).unwrap();
    let before = log.topics();
    drop(log);
    let log = open(folder.path());
    assert_eq!(log.topics(), before);
    log.create_topic("t", 2).unwrap();
    assert_eq!(log.topic("t").unwrap().partitions.len(), 3);
    for (i, (partition, offset)) in places.iter().enumerate() {
        let run = log.read("t", *partition, *offset, 1).unwrap();
        assert_eq!(run.key(0), Some(i.to_string().as_bytes()));
        assert_eq!(run.records[0].offset, *offset);
    }
    let next = log.append(&[record("t", Some("7"), Some("y"))]).unwrap()[0];
    assert_eq!(next.1, before[0].partitions[next.0.0 as usize].end);
}

#[test]
fn equal_keys_share_a_partition_and_a_given_partition_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.create_topic("t", 4).unwrap();
    let same: Vec<_> = (0..5).map(|_| record("t", Some("k"), None)).collect();
    let places = log.append(&same).unwrap();
    assert!(places.iter().all(|place| place.0 == places[0].0));
    let given = NewRecord { partition: Some(Partition(3)), ..record("t", Some("k"), None) };
    assert_eq!(log.append(&[given]).unwrap()[0].0, Partition(3));
    let wrong = NewRecord { partition: Some(Partition(4)), ..record("t", None, None) };
    assert_eq!(log.append(&[wrong]).unwrap_err().to_string(), "topic t has no partition 4: it has 4");
}

#[test]
fn a_reader_crosses_blocks_and_honours_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.append(&(0..2 * block::RECORDS_MAX + 5).map(|i| record("t", None, Some(&i.to_string()))).collect::<Vec<_>>()).unwrap();
    let mut reader = log.reader("t").unwrap();
    reader.seek(Partition(0), Offset(3)).unwrap();
    let mut seen = Vec::new();
    loop {
        let runs = reader.poll(100, Duration::ZERO).unwrap();
        let Some(run) = runs.first() else { break };
        assert!(run.records.len() <= 100);
        seen.extend(values(run));
    }
    let expected: Vec<_> = (3..2 * block::RECORDS_MAX + 5).map(|i| i.to_string()).collect();
    assert_eq!(seen, expected);
    assert_eq!(reader.ends().unwrap(), [(Partition(0), Offset(2 * block::RECORDS_MAX as u64 + 5))]);
}

#[test]
fn a_waiting_reader_is_woken_by_an_append() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.create_topic("t", 2).unwrap();
    let mut reader = log.reader("t").unwrap();
    for partition in reader.partitions().unwrap() {
        reader.seek(partition, Offset(0)).unwrap();
    }
    let waiting = std::thread::spawn(move || reader.poll(10, Duration::from_secs(60)).unwrap());
    std::thread::sleep(Duration::from_millis(20));
    log.append(&[record("t", Some("k"), Some("v"))]).unwrap();
    let runs = waiting.join().unwrap();
    assert_eq!(values(&runs[0]), ["v"]);
}

#[test]
fn a_writer_remembers_what_it_appended() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let mut writer = log.sink("outbox").unwrap();
    assert_eq!(writer.committed().unwrap(), None);
    assert_eq!(writer.append(&[record("t", None, Some("a"))], 5).unwrap().len(), 1);
    assert!(writer.append(&[record("t", None, Some("again"))], 5).unwrap().is_empty());
    drop(writer);
    drop(log);
    let log = open(folder.path());
    let mut writer = log.sink("outbox").unwrap();
    assert_eq!(writer.committed().unwrap(), Some(5));
    assert!(writer.append(&[record("t", None, Some("again"))], 4).unwrap().is_empty());
    writer.append(&[record("t", None, Some("b"))], 6).unwrap();
    // One that remembers nothing appends whatever it is given.
    let mut other = log.sink("other").unwrap();
    assert_eq!([1, 2].map(|_| other.append(&[record("free", None, Some("c"))], 0).unwrap().len()), [1, 1]);
    assert_eq!(other.committed().unwrap(), None);
    assert_eq!(values(&log.read("t", Partition(0), Offset(0), 10).unwrap()), ["a", "b"]);
}

#[test]
fn a_second_writer_is_a_conflict_and_a_reader_beside_sees_everything() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.append(&[record("t", None, Some("a"))]).unwrap();
    let again = Log::open(folder.path(), Mode::ReadWrite, Arc::new(Hand(AtomicI64::new(0)))).err().unwrap();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert!(again.to_string().contains(&folder.path().display().to_string()));
    let beside = Log::open(folder.path(), Mode::ReadOnly, Arc::new(Hand(AtomicI64::new(0)))).unwrap();
    assert_eq!(values(&beside.read("t", Partition(0), Offset(0), 10).unwrap()), ["a"]);
    assert_eq!(beside.append(&[record("t", None, None)]).unwrap_err().kind(), ErrorKind::Conflict);
    let nowhere = Log::open(&folder.path().join("none"), Mode::ReadOnly, Arc::new(Hand(AtomicI64::new(0)))).err().unwrap();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
}

fn aged(age: i64) -> Retention {
    Retention { age: Some(Span(age)), bytes: None }
}

fn sized(bytes: u64) -> Retention {
    Retention { age: None, bytes: Some(bytes) }
}

/// Trims topic `t`, all of whose records were read; how many went.
fn trim(log: &Log, keep: Retention, now: i64) -> u64 {
    log.trim("t", keep, IngestTime(now), &|_| Offset(u64::MAX)).unwrap().records
}

#[test]
fn retention_drops_whole_blocks_and_keeps_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for time in 0..10 {
        log.append(&[NewRecord { timestamp: Some(time), ..record("t", None, Some("v")) }]).unwrap();
    }
    assert_eq!(trim(&log, Retention::FOREVER, 1_000), 0);
    let mut reader = log.reader("t").unwrap();
    reader.seek(Partition(0), Offset(2)).unwrap();
    assert_eq!(trim(&log, aged(5), 9), 4);
    assert_eq!(log.oldest("t", Partition(0)).unwrap(), Some(IngestTime(4)));
    assert_eq!(reader.poll(10, Duration::ZERO).unwrap()[0].records[0].offset, Offset(4));
    let problems = reader.take_problems();
    assert!(problems[0].contains("offsets 2 to 3"), "{problems:?}");
    assert_eq!(trim(&log, sized(1), 9), 5);
    log.set_retention("t", aged(0)).unwrap();
    assert_eq!(trim(&log, aged(0), 100), 1);
    log.reclaim().unwrap();
    drop(reader);
    drop(log);
    let log = open(folder.path());
    let info = log.topic("t").unwrap();
    assert_eq!((info.partitions[0].start, info.partitions[0].end, info.partitions[0].bytes), (Offset(10), Offset(10), 0));
    assert_eq!(info.retention, aged(0));
    assert_eq!(log.append(&[record("t", None, None)]).unwrap()[0].1, Offset(10));
}

#[test]
fn what_was_not_read_is_never_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for time in 0..10 {
        log.append(&[NewRecord { timestamp: Some(time), ..record("t", None, Some("v")) }]).unwrap();
    }
    let trimmed = log.trim("t", aged(0), IngestTime(100), &|_| Offset(6)).unwrap();
    assert_eq!((trimmed.records, trimmed.unread), (5, 4));
    let again = log.trim("t", sized(0), IngestTime(100), &|_| Offset(6)).unwrap();
    assert_eq!(again, Trimmed { records: 0, bytes: 0, unread: 4 });
    assert_eq!(log.read("t", Partition(0), Offset(0), 10).unwrap().records.len(), 5);
}

/// Bytes that do not compress.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes / 8).flat_map(|_| next().to_le_bytes()).collect()
}

fn bytes_on_disk(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files.filter(|file| file.file_name().to_string_lossy().ends_with(".blob")).map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn appends_go_on_while_space_is_reclaimed_and_files_shared_with_others_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    // Of each eight records seven go to `t`, the others stay: every blob file holds some of both.
    let append = |count: u64| {
        for index in 0..count {
            let topic = if index % 8 == 0 { "kept" } else { "t" };
            let value = Some(noise(512 << 10, index + 1));
            log.append(&[NewRecord { timestamp: Some(index as i64), value, ..record(topic, None, None) }]).unwrap();
        }
    };
    append(800);
    let before = bytes_on_disk(folder.path());
    assert!(before > 300 << 20, "{before}");
    assert_eq!(trim(&log, aged(0), 10_000), 700);
    std::thread::scope(|scope| {
        let reclaimed = scope.spawn(|| log.reclaim());
        let mut appended = 0;
        while !reclaimed.is_finished() {
            log.append(&[record("beside", None, Some("v"))]).unwrap();
            appended += 1;
        }
        reclaimed.join().unwrap().unwrap();
        assert!(appended > 3, "{appended} appends while space was reclaimed");
    });
    let after = bytes_on_disk(folder.path());
    assert!(after < before / 3, "{before} bytes became {after}");
    assert_eq!(log.read("kept", Partition(0), Offset(0), 1_000).unwrap().value(0), Some(noise(512 << 10, 1).as_slice()));
}

#[test]
fn a_reader_ahead_of_the_log_is_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.create_topic("t", 1).unwrap();
    let error = log.reader("t").unwrap().seek(Partition(0), Offset(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(log.reader("nope").err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn ten_megabytes_and_bad_names() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let big = NewRecord { value: Some(vec![7; 10 << 20]), ..record("t", None, None) };
    log.append(&[record("t", None, Some("a")), big.clone(), record("t", None, Some("b"))]).unwrap();
    let run = log.read("t", Partition(0), Offset(1), 2).unwrap();
    assert_eq!(run.value(0), big.value.as_deref());
    assert_eq!(run.value(1), Some(b"b".as_slice()));
    assert_eq!(log.create_topic("a b", 1).unwrap_err().kind(), ErrorKind::Input);
}

#[test]
fn the_stored_bytes_of_a_block_do_not_change() {
    let records = [
        NewRecord { timestamp: Some(5), headers: vec![("h".into(), vec![9])], ..record("t", Some("k"), Some("v")) },
        record("t", None, None),
    ];
    let packed = block::encode(258, 3, 7, records.iter());
    let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "01000000020000000201000000000000",
        "030000000000000005000000000000000700000000000000",
        "0c0000000c0000000200000000000000",
        "0002020101680109",
        "04000000",
        "6b76"
    );
    assert_eq!(&hex[16..], expected);
    let mut run = RecordRun::default();
    block::decode(&packed, 259, 10, &mut run).unwrap();
    assert_eq!((run.records.len(), run.records[0].timestamp, run.value(0)), (1, 7, None));
}

#[test]
fn a_damaged_block_is_corrupt_and_never_a_panic() {
    let records: Vec<_> = (0..50).map(|i| record("t", Some("key"), Some(&format!("value {i}")))).collect();
    let packed = block::encode(0, 0, 0, records.iter());
    for place in 0..packed.len() {
        let mut damaged = packed.clone();
        damaged[place] ^= 0x40;
        let mut run = RecordRun::default();
        assert_eq!(block::decode(&damaged, 0, 100, &mut run).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(block::decode(&packed[..place], 0, 100, &mut run).is_err());
        assert!(run.records.is_empty() && run.bytes.is_empty());
    }
}

#[test]
fn a_full_disk_may_be_tried_again() {
    let error = store_error(Path::new("/data/log"), "appending to the log", "IO error: No space left on device: While appending");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("appending to the log in /data/log: the disk is full; free some space"));
}

/// A killed log's write-ahead log, with a byte flipped at many places: a strict start refuses it or has every record, and a log that
/// is mended has every record but those that it says are lost.
#[test]
fn a_mended_log_lacks_what_it_says_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let payload =
        |seed: u64| (0..30_000_u64).map(|at| xxhash_rust::xxh3::xxh3_64(&(at / 8 + seed * 1_000_003).to_le_bytes()) as u8).collect();
    for seed in 0..20 {
        log.append(&[NewRecord { value: Some(payload(seed)), ..record("t", None, None) }]).unwrap();
    }
    let read = |log: &Log| {
        let run = log.read("t", Partition(0), Offset(0), 100).unwrap();
        run.records.iter().map(|record| record.offset.0).collect::<Vec<_>>()
    };
    let size = wal(folder.path()).1.len();
    let mut refused = 0;
    for at in (100..size).step_by(size / 25) {
        let killed = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.file_name() != "LOCK") {
            std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
        }
        let (path, mut bytes) = wal(killed.path());
        bytes[at] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
        let clock = || Arc::new(Hand(AtomicI64::new(1_000)));
        match Log::open(killed.path(), Mode::ReadOnly, clock()) {
            Ok(log) => assert_eq!(read(&log).len(), 20, "{at}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}: {error}");
                refused += 1;
            }
        }
        let made = tempfile::tempdir().unwrap();
        let known = Known { next: [(("t".to_owned(), Partition(0)), Offset(20))].into(), written: None };
        let Mended { log, lost, strays, .. } = Log::mend(killed.path(), made.path(), clock(), &known).unwrap();
        let gone: Vec<u64> = lost.iter().flat_map(|loss| loss.from.0..loss.to.0).collect();
        assert_eq!([read(&log), gone.clone()].concat().into_iter().collect::<std::collections::BTreeSet<_>>(), (0..20).collect(), "{at}");
        assert!(gone.len() <= 2 && read(&log).len() + gone.len() == 20 && !strays, "{at}: {gone:?}");
        drop(log);
        let log = open(made.path());
        assert_eq!(log.append(&[record("t", None, Some("next"))]).unwrap(), [(Partition(0), Offset(20))], "{at}");
        assert!(log.faults(|_| ()).is_empty(), "{at}");
    }
    assert!(refused > 10, "{refused}");
}

/// The write-ahead log that holds the most.
fn wal(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs =
        files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).map(|path| (path.clone(), std::fs::read(path).unwrap()));
    logs.max_by_key(|(_, bytes)| bytes.len()).unwrap()
}
