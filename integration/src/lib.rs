//! What the integration tests share: starting the binary and the real broker, reading answers, the naive oracle.
