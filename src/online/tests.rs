use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::*;
use crate::record::{NewRecord, System};

fn batch(first: u64, count: u64) -> EventBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    let own = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(0..count as i64))]).unwrap();
    let count_usize = count as usize;
    EventBatch::new(
        "s",
        &own,
        vec![0; count_usize],
        (first..first + count).collect(),
        vec![5; count_usize],
        (first..first + count).collect(),
    )
    .unwrap()
}

#[test]
fn blocks_come_back_in_order_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    for first in [1, 4, 7] {
        let mut commit = store.begin();
        store.put_block(&mut commit, Seq(first), &[batch(first, 3)]).unwrap();
        store.commit(commit).unwrap();
    }
    let firsts = |after: u64| {
        let mut seen = Vec::new();
        store
            .blocks_after(Seq(after), |first, batches| {
                assert_eq!(batches[0].seq(0).unwrap(), first);
                seen.push(first.0);
                Ok(true)
            })
            .unwrap();
        seen
    };
    assert_eq!(firsts(0), [1, 4, 7]);
    assert_eq!(firsts(5), [4, 7]);
    let mut commit = store.begin();
    store.delete_blocks_before(&mut commit, Seq(4)).unwrap();
    store.commit(commit).unwrap();
    assert_eq!(firsts(0), [4, 7]);
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let mut commit = store.begin();
    let progress = Progress { committed: Seq(9), ..Progress::default() };
    store.put_progress(&mut commit, &progress).unwrap();
    store.commit(commit).unwrap();
    let refused = Store::open(folder.path(), 8 << 20, 16 << 20).err().unwrap();
    assert_eq!(refused.kind(), crate::error::ErrorKind::Conflict, "{refused}");
    assert_eq!(Store::open_read_only(folder.path(), 8 << 20).unwrap().progress().unwrap(), progress);
}

fn output(system: System, topic: &str) -> Output {
    Output { system, record: NewRecord { topic: topic.into(), ..NewRecord::default() } }
}

#[test]
fn outputs_leave_in_order_each_destination_by_itself() {
    use System::{Embedded, Kafka};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let mut commit = store.begin();
    for (number, system, topic) in
        [(300, Embedded, "c"), (2, Embedded, "b"), (1, Embedded, "a"), (3, Kafka, "a"), (4, Kafka, "ab"), (5, Kafka, "a")]
    {
        store.put_output(&mut commit, number, &output(system, topic)).unwrap();
    }
    store.commit(commit).unwrap();
    let numbers = |destination: &Destination, from, most| {
        let outputs = store.outputs(destination, from, most, u64::MAX).unwrap();
        outputs.into_iter().map(|(number, output)| (number, output.record.topic)).collect::<Vec<_>>()
    };
    let named = |numbers: &[(u64, &str)]| numbers.iter().map(|(number, topic)| (*number, (*topic).to_owned())).collect::<Vec<_>>();
    let of = |topic: &str| Destination::Kafka(topic.to_owned());
    assert_eq!(numbers(&Destination::Embedded, 0, 10), named(&[(1, "a"), (2, "b"), (300, "c")]));
    assert_eq!(numbers(&Destination::Embedded, 2, 1), named(&[(2, "b")]));
    assert_eq!(numbers(&of("a"), 0, 10), named(&[(3, "a"), (5, "a")]));
    assert_eq!(numbers(&of("ab"), 0, 10), named(&[(4, "ab")]));
    assert_eq!(numbers(&of("b"), 0, 10), named(&[]));

    store.delete_outputs_before(&Destination::Embedded, 3).unwrap();
    store.delete_outputs_before(&of("a"), 4).unwrap();
    assert_eq!((store.published().unwrap(), numbers(&Destination::Embedded, 0, 10)), (3, named(&[(300, "c")])));
    assert_eq!((numbers(&of("a"), 0, 10), numbers(&of("ab"), 0, 10)), (named(&[(5, "a")]), named(&[(4, "ab")])));
    let waiting = store.open_outbox().unwrap();
    let records: Vec<_> = waiting.iter().map(|(destination, backlog)| (destination.clone(), backlog.records, backlog.bytes)).collect();
    assert_eq!(records, [(Destination::Embedded, 1, 1), (of("a"), 1, 1), (of("ab"), 1, 2)]);
}

