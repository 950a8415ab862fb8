//! Ingest: pre-filled logs to durable state and a written event log. The ceiling is the bare JSON decode.

use std::time::Duration;

use forebay::config::Config;
use forebay::decode::Decoder;
use forebay::engine::{Engine, push_without_engine};
use forebay::log::kafka::Kafka;
use forebay::plan::Plan;
use forebay::telemetry::Metrics;
use forebay::{Error, NewRecord, Offset, RecordRun, Result, Sink};
use forebay_integration::kafka::Broker;

use crate::figures::Figures;
use crate::setting::{Setting, plan_of, timed};

/// Rounds of what is measured in turns.
pub const ROUNDS: usize = 5;

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

/// Fills the embedded log, and starts an engine on it that is left running when it has caught up.
pub fn embedded(setting: &Setting, config: &Config) -> Result<(Rates, Engine)> {
    let plan = setting.plan()?;
    let (pushed, ()) = timed(|| {
        let push = |payloads: &[Vec<u8>]| push_without_engine(config, &plan, "payments", payloads, Setting::clock()).map(|_| ());
        setting.payloads.chunks(10_000).try_for_each(push)
    })?;
    let (seconds, engine) = caught_up(setting, config, plan.clone())?;
    Ok((Rates { push: setting.rate(pushed), ingest: setting.rate(seconds) }, engine))
}

/// Events per second.
pub struct Rates {
    pub push: f64,
    pub ingest: f64,
}

/// Seconds from a start on an empty data folder to its having caught up.
fn caught_up(setting: &Setting, config: &Config, plan: Plan) -> Result<(f64, Engine)> {
    let (seconds, engine) = timed(|| {
        let engine = Engine::start(config, plan, "", Setting::clock(), Metrics::new())?;
        engine.wait_until_caught_up()?;
        Ok(engine)
    })?;
    complete(setting, &engine)?;
    Ok((seconds, engine))
}

/// From the embedded log and from a real broker, in turns, each time into a data folder of its own: medians.
pub fn in_turns(setting: &Setting, figures: &mut Figures, keys: &str) -> Result<()> {
    let broker = Broker::start();
    let topic = broker.as_ref().map(|broker| Topic::filled(setting, broker)).transpose()?;
    let (mut pushes, mut logs, mut kafkas, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut config = setting.config.clone();
        config.data = setting.folder.path().join(format!("log-{round}"));
        let (rates, engine) = embedded(setting, &config)?;
        engine.stop()?;
        pushes.push(rates.push);
        logs.push(rates.ingest);
        if let Some(topic) = &topic {
            bare.push(setting.rate(timed(|| topic.consume(setting.payloads.len()))?.0));
            config.data = setting.folder.path().join(format!("kafka-{round}"));
            config.kafka.bootstrap.clone_from(&topic.bootstrap);
            let (seconds, engine) = caught_up(setting, &config, topic.plan(setting)?)?;
            engine.stop()?;
            kafkas.push(setting.rate(seconds));
        }
    }
    figures.add(format!("push to the embedded log, {keys} keys"), median(pushes), "events/s", "");
    figures.add(format!("ingest, embedded log, {keys} keys"), median(logs), "events/s", ">= 400,000");
    if topic.is_none() {
        figures.skip(format!("ingest, Kafka, {keys} keys"), "no Java or no Kafka; run make setup");
        return Ok(());
    }
    figures.add(format!("bare Kafka consumer, {keys} keys"), median(bare), "events/s", "ceiling");
    figures.add(format!("ingest, Kafka, {keys} keys"), median(kafkas), "events/s", ">= 400,000");
    Ok(())
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A start on the state that is there.
pub fn restart(setting: &Setting, figures: &mut Figures) -> Result<()> {
    let plan = setting.plan()?;
    let (seconds, engine) = timed(|| Engine::start(&setting.config, plan, "", Setting::clock(), Metrics::new()))?;
    figures.add("start on existing state", seconds * 1e3, "ms", "");
    engine.stop()
}

/// The payments in a topic of a broker on this machine.
struct Topic {
    kafka: Kafka,
    bootstrap: String,
}

impl Topic {
    fn filled(setting: &Setting, broker: &Broker) -> Result<Self> {
        let kafka = Kafka::new(&broker.bootstrap(), Vec::new());
        kafka.create_topic("payments", 1)?;
        let mut writer: Box<dyn Sink> = kafka.sink("bench")?;
        for payloads in setting.payloads.chunks(50_000) {
            let record =
                |payload: &Vec<u8>| NewRecord { topic: "payments".to_owned(), value: Some(payload.clone()), ..NewRecord::default() };
            writer.append(&payloads.iter().map(record).collect::<Vec<_>>(), 0)?;
        }
        Ok(Self { kafka, bootstrap: broker.bootstrap() })
    }

    /// The ceiling: records are taken from the broker and dropped.
    fn consume(&self, records: usize) -> Result<()> {
        let mut reader = self.kafka.reader("payments")?;
        for partition in reader.partitions()? {
            reader.seek(partition, Offset(0))?;
        }
        let mut taken = 0;
        while taken < records {
            taken += reader.poll(16_384, Duration::from_secs(1))?.iter().map(|run| run.records.len()).sum::<usize>();
        }
        Ok(())
    }

    fn plan(&self, setting: &Setting) -> Result<Plan> {
        let mut files = setting.files.clone();
        for file in &mut files {
            file.text = file.text.replace("from log 'payments'", "from kafka topic 'payments'");
        }
        plan_of(&files)
    }
}

/// Every event is in, once: a figure of fewer would be none.
fn complete(setting: &Setting, engine: &Engine) -> Result<()> {
    let (taken, expected) = (engine.handle().status().seq.0, setting.payloads.len() as u64);
    if taken == expected { Ok(()) } else { Err(Error::internal(format!("{taken} of {expected} events were taken in"))) }
}
