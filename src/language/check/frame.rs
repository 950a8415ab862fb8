//! What a vector can see: features read under roles, and request columns. Grows while the vector's items are resolved.

use std::collections::HashSet;

use super::Checker;
use super::columns::what_view;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::expression::Scope;
use crate::language::parse::tree::{Kind, Name};
use crate::language::source::At;
use crate::plan::{FeatureRef, Field, Plan, Read, RequestColumn, View};

/// Which column holds each key of the view that is read, where the item says so.
pub(super) type Role = Vec<(Name, Name)>;

/// A vector's frame while its items are read.
#[derive(Default)]
pub(super) struct Frame {
    pub on: Option<usize>,
    /// Request columns that a vector without `on` declares.
    pub declared: Vec<Field>,
    pub keys: Vec<Field>,
    pub key_columns: Vec<usize>,
    pub request: Vec<RequestColumn>,
    pub reads: Vec<Read>,
    /// Derived features: the read, and the place among those of its view. Each after those that it is computed from.
    pub computed: Vec<(usize, usize)>,
    /// The role of each read, as part of its features' names; empty for the view's own keys.
    pub roles: Vec<String>,
    /// Views that items name, for features named alone.
    pub views: Vec<usize>,
    pub reported: HashSet<String>,
}

impl Frame {
    /// The frame name of a feature.
    pub(super) fn feature_name(&self, plan: &Plan, read: usize, feature: FeatureRef) -> String {
        let view = &plan.views[self.reads[read].view];
        format!("{}.{}{}", view.name, view.name_of(feature), self.roles[read])
    }

    /// Adds a feature to a read, with those that it is computed from.
    pub(super) fn add(&mut self, plan: &Plan, read: usize, feature: FeatureRef) {
        match feature {
            FeatureRef::Aggregate(index) if !self.reads[read].features.contains(&index) => self.reads[read].features.push(index),
            FeatureRef::Derived(index) if !self.computed.contains(&(read, index)) => {
                for input in &plan.views[self.reads[read].view].derived[index].inputs {
                    self.add(plan, read, *input);
                }
                self.computed.push((read, index));
            }
            FeatureRef::Aggregate(_) | FeatureRef::Derived(_) => {}
        }
    }

    /// Names and types of all columns: the features of each read in order, then the request columns.
    pub(super) fn fields(&self, plan: &Plan) -> Vec<Field> {
        let mut fields = Vec::new();
        for (read, of) in self.reads.iter().enumerate() {
            for feature in &of.features {
                let data_type = plan.views[of.view].features[*feature].data_type.clone();
                fields.push(Field { name: self.feature_name(plan, read, FeatureRef::Aggregate(*feature)), data_type });
            }
        }
        fields.extend(self.request.iter().map(|column| column.field.clone()));
        fields
    }

    /// The request column of that name, added if it is one.
    fn request(&mut self, plan: &Plan, name: &str) -> Option<String> {
        if let Some(on) = self.on {
            let source = &plan.sources[on];
            let index = source.fields.iter().position(|field| field.name == name)?;
            if self.request.iter().all(|column| column.field.name != name) {
                let field = source.fields[index].clone();
                self.request.push(RequestColumn { field, source_column: Some(index), is_event_time: index == source.event_time });
            }
            return Some(name.to_owned());
        }
        let field = self.declared.iter().find(|field| field.name == name)?;
        if self.request.iter().all(|column| column.field.name != name) {
            self.request.push(RequestColumn { field: field.clone(), source_column: None, is_event_time: false });
        }
        Some(name.to_owned())
    }
}

/// The scope of one item of a vector: the frame under the item's role.
pub(super) struct VectorScope<'s, 'a> {
    pub checker: &'s mut VectorContext<'a>,
    pub frame: &'s mut Frame,
    pub role: &'s Role,
}

/// What the scope reads of the checker, which lends its problems elsewhere meanwhile.
pub(super) struct VectorContext<'a> {
    pub plan: &'a Plan,
    pub names: &'a mut super::names::Names,
    pub partial_views: &'a HashSet<usize>,
}

impl Scope for VectorScope<'_, '_> {
    fn column(&mut self, parts: &[Name], problems: &mut Vec<Diagnostic>) -> Option<String> {
        let plan = self.checker.plan;
        match parts {
            [name] => match self.frame.request(plan, &name.text) {
                Some(column) => Some(column),
                None => self.plain_feature(name, problems),
            },
            [source, name] if self.is_source(source) && !self.checker.names.is_declared(Kind::Features, &source.text) => {
                let found = self.frame.request(plan, &name.text);
                if found.is_none() {
                    self.unknown(name, problems);
                }
                found
            }
            [view, feature] => self.feature(view, feature, problems),
            parts => {
                let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
                let at = parts.first().zip(parts.last()).map(|(first, last)| first.at.to(last.at)).unwrap_or_default();
                problems.push(
                    Diagnostic::error(codes::UNKNOWN_COLUMN, at, format!("`{text}` names nothing"), "unknown")
                        .help("write `view.feature` or a column's name"),
                );
                None
            }
        }
    }
}

