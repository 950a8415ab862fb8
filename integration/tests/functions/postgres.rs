//! What PostgreSQL 15 answers: recorded in `functions/postgres.ndjson`, one line a case, by `make functions`, which starts
//! a server of its own. A test that finds another question than the one that was recorded says so.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use forebay_integration::folders::here;
use serde_json::{Value as Json, json};

use super::cases::Case;
use super::inputs::for_postgres;
use super::tried::{Row, columns_of, rows};

pub struct Recorded {
    pub data_type: String,
    /// As JSON; times in microseconds, `{"error": SQLSTATE}` where there is none.
    pub answers: Vec<Json>,
}

/// What was asked: the expression and the rows that it was asked over.
pub fn question(expression: &str, rows: &[Row]) -> String {
    json!([expression, rows]).to_string()
}

fn path() -> PathBuf {
    here("functions/postgres.ndjson")
}

/// Answers by question.
pub fn recorded() -> HashMap<String, Recorded> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let line = |line: &str| {
        let json: Json = serde_json::from_str(line).unwrap();
        let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
        let data_type = json["type"].as_str().unwrap_or_default().to_owned();
        (json["asked"].to_string(), Recorded { data_type, answers: list("answers") })
    };
    text.lines().map(line).collect()
}

/// The answer to `expression` over one row, and its type: errors are answers, times are microseconds.
const ANSWER: &str = r"
set timezone to 'UTC';
create function pg_temp.answer(expression text, input text) returns text language plpgsql as $$
declare kind text; answer text;
begin
  execute 'select pg_typeof(' || expression || ')::text from (select ' || input || ') q' into kind;
  if kind like 'timestamp%' or kind = 'date' then
    expression := '(extract(epoch from ' || expression || ')*1000000)::bigint';
  end if;
  execute 'select to_json(' || expression || ')::text from (select ' || input || ') q' into answer;
  return json_build_object('type', kind, 'answer', coalesce(answer, 'null'))::text;
exception when others then
  return json_build_object('type', kind, 'error', sqlstate, 'message', sqlerrm)::text;
end $$;
";

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Asks the server that `PGHOST` names everything, and writes down what it says.
pub fn record<'a>(cases: impl Iterator<Item = &'a Case>) {
    let mut script = String::from(ANSWER);
    let mut asked: Vec<(&str, Vec<Row>)> = Vec::new();
    for case in cases {
        let Some(expression) = case.asked() else { continue };
        let columns = columns_of(&case.text);
        let rows = rows(case);
        if asked.iter().any(|(other, others)| *other == expression && *others == rows) {
            continue;
        }
        for row in &rows {
            let inputs =
                columns.iter().zip(row).map(|(column, value)| format!("{} as {}", for_postgres(value, column.postgres), column.name));
            let inputs: Vec<_> = inputs.chain(["1 as one".to_owned()]).collect();
            let _ = writeln!(script, "select pg_temp.answer({}, {});", quoted(expression), quoted(&inputs.join(", ")));
        }
        asked.push((expression, rows));
    }
    let mut psql = Command::new("psql")
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"])
        .env("PGCLIENTENCODING", "UTF8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut input = psql.stdin.take().expect("psql reads");
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = psql.wait_with_output().expect("psql ends");
    writer.join().expect("the script is written").expect("psql takes the script");
    assert!(output.status.success(), "psql ends with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("psql writes UTF-8");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("an answer"));
    let mut file = String::new();
    for (expression, rows) in asked {
        let found: Vec<Json> = lines.by_ref().take(rows.len()).collect();
        assert!(found.len() == rows.len(), "psql answers every question");
        let meant = |json: &Json| json["error"].as_str().is_some_and(|state| state.starts_with("42"));
        if found.iter().all(meant) {
            println!("PostgreSQL does not know `{expression}`: {}", found[0]["message"]);
        }
        let kind = found.iter().find_map(|json| json["type"].as_str()).unwrap_or_default().to_owned();
        let answer = |json: &Json| match (&json["error"], json["answer"].as_str()) {
            (Json::String(state), _) => json!({ "error": state }),
            (_, Some(text)) => double_or_json(text, &kind),
            _ => Json::Null,
        };
        let answers: Vec<Json> = found.iter().map(answer).collect();
        file.push_str(&json!({ "asked": [expression, rows], "type": kind, "answers": answers }).to_string());
        file.push('\n');
    }
    fs::write(path(), file).expect("answers can be written");
}

/// An answer of PostgreSQL; doubles as this language's are shown.
fn double_or_json(text: &str, kind: &str) -> Json {
    if !matches!(kind.trim_end_matches("[]"), "double precision" | "numeric") || text == "null" {
        return serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    }
    let double = |text: &str| match text.trim_matches('"') {
        "null" => Json::Null,
        number => super::arrays::of_double(number.parse().expect("a number")),
    };
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some("") => json!([]),
        Some(items) => items.split(',').map(double).collect(),
        None => double(text),
    }
}
