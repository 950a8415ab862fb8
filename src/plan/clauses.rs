//! What definitions say, clause by clause, as texts that two plans are compared by. Every part of a plan is taken apart field
//! by field and without a rest, so that nothing that is declared can be left out: a new field does not compile until it has
//! its place here. Must never decide what a change costs.

use std::collections::BTreeMap;

use super::{
    Alert, Alerts, Branch, ColumnSource, Dedup, Entity, Expect, Expression, Field, Format, Model, Origin, Part, Partitioning, Plan, Read,
    Relation, RequestColumn, Score, Source, Step, Usage, Vector, VectorColumn, View, Watch,
};
use crate::id::Identity;
use crate::time::Epoch;
use crate::value::Value;

/// What is declared under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Source,
    Table,
    Stream,
    Entity,
    View,
    Vector,
    Model,
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Table => "table",
            Self::Stream => "stream",
            Self::Entity => "entity",
            Self::View => "view",
            Self::Vector => "vector",
            Self::Model => "model",
        }
    }
}

/// Clauses by name, each in a text whose equality is that of its meaning. A clause that is not there is not in it.
pub type Clauses = BTreeMap<String, String>;

/// Everything that a plan declares, features apart: those have identities.
#[must_use]
pub fn clauses(plan: &Plan) -> BTreeMap<(Kind, String), Clauses> {
    let Plan { sources, streams, entities, views, vectors, models } = plan;
    let mut all = BTreeMap::new();
    for source in sources {
        let kind = if source.files.is_some() { Kind::Table } else { Kind::Source };
        all.insert((kind, source.name.clone()), of_source(source));
    }
    all.extend(streams.iter().map(|stream| ((Kind::Stream, stream.name.clone()), of_stream(stream, plan))));
    // A table brings an entity and a view of its name.
    let own = entities.iter().filter(|entity| !all.contains_key(&(Kind::Table, entity.name.clone())));
    let entities: Vec<_> = own.map(|entity| ((Kind::Entity, entity.name.clone()), of_entity(entity))).collect();
    all.extend(entities);
    let own = views.iter().filter(|view| !all.contains_key(&(Kind::Table, view.name.clone())));
    let views: Vec<_> = own.map(|view| ((Kind::View, view.name.clone()), of_view(view, plan))).collect();
    all.extend(views);
    all.extend(vectors.iter().map(|vector| ((Kind::Vector, vector.name.clone()), of_vector(vector, plan))));
    all.extend(models.iter().map(|model| ((Kind::Model, model.name.clone()), of_model(model, plan))));
    all
}

impl Plan {
    /// Of everything that is declared: equal for plans that differ in nothing.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let mut text = String::from("forebay plan 1\n");
        for ((kind, name), clauses) in clauses(self) {
            let clauses: Vec<String> = clauses.iter().map(|(clause, says)| format!("{clause}={says:?}")).collect();
            text += &format!("{} {name}: {}\n", kind.name(), clauses.join(", "));
        }
        for view in &self.views {
            for feature in &view.declared {
                text += &format!("{}.{} {}\n", view.name, view.name_of(*feature), view.id_of(*feature));
            }
        }
        for model in &self.models {
            text += &format!("{} {}\n", model.name, model.version);
        }
        Identity::of(&text)
    }
}

fn put(clauses: &mut Clauses, name: impl Into<String>, text: impl ToString) {
    clauses.insert(name.into(), text.to_string());
}

fn columns(clauses: &mut Clauses, fields: &[Field]) {
    for Field { name, data_type } in fields {
        put(clauses, format!("column {name}"), data_type);
    }
}

