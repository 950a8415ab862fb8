//! The Kafka log against a real broker: what is written is read back exactly, from any offset, also when the broker
//! goes away in between. Skipped, with a line that says so, where Java or Kafka's jars are missing.

use std::time::Duration;

use forebay::log::kafka::Kafka;
use forebay::{ErrorKind, LogReader, NewRecord, Offset, Partition, RecordRun};
use forebay_integration::kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const WAIT: Duration = Duration::from_millis(200);

fn record(topic: &str, partition: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> NewRecord {
    let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
    NewRecord {
        topic: topic.into(),
        partition: Some(Partition(partition)),
        timestamp: Some(1_700_000_000_123_000),
        key,
        value,
        headers: Vec::new(),
    }
}

fn numbered(topic: &str, numbers: std::ops::Range<u32>) -> Vec<NewRecord> {
    numbers.map(|number| record(topic, 0, None, Some(number.to_string().as_bytes()))).collect()
}

/// Polls until so many records were read; errors that may pass are passed over.
fn read(reader: &mut dyn LogReader, count: usize) -> Vec<RecordRun> {
    let mut runs: Vec<RecordRun> = Vec::new();
    for _ in 0..300 {
        if runs.iter().map(|run| run.records.len()).sum::<usize>() >= count {
            return runs;
        }
        match reader.poll(10_000, WAIT) {
            Ok(found) => runs.extend(found),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    panic!("read {} of {count} records", runs.iter().map(|run| run.records.len()).sum::<usize>());
}

fn values(runs: &[RecordRun]) -> Vec<String> {
    let values = |run: &RecordRun| (0..run.records.len()).map(|index| text(run.value(index))).collect::<Vec<_>>();
    runs.iter().flat_map(values).collect()
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "none".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// One broker for all of them, because a broker takes seconds to start.
#[test]
fn the_kafka_log_on_a_real_broker() {
    let Some(mut broker) = Broker::start() else { return };
    let kafka = Kafka::new(&broker.bootstrap(), []);
    records_come_back_exactly_and_from_any_offset(&kafka);
    a_topic_that_was_replaced_is_told_and_not_read(&kafka);
    a_topic_that_was_made_again_with_more_records_is_not_read_on(&kafka, &broker);
    markers_of_transactions_are_no_records(&kafka, &broker.bootstrap());
    missing_topics_and_large_records_are_told(&kafka);
    a_reader_goes_on_when_the_broker_comes_back(&kafka, &mut broker);
}

fn records_come_back_exactly_and_from_any_offset(kafka: &Kafka) {
    kafka.create_topic("t", 2).unwrap();
    kafka.create_topic("t", 1).unwrap();
    kafka.create_topic("t", 3).unwrap();
    let headers = vec![("a".to_owned(), vec![0, 255]), ("a".to_owned(), Vec::new())];
    let records = [
        NewRecord { headers: headers.clone(), ..record("t", 1, Some(b"k"), Some(b"v")) },
        record("t", 1, Some(b""), None),
        record("t", 1, None, Some(b"")),
        record("t", 0, Some(b"other"), Some(b"partition")),
    ];
    let mut writer = kafka.sink("outbox").unwrap();
    let places = writer.append(&records, 1).unwrap();
    assert_eq!(places, [(1, 0), (1, 1), (1, 2), (0, 0)].map(|(partition, offset)| (Partition(partition), Offset(offset))));
    assert_eq!(writer.committed().unwrap(), None);

    let mut reader = kafka.reader("t").unwrap();
    assert_eq!(reader.partitions().unwrap(), [0, 1, 2].map(Partition));
    assert_eq!(reader.ends().unwrap(), [(0, 1), (1, 3), (2, 0)].map(|(partition, end)| (Partition(partition), Offset(end))));
    for partition in reader.partitions().unwrap() {
        reader.seek(partition, Offset(0)).unwrap();
    }
    let runs = read(reader.as_mut(), 4);
    let run = runs.iter().find(|run| run.partition == Partition(1)).unwrap();
    assert_eq!((0..3).map(|index| run.key(index)).collect::<Vec<_>>(), [Some(b"k".as_slice()), Some(b""), None]);
    assert_eq!((0..3).map(|index| run.value(index)).collect::<Vec<_>>(), [Some(b"v".as_slice()), None, Some(b"")]);
    assert_eq!(run.records[0].headers.as_deref(), Some(&headers));
    assert_eq!(run.records[0].timestamp, 1_700_000_000_123_000);
    assert!(reader.poll(10, Duration::ZERO).unwrap().is_empty());

    let mut later = kafka.reader("t").unwrap();
    later.seek(Partition(1), Offset(2)).unwrap();
    let runs = read(later.as_mut(), 1);
    assert_eq!((runs[0].records[0].offset, runs[0].records.len()), (Offset(2), 1));
}

fn a_reader_goes_on_when_the_broker_comes_back(kafka: &Kafka, broker: &mut Broker) {
    kafka.create_topic("again", 1).unwrap();
    let mut writer = kafka.sink("outbox").unwrap();
    writer.append(&numbered("again", 0..100), 1).unwrap();
    let mut reader = kafka.reader("again").unwrap();
    reader.seek(Partition(0), Offset(0)).unwrap();
    let mut seen = values(&read(reader.as_mut(), 100));

    broker.stop();
    let failure = (0..100).find_map(|_| reader.poll(10, WAIT).err()).expect("an error while the broker is away");
    assert_eq!(failure.kind(), ErrorKind::Unavailable);
    assert!(failure.to_string().contains("no broker answers"), "{failure}");

    broker.restart();
    writer.append(&numbered("again", 100..200), 2).unwrap();
    seen.extend(values(&read(reader.as_mut(), 100)));
    assert_eq!(seen, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
}

fn a_topic_that_was_replaced_is_told_and_not_read(kafka: &Kafka) {
    kafka.create_topic("gone", 1).unwrap();
    kafka.sink("outbox").unwrap().append(&numbered("gone", 0..3), 1).unwrap();
    let mut reader = kafka.reader("gone").unwrap();
    reader.seek(Partition(0), Offset(50)).unwrap();
    let told = || (0..100).find_map(|_| reader.poll(10, WAIT).map(|runs| assert!(runs.is_empty())).err()).expect("an error");
    for error in std::iter::repeat_with(told).take(2) {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("topic gone partition 0: the next offset is 50, but the topic ends at 3"), "{error}");
    }
}

fn a_topic_that_was_made_again_with_more_records_is_not_read_on(kafka: &Kafka, broker: &Broker) {
    kafka.create_topic("made", 1).unwrap();
    let mut writer = kafka.sink("outbox").unwrap();
    writer.append(&numbered("made", 0..3), 1).unwrap();
    let mut reader = kafka.reader("made").unwrap();
    reader.seek(Partition(0), Offset(0)).unwrap();
    let last = read(reader.as_mut(), 3).last().and_then(RecordRun::last).unwrap();
    let behind = || {
        let mut reader = kafka.reader("made").unwrap();
        reader.seek(Partition(0), Offset(3)).unwrap();
        reader.resume(Partition(0), last).unwrap();
        reader
    };
    let mut reader = behind();
    assert!(reader.poll(10, WAIT).unwrap().is_empty());
    writer.append(&numbered("made", 3..5), 2).unwrap();
    assert_eq!(values(&read(reader.as_mut(), 2)), ["3", "4"]);

    broker.delete_topic("made");
    kafka.create_topic("made", 1).unwrap();
    writer.append(&numbered("made", 10..20), 3).unwrap();
    let mut reader = behind();
    for _ in 0..2 {
        let error = (0..100).find_map(|_| reader.poll(10, WAIT).map(|runs| assert!(runs.is_empty())).err()).expect("an error");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("topic made partition 0: the record at offset 2 is not the one that was read there"), "{error}");
    }
}

/// The marker that ends a transaction takes an offset that no reader is ever handed.
fn markers_of_transactions_are_no_records(kafka: &Kafka, bootstrap: &str) {
    kafka.create_topic("marked", 2).unwrap();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).set("transactional.id", "test").create().unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    for commits in [true, false] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to("marked").partition(0).payload("x")).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
        match commits {
            true => producer.commit_transaction(Duration::from_secs(10)).unwrap(),
            false => producer.abort_transaction(Duration::from_secs(10)).unwrap(),
        }
    }
    let mut reader = kafka.reader("marked").unwrap();
    assert_eq!(reader.ends().unwrap(), [(0, 4), (1, 0)].map(|(partition, end)| (Partition(partition), Offset(end))));
    assert_eq!(reader.record_ends().unwrap(), [(Partition(0), Offset(1))]);
}

fn missing_topics_and_large_records_are_told(kafka: &Kafka) {
    let missing = kafka.reader("none").unwrap().partitions().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    kafka.create_topic("large", 1).unwrap();
    let mut writer = kafka.sink("outbox").unwrap();
    let large = writer.append(&[record("large", 0, None, Some(&vec![b'x'; 3 << 20]))], 1).unwrap_err();
    assert_eq!(large.kind(), ErrorKind::Input);
    assert!(large.to_string().contains("max.message.bytes"), "{large}");
    assert_eq!(writer.append(&numbered("large", 0..1), 2).unwrap(), [(Partition(0), Offset(0))]);
}
