//! Typed columns, and the scope of expressions over the columns of one source.

use std::collections::{HashMap, HashSet};

use super::Checker;
use crate::event::SYSTEM_COLUMNS;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::Scope;
use crate::language::parse::tree::{Column, List, Name};
use crate::language::source::At;
use crate::plan::{Field, Plan, Relation, View};
use crate::time::Epoch;
use crate::value::DataType;

const TYPES: [(&str, DataType); 5] = [
    ("boolean", DataType::Bool),
    ("bigint", DataType::Int),
    ("double", DataType::Float),
    ("text", DataType::Text),
    ("timestamp", DataType::Timestamp),
];

/// Types of other systems, with the language's own.
const FOREIGN: [(&str, &[&str]); 5] = [
    ("boolean", &["bool", "bit"]),
    ("bigint", &["int", "integer", "smallint", "tinyint", "int8", "int16", "int32", "int64", "long", "uint64", "serial"]),
    ("double", &["float", "real", "float4", "float8", "float32", "float64", "decimal", "numeric", "number"]),
    ("text", &["string", "varchar", "char", "str", "utf8", "uuid", "json"]),
    ("timestamp", &["timestamptz", "datetime", "date", "time", "timestamp_us"]),
];

impl Checker<'_> {
    /// The fields of a column list; `None` when some are wrong.
    pub(super) fn columns(&mut self, list: &List<Column>, of: &str) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        let mut first: HashMap<&str, &Name> = HashMap::new();
        let mut sound = !list.partial;
        for column in &list.items {
            let name = column.name.text.as_str();
            if let Some(first) = first.get(name) {
                let problem =
                    Diagnostic::error(codes::DUPLICATE_COLUMN, column.name.at, format!("the {of} has two columns `{name}`"), "again here");
                self.report(problem.also(first.at, "first here"));
                sound = false;
                continue;
            }
            first.insert(name, &column.name);
            if SYSTEM_COLUMNS.contains(&name) {
                let problem = Diagnostic::error(
                    codes::RESERVED_NAME,
                    column.name.at,
                    format!("the name `{name}` is taken by a column of every event"),
                    "reserved",
                );
                self.report(problem.help(format!("reserved are {}", SYSTEM_COLUMNS.join(", "))));
                sound = false;
            }
            match self.data_type(column) {
                Some(data_type) if of == "entity" && !data_type.is_single() => {
                    self.no_list(column.type_name.at, "the key of an entity", &data_type);
                    sound = false;
                }
                Some(data_type) => {
                    sound &= self.epoch_is_in_place(column, of, &data_type);
                    fields.push(Field { name: name.to_owned(), data_type });
                }
                None => sound = false,
            }
        }
        sound.then_some(fields)
    }

    /// What integers count in each column of a list that is sound.
    pub(super) fn epochs(&mut self, list: &List<Column>) -> Vec<Epoch> {
        list.items.iter().map(|column| self.epoch(column).unwrap_or_default()).collect()
    }

    /// `None` where nothing is said, or nothing that there is, which is reported.
    fn epoch(&mut self, column: &Column) -> Option<Epoch> {
        let written = column.epoch.as_ref()?;
        let word = written.text.to_lowercase();
        let epoch = Epoch::ALL.into_iter().find(|epoch| epoch.spelling() == word);
        if epoch.is_none() {
            let begins = |epoch: &Epoch| epoch.to_string().starts_with(word.trim_end_matches('s'));
            let meant = Epoch::ALL.into_iter().find(begins).unwrap_or_default().spelling();
            let problem = Diagnostic::error(codes::EPOCH_UNKNOWN, written.at, format!("times are not counted in `{word}`"), "no such unit");
            self.report(problem.help(format!("write `{} timestamp {meant}`; there are s, ms, us and ns", column.name.text)));
        }
        epoch
    }

    /// Says so where a unit stands at what is not read from integers of records.
    fn epoch_is_in_place(&mut self, column: &Column, of: &str, data_type: &DataType) -> bool {
        let Some(written) = &column.epoch else { return true };
        let is_time = match data_type {
            DataType::List(item) => **item == DataType::Timestamp,
            single => *single == DataType::Timestamp,
        };
        let is_read = matches!(of, "source" | "table");
        if is_time && is_read {
            return true;
        }
        let message = match is_read {
            true => {
                format!("`{}` is {data_type}, and only integers that stand for times are counted in `{}`", column.name.text, written.text)
            }
            false => {
                let what = if of == "entity" { "the key of an entity" } else { "a request column" };
                format!("{what} is not read from records: its times are texts, or integers that count microseconds")
            }
        };
        let problem = Diagnostic::error(codes::EPOCH_PLACE, written.at, message, "no unit here");
        self.report(problem.help("a unit stands behind the type of a timestamp of a source or a table: `t timestamp ms`"));
        false
    }

    /// Says that a list stands where values must be equal or not.
    pub(super) fn no_list(&mut self, at: At, what: &str, data_type: &DataType) {
        let problem = Diagnostic::error(codes::LIST_PLACE, at, format!("{what} cannot be {data_type}"), format!("is {data_type}"));
        self.report(problem.help("take a column of a single value, such as an id beside the list"));
    }

    fn data_type(&mut self, Column { type_name: name, list, .. }: &Column) -> Option<DataType> {
        let wanted = name.text.to_lowercase();
        if let Some((_, data_type)) = TYPES.iter().find(|(spelling, _)| *spelling == wanted) {
            return Some(if *list { DataType::List(Box::new(data_type.clone())) } else { data_type.clone() });
        }
        let problem = Diagnostic::error(codes::UNKNOWN_TYPE, name.at, format!("there is no type `{}`", name.text), "unknown type");
        let bare = wanted.split('(').next().unwrap_or_default().trim();
        let own = FOREIGN.iter().find(|(own, spellings)| spellings.contains(&bare) || bare == *own && bare != wanted).map(|(own, _)| *own);
        self.report(match own {
            Some(own) => problem.help(format!("write `{own}{}`", if *list { "[]" } else { "" })),
            None => problem.suggest(&wanted, &TYPES.map(|(spelling, _)| spelling), "type"),
        });
        None
    }
}

