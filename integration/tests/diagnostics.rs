//! One golden file for each diagnostic code: `FB0xxx.bay` and its full rendering, `FB0xxx.txt`. `BLESS=1` writes the
//! renderings, and the page of all codes, anew; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

use forebay::Error;
use forebay::language::{CODES, SourceFile, compile, render};
use forebay::plan::{Element, ModelSignature, Tensor};

const PAGE: &str = "../docs/diagnostics.md";

/// What the stand-in models say of themselves.
fn signature(path: &Path) -> forebay::Result<ModelSignature> {
    if path.ends_with("corrupt.onnx") {
        return Err(Error::input("the ONNX Runtime cannot parse it"));
    }
    let features = Tensor { name: "features".to_owned(), element: Element::Float32, shape: vec![None, Some(2)] };
    let scores = Tensor { name: "scores".to_owned(), element: Element::Float32, shape: vec![None, Some(1)] };
    Ok(ModelSignature { inputs: vec![features], outputs: vec![scores] })
}

/// Compares with the file, or writes it.
fn golden(path: &Path, found: &str, failures: &mut Vec<String>) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, found).unwrap();
        return;
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    if wanted != found {
        failures.push(format!("{} differs; now it is\n{found}", path.display()));
    }
}

#[test]
fn every_code_has_its_golden_file() {
    let mut failures = Vec::new();
    for code in CODES {
        let path: PathBuf = format!("tests/diagnostics/{}.bay", code.id).into();
        let Ok(text) = fs::read_to_string(&path) else {
            failures.push(format!("{} has no golden file: write {}", code.id, path.display()));
            continue;
        };
        let files = [SourceFile { path: path.clone(), text }];
        let compiled = compile(&files, &signature);
        let rendered = render(&compiled.diagnostics, &files, false);
        if compiled.diagnostics.iter().any(|diagnostic| diagnostic.code != *code) || compiled.diagnostics.is_empty() {
            failures.push(format!("{} must give {} and nothing else:\n{rendered}", path.display(), code.id));
        }
        golden(&path.with_extension("txt"), &rendered, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_code_is_on_the_page() {
    let mut page = String::from(
        "# Diagnostics\n\nEvery code that `forebay check` can report. A code keeps its meaning for ever. This page is written by its test.\n",
    );
    for code in CODES {
        page.push_str(&format!("\n## {}: {}\n\n{}\n", code.id, code.title, code.explanation));
    }
    let mut failures = Vec::new();
    golden(Path::new(PAGE), &page, &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