#[test]
fn outputs_of_a_version_with_one_queue_go_to_their_destinations() {
    use System::{Embedded, Kafka};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    for (number, system, topic) in [(7_u64, Kafka, "t"), (8, Embedded, "u"), (9, Kafka, "t")] {
        let mut commit = store.begin();
        store.put_output(&mut commit, number, &output(system, topic)).unwrap();
        store.commit(commit).unwrap();
        // As it was: the number alone.
        let family = store.family(super::OUTBOX).unwrap();
        let (key, value) =
            store.db.iterator_cf(family, rocksdb::IteratorMode::Start).find_map(|row| row.ok().filter(|(key, _)| key.len() > 8)).unwrap();
        store.db.put_cf(family, number.to_be_bytes(), value).unwrap();
        store.db.delete_cf(family, key).unwrap();
    }
    let waiting = store.open_outbox().unwrap();
    assert_eq!(waiting.values().map(|backlog| backlog.records).collect::<Vec<_>>(), [1, 2]);
    let numbers =
        |destination| store.outputs(&destination, 0, 10, u64::MAX).unwrap().into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!((numbers(Destination::Embedded), numbers(Destination::Kafka("t".to_owned()))), (vec![8], vec![7, 9]));
    assert_eq!(store.open_outbox().unwrap(), waiting, "once");
}

#[test]
fn keys_of_a_view_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let (a, b) = (Identity([1; 16]), Identity([2; 16]));
    let mut commit = store.begin();
    for key in 0..50_u8 {
        store.put_state(&mut commit, a, &[key], &[key]).unwrap();
        store.put_state(&mut commit, b, &[key, 9], &[key]).unwrap();
    }
    store.commit(commit).unwrap();
    assert_eq!(keys(&store, a), 50);
    let mut commit = store.begin();
    store.delete_view(&mut commit, a).unwrap();
    store.commit(commit).unwrap();
    assert_eq!(keys(&store, a), 0);
    assert_eq!(keys(&store, b), 50);
    assert_eq!(store.state(b, &[3, 9]).unwrap().as_deref(), Some(&[3][..]));
}

#[test]
fn ids_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let mut commit = store.begin();
    let first = ids::FirstAcceptedIds { source: "s".into(), partition: 3, ids: vec![(7, 1000)] };
    let row = codec::encode(ids::VERSION_FIRST, &first).unwrap();
    commit.batch.put_cf(store.family(IDS).unwrap(), ids_key((Seq(1), 0)), row);
    let (places, key_columns) = (vec![Place { offset: 9, keys: 5 }], vec!["k".to_owned()]);
    let (ids, retracted) = (vec![(8, 1)], vec![(7, 1000, 4)]);
    let second = ids::SecondAcceptedIds {
        source: "s".into(),
        partition: 4,
        ids: ids.clone(),
        key_columns: key_columns.clone(),
        places: places.clone(),
        retracted: retracted.clone(),
    };
    let row = codec::encode(ids::VERSION_SECOND, &second).unwrap();
    commit.batch.put_cf(store.family(IDS).unwrap(), ids_key((Seq(2), 0)), row);
    let second = AcceptedIds { source: "s".into(), partition: 4, ids, key_columns, places, retracted, ..AcceptedIds::default() };
    let now = AcceptedIds { kept: vec![1, 2], dedup: vec!["id".into()], event_time: "t".into(), ..second.clone() };
    store.put_ids(&mut commit, (Seq(3), 0), &now).unwrap();
    store.commit(commit).unwrap();
    let mut rows = Vec::new();
    store
        .ids(|at, row| {
            rows.push((at.0.0, row));
            Ok(())
        })
        .unwrap();
    let first = AcceptedIds { source: "s".into(), partition: 3, ids: vec![(7, 1000)], ..AcceptedIds::default() };
    assert_eq!(rows, [(1, first), (2, second), (3, now)]);
}