fn of_source(source: &Source) -> Clauses {
    // The identity and the schema are made of the others; units are asked by field.
    let Source {
        name: _,
        id: _,
        fields,
        epochs: _,
        schema: _,
        origin,
        format,
        event_time,
        lateness,
        max_ahead,
        history,
        dedup,
        expects,
        deletes,
        tombstones,
        files,
    } = source;
    let mut clauses = Clauses::new();
    let named = |columns: &[usize]| columns.iter().map(|column| fields[*column].name.as_str()).collect::<Vec<_>>().join(", ");
    columns(&mut clauses, fields);
    for (index, field) in fields.iter().enumerate().filter(|(index, _)| source.epoch(*index) != Epoch::default()) {
        put(&mut clauses, format!("unit of {}", field.name), source.epoch(index));
    }
    let Origin { system, topic, partitions } = origin;
    put(&mut clauses, "from", system.declared(topic));
    if let Some(Partitioning { count, by }) = partitions {
        let by = if by.is_empty() { String::new() } else { format!(" by {}", named(by)) };
        put(&mut clauses, "partitions", format!("{count}{by}"));
    }
    let format = match format {
        Format::Json => "json",
    };
    put(&mut clauses, "format", format);
    put(&mut clauses, "event time", &fields[*event_time].name);
    put(&mut clauses, "lateness", lateness);
    put(&mut clauses, "max ahead", max_ahead);
    put(&mut clauses, "history", history);
    if let Some(Dedup { columns, within }) = dedup {
        put(&mut clauses, "dedup by", format!("{} within {within}", named(columns)));
    }
    let mut expected: Vec<String> = expects.iter().map(|Expect { condition }| meaning(condition)).collect();
    expected.sort();
    if files.is_some() {
        // A table expects its key alone.
        let key: Vec<&str> = expected.iter().map(|text| text.trim_end_matches(" IS NOT NULL")).collect();
        put(&mut clauses, "key", key.join(", "));
    } else if !expected.is_empty() {
        put(&mut clauses, "expect", expected.join(" and "));
    }
    if let Some(deletes) = deletes {
        put(&mut clauses, "deletes when", meaning(deletes));
    }
    if *tombstones {
        put(&mut clauses, "deletes on", "tombstone");
    }
    if let Some(files) = files {
        put(&mut clauses, "path", files.display());
    }
    clauses
}

fn of_stream(stream: &Relation, plan: &Plan) -> Clauses {
    // The identity and the schema are made of the others.
    let Relation { name: _, id: _, fields, schema: _, event_time, branches } = stream;
    let mut clauses = Clauses::new();
    columns(&mut clauses, fields);
    put(&mut clauses, "event time", fields.get(*event_time).map_or("", |field| &field.name));
    for (part, Branch { source, steps }) in branches.iter().enumerate() {
        let mut text = plan.sources[*source].name.clone();
        // What a step reads is in its expressions.
        for Step { filter, columns, reads: _, unnest, schema } in steps.iter() {
            let column = |(at, (column, field)): (usize, (&Expression, &arrow::datatypes::FieldRef))| {
                let unnests = if *unnest == Some(at) { "unnest " } else { "" };
                format!("{unnests}{} as {}", column.text, field.name())
            };
            let columns: Vec<String> = columns.iter().zip(schema.fields()).enumerate().map(column).collect();
            let filter = filter.as_ref().map(|filter| format!(" where {}", filter.text)).unwrap_or_default();
            text = format!("select {} from ({text}){filter}", columns.join(", "));
        }
        put(&mut clauses, format!("part {}", part + 1), text);
    }
    clauses
}

fn of_entity(entity: &Entity) -> Clauses {
    let Entity { name: _, keys } = entity;
    Clauses::from([("key".to_owned(), keys.iter().map(typed).collect::<Vec<_>>().join(", "))])
}

fn of_view(view: &View, plan: &Plan) -> Clauses {
    // The identity is made of the others; folds, inputs and filters are those of features, which are compared by themselves.
    let View { name: _, id: _, entity, rows, key_columns, ttl, inputs: _, filters: _, folds: _, features: _, derived: _, declared: _ } =
        view;
    let mut clauses = Clauses::new();
    put(&mut clauses, "of", &plan.entities[*entity].name);
    put(&mut clauses, "from", &rows.name);
    put(&mut clauses, "by", key_columns.iter().map(|column| rows.fields[*column].name.as_str()).collect::<Vec<_>>().join(", "));
    if let Some(ttl) = ttl {
        put(&mut clauses, "ttl", ttl);
    }
    clauses
}