impl VectorScope<'_, '_> {
    fn is_source(&self, name: &Name) -> bool {
        self.frame.on.is_some_and(|on| self.checker.plan.sources[on].name == name.text)
    }

    /// A feature named alone: of the one view that has it among those that the vector names.
    fn plain_feature(&mut self, name: &Name, problems: &mut Vec<Diagnostic>) -> Option<String> {
        let plan = self.checker.plan;
        let find = |view: &usize| plan.views[*view].find(&name.text).map(|feature| (*view, feature));
        let found: Vec<(usize, FeatureRef)> = self.frame.views.iter().filter_map(find).collect();
        match found.as_slice() {
            [(view, feature)] => self.read(*view, *feature, name.at, problems),
            [] => {
                self.unknown(name, problems);
                None
            }
            several => {
                if self.frame.reported.insert(name.text.clone()) {
                    let views: Vec<_> = several.iter().map(|(view, _)| format!("`{}.{}`", plan.views[*view].name, name.text)).collect();
                    let problem = Diagnostic::error(
                        codes::AMBIGUOUS_NAME,
                        name.at,
                        format!("`{}` could be any of {}", name.text, views.join(", ")),
                        "which view's?",
                    );
                    problems.push(problem.help(format!("write {}", views.join(" or "))));
                }
                None
            }
        }
    }

    fn unknown(&mut self, name: &Name, problems: &mut Vec<Diagnostic>) {
        let plan = self.checker.plan;
        // It may be one of the features that could not be read.
        if self.frame.views.iter().any(|view| self.checker.partial_views.contains(view)) || !self.frame.reported.insert(name.text.clone()) {
            return;
        }
        let fields = self.frame.on.map_or(&self.frame.declared, |on| &plan.sources[on].fields);
        let mut known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        known.extend(self.frame.views.iter().flat_map(|view| names_of(&plan.views[*view])));
        let problem =
            Diagnostic::error(codes::UNKNOWN_COLUMN, name.at, format!("the vector sees no column or feature `{}`", name.text), "unknown");
        let problem = match (self.frame.on, known.is_empty()) {
            (None, true) => problem.help(format!("declare it: `request ({} double)`", name.text)),
            _ => problem.suggest(&name.text, &known, "column"),
        };
        problems.push(problem);
    }

    /// `view.feature`
    fn feature(&mut self, view: &Name, feature: &Name, problems: &mut Vec<Diagnostic>) -> Option<String> {
        let plan = self.checker.plan;
        let index = self.checker.names.find(Kind::Features, view, problems)?;
        let Some(found) = plan.views[index].find(&feature.text) else {
            let full = format!("{}.{}", view.text, feature.text);
            if !self.checker.partial_views.contains(&index) && self.frame.reported.insert(full) {
                let known: Vec<&str> = names_of(&plan.views[index]).collect();
                let (of, what) = what_view(plan, &plan.views[index]);
                let message = format!("{of} `{}` has no {what} `{}`", view.text, feature.text);
                let problem = Diagnostic::error(codes::UNKNOWN_FEATURE, feature.at, message, format!("unknown {what}"));
                problems.push(problem.suggest(&feature.text, &known, what));
            }
            return None;
        };
        self.read(index, found, view.at.to(feature.at), problems)
    }

    /// The frame name of a feature, which is read from now on.
    fn read(&mut self, view: usize, feature: FeatureRef, at: At, problems: &mut Vec<Diagnostic>) -> Option<String> {
        let read = self.read_of(view, at, problems)?;
        self.frame.add(self.checker.plan, read, feature);
        Some(self.frame.feature_name(self.checker.plan, read, feature))
    }

