//! Streams: the columns of each part, what the parts must share, and the branches that they are flattened into.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Expr;

use super::Checker;
use super::columns::SourceScope;
use super::source::schema_of;
use crate::event::SYSTEM_COLUMNS;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::{Planned, identifier};
use crate::language::parse::tree::{Body, Kind, Name, Select, StreamBody, Tree};
use crate::language::source::At;
use crate::plan::{BRANCHES_MAX, Branch, Field, Relation, Step, identity};
use crate::value::DataType;

/// File and index of a declaration.
type Declared = (usize, usize);

/// One `select`, planned.
struct Part<'t> {
    select: &'t Select,
    rows: Arc<Relation>,
    columns: Vec<Column>,
    filter: Option<Planned>,
}

struct Column {
    /// The alias, else the name of the column that it is.
    name: Option<Name>,
    at: At,
    planned: Planned,
    /// Of the column: that of the elements where `planned` is unnested.
    data_type: DataType,
    is_unnest: bool,
    is_event_time: bool,
}

impl Column {
    /// The column as it would be written.
    fn text(&self) -> String {
        let text = &self.planned.expression.text;
        if self.is_unnest { format!("unnest({text})") } else { text.to_string() }
    }

    /// What identifies its meaning.
    fn meaning(&self) -> String {
        if self.is_unnest { format!("unnest {}", self.planned.meaning) } else { self.planned.meaning.clone() }
    }
}

impl<'a> Checker<'a> {
    /// Checks all streams, each after those that it reads.
    pub(super) fn streams(&mut self) {
        let trees: &'a [Tree] = self.trees;
        let mut begun = HashSet::new();
        for (file, tree) in trees.iter().enumerate() {
            for index in 0..tree.declarations.len() {
                self.stream_after_others((file, index), &mut begun, &mut Vec::new());
            }
        }
    }

    /// `open` are the streams that wait for this one.
    fn stream_after_others(&mut self, declared: Declared, begun: &mut HashSet<Declared>, open: &mut Vec<Declared>) {
        let declaration = &self.trees[declared.0].declarations[declared.1];
        let (Some(Body::Stream(body)), Some(name)) = (&declaration.body, &declaration.name) else { return };
        if !begun.insert(declared) {
            return;
        }
        open.push(declared);
        for select in &body.selects {
            let Some(read) = self.names.declared(Kind::Source, &select.source.text) else { continue };
            if open.contains(&read) {
                let message = format!("stream `{}` reads itself", select.source.text);
                let problem = Diagnostic::error(codes::STREAM_CYCLE, select.source.at, message, "leads back to itself");
                self.report(problem.help("read the sources that its events come from"));
            } else {
                self.stream_after_others(read, begun, open);
            }
        }
        open.pop();
        if let Some(place) = self.stream(declared.0, name, body) {
            self.names.ready(Kind::Stream, &name.text, declared, place);
        }
    }

