//! The OpenAPI document and the server agree: schemathesis makes requests from the document, right ones and wrong ones, and holds
//! each answer to it: its status, its content type, its schema.

use std::process::Command;

use forebay_integration::folders::{cache, here, onnx_runtime};
use forebay_integration::harness::Project;

/// Left out, because of what no schema says: how many rows two arrays have, which keys a vector has, what a log holds. That
/// right requests are answered is what all other tests show.
const LEFT_OUT: &str = "positive_data_acceptance";

#[test]
fn document_and_server_agree() {
    let schemathesis = cache().join("schemathesis-venv/bin/schemathesis");
    if !schemathesis.exists() {
        println!("skipped: {} is not there (make setup installs it)", schemathesis.display());
        return;
    }
    if !onnx_runtime() {
        return;
    }
    let project = Project::new(&std::fs::read_to_string(here("fixtures/shop.bay")).expect("a fixture"));
    project.write("features/sum_of_named.onnx", std::fs::read(here("fixtures/sum_of_named.onnx")).expect("a fixture"));
    let server = project.serve();
    let ended = Command::new(schemathesis)
        .args(["run", &format!("http://{}/openapi.json", server.address), "--exclude-checks", LEFT_OUT])
        .args(["--seed", "7", "--max-examples", "40", "--workers", "1", "--no-color", "--generation-database", "none"])
        .current_dir(project.path(""))
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains("Tested: "), "{said}");
    assert_eq!(server.stop(), Some(0));
}
