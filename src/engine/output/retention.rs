//! What the embedded log keeps of each topic, by the purpose of the topic, and the step that deletes the rest. Must never delete
//! what the engine has not read yet, nor the last record that it read, by which it recognises the topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{self, Config};
use crate::engine::handle::problems::Kind;
use crate::engine::shared::{Applied, Shared};
use crate::error::{Error, Result};
use crate::folder::{Folder, Part, Written};
use crate::id::{Offset, Partition};
use crate::log::embedded::Trimmed;
use crate::plan::{Origin, Plan};
use crate::record::{Retention, System};
use crate::time::{Clock, IngestTime, Span};

/// What is kept of which topic.
pub struct Kept {
    declared: BTreeMap<String, Retention>,
    by_name: BTreeMap<String, Retention>,
}

impl Kept {
    pub fn new(settings: &config::Retentions, plan: &Plan) -> Self {
        let mut declared: BTreeMap<String, Retention> = BTreeMap::new();
        let mut keep = |topic: &str, retention: Retention| {
            declared.entry(topic.to_owned()).and_modify(|known| *known = known.or(retention)).or_insert(retention);
        };
        for source in &plan.sources {
            keep(&source.dead_letter_topic(), settings.dead_letters);
            keep(source.topic(), settings.sources);
        }
        for model in &plan.models {
            model.score.iter().for_each(|score| keep(&score.topic, settings.predictions));
            model.watch.iter().for_each(|watch| keep(&watch.topic, settings.drift));
        }
        Self { declared, by_name: settings.topics.clone() }
    }

    /// What is kept of a topic; `None` where neither the settings nor the definitions name it: it keeps what it kept before.
    fn of(&self, topic: &str) -> Option<Retention> {
        // The longest pattern says most.
        let fits = self.by_name.iter().filter(|(pattern, _)| matches(pattern, topic));
        let named = self.by_name.get(topic).or_else(|| fits.max_by_key(|(pattern, _)| pattern.len()).map(|(_, kept)| kept));
        named.or_else(|| self.declared.get(topic)).copied()
    }
}

/// Whether a topic has that name, in which `*` stands for anything.
fn matches(pattern: &str, topic: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == topic,
        Some((before, behind)) => topic.strip_prefix(before).is_some_and(|rest| {
            let mut ends = (0..=rest.len()).filter(|at| rest.is_char_boundary(*at));
            ends.any(|at| matches(behind, &rest[at..]))
        }),
    }
}

/// Where each partition of a topic is read next by the source that is furthest behind; what no source reads is not waited for.
fn read_upto<'a>(plan: &'a Plan, topic: &'a str, next: impl Fn(usize, Partition) -> Offset + 'a) -> impl Fn(Partition) -> Offset + 'a {
    move |partition| {
        let reads = |origin: &Origin| origin.system == System::Embedded && origin.topic == topic;
        let sources = plan.sources.iter().enumerate().filter(|(_, source)| reads(&source.origin));
        let next = sources.map(|(source, _)| next(source, partition).0).min();
        Offset(next.unwrap_or(u64::MAX))
    }
}

fn applied_upto(applied: &Applied) -> impl Fn(usize, Partition) -> Offset + '_ {
    |source, partition| applied.partitions.get(&(source, partition)).map_or(Offset(0), |(next, _)| *next)
}

