//! Vectors: items resolved into a frame, then columns over that frame.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::Expr;

use super::Checker;
use super::computed::{Seen, reads};
use super::frame::Frame;
use super::source::schema_of;
use crate::event::SYSTEM_COLUMNS;
use crate::language::diagnostics::{Diagnostic, codes};
use crate::language::parse::tree::{Clause, Column, Kind, List, Name, Sql, VectorBody, VectorItem, VectorWhat};
use crate::language::source::At;
use crate::plan::{ColumnSource, FeatureRef, Plan, Read, Vector, VectorColumn, identity};

/// A column whose expression is resolved; the frame is not complete yet.
struct Draft<'t> {
    name: String,
    at: At,
    from: From<'t>,
    default: Option<&'t Clause<Sql>>,
}

enum From<'t> {
    /// By its name in the frame.
    Frame(String),
    Derived(Expr, &'t Sql),
}

impl Checker<'_> {
    /// The place of the checked vector in the plan; `None` when a column is wrong, so that its models are not checked
    /// against half of it.
    pub(super) fn vector(&mut self, file: usize, name: &Name, body: &VectorBody) -> Option<usize> {
        let mut sound = !(body.items.partial || body.on.is_some() && body.request.is_some());
        let mut frame = Frame::default();
        if let Some(on) = &body.on {
            frame.on = Some(self.source_named(on, "a vector is `on` a source")?);
        } else if let Some(request) = &body.request {
            match self.columns(&request.value, "request") {
                Some(fields) => frame.declared = fields,
                None => return None,
            }
        }
        frame.views = self.views_named(body);
        let mut drafts = Vec::new();
        for item in &body.items.items {
            sound &= self.item(file, &mut frame, item, &mut drafts).is_some();
        }
        sound &= self.unique_columns(&drafts);
        sound &= self.request_columns(&frame, body.request.as_ref(), sound);
        sound &= self.columns_beside_keys(&frame, &drafts);
        let fields = frame.fields(&self.plan);
        let schema = schema_of(&fields);
        let computed = self.computed(&frame, &fields);
        let mut columns = Vec::new();
        let mut meanings = Vec::new();
        for draft in drafts {
            let Some((column, meaning)) =
                self.column(file, draft, &Seen { fields: &fields, schema: &schema, computed: &computed, frame: &frame })
            else {
                sound = false;
                continue;
            };
            meanings.push((column.name.clone(), meaning, column.default.clone()));
            columns.push(column);
        }
        if !sound {
            return None;
        }
        let id = identity::vector(frame.on.map(|on| self.plan.sources[on].id), &meanings);
        let Frame { on, keys, key_columns, request, reads, .. } = frame;
        let (frame, schema) = (schema, Vector::schema_of(&columns));
        self.plan.vectors.push(Vector { name: name.text.clone(), id, on, keys, key_columns, request, reads, frame, columns, schema });
        Some(self.plan.vectors.len() - 1)
    }

    /// The views that the items name, in order; unknown ones are left for later.
    fn views_named(&self, body: &VectorBody) -> Vec<usize> {
        let mut named = Vec::new();
        let mut add = |name: &str| {
            if let Some(view) = self.plan.views.iter().position(|view| view.name == name).filter(|view| !named.contains(view)) {
                named.push(view);
            }
        };
        for item in &body.items.items {
            match &item.what {
                VectorWhat::Star { view, .. } => add(&view.text),
                VectorWhat::Column { sql, .. } => {
                    let Some(expr) = &sql.expr else { continue };
                    let _: std::ops::ControlFlow<()> = datafusion::sql::sqlparser::ast::visit_expressions(expr, |part| {
                        if let Expr::CompoundIdentifier(parts) = part {
                            parts.first().into_iter().for_each(|part| add(&part.value));
                        }
                        std::ops::ControlFlow::Continue(())
                    });
                }
            }
        }
        named
    }

    fn item<'t>(&mut self, file: usize, frame: &mut Frame, item: &'t VectorItem, drafts: &mut Vec<Draft<'t>>) -> Option<()> {
        let default = item.default.as_ref();
        match &item.what {
            VectorWhat::Star { view, prefix } => {
                let index = self.names.find(Kind::Features, view, self.problems)?;
                let at = view.at;
                let read = self.in_frame(frame, &item.role, |_, scope, problems| scope.read_of(index, at, problems))?;
                for feature in self.plan.views[index].declared.iter().copied() {
                    frame.add(&self.plan, read, feature);
                    let own = self.plan.views[index].name_of(feature);
                    let name = format!("{}{own}", prefix.as_deref().unwrap_or_default());
                    drafts.push(Draft { name, at: item.at, from: From::Frame(frame.feature_name(&self.plan, read, feature)), default });
                }
                (!self.partial_views.contains(&index)).then_some(())
            }
            VectorWhat::Column { name, sql } => {
                let written = sql.expr.as_ref()?;
                let place = self.place(file, sql);
                let before = frame.reads.iter().map(|read| read.features.len()).sum::<usize>();
                let expr = self.in_frame(frame, &item.role, |planner, scope, problems| planner.resolve(sql, place, scope, problems))?;
                let reads_feature =
                    before < frame.reads.iter().map(|read| read.features.len()).sum::<usize>() || frame.names_feature(&self.plan, &expr);
                if let (Some(at), false) = (item.role_at, reads_feature) {
                    self.report(Diagnostic::error(
                        codes::ROLE_WITHOUT_VIEW,
                        at,
                        "`for` reads no feature here",
                        "no view to read under this role",
                    ));
                    return None;
                }
                let plain = match written {
                    Expr::Identifier(ident) => Some(ident.value.clone()),
                    Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()),
                    _ => None,
                };
                let Some(name) = name.as_ref().map(|name| name.text.clone()).or_else(|| plain.clone()) else {
                    let problem = Diagnostic::error(codes::NAME_NEEDED, sql.at, "a derived column needs a name", "has none");
                    self.report(problem.help(format!("write `name = {written}`")));
                    return None;
                };
                let from = match (&expr, plain) {
                    (Expr::Identifier(column), Some(_)) => From::Frame(column.value.clone()),
                    _ => From::Derived(expr, sql),
                };
                drafts.push(Draft { name, at: item.at, from, default });
                Some(())
            }
        }
    }

    fn unique_columns(&mut self, drafts: &[Draft<'_>]) -> bool {
        let mut first: HashMap<&str, At> = HashMap::new();
        let mut said: Vec<(At, At)> = Vec::new();
        for draft in drafts {
            let Some(earlier) = first.get(draft.name.as_str()).copied() else {
                first.insert(&draft.name, draft.at);
                continue;
            };
            // Two stars that overlap are one mistake, however many features they share.
            if said.contains(&(earlier, draft.at)) {
                continue;
            }
            said.push((earlier, draft.at));
            let problem = Diagnostic::error(
                codes::DUPLICATE_VECTOR_COLUMN,
                draft.at,
                format!("two columns of the vector are called `{}`", draft.name),
                "again here",
            );
            self.report(
                problem
                    .also(earlier, "first here")
                    .help(format!("give one another name: `other = {}`, or a star a prefix: `view.* as other_*`", draft.name)),
            );
        }
        said.is_empty()
    }

    /// Whether each request column is used, and has the type of the key that is called like it. `complete` says whether
    /// all items could be read.
    fn request_columns(&mut self, frame: &Frame, declared: Option<&Clause<List<Column>>>, complete: bool) -> bool {
        let before = self.problems.len();
        for column in declared.iter().flat_map(|clause| &clause.value.items) {
            let name = column.name.text.as_str();
            let Some(field) = frame.declared.iter().find(|field| field.name == name) else { continue };
            let key = frame.keys.iter().find(|key| key.name == name);
            if let Some(key) = key.filter(|key| key.data_type != field.data_type) {
                let message = format!("request column `{name}` is {}, and the key `{name}` is {}", field.data_type, key.data_type);
                let at = column.name.at.to(column.type_name.at);
                let problem = Diagnostic::error(codes::REQUEST_KEY_TYPE, at, message, "one name with two types");
                self.report(
                    problem.help(format!("write `{name} {}`, or call the column otherwise; a cast of it is an item", key.data_type)),
                );
            } else if complete && frame.request.iter().all(|request| request.field.name != name) {
                let message = format!("nothing in the vector uses the request column `{name}`");
                let problem = Diagnostic::error(codes::REQUEST_UNUSED, column.name.at, message, "not used");
                self.report(problem.help(match key {
                    Some(_) => "remove it: a key comes with every request; as an item it is a column of the vector".to_owned(),
                    None => format!("remove it, or make it a column of the vector: write `{name}` as an item"),
                }));
            }
        }
        self.problems.len() == before
    }

    /// Whether no column stands in the way of one that training sets have anyway: the vector's keys, and places of events.
    fn columns_beside_keys(&mut self, frame: &Frame, drafts: &[Draft<'_>]) -> bool {
        let before = self.problems.len();
        for draft in drafts {
            let name = draft.name.as_str();
            if SYSTEM_COLUMNS.contains(&name) {
                let message = format!("the name `{name}` is taken by a column of every event");
                let problem = Diagnostic::error(codes::RESERVED_NAME, draft.at, message, "reserved");
                self.report(
                    problem.help(format!(
                        "give it another name: `other = ..`, or the star a prefix; reserved are {}",
                        SYSTEM_COLUMNS.join(", ")
                    )),
                );
            }
            let hands_on = matches!(&draft.from, From::Frame(column) if column == name) && draft.default.is_none();
            if !hands_on && frame.keys.iter().any(|key| key.name == name) {
                let message = format!("the column `{name}` of the vector is called like its key, and is something else");
                let problem = Diagnostic::error(codes::COLUMN_LIKE_KEY, draft.at, message, format!("another `{name}`"));
                self.report(problem.help("training sets have the key under that name: write `other = ..`, or give the star a prefix"));
            }
        }
        self.problems.len() == before
    }

    /// The column, and what identifies its meaning.
    fn column(&mut self, file: usize, draft: Draft<'_>, seen: &Seen<'_>) -> Option<(VectorColumn, String)> {
        let Seen { fields, schema, computed, frame } = seen;
        let (from, data_type, text) = match &draft.from {
            From::Frame(name) => match fields.iter().position(|field| field.name == *name) {
                Some(index) => (ColumnSource::Frame(index), fields[index].data_type.clone(), self.frame_meaning(frame, index)),
                None => {
                    let computed = computed.iter().find(|computed| computed.name == *name)?;
                    (ColumnSource::Derived(computed.expression.clone()), computed.expression.data_type.clone(), computed.meaning.clone())
                }
            },
            From::Derived(expr, sql) => {
                let place = self.place(file, sql);
                let (expression, meaning) = if reads(expr, computed) {
                    self.over_computed(expr, place, seen)?
                } else {
                    let planned = self.planner.plan(expr, schema, place, self.problems)?;
                    (planned.expression, planned.meaning)
                };
                // Names of features in the text stand for what they mean.
                let mut read: Vec<_> = (0..fields.len())
                    .filter(|index| meaning.contains(&fields[*index].name))
                    .map(|index| self.frame_meaning(frame, index))
                    .collect();
                read.extend(computed.iter().filter(|computed| meaning.contains(&computed.name)).map(|computed| computed.meaning.clone()));
                let data_type = expression.data_type.clone();
                (ColumnSource::Derived(expression), data_type, format!("{meaning} where {}", read.join(", ")))
            }
        };
        let default = match draft.default {
            Some(clause) => Some(self.default(clause, &data_type)?),
            None => None,
        };
        Some((VectorColumn { name: draft.name, data_type, from, default }, text))
    }

    /// What a column of the frame means: a feature under its keys, or a request column.
    fn frame_meaning(&self, frame: &Frame, index: usize) -> String {
        let mut rest = index;
        for read in &frame.reads {
            if let Some(feature) = read.features.get(rest) {
                return frame.meaning(&self.plan, read, FeatureRef::Aggregate(*feature));
            }
            rest -= read.features.len();
        }
        frame.request.get(rest).map_or_else(String::new, |column| format!("request {} {}", column.field.name, column.field.data_type))
    }
}

impl Frame {
    /// Whether a resolved expression reads a feature.
    fn names_feature(&self, plan: &Plan, expr: &Expr) -> bool {
        let text = expr.to_string();
        let of_reads = self.reads.iter().enumerate();
        let aggregates = of_reads.flat_map(|(read, of)| of.features.iter().map(move |feature| (read, FeatureRef::Aggregate(*feature))));
        let derived = self.computed.iter().map(|(read, feature)| (*read, FeatureRef::Derived(*feature)));
        aggregates.chain(derived).any(|(read, feature)| text.contains(&self.feature_name(plan, read, feature)))
    }

    /// What a feature means under the keys that it is read by.
    pub(super) fn meaning(&self, plan: &Plan, read: &Read, feature: FeatureRef) -> String {
        let keys: Vec<_> = read.keys.iter().map(|key| self.keys[*key].name.as_str()).collect();
        format!("feature {} by {}", plan.views[read.view].id_of(feature), keys.join(", "))
    }
}
