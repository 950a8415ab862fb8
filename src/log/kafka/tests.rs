//! What can be tested without a broker; the rest is in `integration/tests/kafka_log.rs`.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Failure, Kafka};
use crate::error::ErrorKind;
use crate::id::{Offset, Partition};
use crate::record::NewRecord;

fn nowhere(options: &[(&str, &str)]) -> Kafka {
    // Port 1 of loopback: nothing listens there.
    Kafka::new("127.0.0.1:1", options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn an_unreachable_broker_is_unavailable_again_and_again() {
    let mut reader = nowhere(&[]).reader("t").unwrap();
    reader.seek(Partition(0), Offset(0)).unwrap();
    let failures = (0..20).filter_map(|_| reader.poll(10, Duration::from_millis(100)).err()).collect::<Vec<_>>();
    assert!(failures.len() >= 2, "{failures:?}");
    for failure in failures {
        assert_eq!(failure.kind(), ErrorKind::Unavailable);
        assert!(failure.to_string().starts_with("reading t in kafka at 127.0.0.1:1: no broker answers"), "{failure}");
    }
}

#[test]
fn writing_to_an_unreachable_broker_ends() {
    let mut writer = nowhere(&[("message.timeout.ms", "300")]).sink("outbox").unwrap();
    let record = NewRecord { topic: "t".into(), ..NewRecord::default() };
    for _ in 0..2 {
        assert_eq!(writer.append(std::slice::from_ref(&record), 1).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(writer.committed().unwrap(), None);
}

#[test]
fn an_unknown_option_is_named() {
    let error = nowhere(&[("no.such.option", "1")]).reader("t").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("no.such.option"), "{error}");
}

#[test]
fn errors_say_what_to_do_next() {
    let kind = |code| Failure::of(&KafkaError::MessageConsumption(code));
    assert_eq!(kind(RDKafkaErrorCode::AllBrokersDown), Failure::Unreachable);
    assert_eq!(kind(RDKafkaErrorCode::UnknownTopicOrPartition), Failure::Missing);
    assert_eq!(kind(RDKafkaErrorCode::AutoOffsetReset), Failure::OutOfRange);
    assert_eq!(kind(RDKafkaErrorCode::TopicAuthorizationFailed), Failure::Refused);
    assert_eq!(kind(RDKafkaErrorCode::MessageSizeTooLarge), Failure::TooLarge);
}
