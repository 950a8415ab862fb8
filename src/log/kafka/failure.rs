//! What librdkafka's errors mean for the caller.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Error, ErrorKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No broker answers, or not in time: it may pass.
    Unreachable,
    /// The topic or partition is not there.
    Missing,
    /// The broker does not let us in.
    Refused,
    /// A property that librdkafka does not know or take.
    Option,
    /// A record over the topic's limit.
    TooLarge,
    /// The offset to read is not in the partition.
    OutOfRange,
    /// Anything else, which may pass.
    Other,
}

impl Failure {
    pub fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => return Self::Option,
            _ => {}
        }
        match error.rdkafka_error_code() {
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::MessageTimedOut
                | Code::RequestTimedOut
                | Code::BrokerNotAvailable
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::NotEnoughReplicas
                | Code::NetworkException
                | Code::NodeUpdate,
            ) => Self::Unreachable,
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => Self::Missing,
            Some(
                Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::SSL,
            ) => Self::Refused,
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Self::TooLarge,
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset) => Self::OutOfRange,
            _ => Self::Other,
        }
    }

    /// The error with the remedy. `doing` names the topic and the broker.
    pub fn error(self, doing: &str, error: &KafkaError) -> Error {
        let (kind, remedy) = match self {
            Self::Unreachable => (ErrorKind::Unavailable, "no broker answers; start it or mend kafka.bootstrap (forebay keeps trying)"),
            Self::Missing => (ErrorKind::NotFound, "it does not exist; create it or mend its name"),
            Self::Refused => (ErrorKind::Input, "the broker does not let us in; mend the security options under kafka"),
            Self::Option => (ErrorKind::Input, "an option under kafka is not one of librdkafka's; mend it"),
            Self::TooLarge => (ErrorKind::Input, "a record is larger than the topic takes; raise the topic's max.message.bytes"),
            Self::OutOfRange => (ErrorKind::Unavailable, "the offset is not in the partition"),
            Self::Other => (ErrorKind::Unavailable, "try again"),
        };
        Error::new(kind, format!("{doing}: {remedy} ({error})"))
    }
}