/// The columns of one source, table or stream.
pub(super) struct SourceScope<'a> {
    /// `source`, `table` or `stream`
    pub what: &'static str,
    pub source: &'a str,
    pub fields: &'a [Field],
    /// Unknown names that were reported in this declaration.
    pub reported: &'a mut HashSet<String>,
}

/// What a relation is called in diagnostics.
pub(super) fn what(plan: &Plan, rows: &Relation) -> &'static str {
    match rows.as_source() {
        Some(source) if plan.sources[source].files.is_some() => "table",
        Some(_) => "source",
        None => "stream",
    }
}

/// What a view and its features are called in diagnostics.
pub(super) fn what_view(plan: &Plan, view: &View) -> (&'static str, &'static str) {
    // A table's name is its own among the views.
    if what(plan, &view.rows) == "table" && view.rows.name == view.name { ("table", "column") } else { ("view", "feature") }
}

impl<'a> SourceScope<'a> {
    pub(super) fn of(plan: &Plan, rows: &'a Relation, reported: &'a mut HashSet<String>) -> Self {
        Self { what: what(plan, rows), source: &rows.name, fields: &rows.fields, reported }
    }

    /// The place of a column among the fields.
    pub(super) fn index(&mut self, name: &Name, problems: &mut Vec<Diagnostic>) -> Option<usize> {
        let found = self.fields.iter().position(|field| field.name == name.text);
        if found.is_none() && self.reported.insert(name.text.clone()) {
            let known: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
            let problem = Diagnostic::error(
                codes::UNKNOWN_COLUMN,
                name.at,
                format!("{} `{}` has no column `{}`", self.what, self.source, name.text),
                "unknown column",
            );
            problems.push(problem.suggest(&name.text, &known, "column"));
        }
        found
    }
}

impl Scope for SourceScope<'_> {
    fn column(&mut self, parts: &[Name], problems: &mut Vec<Diagnostic>) -> Option<String> {
        match parts {
            [name] => self.index(name, problems).map(|_| name.text.clone()),
            [source, name] if source.text == self.source => self.index(name, problems).map(|_| name.text.clone()),
            parts => {
                let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
                let at = parts.first().zip(parts.last()).map(|(first, last)| first.at.to(last.at)).unwrap_or_default();
                if self.reported.insert(text.clone()) {
                    let problem = Diagnostic::error(
                        codes::UNKNOWN_COLUMN,
                        at,
                        format!("`{text}` is no column of {} `{}`", self.what, self.source),
                        "unknown column",
                    );
                    problems.push(problem.help("an event has columns only; other events and features are not in sight here"));
                }
                None
            }
        }
    }
}