    /// The place among the relations of the checked stream; `None` when something about it is wrong.
    fn stream(&mut self, file: usize, name: &Name, body: &StreamBody) -> Option<usize> {
        let parts: Vec<_> = body.selects.iter().map(|select| self.part(file, select)).collect();
        // Every part was looked at before the first that is wrong ends it.
        let parts: Vec<Part<'_>> = parts.into_iter().collect::<Option<_>>()?;
        let (first, others) = parts.split_first().filter(|_| !body.partial)?;
        let fields = self.stream_fields(first)?;
        let alike: Vec<_> = others.iter().map(|part| self.is_alike(first, part, &fields)).collect();
        let event_time = alike.into_iter().all(|alike| alike).then(|| self.stream_time(&parts))??;
        let branches: usize = parts.iter().map(|part| part.rows.branches.len()).sum();
        if branches > BRANCHES_MAX {
            let message = format!("stream `{}` has {branches} parts, with those of the streams that it reads", name.text);
            self.report(Diagnostic::error(codes::STREAM_BRANCHES, name.at, message, format!("at most {BRANCHES_MAX}")));
            return None;
        }
        let schema = schema_of(&fields);
        let select = |part: &Part<'_>| identity::Select {
            from: part.rows.id,
            columns: fields.iter().zip(&part.columns).map(|(field, column)| (field.name.clone(), column.meaning())).collect(),
            filter: part.filter.as_ref().map(|filter| filter.meaning.clone()),
        };
        let id = identity::stream(&parts.iter().map(select).collect::<Vec<_>>());
        let branches_of = |part: Part<'_>| {
            let unnest = part.columns.iter().position(|column| column.is_unnest);
            let (columns, reads) = part.columns.into_iter().map(|column| (column.planned.expression, column.planned.columns)).unzip();
            let step = Step { filter: part.filter.map(|filter| filter.expression), columns, reads, unnest, schema: Arc::clone(&schema) };
            let branch = |branch: &Branch| {
                let steps = branch.steps.iter().cloned().chain([step.clone()]).collect();
                Branch { source: branch.source, steps }
            };
            part.rows.branches.iter().map(branch).collect::<Vec<_>>()
        };
        let branches = parts.into_iter().flat_map(branches_of).collect();
        let relation = Arc::new(Relation { name: name.text.clone(), id, fields, schema: Arc::clone(&schema), event_time, branches });
        self.plan.streams.push(Arc::clone(&relation));
        self.relations.push(relation);
        Some(self.relations.len() - 1)
    }

    fn part<'t>(&mut self, file: usize, select: &'t Select) -> Option<Part<'t>> {
        let rows = Arc::clone(&self.relations[self.names.find(Kind::Source, &select.source, self.problems)?]);
        let mut reported = HashSet::new();
        let mut columns = Vec::new();
        let mut sound = true;
        for item in &select.items {
            let Some(sql) = &item.sql else {
                for (index, field) in rows.fields.iter().enumerate() {
                    let expr = Expr::Identifier(identifier(&field.name));
                    let place = super::Place { tokens: &[], at: item.at };
                    let planned = self.planner.plan(&expr, &rows.schema, place, self.problems)?;
                    let name = Some(Name { text: field.name.clone(), at: item.at });
                    let (data_type, is_event_time) = (field.data_type.clone(), index == rows.event_time);
                    columns.push(Column { name, at: item.at, planned, data_type, is_unnest: false, is_event_time });
                }
                continue;
            };
            let place = self.place(file, sql);
            let mut scope = SourceScope::of(&self.plan, &rows, &mut reported);
            let resolved = self.planner.resolve(sql, place, &mut scope, self.problems);
            let planned = resolved.as_ref().and_then(|expr| self.planner.plan(expr, &rows.schema, place, self.problems));
            let (Some(expr), Some(planned)) = (resolved, planned) else {
                sound = false;
                continue;
            };
            let data_type = match (&planned.expression.data_type, item.is_unnest) {
                (DataType::List(element), true) => DataType::clone(element),
                (other, true) => {
                    let message = format!("`{}` is {other}, which has no elements", planned.expression.text);
                    let problem = Diagnostic::error(codes::UNNEST_TYPE, sql.at, message, "no list");
                    self.report(problem.help("unnest a column such as `double[]`, or an expression that gives a list"));
                    sound = false;
                    continue;
                }
                (own, false) => own.clone(),
            };
            if let Some(earlier) = columns.iter().find(|column: &&Column| column.is_unnest && item.is_unnest) {
                let problem = Diagnostic::error(codes::UNNEST_TWICE, item.at, "this `select` unnests a list already", "a second list");
                self.report(problem.also(earlier.at, "the first").help("unnest the other in a stream over this one"));
                sound = false;
                continue;
            }
            let plain = if let (Expr::Identifier(column), false) = (&expr, item.is_unnest) { Some(column.value.clone()) } else { None };
            let is_event_time = plain.as_ref() == Some(&rows.fields[rows.event_time].name);
            let name = item.name.clone().or_else(|| plain.map(|text| Name { text, at: item.at }));
            columns.push(Column { name, at: item.at, planned, data_type, is_unnest: item.is_unnest, is_event_time });
        }
        let filter = select.filter.as_ref().map(|clause| {
            let place = self.place(file, &clause.value);
            let mut scope = SourceScope::of(&self.plan, &rows, &mut reported);
            let resolved = self.planner.resolve(&clause.value, place, &mut scope, self.problems)?;
            let planned = self.planner.plan(&resolved, &rows.schema, place, self.problems)?;
            self.boolean(&planned.expression, clause.value.at, "where");
            Some(planned)
        });
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        sound.then_some(Part { select, rows, columns, filter })
    }

    /// The columns of the stream: those of its first part.
    fn stream_fields(&mut self, first: &Part<'_>) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        let mut named: HashMap<&str, At> = HashMap::new();
        for column in &first.columns {
            let Some(name) = &column.name else {
                let problem = Diagnostic::error(codes::NAME_NEEDED, column.at, "a column of a stream needs a name", "has none");
                self.report(problem.help(format!("write `{} as name`", column.text())));
                continue;
            };
            if let Some(earlier) = named.insert(&name.text, name.at) {
                let message = format!("the stream has two columns `{}`", name.text);
                let problem = Diagnostic::error(codes::DUPLICATE_COLUMN, name.at, message, "again here").also(earlier, "first here");
                self.report(problem.help(format!("give one another name: `{} as other`", column.text())));
                continue;
            }
            if SYSTEM_COLUMNS.contains(&name.text.as_str()) {
                let message = format!("the name `{}` is taken by a column of every event", name.text);
                let problem = Diagnostic::error(codes::RESERVED_NAME, name.at, message, "reserved");
                self.report(problem.help(format!("reserved are {}", SYSTEM_COLUMNS.join(", "))));
                continue;
            }
            fields.push(Field { name: name.text.clone(), data_type: column.data_type.clone() });
        }
        (fields.len() == first.columns.len()).then_some(fields)
    }

    /// Whether a part has as many columns as the first, of the same types.
    fn is_alike(&mut self, first: &Part<'_>, part: &Part<'_>, fields: &[Field]) -> bool {
        if part.columns.len() != fields.len() {
            let at = part.select.items.first().zip(part.select.items.last()).map_or(part.select.source.at, |(from, to)| from.at.to(to.at));
            let message = format!("this part has {} columns, the first has {}", part.columns.len(), fields.len());
            let names: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let problem = Diagnostic::error(codes::STREAM_WIDTH, at, message, "another number of columns");
            self.report(problem.help(format!("select a value for each of {}", names.join(", "))));
            return false;
        }
        let mut alike = true;
        for ((field, column), of_first) in fields.iter().zip(&part.columns).zip(&first.columns) {
            let data_type = &column.data_type;
            if *data_type != field.data_type {
                let message = format!("`{}` is {} in the first part and {data_type} here", field.name, field.data_type);
                let problem = Diagnostic::error(codes::STREAM_TYPES, column.at, message, format!("{data_type}, not {}", field.data_type));
                let text = &column.planned.expression.text;
                let cast = match column.is_unnest {
                    true => format!("cast the list: `unnest(({text})::{}[])`", field.data_type),
                    false => format!("cast it: `({text})::{}`", field.data_type),
                };
                self.report(problem.also(of_first.at, "in the first part").help(cast));
                alike = false;
            }
        }
        alike
    }

    /// Which column is the event time in every part.
    fn stream_time(&mut self, parts: &[Part<'_>]) -> Option<usize> {
        let width = parts.first().map_or(0, |part| part.columns.len());
        let mut held: Vec<usize> = (0..width).collect();
        for part in parts {
            let before = held.clone();
            held.retain(|index| part.columns[*index].is_event_time);
            if !held.is_empty() {
                continue;
            }
            let time = &part.rows.fields[part.rows.event_time].name;
            let here = part.columns.iter().find(|column| column.is_event_time).map(|column| column.at);
            let earlier = parts[0].columns[before[0]].name.as_ref().map_or("", |name| name.text.as_str());
            let (message, help) = match here {
                Some(_) => (
                    format!("`{time}`, the event time of `{}`, does not stand in the place of `{earlier}`", part.rows.name),
                    format!("select it in the place of `{earlier}`, as the first part does"),
                ),
                None => (
                    format!("this part does not select `{time}`, the event time of `{}`", part.rows.name),
                    format!("select `{time}` as it is; a row's time is that of its event"),
                ),
            };
            let problem = Diagnostic::error(codes::STREAM_TIME, here.unwrap_or(part.select.source.at), message, "where is its time?");
            self.report(problem.help(help));
            return None;
        }
        held.first().copied()
    }

    /// The source of that name, where no stream can stand.
    pub(super) fn source_named(&mut self, name: &Name, what: &str) -> Option<usize> {
        let relation = Arc::clone(&self.relations[self.names.find(Kind::Source, name, self.problems)?]);
        let source = relation.as_source();
        if source.is_none() {
            let names: Vec<_> = relation.sources().map(|source| format!("`{}`", self.plan.sources[source].name)).collect();
            let message = format!("`{}` is a stream, and {what}", name.text);
            let problem = Diagnostic::error(codes::STREAM_PLACE, name.at, message, "a stream");
            self.report(problem.help(format!("name one of its sources: {}", names.join(", "))));
        }
        source
    }
}
