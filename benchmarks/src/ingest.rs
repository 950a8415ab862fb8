//! Ingest: pre-filled logs to durable state and a written event log. The ceiling is the bare JSON decode.

use std::sync::Arc;
use std::time::Duration;

use forebay::decode::Decoder;
use forebay::engine::{Engine, push_without_engine};
use forebay::log::kafka::Kafka;
use forebay::telemetry::Metrics;
use forebay::{Error, LogWriter, NewRecord, Offset, RecordRun, Result};
use forebay_integration::kafka::Broker;

use crate::figures::Figures;
use crate::setting::{Setting, plan_of, timed};

/// The ceiling: decoding alone, on one core.
pub fn decode(setting: &Setting, figures: &mut Figures) -> Result<()> {
    let plan = setting.plan()?;
    let mut decoder = Decoder::new(&plan.sources[0]);
    let runs: Vec<RecordRun> = setting
        .payloads
        .chunks(8192)
        .map(|payloads| {
            let mut run = RecordRun::default();
            payloads.iter().enumerate().for_each(|(index, payload)| run.push(Offset(index as u64), 0, None, Some(payload), Vec::new()));
            run
        })
        .collect();
    let (seconds, ()) = timed(|| runs.iter().try_for_each(|run| decoder.decode(run).map(|_| ())))?;
    figures.add("bare JSON decode, one core", setting.payloads.len() as f64 / seconds, "events/s", "ceiling");
    Ok(())
}

/// From the embedded log. The engine is left running.
pub fn embedded(setting: &Setting, figures: &mut Figures, keys: &str) -> Result<Engine> {
    let plan = setting.plan()?;
    let (seconds, ()) = timed(|| {
        setting
            .payloads
            .chunks(10_000)
            .try_for_each(|payloads| push_without_engine(&setting.config, &plan, "payments", payloads, Setting::clock()).map(|_| ()))
    })?;
    figures.add(format!("push to the embedded log, {keys} keys"), setting.payloads.len() as f64 / seconds, "events/s", "");
    let (seconds, engine) = timed(|| {
        let engine = Engine::start(&setting.config, plan, "", Setting::clock(), Metrics::new())?;
        engine.wait_until_caught_up()?;
        Ok(engine)
    })?;
    complete(setting, &engine)?;
    figures.add(format!("ingest, embedded log, {keys} keys"), setting.payloads.len() as f64 / seconds, "events/s", ">= 400,000");
    Ok(engine)
}

/// A start on the state that is there.
pub fn restart(setting: &Setting, figures: &mut Figures) -> Result<()> {
    let plan = setting.plan()?;
    let (seconds, engine) = timed(|| Engine::start(&setting.config, plan, "", Setting::clock(), Metrics::new()))?;
    figures.add("start on existing state", seconds * 1e3, "ms", "");
    engine.stop()
}

/// From a real broker.
pub fn kafka(setting: &Setting, figures: &mut Figures, keys: &str) -> Result<()> {
    let Some(broker) = Broker::start() else {
        figures.skip(format!("ingest, Kafka, {keys} keys"), "no Java or no Kafka; run make setup");
        return Ok(());
    };
    let kafka = Kafka::new(&broker.bootstrap(), Vec::new());
    kafka.create_topic("payments", 1)?;
    let mut writer: Box<dyn LogWriter> = kafka.writer("bench")?;
    for payloads in setting.payloads.chunks(50_000) {
        let record = |payload: &Vec<u8>| NewRecord { topic: "payments".to_owned(), value: Some(payload.clone()), ..NewRecord::default() };
        writer.append(&payloads.iter().map(record).collect::<Vec<_>>(), 0)?;
    }
    let (seconds, ()) = timed(|| consume(&kafka, setting.payloads.len()))?;
    figures.add(format!("bare Kafka consumer, {keys} keys"), setting.payloads.len() as f64 / seconds, "events/s", "ceiling");
    let mut files = setting.files.clone();
    for file in &mut files {
        file.text = file.text.replace("from log 'payments'", "from kafka topic 'payments'");
    }
    let mut config = setting.config.clone();
    config.data = setting.folder.path().join("kafka");
    config.kafka.bootstrap = broker.bootstrap();
    let plan = plan_of(&files)?;
    let (seconds, engine) = timed(|| {
        let engine = Engine::start(&config, plan, "", Setting::clock(), Arc::clone(&Metrics::new()))?;
        engine.wait_until_caught_up()?;
        Ok(engine)
    })?;
    complete(setting, &engine)?;
    figures.add(format!("ingest, Kafka, {keys} keys"), setting.payloads.len() as f64 / seconds, "events/s", ">= 400,000");
    engine.stop()
}

/// The ceiling: records are taken from the broker and dropped. It warms the broker up, too.
fn consume(kafka: &Kafka, records: usize) -> Result<()> {
    let mut reader = kafka.reader("payments")?;
    for partition in reader.partitions()? {
        reader.seek(partition, Offset(0))?;
    }
    let mut taken = 0;
    while taken < records {
        taken += reader.poll(16_384, Duration::from_secs(1))?.iter().map(|run| run.records.len()).sum::<usize>();
    }
    Ok(())
}

/// Every event is in, once: a figure of fewer would be none.
fn complete(setting: &Setting, engine: &Engine) -> Result<()> {
    let (taken, expected) = (engine.handle().status().seq.0, setting.payloads.len() as u64);
    if taken == expected { Ok(()) } else { Err(Error::internal(format!("{taken} of {expected} events were taken in"))) }
}
