//! One golden file for each diagnostic code: `FB0xxx.bay` and its full rendering, `FB0xxx.txt`. `BLESS=1` writes the
//! renderings, and the page of all codes, anew; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

use forebay::Error;
use forebay::language::{CODES, SourceFile, compile_with, render};
use forebay::plan::{Element, Fault, Inspection, Model, ModelFiles, ModelSignature, Tensor, Vector, feeding};

const PAGE: &str = "../docs/diagnostics.md";

/// Stand-ins for models, by the names of their files.
struct StandIns;

impl ModelFiles for StandIns {
    fn inspect(&self, model: &Model, vector: &Vector) -> forebay::Result<Inspection> {
        let version = "f6f06364bd4010e33489e749229adeb1e30052340fad95ec44a3c955e40f10fd".to_owned();
        let (mut fault, mut unproven) = (None, None);
        match model.path.file_stem().and_then(|stem| stem.to_str()) {
            Some("corrupt") => return Err(Error::input("the ONNX Runtime cannot parse it")),
            Some("three_classes") if model.usage.part.is_none() => {
                let message = "output `probabilities` has 3 numbers for each row, of the classes 'good', 'bad', 'ugly'".to_owned();
                let remedy = "write which of them is the score: `output 'probabilities' class 'good'`".to_owned();
                fault = Some(Fault::Output { message, remedy });
            }
            Some("fails") => {
                fault = Some(Fault::Fails("the model fails on every made-up row, also on zeros and ones: no such row".to_owned()))
            }
            Some("softmax") => {
                let message = "the score of a row depends on the rows beside it: one made-up row got 0.5 among some and 0.25 among others";
                fault = Some(Fault::Neighbours(message.to_owned()));
            }
            Some("random") => fault = Some(Fault::Chance("the model draws random numbers (RandomNormal)".to_owned())),
            Some("texts") => unproven = Some("unknown category".to_owned()),
            _ if model.sha256.as_ref().is_some_and(|pinned| *pinned != version) => fault = Some(Fault::OtherFile),
            _ => {
                let tensor =
                    |name: &str, width| Tensor { name: name.to_owned(), element: Element::Float32, shape: vec![None, Some(width)] };
                let signature = ModelSignature { inputs: vec![tensor("features", 2)], outputs: vec![tensor("scores", 1)] };
                fault = feeding(&signature, &vector.name, &vector.fields()).err().map(Fault::Inputs);
            }
        }
        Ok(Inspection { version, fault, unproven })
    }
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
        let compiled = compile_with(&files, &StandIns);
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
