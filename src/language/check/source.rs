//! Sources: columns, clauses with their defaults, and conditions.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};

use super::Checker;
use super::columns::SourceScope;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{Name, SourceBody, Sql};
use crate::plan::{Dedup, Expect, Expression, Field, Format, Origin, Partitioning, Relation, Source, identity};
use crate::record::System;
use crate::time::Span;
use crate::value::DataType;

const LATENESS: Span = Span::DAY;
const MAX_AHEAD: Span = Span::HOUR;
const PARTITIONS_MAX: u32 = 1024;
const FORMATS_NOT_YET: [&str; 3] = ["avro", "protobuf", "debezium"];

impl Checker<'_> {
    /// The place among the relations of the checked source; `None` when its columns are not known. One whose clauses are wrong
    /// is there, so that what uses it is still checked.
    pub(super) fn source(&mut self, file: usize, name: &Name, body: &SourceBody) -> Option<usize> {
        let fields = body.columns.as_ref().and_then(|columns| self.columns(columns, "source"));
        let mut reported = HashSet::new();
        let origin = self.origin(name, body, fields.as_deref(), &mut reported);
        self.format(body);
        let event_time = self.event_time(name, body, fields.as_deref(), &mut reported).unwrap_or_default();
        let (lateness, history) = self.kept(body);
        // What names no columns was looked at.
        let fields = fields?;
        let schema = schema_of(&fields);
        let max_ahead = body.max_ahead.as_ref().map_or(MAX_AHEAD, |clause| clause.value);
        let dedup = body.dedup.as_ref().map(|clause| {
            let scope = SourceScope { what: "source", source: &name.text, fields: &fields, reported: &mut reported };
            let columns = self.indices(&clause.value.columns, scope, "dedup by");
            Dedup { columns, within: clause.value.within }
        });
        let mut condition = |condition: &Sql, clause: &str| {
            let place = self.place(file, condition);
            let mut scope = SourceScope { what: "source", source: &name.text, fields: &fields, reported: &mut reported };
            let resolved = self.planner.resolve(condition, place, &mut scope, self.problems);
            let planned = resolved.and_then(|expr| self.planner.plan(&expr, &schema, place, self.problems))?;
            self.boolean(&planned.expression, condition.at, clause);
            Some(planned.expression)
        };
        let expects = body.expects.iter().filter_map(|clause| condition(&clause.value.condition, "expect"));
        let expects = expects.map(|condition| Expect { condition }).collect();
        let deletes = body.deletes.as_ref().and_then(|clause| condition(&clause.value, "deletes when"));
        let tombstones = body.tombstones.as_ref().map(|clause| clause.at);
        let deletes_at = body.deletes.as_ref().map(|clause| clause.at).or(tombstones);
        if let (Some(at), None, false) = (deletes_at, &dedup, body.unread.may_be("dedup")) {
            let problem = Diagnostic::error(
                codes::DELETES_WITHOUT_ID,
                at,
                format!("source `{}` does not say by what a delete names its event", name.text),
                "needs `dedup by`",
            );
            self.report(problem.help("write dedup by <the columns that identify an event> within '<duration>'"));
        }
        if let Some(at) = tombstones.filter(|_| origin.system == System::Embedded) {
            let message = format!("records of the embedded log `{}` have no keys, by which a tombstone would name its event", origin.topic);
            let problem = Diagnostic::error(codes::TOMBSTONES_OF_LOG, at, message, "of Kafka only");
            self.report(problem.help("write `deletes when` with a column that says so, or read from kafka"));
        }
        let text = deletes.as_ref().map(|condition| condition.text.as_ref());
        let id = identity::source(&name.text, &origin, &fields[event_time], dedup.as_ref(), text, tombstones.is_some(), &fields);
        let epochs = body.columns.as_ref().map(|columns| self.epochs(columns)).unwrap_or_default();
        let name = name.text.clone();
        self.plan.sources.push(Source {
            name,
            id,
            fields,
            epochs,
            schema,
            origin,
            format: Format::Json,
            event_time,
            lateness,
            max_ahead,
            history,
            dedup,
            expects,
            deletes,
            tombstones: tombstones.is_some(),
            files: None,
        });
        let index = self.plan.sources.len() - 1;
        self.relations.push(Arc::new(Relation::of_source(index, &self.plan.sources[index])));
        Some(self.relations.len() - 1)
    }

    /// Lateness and history.
    fn kept(&mut self, body: &SourceBody) -> (Span, Span) {
        let lateness = body.lateness.as_ref().map_or(LATENESS, |clause| clause.value);
        let history = body.history.as_ref().map_or(lateness, |clause| clause.value);
        // Of a lateness that could not be read it is not known.
        let is_known = body.lateness.is_some() || !body.unread.may_be("lateness");
        if let (Some(clause), true) = (&body.history, is_known && history < lateness) {
            let message = format!("history {history} is shorter than lateness {lateness}");
            let problem = Diagnostic::error(codes::HISTORY_SHORT, clause.at, message, "shorter than the lateness");
            let problem = match &body.lateness {
                Some(lateness) => problem.also(lateness.at, "the lateness"),
                None => problem,
            };
            self.report(
                problem.help(format!(
                    "write history '{lateness}' or longer, or a shorter lateness (it is {LATENESS} where it is not written)"
                )),
            );
        }
        (lateness, history)
    }

    /// `fields` are those of columns that are sound.
    fn origin(&mut self, name: &Name, body: &SourceBody, fields: Option<&[Field]>, reported: &mut HashSet<String>) -> Origin {
        let Some(from) = &body.from else {
            if body.unread.may_be("from") {
                return Origin::log(&name.text);
            }
            let problem = Diagnostic::error(
                codes::MISSING_CLAUSE,
                name.at,
                format!("source `{}` does not say where its events come from", name.text),
                "no `from`",
            );
            self.report(problem.help(format!("write from log '{0}' or from kafka topic '{0}'", name.text)));
            return Origin::log(&name.text);
        };
        self.topic(&from.value.topic);
        let topic = &from.value.topic.text;
        if from.value.kafka {
            if let Some(partitions) = &body.partitions {
                let problem = Diagnostic::error(
                    codes::KAFKA_PARTITIONS,
                    partitions.at,
                    "a Kafka topic has the partitions that its broker gives it",
                    "remove this",
                );
                self.report(problem);
            }
            return Origin::kafka(topic);
        }
        let Some(clause) = &body.partitions else { return Origin::log(topic) };
        let count = &clause.value.count;
        let partitions = count.text.parse().ok().filter(|count| (1..=PARTITIONS_MAX).contains(count)).unwrap_or_else(|| {
            self.problems.push(Diagnostic::error(
                codes::BAD_PARTITIONS,
                count.at,
                format!("a log cannot have {} partitions", count.text),
                format!("from 1 to {PARTITIONS_MAX}"),
            ));
            1
        });
        let scope = fields.map(|fields| SourceScope { what: "source", source: &name.text, fields, reported });
        let by = scope.map(|scope| self.indices(&clause.value.by, scope, "partitions by")).unwrap_or_default();
        Origin { partitions: Some(Partitioning { count: partitions, by }), ..Origin::log(topic) }
    }

    pub(super) fn topic(&mut self, topic: &Name) {
        let letters = topic.text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        if !letters || topic.text.is_empty() || topic.text.len() > 249 || topic.text == "." || topic.text == ".." {
            let problem =
                Diagnostic::error(codes::BAD_TOPIC, topic.at, format!("`{}` cannot name a topic", topic.text), "not a topic's name");
            self.report(problem.help("1 to 249 letters, digits, `.`, `_` or `-`"));
        }
        let dead_letters = format!("{}.dead", topic.text);
        let is_its = |source: &&Source| source.files.is_some() && [topic.text.as_str(), &dead_letters].contains(&source.topic());
        if let Some(table) = self.plan.sources.iter().find(is_its) {
            let message = format!("the topic `{0}` holds the rows of table `{0}` alone", table.topic());
            self.report(Diagnostic::error(codes::TABLE_TOPIC, topic.at, message, "the table's topic").help("name another topic"));
        }
    }

    fn format(&mut self, body: &SourceBody) {
        // Records are JSON where nothing else is said.
        let Some(format) = &body.format else { return };
        let wanted = format.value.text.to_lowercase();
        if FORMATS_NOT_YET.contains(&wanted.as_str()) {
            let problem =
                Diagnostic::error(codes::NOT_YET_FORMAT, format.value.at, format!("records in {wanted} cannot be read yet"), "not yet");
            return self.report(problem.help("write `format json`"));
        }
        if wanted != "json" {
            let problem = Diagnostic::error(
                codes::UNKNOWN_FORMAT,
                format.value.at,
                format!("there is no format `{}`", format.value.text),
                "unknown format",
            );
            self.report(problem.suggest(&wanted, &["json"], "format"));
        }
    }

    fn event_time(&mut self, name: &Name, body: &SourceBody, fields: Option<&[Field]>, reported: &mut HashSet<String>) -> Option<usize> {
        let Some(clause) = &body.event_time else {
            if body.unread.may_be("event") {
                return None;
            }
            let problem = Diagnostic::error(
                codes::MISSING_CLAUSE,
                name.at,
                format!("source `{}` does not say when its events happened", name.text),
                "no `event time`",
            );
            let times: Vec<_> = fields
                .iter()
                .copied()
                .flatten()
                .filter(|field| field.data_type == DataType::Timestamp)
                .map(|field| field.name.as_str())
                .collect();
            self.report(problem.help(format!("write `event time {}`", times.first().unwrap_or(&"<a timestamp column>"))));
            return None;
        };
        let fields = fields?;
        let mut scope = SourceScope { what: "source", source: &name.text, fields, reported };
        let index = scope.index(&clause.value, self.problems)?;
        let field = &fields[index];
        if field.data_type != DataType::Timestamp {
            let message = format!("the event time `{}` is {}, not timestamp", field.name, field.data_type);
            let problem = Diagnostic::error(codes::EVENT_TIME_TYPE, clause.value.at, message, "not a timestamp");
            self.report(problem.help(format!("declare `{} timestamp`; RFC 3339 texts and epoch numbers are read as such", field.name)));
        }
        Some(index)
    }

    /// The places of the columns that a clause names; those that are unknown or lists are reported and left out.
    pub(super) fn indices(&mut self, names: &[Name], mut scope: SourceScope<'_>, clause: &str) -> Vec<usize> {
        let found: Vec<(&Name, usize)> =
            names.iter().filter_map(|name| scope.index(name, self.problems).map(|index| (name, index))).collect();
        let mut single = Vec::new();
        for (name, index) in found {
            match &scope.fields[index].data_type {
                list if !list.is_single() => self.no_list(name.at, &format!("a column of `{clause}`"), list),
                _ => single.push(index),
            }
        }
        single
    }

    /// Says so when a condition is none.
    pub(super) fn boolean(&mut self, condition: &Expression, at: crate::language::source::At, clause: &str) {
        if condition.data_type != DataType::Bool {
            let message = format!("`{clause}` takes a condition, this is {}", condition.data_type);
            let problem = Diagnostic::error(codes::NOT_BOOLEAN, at, message, format!("{}, not boolean", condition.data_type));
            self.report(problem.help("compare it with something: `.. = ..`, `.. > 0`, `.. is not null`"));
        }
    }
}

/// Fields as Arrow, every one nullable.
pub(super) fn schema_of(fields: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|field| ArrowField::new(&field.name, field.data_type.arrow(), true)).collect::<Vec<_>>()))
}