fn of_vector(vector: &Vector, plan: &Plan) -> Clauses {
    // The frame and the schema are made of the others.
    let Vector { name: _, id, on, keys, key_columns, request, reads, frame, columns, schema: _ } = vector;
    let mut clauses = Clauses::new();
    // What the columns mean, down to the events.
    put(&mut clauses, "meaning", id);
    if let Some(on) = on {
        let source = &plan.sources[*on];
        put(&mut clauses, "on", &source.name);
        put(
            &mut clauses,
            "keys of events",
            key_columns.iter().map(|column| source.fields[*column].name.as_str()).collect::<Vec<_>>().join(", "),
        );
    }
    put(&mut clauses, "keys", keys.iter().map(typed).collect::<Vec<_>>().join(", "));
    let of_event = |column: Option<usize>| {
        let field = on.zip(column).map(|(on, column)| &plan.sources[on].fields[column]);
        field.map(|field| format!(" from {}", field.name)).unwrap_or_default()
    };
    let requested = request.iter().map(|RequestColumn { field, source_column, is_event_time }| {
        format!("{}{}{}", typed(field), of_event(*source_column), if *is_event_time { " as the event time" } else { "" })
    });
    put(&mut clauses, "request", requested.collect::<Vec<_>>().join(", "));
    let read = reads.iter().map(|Read { view, keys: roles, features }| {
        let view = &plan.views[*view];
        let roles: Vec<&str> = roles.iter().map(|key| keys[*key].name.as_str()).collect();
        let features: Vec<&str> = features.iter().map(|feature| view.features[*feature].name.as_str()).collect();
        format!("{}({}): {}", view.name, roles.join(", "), features.join(", "))
    });
    put(&mut clauses, "reads", read.collect::<Vec<_>>().join("; "));
    let column = |VectorColumn { name, data_type, from, default }: &VectorColumn| {
        let from = match from {
            ColumnSource::Frame(place) => frame.field(*place).name().clone(),
            ColumnSource::Derived(expression) => meaning(expression),
        };
        format!("{name} {data_type} = {from}{}", default.as_ref().map(|value| format!(" default {}", shown(value))).unwrap_or_default())
    };
    put(&mut clauses, "columns", columns.iter().map(column).collect::<Vec<_>>().join(", "));
    clauses
}

fn of_model(model: &Model, plan: &Plan) -> Clauses {
    // That a file holds another model is told by itself.
    let Model { name: _, path, sha256, version: _, vector, usage, score, watch } = model;
    let mut clauses = Clauses::new();
    put(&mut clauses, "from", path.display());
    if let Some(sha256) = sha256 {
        put(&mut clauses, "sha256", sha256);
    }
    put(&mut clauses, "takes", &plan.vectors[*vector].name);
    let Usage { output, part, also, row_by_row, chance } = usage;
    if let Some(output) = output {
        put(&mut clauses, "output", format!("'{output}'"));
    }
    match part {
        None => {}
        Some(Part::Class(class)) => put(&mut clauses, "class", format!("'{class}'")),
        Some(Part::Column(column)) => put(&mut clauses, "column", column),
    }
    if !also.is_empty() {
        put(&mut clauses, "also", also.iter().map(|output| format!("'{output}'")).collect::<Vec<_>>().join(", "));
    }
    for (runs, clause) in [(row_by_row, "runs row by row"), (chance, "runs with chance")] {
        if *runs {
            put(&mut clauses, clause, "");
        }
    }
    if let Some(Score { source, topic }) = score {
        put(&mut clauses, "score", format!("{} into topic '{topic}'", plan.sources[*source].name));
    }
    if let Some(Watch { every, profile, alerts, topic }) = watch {
        put(&mut clauses, "watch drift every", every);
        put(&mut clauses, "watch drift against", profile.display());
        put(&mut clauses, "watch drift into", format!("topic '{topic}'"));
        let Alerts { alerts, except, unless_rows_below, unless_p_value_above } = alerts;
        let alert = |Alert { metric, columns, threshold }: &Alert| {
            let of = if columns.is_empty() { String::new() } else { format!("({})", columns.join(", ")) };
            format!("{}{of} > {threshold}", metric.name())
        };
        let mut alerted = alerts.iter().map(alert).collect::<Vec<_>>().join(", ");
        if !except.is_empty() {
            alerted += &format!(" except ({})", except.join(", "));
        }
        let rows = unless_rows_below.map(|rows| format!("rows < {rows}"));
        let chance = unless_p_value_above.map(|p| format!("p_value > {p}"));
        let unless: Vec<String> = rows.into_iter().chain(chance).collect();
        if !unless.is_empty() {
            alerted += &format!(" unless {}", unless.join(" or "));
        }
        put(&mut clauses, "alert when", alerted);
    }
    clauses
}

fn typed(Field { name, data_type }: &Field) -> String {
    format!("{name} {data_type}")
}

/// Equal texts are equal meanings.
fn meaning(expression: &Expression) -> String {
    let Expression { text, data_type: _, evaluator: _ } = expression;
    text.to_string()
}

fn shown(value: &Value) -> String {
    let mut text = Vec::new();
    crate::json::write_value(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}
