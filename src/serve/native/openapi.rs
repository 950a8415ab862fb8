//! `GET /openapi.json`: the document of this server, with the vectors, models and sources that it serves.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use crate::plan::{Field, Plan, Vector};
use crate::value::DataType;

use crate::serve::native::frames;
use crate::serve::native::request::ROWS_MAX;
use crate::serve::routes::{self, ROUTES, Route, Verb};
use crate::serve::state::State;

pub(in crate::serve) async fn answer(Shared(state): Shared<Arc<State>>) -> Response {
    state.measured(routes::OPENAPI, async { Ok(crate::serve::state::json(state.openapi.clone())) }).await
}

/// The document, OpenAPI 3.1.
pub(in crate::serve) fn document(plan: &Plan) -> Json {
    let mut paths = Map::new();
    for (place, route) in ROUTES.iter().enumerate() {
        let verb = match route.method {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        paths.insert(route.path.to_owned(), json!({ verb: operation(plan, place, route) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Forebay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Feature vectors, scores and events. Doubles that JSON has no number for are the texts \"NaN\", \"Infinity\" and \"-Infinity\"; integers are exact to 64 bits; times are RFC 3339, UTC.",
        },
        "paths": paths,
        "components": { "schemas": schemas(plan) },
    })
}

fn operation(plan: &Plan, place: usize, route: &Route) -> Json {
    let mut operation = Map::new();
    operation.insert("summary".to_owned(), route.summary.into());
    let (parameter, names) = match place {
        routes::LOOKUP => (Some("vector"), names(plan.vectors.iter().map(|vector| &vector.name))),
        routes::SCORE => (Some("model"), names(plan.models.iter().map(|model| &model.name))),
        routes::EVENTS | routes::REPLAY => (Some("source"), names(plan.sources.iter().map(|source| &source.name))),
        _ => (None, Vec::new()),
    };
    if let Some(parameter) = parameter {
        let schema = if names.is_empty() { json!({"type": "string"}) } else { json!({"type": "string", "enum": names}) };
        operation.insert("parameters".to_owned(), json!([{"name": parameter, "in": "path", "required": true, "schema": schema}]));
    }
    let body = match place {
        routes::COPY => Some(json!({"application/json": {"schema": reference("CopyRequest")}})),
        routes::LOOKUP => Some(lookup_body(plan.vectors.iter().map(|vector| (&vector.name, vector)))),
        routes::SCORE => Some(lookup_body(plan.models.iter().map(|model| (&model.name, &plan.vectors[model.vector])))),
        routes::EVENTS => Some(events_body(plan)),
        routes::REPLAY => Some(json!({"application/json": {"schema": reference("ReplayRequest")}})),
        routes::TRIM => Some(json!({"application/json": {"schema": {
            "type": "object", "required": ["request"], "properties": {"request": {"type": "string"}},
        }}})),
        _ => None,
    };
    if let Some(content) = body {
        operation.insert("requestBody".to_owned(), json!({"required": place != routes::REPLAY, "content": content}));
    }
    operation.insert("responses".to_owned(), responses(place));
    Json::Object(operation)
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    names.collect()
}

fn responses(place: usize) -> Json {
    let answered = |schema: &str| json!({"description": "answered", "content": {"application/json": {"schema": reference(schema)}}});
    let refused = |description: &str| json!({"description": description, "content": {"application/json": {"schema": reference("Error")}}});
    match place {
        routes::LOOKUP | routes::SCORE | routes::EVENTS | routes::COPY | routes::REPLAY | routes::TRIM => {
            let schema = match place {
                routes::LOOKUP => "LookupAnswer",
                routes::SCORE => "ScoreAnswer",
                routes::COPY => "CopyAnswer",
                routes::REPLAY => "ReplayAnswer",
                routes::TRIM => "TrimAnswer",
                _ => "PushAnswer",
            };
            let mut responses = json!({
                "200": answered(schema),
                "400": refused("the request is at fault: the code and the field say where"),
                "404": refused("there is nothing of that name"),
                "408": refused("the body did not come in time"),
                "409": refused("another process or an earlier state is in the way"),
                "413": refused("the body is too large, or has too many records"),
                "415": refused("the body is of a type or encoding that is not taken"),
                "500": refused("a fault of the server, or of what it has stored"),
                "503": refused("not now: ask again, after the seconds of Retry-After"),
            });
            if place == routes::EVENTS {
                responses["422"] = answered("PushAnswer");
                responses["422"]["description"] = "no record is an event: all of them are in the log and go to its dead letters".into();
            }
            responses
        }
        routes::CATALOG => json!({"200": answered("Catalog")}),
        routes::STATUS => json!({"200": answered("Status")}),
        routes::LIVE => {
            json!({"200": {"description": "the process answers", "content": {"application/json": {"schema": {"type": "object"}}}}})
        }
        routes::READY => {
            let answer = |description: &str| json!({"description": description, "content": {"application/json": {"schema": reference("Readiness")}}});
            json!({"200": answer("lookups may be sent here"), "503": answer("not yet, or not any more: the body says why")})
        }
        routes::METRICS => json!({"200": {"description": "metrics", "content": {
            "text/plain": {"schema": {"type": "string"}}, "application/openmetrics-text": {"schema": {"type": "string"}},
        }}}),
        _ => json!({"200": {"description": "this document", "content": {"application/json": {"schema": {"type": "object"}}}}}),
    }
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A request with an example for each vector or model.
fn lookup_body<'a>(vectors: impl Iterator<Item = (&'a String, &'a Vector)>) -> Json {
    let mut examples = Map::new();
    for (name, vector) in vectors {
        let row = |fields: &mut dyn Iterator<Item = &Field>| {
            fields.map(|field| (field.name.clone(), example(&field.data_type))).collect::<Map<_, _>>()
        };
        let mut value = json!({"keys": [row(&mut vector.keys.iter())]});
        if !vector.request.is_empty() {
            value["request"] = json!([row(&mut vector.request.iter().map(|column| &column.field))]);
        }
        examples.insert(name.clone(), json!({"value": value}));
    }
    let mut content = json!({"schema": reference("LookupRequest")});
    if !examples.is_empty() {
        content["examples"] = Json::Object(examples);
    }
    json!({"application/json": content})
}

fn events_body(plan: &Plan) -> Json {
    let records: Vec<_> = plan.sources.iter().map(|source| reference(&format!("source.{}", source.name))).collect();
    let record = if records.is_empty() { json!({"type": "object"}) } else { json!({"anyOf": records}) };
    json!({
        "application/x-ndjson": {"schema": {"type": "string", "description": "one record a line"}},
        "application/json": {"schema": {"oneOf": [{"type": "array", "items": record, "minItems": 1}, record]}},
        frames::CONTENT_TYPE: {"schema": {"type": "string", "format": "binary", "description": "each record behind its length in bytes, which is an unsigned number of four bytes, the highest first"}},
    })
}

fn schemas(plan: &Plan) -> Json {
    let values = json!({"type": "array", "items": {"type": ["array", "null"], "items": {}}, "description": "one array per row, in the order of names; null for a row that could not be read"});
    let cut = json!({
        "names": {"type": "array", "items": {"type": "string"}},
        "values": values,
        "seq": {"type": "integer", "format": "int64", "description": "the cut: every event up to it is in, for all rows"},
        "as_of": {"type": "string", "format": "date-time", "description": "the query time"},
        "sources": {"type": "array", "items": reference("Freshness")},
    });
    let mut lookup = json!({
        "vector": {"type": "string"},
        "errors": {"type": "array", "items": {"type": ["string", "null"]}, "description": "only where some row could not be read: one per row, why, null where there are values"},
    });
    let mut score = json!({
        "model": {"type": "string"},
        "version": {"type": "string", "description": "SHA-256 of the model's file"},
        "scores": {"type": "array", "items": {"oneOf": [double(), {"type": "null"}]}, "description": "one per row; null where the model gives none"},
        "outputs": {"type": "array", "items": {"type": ["object", "null"]}, "description": "only where the model's declaration hands outputs on (`also`): one object per row, by the outputs' names; null where the model gives none"},
        "errors": {"type": "array", "items": {"type": ["string", "null"]}, "description": "only where some row has no score: one per row, why it has none, null where it has one"},
    });
    for target in [&mut lookup, &mut score] {
        if let (Some(target), Some(cut)) = (target.as_object_mut(), cut.as_object()) {
            target.extend(cut.clone());
        }
    }
    let mut schemas = Map::new();
    let mut add = |name: &str, schema: Json| drop(schemas.insert(name.to_owned(), schema));
    add(
        "Error",
        object(
            &["error"],
            json!({"error": object(&["code", "message"], json!({
                "code": {"type": "string", "description": "stable, for programs"},
                "field": {"type": "string", "description": "the part of the request that is at fault"},
                "message": {"type": "string", "description": "for people"},
            }))}),
        ),
    );
    add(
        "LookupRequest",
        object(
            &["keys"],
            json!({
                "keys": {"type": "array", "items": {"type": "object"}, "maxItems": ROWS_MAX, "description": "one object for each row: the vector's keys"},
                "request": {"type": ["array", "null"], "items": {"type": "object"}, "description": "the request columns of each row; for a lookup a missing one is null, for a score it is refused"},
                "as_of": {"type": ["string", "integer", "null"], "description": "the query time (RFC 3339, or microseconds since 1970); null is now"},
                "after": {"type": ["array", "null"], "items": reference("Position"), "description": "waits until these positions are in: what a push returned; one that can never come is refused"},
                "wait_ms": {"type": "integer", "minimum": 0, "maximum": 60000, "default": 5000, "description": "how long to wait for after"},
            }),
        ),
    );
    add(
        "Position",
        object(
            &["source", "partition", "offset"],
            json!({
                "source": {"type": "string"},
                "partition": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
                "offset": {"type": "integer", "format": "int64", "minimum": 0, "description": "the offset after the last record"},
            }),
        ),
    );
    add(
        "Freshness",
        object(
            &["source", "frontier", "staleness_ms", "records_behind"],
            json!({
                "source": {"type": "string"},
                "frontier": {"type": ["string", "null"], "format": "date-time", "description": "the highest event time, of the partition that is furthest behind"},
                "staleness_ms": {"type": ["integer", "null"], "description": "how far the frontier lies behind the server's clock"},
                "records_behind": {"type": "integer", "description": "records of the source's log that are not in, as last known"},
            }),
        ),
    );
    add("LookupAnswer", object(&["vector", "names", "values", "seq", "as_of", "sources"], lookup));
    add("ScoreAnswer", object(&["model", "version", "scores", "names", "values", "seq", "as_of", "sources"], score));
    add("CopyRequest", object(&["nonce"], json!({"nonce": {"type": "string"}})));
    let paused = json!({"paused_ms": {"type": "number", "description": "how long writers waited"}});
    add("CopyAnswer", object(&["paused_ms"], paused));
    let trimmed = json!({"records": {"type": "integer"}, "bytes": {"type": "integer"}, "unread": {"type": "integer"}});
    add("TrimAnswer", object(&["records", "bytes", "unread"], trimmed));
    add(
        "PushAnswer",
        object(
            &["accepted", "rejected", "rejects", "positions"],
            json!({
                "accepted": {"type": "integer"},
                "rejected": {"type": "integer", "description": "records that go to the dead-letter topic"},
                "rejects": {"type": "array", "description": "the first few", "items": object(&["record", "message"], json!({"record": {"type": "integer"}, "message": {"type": "string"}}))},
                "positions": {"type": "array", "items": reference("Position")},
                "too_late": {"type": "object", "description": "only where some of the accepted ones will be set aside as too late: how many, how far the furthest is behind, and why"},
                "warnings": {"type": "array", "items": {"type": "string"}, "description": "what is probably not meant; left out where there is nothing"},
                "error": {"type": "object", "description": "only where nothing is accepted: code and message, as in Error"},
            }),
        ),
    );
    let end = object(
        &["partition", "offset"],
        json!({"partition": {"type": "integer", "minimum": 0}, "offset": {"type": "integer", "format": "int64", "minimum": 0}}),
    );
    add(
        "ReplayRequest",
        object(
            &[],
            json!({
                "reason": {"type": ["string", "null"], "description": "only dead letters of this reason"},
                "since": {"type": ["string", "null"], "format": "date-time", "description": "only those whose record the log stamped then or later"},
                "until": {"type": ["string", "null"], "format": "date-time", "description": "only those whose record the log stamped before"},
                "before": {"type": ["array", "null"], "items": end, "description": "only those before these offsets of the dead-letter topic: what an answer with more said"},
                "dry_run": {"type": "boolean", "description": "only says what would be done"},
            }),
        ),
    );
    add(
        "ReplayAnswer",
        object(
            &["source", "replayed", "already", "left", "more", "before"],
            json!({
                "source": {"type": "string"},
                "replayed": {"type": "integer", "description": "put back, in the order of their event times"},
                "already": {"type": "integer", "description": "put back before"},
                "left": {"type": "object", "description": "by reason those that are no events still: how many, and what is said of the first"},
                "more": {"type": "boolean", "description": "ask again with before as it is here: there are more than one request takes"},
                "before": {"type": "array", "items": end},
                "lateness_wanted_ms": {"type": "integer", "description": "only where some are too late: the lateness that takes them"},
            }),
        ),
    );
    let state = json!({"type": "string", "enum": ["restoring", "catching_up", "caught_up", "damaged", "failed", "stopping"]});
    add(
        "Status",
        object(
            &["ready", "state", "seq", "lag_events", "sources", "problems"],
            json!({
                "ready": {"type": "boolean"},
                "state": state,
                "seq": {"type": "integer", "format": "int64"},
                "lag_events": {"type": "integer", "description": "records in the logs that are not in yet"},
                "sources": {"type": "array", "items": reference("Freshness")},
                "problems": {"type": "array", "items": {"type": "string"}},
            }),
        ),
    );
    add(
        "Readiness",
        object(
            &["ready", "state"],
            json!({
                "ready": {"type": "boolean"},
                "state": state,
                "problem": {"type": "string", "description": "what ended the engine, or what is damaged"},
                "waiting": {"type": "array", "description": "sources of which records that their logs held at the start are not in", "items": object(&["source", "records"], json!({
                    "source": {"type": "string"},
                    "records": {"type": ["integer", "null"], "description": "how many; null while the log was not reached yet"},
                }))},
            }),
        ),
    );
    let lists = ["sources", "streams", "entities", "views", "vectors", "models"];
    let properties: Map<_, _> =
        lists.into_iter().map(|list| (list.to_owned(), json!({"type": "array", "items": {"type": "object"}}))).collect();
    add("Catalog", object(&lists, Json::Object(properties)));
    for source in &plan.sources {
        let fields = source.fields.iter().map(|field| (field.name.clone(), schema(&field.data_type))).collect();
        add(&format!("source.{}", source.name), object(&[], Json::Object(fields)));
    }
    for vector in &plan.vectors {
        let columns = vector.columns.iter().map(|column| (column.name.clone(), schema(&column.data_type))).collect();
        add(&format!("vector.{}", vector.name), object(&[], Json::Object(columns)));
    }
    Json::Object(schemas)
}

fn object(required: &[&str], properties: Json) -> Json {
    json!({"type": "object", "required": required, "properties": properties})
}

fn double() -> Json {
    json!({"oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

/// The JSON of a type; every value may be null.
fn schema(data_type: &DataType) -> Json {
    match data_type {
        DataType::Bool => json!({"type": ["boolean", "null"]}),
        DataType::Int => json!({"type": ["integer", "null"], "format": "int64"}),
        DataType::Float => json!({"oneOf": [{"type": ["number", "null"]}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}),
        DataType::Text => json!({"type": ["string", "null"]}),
        DataType::Timestamp => json!({"type": ["string", "null"], "format": "date-time"}),
        DataType::List(item) => json!({"type": ["array", "null"], "items": schema(item)}),
        DataType::Map(value) => json!({"type": ["object", "null"], "additionalProperties": schema(value)}),
        DataType::Struct(fields) => {
            let names: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
            let properties: Map<_, _> = fields.iter().map(|(name, field)| (name.clone(), schema(field))).collect();
            json!({"type": ["object", "null"], "required": names, "properties": properties})
        }
    }
}

fn example(data_type: &DataType) -> Json {
    match data_type {
        DataType::Bool => json!(true),
        DataType::Int => json!(7),
        DataType::Float => json!(12.5),
        DataType::Text => json!("m1"),
        DataType::Timestamp => json!("2026-01-31T12:00:00Z"),
        DataType::List(item) => json!([example(item)]),
        DataType::Map(value) => json!({"a": example(value)}),
        DataType::Struct(fields) => fields.iter().map(|(name, field)| (name.clone(), example(field))).collect(),
    }
}