    /// The read of a view under the item's role.
    pub(super) fn read_of(&mut self, view: usize, at: At, problems: &mut Vec<Diagnostic>) -> Option<usize> {
        let plan = self.checker.plan;
        let of = &plan.views[view];
        let entity = &plan.entities[of.entity];
        let (what, _) = what_view(plan, of);
        for (key, _) in self.role {
            let single = entity.keys.len() == 1 && key.text == entity.name;
            if !single && entity.keys.iter().all(|known| known.name != key.text) {
                if self.frame.reported.insert(format!("for {}", key.text)) {
                    let known: Vec<&str> = entity.keys.iter().map(|key| key.name.as_str()).collect();
                    let whose = if what == "table" { what } else { "entity" };
                    let message = format!("{whose} `{}` has no key `{}`", entity.name, key.text);
                    let problem = Diagnostic::error(codes::UNKNOWN_KEY, key.at, message, "unknown key");
                    problems.push(problem.suggest(&key.text, &known, "key"));
                }
                return None;
            }
        }
        let mut keys = Vec::new();
        let mut columns = Vec::new();
        for (position, key) in entity.keys.iter().enumerate() {
            let named = self.role.iter().find(|(name, _)| name.text == key.name || (entity.keys.len() == 1 && name.text == entity.name));
            let own = match self.frame.on {
                Some(on) if of.rows.as_source() == Some(on) => plan.sources[on].fields[of.key_columns[position]].name.as_str(),
                _ => key.name.as_str(),
            };
            let (column, column_at) = named.map_or((own, at), |(_, column)| (column.text.as_str(), column.at));
            keys.push(self.key(column, key, column_at, &format!("{what} `{}`", of.name), problems)?);
            if column != own {
                columns.push(column);
            }
        }
        let known = self.frame.reads.iter().position(|read| read.view == view && read.keys == keys);
        Some(known.unwrap_or_else(|| {
            let role = if columns.is_empty() { String::new() } else { format!(" for {}", columns.join(", ")) };
            self.frame.roles.push(role);
            self.frame.reads.push(Read { view, keys, features: Vec::new() });
            self.frame.reads.len() - 1
        }))
    }

    /// The place among the vector's keys of the one that is read from `column`; `view` is what it is a key of.
    fn key(&mut self, column: &str, key: &Field, at: At, view: &str, problems: &mut Vec<Diagnostic>) -> Option<usize> {
        let index = match self.frame.on {
            Some(on) => {
                let source = &self.checker.plan.sources[on];
                let Some(index) = source.fields.iter().position(|field| field.name == column) else {
                    if self.frame.reported.insert(format!("key {view} {column}")) {
                        let what = if source.files.is_some() { "table" } else { "source" };
                        let message = format!("{what} `{}` has no column `{column}` to read {view} by", source.name);
                        let fitting: Vec<_> = source
                            .fields
                            .iter()
                            .filter(|field| field.data_type == key.data_type)
                            .map(|field| format!("`{}`", field.name))
                            .collect();
                        let problem = Diagnostic::error(codes::KEY_UNREACHABLE, at, message, "no key for this");
                        problems.push(problem.help(format!(
                            "say which column holds it: `for {} = <column>`; of its type ({}) are {}",
                            key.name,
                            key.data_type,
                            if fitting.is_empty() { "none".to_owned() } else { fitting.join(", ") }
                        )));
                    }
                    return None;
                };
                Some((index, source.fields[index].data_type.clone()))
            }
            None => None,
        };
        let known = self.frame.keys.iter().position(|known| known.name == column);
        let held = index.as_ref().map(|(_, held)| held.clone()).or_else(|| known.map(|known| self.frame.keys[known].data_type.clone()));
        if let Some(held) = held.filter(|held| *held != key.data_type) {
            if self.frame.reported.insert(format!("type {column} {}", key.data_type)) {
                let message = format!("key `{}` of {view} is {}, column `{column}` is {held}", key.name, key.data_type);
                problems
                    .push(Diagnostic::error(codes::KEY_TYPE, at, message, "types differ").help("read it by a column of the key's type"));
            }
            return None;
        }
        Some(known.unwrap_or_else(|| {
            self.frame.keys.push(Field { name: column.to_owned(), data_type: key.data_type.clone() });
            self.frame.key_columns.extend(index.map(|(index, _)| index));
            self.frame.keys.len() - 1
        }))
    }
}

/// The names of a view's features.
fn names_of(view: &View) -> impl Iterator<Item = &str> {
    view.declared.iter().map(|feature| view.name_of(*feature))
}

impl Checker<'_> {
    /// Runs `with` on a scope over the frame.
    pub(super) fn in_frame<T>(
        &mut self,
        frame: &mut Frame,
        role: &Role,
        with: impl FnOnce(&super::Planner, &mut VectorScope<'_, '_>, &mut Vec<Diagnostic>) -> T,
    ) -> T {
        let mut context = VectorContext { plan: &self.plan, names: &mut self.names, partial_views: &self.partial_views };
        let mut scope = VectorScope { checker: &mut context, frame, role };
        with(&self.planner, &mut scope, self.problems)
    }
}
