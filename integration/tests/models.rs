//! Every row of the table in docs/models.md: a model of that library, exported by that line and declared so, gets the scores
//! that the library predicts, to float tolerance, and those that ONNX Runtime gives for each row alone, to the bit; and what
//! is no function of its row, or not evident, is refused by name.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::folders::{here, onnx_runtime, python, workspace};
use forebay_integration::harness::{Project, ndjson};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use serde_json::{Value as Json, json};

const ROWS: i64 = 40;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;

const DEFINITIONS: &str = "
source events (id bigint, a double, b double, c double, shop text, city text, v double[], t timestamp)
from log 'events'
event time t
lateness '1 day' history '30 days'
dedup by id within '1 day';
entity user (id bigint);
features seen of user from events (n = count(*) over 1h);
vector numbers on events (a, b, c);
vector mixed on events (a, b, c, shop, city);
vector embedded on events (a, v);
";

/// Numbers that 32 and 16 bits hold, so that no split of a tree rounds them; shops and cities that no model knows among them.
fn row(id: i64) -> Json {
    let number = |by: i64| f64::from(((id * by) % 97 - 48) as i32) / 16.0;
    let (shop, city) = (["s1", "s2", "s3", "s4"][(id % 4) as usize], ["Ulm", "Bonn", "Kiel"][(id % 3) as usize]);
    let list = [number(5), number(11), number(19), number(23)];
    json!({"id": id, "a": number(37), "b": number(53), "c": number(71), "shop": shop, "city": city, "v": list, "t": rfc3339(START + id * 1_000_000)})
}

/// The third cell of each row of the table.
fn declarations(page: &str) -> Vec<String> {
    let table = page.split("<!-- exports -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next()).expect("the table");
    let cell = |line: &str| line.trim_end_matches('|').rsplit(" |").next().unwrap_or_default().trim().trim_matches('`').to_owned();
    table.trim().lines().skip(2).map(cell).collect()
}

#[test]
fn each_library_and_its_declaration() {
    let (true, Some(python)) = (onnx_runtime(), python()) else { return };
    let project = Project::new(DEFINITIONS);
    let rows: Vec<Json> = (0..ROWS).map(row).collect();
    let page = workspace().join("docs/models.md");
    let file = project.write("rows.json", serde_json::to_string(&rows).expect("rows"));
    let exported = Command::new(python).arg(here("oracles/export_models.py")).args([&project.path("features"), &page, &file]).output();
    let exported = exported.expect("python starts");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let models: Vec<Json> = serde_json::from_slice(&exported.stdout).expect("JSON");
    let declared = declarations(&fs::read_to_string(&page).expect("the page"));
    assert!(models.len() > 20 && models.len() == declared.len());

    let mut definitions = DEFINITIONS.to_owned();
    for (place, (model, clause)) in models.iter().zip(&declared).enumerate() {
        if let Some(missing) = model["missing"].as_str() {
            println!("skipped: {}: {missing} is not installed (make setup)", model["name"]);
            continue;
        }
        let (file, takes) = (model["file"].as_str().expect("a file"), model["takes"].as_str().expect("a vector"));
        definitions += &format!("model m{place} from '{file}' takes {takes} {clause} score events into topic 'scores-{place}';\n");
    }
    project.write("features/test.bay", definitions);
    assert_eq!(problems(&project), []);
    let _ = project.push("events", &rows).ok();
    project.catch_up();
    let mut compared = 0;
    for (place, model) in models.iter().enumerate().filter(|(_, model)| model["missing"].is_null()) {
        let predictions = read_topic(&project, &format!("scores-{place}"));
        assert_eq!(predictions.len(), rows.len(), "{}", model["name"]);
        let by_time: HashMap<&str, &Json> =
            predictions.iter().map(|found| (found.value["event_time"].as_str().expect("a time"), &found.value)).collect();
        for (at, row) in rows.iter().enumerate() {
            let time = row["t"].as_str().expect("a time").replace(".000000Z", "Z");
            let score = by_time[time.as_str()]["score"].as_f64().unwrap_or_else(|| panic!("{}: {}", model["name"], by_time[time.as_str()]));
            let predicted = model["predicted"][at].as_f64().expect("a number");
            let tolerance = if model["name"].as_str().is_some_and(|name| name.contains("16-bit")) { 1e-2 } else { 1e-4 };
            assert!(
                (score - predicted).abs() <= tolerance * predicted.abs().max(1.0),
                "{}: {score} for {predicted} of {row}",
                model["name"]
            );
            // What a runtime gives has 32 bits; reading JSON may round the 64th.
            let is_given = given(&model["runtime"], at).any(|of_runtime| of_runtime as f32 == score as f32);
            assert!(is_given, "{}: {score} of {row}", model["name"]);
            compared += 1;
        }
    }
    println!("scores compared: {compared}");
}

/// Every number that the runtime gave for a row.
fn given(runtime: &Json, row: usize) -> impl Iterator<Item = f64> + '_ {
    fn numbers(value: &Json) -> Vec<f64> {
        match value {
            Json::Array(items) => items.iter().flat_map(numbers).collect(),
            other => other.as_f64().into_iter().collect(),
        }
    }
    runtime.as_object().into_iter().flatten().flat_map(move |(_, rows)| numbers(&rows[row]))
}