/// Lets every topic forget what is not kept of it. Each topic's failure is a problem of its own, and keeps no other back;
/// `told` are the topics that had one.
pub fn keep(shared: &Shared, told: &mut BTreeSet<String>) {
    let (log, applied, now) = (&shared.logs.embedded, shared.applied(), shared.clock.now());
    let about = |topic: &str| format!("retention of topic {topic}");
    let step = |topic: &crate::log::embedded::TopicInfo| -> Result<()> {
        let wanted = shared.bounds.kept.of(&topic.name).unwrap_or(topic.retention);
        if wanted != topic.retention {
            log.set_retention(&topic.name, wanted)?;
        }
        // By a clock that was set ahead just now everything is old.
        let age = wanted.age.filter(|_| !shared.is_clock_ahead());
        let trimmed =
            log.trim(&topic.name, Retention { age, ..wanted }, now, &read_upto(shared.plan(), &topic.name, applied_upto(&applied)))?;
        if trimmed.records > 0 {
            tracing::debug!(topic = topic.name, "retention of {wanted} dropped {} records, {} bytes", trimmed.records, trimmed.bytes);
        }
        Ok(())
    };
    let topics = log.topics();
    for topic in &topics {
        let failed = step(topic).err();
        if failed.is_some() || told.contains(&topic.name) {
            shared.set_problem(Kind::Retention, &about(&topic.name), failed.as_ref().map(ToString::to_string));
        }
        if failed.is_some() {
            told.insert(topic.name.clone())
        } else {
            told.remove(&topic.name)
        };
    }
    if let Err(error) = log.reclaim() {
        tracing::warn!("the space of what retention dropped is not free yet: {error}");
    }
}

/// What is kept at `now` where records go that the log got before some time.
fn kept(before: Option<IngestTime>, bytes: Option<u64>, now: IngestTime) -> Retention {
    Retention { age: before.map(|before| Span(now.0.saturating_sub(before.0).max(0))), bytes }
}

/// Drops records of a topic that the log got before some time, and what is more than so many bytes of each partition, beside
/// whatever its retention says.
pub fn trim(shared: &Shared, topic: &str, before: Option<IngestTime>, bytes: Option<u64>) -> Result<Trimmed> {
    let (log, applied, now) = (&shared.logs.embedded, shared.applied(), shared.clock.now());
    log.trim(topic, kept(before, bytes, now), now, &read_upto(shared.plan(), topic, applied_upto(&applied)))
}

/// The same where no engine runs.
///
/// # Errors
/// `Conflict` where one does; `NotFound` where there is no such topic.
pub fn trim_without_engine(
    config: &Config,
    plan: &Plan,
    topic: &str,
    (before, bytes): (Option<IngestTime>, Option<u64>),
    clock: Arc<dyn Clock>,
) -> Result<Trimmed> {
    if !Folder::open_read_only(&config.data)?.has(Part::Log) {
        return Err(Error::not_found(format!("no log in {}: name the right data folder with --data", config.data.display())));
    }
    let now = clock.now();
    let (_folder, log, progress) = Written::log(&config.data, clock)?;
    let next = |source: usize, partition: Partition| {
        let name = &plan.sources[source].name;
        let known = progress.partitions.iter().find(|known| known.source == *name && known.partition == partition.0);
        Offset(known.map_or(0, |known| known.next))
    };
    let trimmed = log.trim(topic, kept(before, bytes, now), now, &read_upto(plan, topic, next))?;
    log.reclaim()?;
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn the_longest_name_that_fits_says_what_is_kept() {
        let age = |days: i64| Retention { age: Some(Span(days)), bytes: None };
        let by_name = [("*", 1), ("*.dead", 2), ("pay*", 3), ("pay*.dead", 4), ("payments", 5)];
        let declared = BTreeMap::from([("payments".to_owned(), age(9))]);
        let of = |named: &[(&str, i64)], topic: &str| {
            let by_name = named.iter().map(|(name, days)| ((*name).to_owned(), age(*days))).collect();
            Kept { declared: declared.clone(), by_name }.of(topic).map(|kept| kept.age.unwrap().0)
        };
        let found = ["x", "x.dead", "payday", "payments.dead", "payments"].map(|topic| of(&by_name, topic));
        assert_eq!(found, [1, 2, 3, 4, 5].map(Some));
        assert_eq!([of(&[], "payments"), of(&[], "x"), of(&[("y*", 1)], "payments")], [Some(9), None, Some(9)]);
    }
}
