//! Tables: a source of rows that come in files, and a view of it with the latest value of each attribute.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Expr;

use super::Checker;
use super::columns::SourceScope;
use super::features::{Draft, fold};
use super::source::schema_of;
use crate::aggregate::{self, MapLimit};
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::{Place, Planned, identifier};
use crate::language::parse::tree::{Name, TableBody};
use crate::language::source::At;
use crate::plan::{Entity, Expect, Feature, FeatureRef, Field, Format, Origin, Relation, Source, View, Window, WindowBounds, identity};
use crate::record::System;
use crate::time::Span;
use crate::value::DataType;

const PATH_HELP: &str = "write the path of a Parquet file, or of a folder of *.parquet, from the folder of this file";

impl Checker<'_> {
    /// The places of the checked table among the relations and among the views; `None` when its columns do not make one.
    pub(super) fn table(&mut self, file: usize, name: &Name, body: &TableBody) -> Option<(usize, usize)> {
        let fields = body.columns.as_ref().and_then(|columns| self.columns(columns, "table"));
        self.topic(name);
        let reads = |source: &&Source| {
            let into = source.dead_letter_topic() == name.text;
            into || source.origin.system == System::Embedded && source.topic() == name.text
        };
        if let Some(source) = self.plan.sources.iter().find(reads) {
            let message =
                format!("source `{}` has the topic `{}`, which holds the rows of the table of that name alone", source.name, name.text);
            let problem = Diagnostic::error(codes::TABLE_TOPIC, name.at, message, "its topic has another reader");
            self.report(
                problem.help("give the table another name, or the source another topic; what reads rows of a table names the table"),
            );
        }
        let files = self.files(file, name, body);
        let mut reported = HashSet::new();
        let time = self.table_time(name, body, fields.as_deref(), &mut reported);
        let keys = self.table_keys(name, body, fields.as_deref(), &mut reported);
        // All clauses were looked at before the first that is wrong ends it.
        let (fields, files, event_time, keys) = (fields?, files?, time?, keys?);
        let attributes: Vec<usize> = (0..fields.len()).filter(|index| *index != event_time && !keys.contains(index)).collect();
        if keys.contains(&event_time) || attributes.is_empty() {
            let message = if attributes.is_empty() {
                format!("table `{}` has no column beside its key and its time", name.text)
            } else {
                format!("`{}` is the time of table `{}` and a part of its key", fields[event_time].name, name.text)
            };
            let problem = Diagnostic::error(codes::TABLE_COLUMNS, name.at, message, "no such table");
            self.report(problem.help("a table has key columns, one time, and the attributes that hold from that time on"));
            return None;
        }
        let schema = schema_of(&fields);
        let expects = keys.iter().map(|key| self.is_not_null(&fields[*key], &schema, name.at)).collect::<Option<_>>()?;
        let origin = Origin::log(&name.text);
        let epochs = body.columns.as_ref().map(|columns| self.epochs(columns)).unwrap_or_default();
        let source = self.plan.sources.len();
        self.plan.sources.push(Source {
            name: name.text.clone(),
            id: identity::source(&name.text, &origin, &fields[event_time], None, None, false, &fields),
            fields: fields.clone(),
            epochs,
            schema,
            origin,
            format: Format::Json,
            event_time,
            // Batches bring rows of any age, and such that hold from a later time on.
            lateness: Span::MAX,
            max_ahead: Span::MAX,
            history: Span::MAX,
            dedup: None,
            expects,
            deletes: None,
            tombstones: false,
            files: Some(files),
        });
        let rows = Arc::new(Relation::of_source(source, &self.plan.sources[source]));
        self.relations.push(Arc::clone(&rows));
        let view = self.latest(file, name, rows, keys, &attributes)?;
        Some((self.relations.len() - 1, view))
    }

    /// The view of a table, of an entity of its own.
    fn latest(&mut self, file: usize, name: &Name, rows: Arc<Relation>, key_columns: Vec<usize>, attributes: &[usize]) -> Option<usize> {
        let columns: Vec<Field> = key_columns.iter().map(|key| rows.fields[*key].clone()).collect();
        let keys = identity::keys(rows.id, &columns, &name.text, None);
        let mut draft = Draft::new(file, Arc::clone(&rows), keys, HashSet::new());
        for attribute in attributes {
            let Field { name: attribute, data_type } = &rows.fields[*attribute];
            let planned = self.column_of(attribute, &rows.schema, name.at)?;
            let aggregate = match aggregate::bind("latest", std::slice::from_ref(data_type), &[]) {
                Ok(aggregate) => aggregate,
                Err(error) => {
                    let message = format!("the attribute `{attribute}` of table `{}`: {}", name.text, error.0);
                    let problem = Diagnostic::error(codes::AGGREGATE_TYPES, name.at, message, "cannot be read");
                    self.report(problem.help("an attribute is a single value; lists are columns of sources"));
                    return None;
                }
            };
            let fold = fold(&mut draft, &aggregate, vec![planned], None);
            let window = Window::of(WindowBounds::All);
            let id = identity::feature(keys, draft.folds[fold].id, &window, MapLimit::default(), None, data_type);
            let (name, data_type) = (attribute.clone(), data_type.clone());
            draft.features.push(Feature { name, id, fold, window, keep: MapLimit::default(), default: None, data_type });
        }
        self.plan.entities.push(Entity { name: name.text.clone(), keys: columns });
        let entity = self.plan.entities.len() - 1;
        let id = identity::view(keys, &name.text);
        let Draft { inputs, filters, folds, features, .. } = draft;
        let name = name.text.clone();
        let declared = (0..features.len()).map(FeatureRef::Aggregate).collect();
        let derived = Vec::new();
        self.derived_expressions.push(Vec::new());
        self.plan.views.push(View { name, id, entity, rows, key_columns, ttl: None, inputs, filters, folds, features, derived, declared });
        Some(self.plan.views.len() - 1)
    }

    fn column_of(&mut self, column: &str, schema: &arrow::datatypes::SchemaRef, at: At) -> Option<Planned> {
        self.planner.plan(&Expr::Identifier(identifier(column)), schema, Place { tokens: &[], at }, self.problems)
    }

    fn is_not_null(&mut self, key: &Field, schema: &arrow::datatypes::SchemaRef, at: At) -> Option<Expect> {
        let expr = Expr::IsNotNull(Box::new(Expr::Identifier(identifier(&key.name))));
        let planned = self.planner.plan(&expr, schema, Place { tokens: &[], at }, self.problems)?;
        Some(Expect { condition: planned.expression })
    }

    /// Where the rows come from.
    fn files(&mut self, file: usize, name: &Name, body: &TableBody) -> Option<PathBuf> {
        let Some(from) = &body.from else {
            self.clause_missing(name, body, "from", "where its rows are", "from parquet 'tables/users'");
            return None;
        };
        let written = &from.value;
        if let Some((scheme, _)) = written.text.split_once("://") {
            let message = format!("a table cannot be read from {scheme} yet");
            let problem = Diagnostic::error(codes::NOT_YET_OBJECT_STORE, written.at, message, "not yet");
            self.report(problem.help("write the path of a file or a folder on this machine, and copy new files there"));
            return None;
        }
        if written.text.trim().is_empty() {
            let message = format!("table `{}` names no file", name.text);
            let problem = Diagnostic::error(codes::TABLE_FILES, written.at, message, "an empty path");
            self.report(problem.help(PATH_HELP));
            return None;
        }
        let path = self.beside(file, written);
        if !path.exists() {
            let message = format!("{} is missing: the table has no rows until it is there", path.display());
            let problem = Diagnostic::warning(codes::TABLE_FILES, written.at, message, "this file or folder");
            self.report(problem.help(PATH_HELP));
        }
        Some(path)
    }

    fn table_time(&mut self, name: &Name, body: &TableBody, fields: Option<&[Field]>, reported: &mut HashSet<String>) -> Option<usize> {
        let Some(time) = &body.time else {
            self.clause_missing(name, body, "time", "from when on a row holds", "time updated");
            return None;
        };
        let fields = fields?;
        let scope = SourceScope { what: "table", source: &name.text, fields, reported };
        let index = *self.indices(std::slice::from_ref(&time.value), scope, "time").first()?;
        let field = &fields[index];
        if field.data_type != DataType::Timestamp {
            let message = format!("the time `{}` is {}, not timestamp", field.name, field.data_type);
            let problem = Diagnostic::error(codes::EVENT_TIME_TYPE, time.value.at, message, "not a timestamp");
            self.report(problem.help(format!("declare `{} timestamp`; RFC 3339 texts and epoch numbers are read as such", field.name)));
            return None;
        }
        Some(index)
    }

    fn table_keys(
        &mut self,
        name: &Name,
        body: &TableBody,
        fields: Option<&[Field]>,
        reported: &mut HashSet<String>,
    ) -> Option<Vec<usize>> {
        let Some(keys) = &body.keys else {
            self.clause_missing(name, body, "key", "whose attributes a row holds", "key user_id");
            return None;
        };
        let scope = SourceScope { what: "table", source: &name.text, fields: fields?, reported };
        let columns = self.indices(&keys.value, scope, "key");
        if columns.len() < keys.value.len() {
            return None;
        }
        for (place, column) in columns.iter().enumerate() {
            if let Some(first) = columns[..place].iter().position(|earlier| earlier == column) {
                let (again, first) = (&keys.value[place], &keys.value[first]);
                let message = format!("the key names `{}` twice", again.text);
                self.report(Diagnostic::error(codes::DUPLICATE_COLUMN, again.at, message, "again here").also(first.at, "first here"));
                return None;
            }
        }
        Some(columns)
    }

    fn clause_missing(&mut self, name: &Name, body: &TableBody, clause: &str, what: &str, example: &str) {
        if body.unread.may_be(clause) {
            return;
        }
        let message = format!("table `{}` does not say {what}", name.text);
        let problem = Diagnostic::error(codes::MISSING_CLAUSE, name.at, message, format!("no `{clause}`"));
        self.report(problem.help(format!("write `{example}`")));
    }
}
