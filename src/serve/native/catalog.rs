//! `GET /v1/catalog`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Value as Json, json};

use crate::engine::Handle;
use crate::plan::{ColumnSource, FeatureRef, Field, Origin, Partitioning, Plan, Relation, Source, Vector, View};
use crate::time::Epoch;
use crate::value::Value;

use crate::serve::native::exact::read_exact;
use crate::serve::routes::CATALOG;
use crate::serve::state::State;

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>) -> Response {
    state.measured(CATALOG, async { Ok(crate::serve::state::json(catalog(&state.handle).to_string())) }).await
}

/// Everything that is declared, as a person or a program would look it up, and which version of each model scores.
fn catalog(handle: &Handle) -> Json {
    let plan = handle.plan();
    let model = |(model, version): (&crate::plan::Model, Option<&str>)| {
        json!({
            "name": model.name,
            "vector": plan.vectors[model.vector].name,
            "sha256": model.sha256,
            "version": version,
            "scores": model.score.as_ref().map(|score| json!({"source": plan.sources[score.source].name, "topic": score.topic})),
            "watches_drift": model.watch.as_ref().map(|watch| json!({"every": watch.every.to_string(), "topic": watch.topic})),
        })
    };
    json!({
        "sources": plan.sources.iter().map(source).collect::<Vec<_>>(),
        "streams": plan.streams.iter().map(|each| stream(plan, each)).collect::<Vec<_>>(),
        "entities": plan.entities.iter().map(|entity| json!({"name": entity.name, "keys": fields(&entity.keys)})).collect::<Vec<_>>(),
        "views": plan.views.iter().map(|each| view(plan, each)).collect::<Vec<_>>(),
        "vectors": plan.vectors.iter().map(|each| vector(plan, each)).collect::<Vec<_>>(),
        "models": plan.models.iter().zip(handle.model_versions()).map(model).collect::<Vec<_>>(),
    })
}

/// The fields of a source, with what integers count that stand for times where it is not microseconds.
fn counted(source: &Source) -> Vec<Json> {
    let mut listed = fields(&source.fields);
    for (field, epoch) in listed.iter_mut().zip(&source.epochs).filter(|(_, epoch)| **epoch != Epoch::default()) {
        field["unit"] = epoch.spelling().into();
    }
    listed
}

fn fields(fields: &[Field]) -> Vec<Json> {
    fields.iter().map(|field| json!({"name": field.name, "type": field.data_type.to_string()})).collect()
}

fn source(source: &Source) -> Json {
    let Origin { system, topic, partitions } = &source.origin;
    let mut from = json!({"kind": system.name(), "topic": topic});
    if let Some(Partitioning { count, .. }) = partitions {
        from["partitions"] = json!(count);
    }
    json!({
        "name": source.name,
        "id": source.id.to_string(),
        "from": from,
        "dead_letters": source.dead_letter_topic(),
        "fields": counted(source),
        "event_time": source.fields[source.event_time].name,
        "lateness": source.lateness.to_string(),
        "max_ahead": source.max_ahead.to_string(),
        "history": source.history.to_string(),
    })
}

fn stream(plan: &Plan, stream: &Relation) -> Json {
    json!({
        "name": stream.name,
        "id": stream.id.to_string(),
        "fields": fields(&stream.fields),
        "event_time": stream.fields[stream.event_time].name,
        "sources": stream.sources().map(|source| plan.sources[source].name.as_str()).collect::<Vec<_>>(),
    })
}

fn view(plan: &Plan, view: &View) -> Json {
    let feature = |feature: &FeatureRef| {
        let (default, expression) = match *feature {
            FeatureRef::Aggregate(index) => (&view.features[index].default, None),
            FeatureRef::Derived(index) => (&view.derived[index].default, Some(view.derived[index].expression.text.as_ref())),
        };
        let mut object = json!({
            "name": view.name_of(*feature),
            "id": view.id_of(*feature).to_string(),
            "type": view.type_of(*feature).to_string(),
            "default": default.as_ref().map(value),
        });
        if let Some(expression) = expression {
            object["expression"] = json!(expression);
        }
        object
    };
    json!({
        "name": view.name,
        "id": view.id.to_string(),
        "entity": plan.entities[view.entity].name,
        "source": view.rows.name,
        "features": view.declared.iter().map(feature).collect::<Vec<_>>(),
    })
}

fn vector(plan: &Plan, vector: &Vector) -> Json {
    let request: Vec<_> = vector.request.iter().map(|column| column.field.clone()).collect();
    let column = |column: &crate::plan::VectorColumn| {
        let from = match &column.from {
            ColumnSource::Frame(index) => vector.frame.field(*index).name().clone(),
            ColumnSource::Derived(expression) => expression.text.to_string(),
        };
        json!({"name": column.name, "type": column.data_type.to_string(), "from": from})
    };
    json!({
        "name": vector.name,
        "id": vector.id.to_string(),
        "on": vector.on.map(|source| plan.sources[source].name.clone()),
        "keys": fields(&vector.keys),
        "request": fields(&request),
        "columns": vector.columns.iter().map(column).collect::<Vec<_>>(),
    })
}

fn value(value: &Value) -> Json {
    let mut text = Vec::new();
    crate::json::write_value(&mut text, value);
    read_exact(&text).unwrap_or(Json::Null)
}