fn with_fixtures(definitions: &str, files: &[&str]) -> Project {
    let project = Project::new(definitions);
    for file in files {
        let from = workspace().join("src/model/fixtures").join(file);
        project.write(&format!("features/{file}"), fs::read(from).expect("a fixture"));
    }
    project
}

/// The code of each problem that `check` finds, with what it says and advises.
fn problems(project: &Project) -> Vec<(String, String)> {
    let checked = project.run(&["check", "--output", "ndjson"]);
    let text = |problem: &Json, name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let of = |problem: &Json| (text(problem, "code"), format!("{}; {}", text(problem, "message"), text(problem, "help")));
    read_ndjson(&checked.stdout).iter().map(of).collect()
}

/// `check` finds one problem, of this code and with these words.
fn assert_problem(project: &Project, code: &str, words: &str) {
    let found = problems(project);
    assert!(matches!(&found[..], [(of, said)] if of == code && said.contains(words)), "{code} with {words:?}: {found:?}");
}

#[test]
fn what_is_no_function_of_its_row_is_refused_unless_it_is_run_row_by_row() {
    if !onnx_runtime() {
        return;
    }
    let one = DEFINITIONS.to_owned() + "vector one on events (a);\n";
    let model = |clauses: &str| format!("{one}model m from 'batch_softmax.onnx' takes one {clauses} score events into topic 'scores';\n");
    let project = with_fixtures(&model(""), &["batch_softmax.onnx", "random.onnx"]);
    assert_problem(&project, "FB0712", "runs row by row");
    project.write("features/test.bay", model("runs row by row"));
    let rows: Vec<Json> = (0..ROWS).map(row).collect();
    let _ = project.push("events", &rows).ok();
    project.catch_up();
    let predictions = read_topic(&project, "scores");
    assert!(predictions.len() == rows.len() && predictions.iter().all(|found| found.value["score"] == json!(1.0)), "the softmax of one");
    project.write("features/test.bay", model("").replace("batch_softmax", "random"));
    assert_problem(&project, "FB0713", "RandomNormalLike");
}

