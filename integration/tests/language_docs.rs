//! Every example of `docs/language.md` compiles, together with the first; those marked `not-yet` give such codes alone.

use std::fs;
use std::path::Path;

use forebay::language::{SourceFile, compile, format, render};
use forebay::plan::{Element, ModelSignature, Tensor};

/// The blocks of SQL: what follows `sql` in their first line, and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None => open = line.strip_prefix("```sql").map(|rest| (rest.trim().to_owned(), String::new())),
        }
    }
    blocks
}

/// A model of one float tensor of any width.
fn signature(_: &Path) -> forebay::Result<ModelSignature> {
    let tensor = Tensor { name: "features".to_owned(), element: Element::Float32, shape: vec![None, None] };
    Ok(ModelSignature { inputs: vec![tensor.clone()], outputs: vec![tensor] })
}

/// Of the vector of the page's model.
const PROFILE: &str = r#"{"version":1,"rows":2,"columns":[
{"name":"spend_1h","count":2,"missing":0,"bins":{"numbers":{"edges":[1.0],"counts":[1,1],"coarse":[0,1]}}},
{"name":"amount","count":2,"missing":0,"bins":{"numbers":{"edges":[1.0],"counts":[1,1],"coarse":[0,1]}}}],
"scores":{"name":"score","count":2,"missing":0,"bins":{"numbers":{"edges":[0.5],"counts":[1,1],"coarse":[0,1]}}}}"#;

#[test]
fn examples_compile() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    fs::create_dir_all(folder.path().join("tables/users")).unwrap();
    fs::write(folder.path().join("models/fraud.onnx"), "stands for a model").unwrap();
    fs::write(folder.path().join("models/fraud.profile"), PROFILE).unwrap();
    let blocks = blocks(&fs::read_to_string("../docs/language.md").unwrap());
    assert!(blocks.len() > 6);
    let base = SourceFile { path: folder.path().join("base.bay"), text: blocks[0].1.clone() };
    for (index, (mark, text)) in blocks.iter().enumerate() {
        let mut files = vec![base.clone()];
        if index > 0 {
            files.push(SourceFile { path: folder.path().join("example.bay"), text: text.clone() });
        }
        let compiled = compile(&files, &signature);
        let rendered = render(&compiled.diagnostics, &files, false);
        match mark.as_str() {
            "" => assert!(compiled.diagnostics.is_empty(), "{rendered}"),
            "not-yet" => {
                assert!(!compiled.diagnostics.is_empty(), "this runs by now:\n{text}");
                assert!(compiled.diagnostics.iter().all(|diagnostic| diagnostic.code.is_not_yet()), "{rendered}");
            }
            other => panic!("what does `sql {other}` mean?"),
        }
        let formatted = format(&files[files.len() - 1]).unwrap_or_else(|_| panic!("{text} cannot be formatted"));
        assert_eq!(formatted, *text, "examples are written in the one style");
    }
}