#[test]
fn blocks_of_a_version_without_retractions_are_read() {
    let now = batch(4, 3);
    let columns: Vec<usize> = (0..now.rows.num_columns() - 2).collect();
    let then = EventBatch { source: now.source.clone(), rows: now.rows.project(&columns).unwrap() };
    let read = block::decode(&block::encode(&[then]).unwrap()).unwrap();
    assert_eq!(read[0].rows, now.rows);
    assert!(!read[0].retracts().unwrap());
}

#[test]
fn progress_of_a_version_without_ledgers_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let horizons = vec![("s".to_owned(), 7)];
    let first = FirstProgress {
        committed: Seq(9),
        scored: Seq(8),
        flushed: Seq(7),
        partitions: Vec::new(),
        horizons: horizons.clone(),
        outputs: 3,
        views: Vec::new(),
    };
    let mut commit = store.begin();
    commit.batch.put_cf(store.family(META).unwrap(), PROGRESS, codec::encode(PROGRESS_VERSION_FIRST, &first).unwrap());
    store.commit(commit).unwrap();
    let read = Progress { committed: Seq(9), scored: Seq(8), flushed: Seq(7), horizons, outputs: 3, ..Progress::default() };
    assert_eq!(store.progress().unwrap(), read);
}

#[test]
fn progress_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    let mut commit = store.begin();
    let newer = codec::encode(PROGRESS_VERSION + 1, &Progress::default()).unwrap();
    commit.batch.put_cf(store.family(META).unwrap(), PROGRESS, newer);
    store.commit(commit).unwrap();
    let refused = store.progress().unwrap_err();
    assert_eq!(refused.to_string(), "progress: format 3 but this version reads 2; use the Forebay that wrote it");
}

fn keys(store: &Store, view: Identity) -> usize {
    let mut keys = 0;
    store
        .rows(view, |_, _| {
            keys += 1;
            Ok(())
        })
        .unwrap();
    keys
}

/// A table of state rows is damaged, and the next compaction reads it: the store takes writes all the same, and says it.
#[test]
fn a_compaction_that_meets_damage_ends_no_writing() {
    let folder = tempfile::tempdir().unwrap();
    let put = |store: &Store, value: u8| {
        let mut commit = store.begin();
        for key in 0..200_u32 {
            store.put_state(&mut commit, Identity([1; 16]), &key.to_be_bytes(), &[value; 64]).unwrap();
        }
        store.commit(commit).unwrap();
        store.flush().unwrap();
    };
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    put(&store, 1);
    drop(store);
    let tables = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let of_state = |bytes: &[u8]| bytes.windows(9).any(|at| at == b"namestate");
    for table in tables.filter(|path| path.extension().is_some_and(|kind| kind == "sst")) {
        let mut bytes = std::fs::read(&table).unwrap();
        if of_state(&bytes) {
            bytes[10..60].iter_mut().for_each(|byte| *byte ^= 0x55);
            std::fs::write(&table, bytes).unwrap();
        }
    }
    let store = Store::open(folder.path(), 8 << 20, 16 << 20).unwrap();
    assert!(store.damage().unwrap().is_none(), "nothing has read it yet");
    let met = (2..=u8::MAX).find_map(|value| {
        put(&store, value);
        std::thread::sleep(std::time::Duration::from_millis(50));
        store.damage().unwrap()
    });
    let met = met.expect("a compaction reads the damage").to_string();
    assert!(met.contains("forebay rebuild state"), "{met}");
    put(&store, 0);
}