/// Weights beside the model are found from every folder, and a change of them is a change of the version.
#[test]
fn external_data_is_taken_from_the_models_folder() {
    if !onnx_runtime() {
        return;
    }
    let definitions =
        DEFINITIONS.to_owned() + "vector one on events (a);\nmodel m from 'outside.onnx' takes one score events into topic 'scores';\n";
    let project = with_fixtures(&definitions, &["outside.onnx", "outside.weights"]);
    // In the folder that commands are given in lie weights of another model.
    project.write("outside.weights", [0; 8]);
    let _ = project.push("events", &[row(1)]).ok();
    project.catch_up();
    let first = read_topic(&project, "scores")[0].value.clone();
    assert_eq!(first["score"].as_f64(), row(1)["a"].as_f64().map(|a| a * 2.0 + 3.0));
    let listed = project.run(&["models", "list", "--output", "ndjson"]).ok();
    assert_eq!(read_ndjson(&listed.stdout)[0]["version"], first["version"]);
    project.write("features/outside.weights", [1.0_f32.to_le_bytes(), 1.0_f32.to_le_bytes()].concat());
    let asked = ["score", "m", "--request", "a=2.5", "--as-of", "2024-05-02T00:00:00Z", "--output", "json", "--definitions", "features"];
    let answer = read_json(&project.run(&asked).ok().stdout);
    assert_eq!(answer["scores"][0], json!(3.5));
    assert_ne!(answer["version"], first["version"]);
    let pinned = definitions.replace("takes one", &format!("sha256 '{}' takes one", answer["version"].as_str().expect("a hash")));
    project.write("features/test.bay", pinned);
    assert_eq!(problems(&project), []);
    project.write("features/outside.weights", [2.0_f32.to_le_bytes(), 3.0_f32.to_le_bytes()].concat());
    assert_problem(&project, "FB0702", first["version"].as_str().expect("a hash"));
}

/// One number wherever it is asked for, also where the score is chosen among classes; so are the outputs beside it.
#[test]
fn a_chosen_class_is_the_same_number_in_the_stream_over_http_and_in_a_file() {
    if !onnx_runtime() {
        return;
    }
    let model =
        |clause: &str| format!("{DEFINITIONS}model m from 'three_classes.onnx' takes numbers {clause} score events into topic 'scores';\n");
    let project = with_fixtures(&model(""), &["three_classes.onnx"]);
    assert_problem(&project, "FB0710", "class 'good'");
    project.write("features/test.bay", model("output class 'ugly' also 'labels'"));
    assert_problem(&project, "FB0710", "no output `labels`");
    project.write("features/test.bay", model("output 'probabilities' class 'ugly' also 'label', 'probabilities'"));
    let rows: Vec<Json> = (0..ROWS).map(row).collect();
    let _ = project.push("events", &rows).ok();
    project.catch_up();
    project.write("spine.ndjson", ndjson(&rows));
    let _ = project.run(&["score", "m", "--spine", "spine.ndjson", "--out", "scores.ndjson", "--event", "events"]).ok();
    let scored = read_ndjson(&project.read("scores.ndjson"));
    let predictions = read_topic(&project, "scores");
    let server = project.serve();
    let softmax = |row: &Json| {
        let powers = ["a", "b", "c"].map(|name| row[name].as_f64().expect("a number").exp());
        powers[2] / powers.iter().sum::<f64>()
    };
    for (row, in_file) in rows.iter().zip(&scored) {
        let time = row["t"].as_str().expect("a time").replace(".000000Z", "Z");
        let prediction = predictions.iter().find(|found| found.value["event_time"] == json!(time)).expect("a prediction");
        let score = prediction.value["score"].as_f64().expect("a score");
        assert!((score - softmax(row)).abs() < 1e-6, "{score} of {row}");
        let body = json!({"keys": [{}], "request": [{"a": row["a"], "b": row["b"], "c": row["c"]}], "as_of": row["t"]});
        let (status, answer) = server.post("/v1/models/m/score", &body);
        assert_eq!((status, &answer["scores"][0]), (200, &prediction.value["score"]), "{answer}");
        assert_eq!(in_file["score"], prediction.value["score"]);
        let outputs = &prediction.value["outputs"];
        assert_eq!(answer["outputs"][0], *outputs);
        assert_eq!(outputs["probabilities"]["ugly"], prediction.value["score"]);
        let names = ["good", "bad", "ugly"];
        let of = |name: &&str| outputs["probabilities"][*name].as_f64().expect("a probability");
        // Of equal ones the first.
        let likeliest = names.iter().rev().max_by(|one, other| of(one).total_cmp(&of(other))).expect("a class");
        assert_eq!((&outputs["label"], &in_file["label"]), (&json!(likeliest), &json!(likeliest)));
        for name in names {
            assert_eq!(in_file[&format!("probabilities_{name}")], outputs["probabilities"][name]);
        }
    }
    assert_eq!(server.stop(), Some(0));
}
