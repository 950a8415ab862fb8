//! Feature views: which columns hold the entity's key, and the features that share one state.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Checker;
use super::columns::{SourceScope, what};
use super::derived::Written;
use super::features::Draft;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{FeatureWhat, FeaturesBody, Kind, Name};
use crate::plan::{Field, Relation, View, identity};

impl Checker<'_> {
    /// The place of the checked view in the plan; `None` when its source, entity or keys are not known.
    pub(super) fn view(&mut self, file: usize, name: &Name, body: &FeaturesBody) -> Option<usize> {
        let entity = self.names.find(Kind::Entity, &body.entity, self.problems);
        let rows = Arc::clone(&self.relations[self.names.find(Kind::Source, &body.source, self.problems)?]);
        let mut reported = HashSet::new();
        let key_columns = entity.and_then(|entity| self.key_columns(entity, &rows, body, &mut reported));
        let ttl = body.ttl.as_ref().map(|clause| clause.value);
        let columns: Vec<Field> = key_columns.iter().flatten().map(|index| rows.fields[*index].clone()).collect();
        let entity_name = entity.map_or("", |entity| self.plan.entities[entity].name.as_str());
        let keys = identity::keys(rows.id, &columns, entity_name, ttl);
        let mut draft = Draft::new(file, Arc::clone(&rows), keys, reported);
        let mut expressions = Vec::new();
        for (line, item) in body.items.items.iter().enumerate() {
            match &item.what {
                FeatureWhat::Aggregate(call) => draft.partial |= self.feature(&mut draft, line, item, call).is_none(),
                FeatureWhat::Expression { sql, call } => expressions.push(Written { line, item, sql, call: call.as_ref() }),
            }
        }
        draft.partial |= body.items.partial;
        self.derived(&mut draft, &name.text, &expressions);
        // Only now, so that features of a view without keys are checked, too.
        let (entity, key_columns) = (entity?, key_columns?);
        let place = self.plan.views.len();
        if draft.partial {
            self.partial_views.insert(place);
        }
        let id = identity::view(keys, &name.text);
        let Draft { inputs, filters, folds, features, derived, expressions, mut declared, .. } = draft;
        self.derived_expressions.push(expressions);
        declared.sort_by_key(|(line, _)| *line);
        let declared = declared.into_iter().map(|(_, feature)| feature).collect();
        let name = name.text.clone();
        self.plan.views.push(View { name, id, entity, rows, key_columns, ttl, inputs, filters, folds, features, derived, declared });
        Some(place)
    }

    /// For each key of the entity, the field of the source or stream that holds it.
    fn key_columns(&mut self, entity: usize, rows: &Relation, body: &FeaturesBody, reported: &mut HashSet<String>) -> Option<Vec<usize>> {
        let keys = self.plan.entities[entity].keys.clone();
        let fields = &rows.fields;
        let mut indices = Vec::new();
        if let (Some(first), Some(last)) = (body.by.first(), body.by.last()) {
            if body.by.len() != keys.len() {
                let names: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
                let message = format!("entity `{}` has {} key columns, `by` names {}", body.entity.text, keys.len(), body.by.len());
                let problem = Diagnostic::error(codes::KEY_COUNT, first.at.to(last.at), message, "another number of columns");
                self.report(problem.help(format!("name one column each for {}", names.join(", "))));
            }
            let mut scope = SourceScope::of(&self.plan, rows, reported);
            let found: Vec<_> = body.by.iter().map(|name| scope.index(name, self.problems)).collect();
            if body.by.len() != keys.len() {
                return None;
            }
            indices = found;
        } else {
            for key in &keys {
                let index = fields.iter().position(|field| field.name == key.name);
                if index.is_none() {
                    self.key_missing(key, rows, body);
                }
                indices.push(index);
            }
        }
        let mut sound = true;
        for (position, (key, index)) in keys.iter().zip(&indices).enumerate() {
            let Some(field) = index.map(|index| &fields[index]) else { continue };
            if field.data_type != key.data_type {
                let at = body.by.get(position).map_or(body.entity.at, |name| name.at);
                let message = format!(
                    "key `{}` of entity `{}` is {}, column `{}` of {} `{}` is {}",
                    key.name,
                    body.entity.text,
                    key.data_type,
                    field.name,
                    what(&self.plan, rows),
                    rows.name,
                    field.data_type
                );
                let problem = Diagnostic::error(codes::KEY_TYPE, at, message, "types differ");
                self.report(problem.help(format!("declare both as {} or both as {}", key.data_type, field.data_type)));
                sound = false;
            }
        }
        indices.into_iter().collect::<Option<_>>().filter(|_| sound)
    }

    fn key_missing(&mut self, key: &Field, rows: &Relation, body: &FeaturesBody) {
        let (what, source, fields) = (what(&self.plan, rows), rows.name.as_str(), &rows.fields);
        let message = format!("{what} `{source}` has no column `{}` to hold the key of entity `{}`", key.name, body.entity.text);
        let problem = Diagnostic::error(codes::KEY_COLUMN_MISSING, body.source.at, message, "has no such column");
        let fitting: Vec<_> =
            fields.iter().filter(|field| field.data_type == key.data_type).map(|field| format!("`{}`", field.name)).collect();
        self.report(match fitting.is_empty() {
            true => problem.help(format!("the {what} has no column of type {}", key.data_type)),
            false => problem.help(format!(
                "say which column holds it: `of {} by <column> from {source}`; of its type are {}",
                body.entity.text,
                fitting.join(", ")
            )),
        });
    }
}

/// The first of two things of one name.
pub(super) type First = HashMap<String, crate::language::source::At>;
