use std::collections::BTreeSet;

use crate::plan::Plan;
use crate::serve::native::openapi::document;
use crate::serve::routes::ROUTES;

#[test]
fn the_document_names_every_route_and_every_schema_it_refers_to() {
    let document = document(&Plan::default());
    let documented: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(documented, ROUTES.iter().map(|route| route.path).collect());
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
