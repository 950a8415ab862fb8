use std::fs;
use std::time::Duration;

use super::{Config, Layers, Origin, Output};
use crate::error::ErrorKind;
use crate::record::Retention;
use crate::time::Span;

fn with_file(text: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> crate::Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.toml");
    fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Layers { file: Some(path), environment, flags }.config()
}

fn origin(config: &Config, key: &str) -> Origin {
    config.settings.iter().find(|setting| setting.key == key).unwrap().origin.clone()
}

#[test]
fn later_layers_win_and_are_named() {
    let file = "data = 'state'\nlisten = '127.0.0.1:1'\nshards = 2\ncommit_interval = '25 ms'\n[kafka]\nbootstrap = 'a:1'\n[kafka.options]\n'socket.timeout.ms' = 500";
    let environment = [("FOREBAY_LISTEN", "127.0.0.1:2"), ("FOREBAY_SHARDS", "3"), ("HOME", "/")];
    let config = with_file(file, &environment, &[("shards", "4")]).unwrap();
    assert_eq!(config.shards, 4);
    assert_eq!(origin(&config, "shards"), Origin::Flag("--shards".to_owned()));
    assert_eq!(config.listen.port(), 2);
    assert_eq!(origin(&config, "listen"), Origin::Environment("FOREBAY_LISTEN".to_owned()));
    assert_eq!(config.commit_interval, Duration::from_millis(25));
    assert!(matches!(origin(&config, "commit_interval"), Origin::File(_)));
    assert_eq!(config.kafka.options["socket.timeout.ms"], "500");
    assert_eq!(config.state_memory_bytes, 1 << 30);
    assert_eq!(origin(&config, "state_memory"), Origin::Default);
    assert_eq!(config.output, Output::Table);
}

#[test]
fn a_retention_says_of_what_it_is() {
    for text in ["90", "'90'", "'30d 1'", "'5 '"] {
        let refused = with_file(&format!("[retention]\nsources = {text}"), &[], &[]).unwrap_err();
        assert!(refused.to_string().contains("30d 1GiB"), "{text}: {refused}");
    }
}

#[test]
fn secrets_are_taken_and_not_shown() {
    let file =
        "[kafka.options]\n'sasl.password' = 'one'\n'ssl.key.pem' = 'two'\n'ssl.key.location' = 'there'\n[s3]\nsecret_access_key = 'three'";
    let config = with_file(file, &[], &[]).unwrap();
    assert_eq!(config.kafka.options["sasl.password"], "one");
    let shown = |key: &str| config.settings.iter().find(|setting| setting.key == key).unwrap().value.clone();
    for secret in ["kafka.options.sasl.password", "kafka.options.ssl.key.pem", "s3.secret_access_key"] {
        assert_eq!(shown(secret), "(not shown)", "{secret}");
    }
    assert_eq!(shown("kafka.options.ssl.key.location"), "there");
}

#[test]
fn paths_of_the_file_are_of_its_folder_and_others_are_not() {
    let config = with_file("data = 'state'", &[("FOREBAY_FEATURES", "mine")], &[]).unwrap();
    assert!(config.data.is_absolute() && config.data.ends_with("state"), "{:?}", config.data);
    assert_eq!(config.features.to_str(), Some("mine"));
    let config = with_file("data = '/var/forebay'", &[], &[("data", "here")]).unwrap();
    assert_eq!(config.data.to_str(), Some("here"));
    assert!(config.features.is_absolute() && config.features.ends_with("features"), "{:?}", config.features);
}

#[test]
fn sizes_and_times_are_read() {
    let config = with_file("state_memory = '64 MB'\nrequest_max = 5", &[], &[]).unwrap();
    assert_eq!(config.state_memory_bytes, 64_000_000);
    assert_eq!(config.request_bytes_max, 5);
}

#[test]
fn retention_is_a_time_a_size_or_both_by_kind_and_by_topic() {
    let file =
        "[retention]\nsources = '7 days'\ndrift = '64MiB'\n[retention.topics]\n'payments.dead' = '30 days, 1GiB'\n'old*' = 'forever'";
    let retention = with_file(file, &[("FOREBAY_RETENTION_PREDICTIONS", "90d 2GiB")], &[]).unwrap().retention;
    let of = |days: Option<i64>, bytes| Retention { age: days.map(|days| Span(days * Span::DAY.0)), bytes };
    assert_eq!((retention.sources, retention.drift), (of(Some(7), None), of(None, Some(64 << 20))));
    assert_eq!((retention.predictions, retention.dead_letters), (of(Some(90), Some(2 << 30)), of(Some(30), Some(1 << 30))));
    assert_eq!(retention.topics["payments.dead"], of(Some(30), Some(1 << 30)));
    assert_eq!(retention.topics["old*"], Retention::FOREVER);
    assert_eq!([retention.sources, retention.predictions, Retention::FOREVER].map(|kept| kept.to_string()), ["7d", "90d 2GiB", "forever"]);
    let wrong = with_file("[retention.topics]\na = 'soon'", &[], &[]).unwrap_err().to_string();
    assert!(wrong.starts_with("setting retention.topics.a (from") && wrong.ends_with("such as 30d 1GiB, found 'soon'"), "{wrong}");
}

#[test]
fn what_is_wrong_is_named_with_where_it_came_from() {
    let message = |result: crate::Result<Config>| result.unwrap_err().to_string();
    let unknown = message(with_file("datta = 'x'", &[], &[]));
    assert!(unknown.contains("forebay.toml: there is no setting 'datta'; there are data, features"), "{unknown}");
    let listen = message(with_file("", &[("FOREBAY_LISTEN", "nowhere")], &[]));
    assert_eq!(listen, "setting listen (from FOREBAY_LISTEN): expected an address and a port such as 127.0.0.1:8090, found 'nowhere'");
    let batch = message(with_file("batch_events_max = 0", &[], &[]));
    assert!(batch.ends_with("expected at least 1, found '0'"), "{batch}");
    let toml = message(with_file("data = ", &[], &[]));
    assert!(toml.contains("is no toml"), "{toml}");
    let missing = Layers { file: Some("nowhere/forebay.toml".into()), ..Layers::default() }.config().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn every_default_can_be_read() {
    let config = Layers { file: None, ..Layers::default() }.config().unwrap();
    assert_eq!(config.settings.len(), super::KEYS.len());
    assert!(config.settings.iter().all(|setting| setting.origin == Origin::Default));
}
