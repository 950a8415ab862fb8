//! Each clause says what is wrong with it, whatever is wrong with the others, and none says what follows from another's fault.

use super::codes;

const SOURCE: &str = "source s (id bigint, name text, x double, t timestamp) from log 's' event time t";
const VIEW: &str = "entity e (id bigint);";

#[test]
fn faults_of_one_statement_are_said_together() {
    let mut wrong = Vec::new();
    let (missing, duration, column, expected) = ("FB0008", "FB0009", "FB0106", "FB0003");
    for (statement, found) in [
        // Beside a clause that cannot be read.
        ("source s (id bigint, t timestamp) from log 's' event time t dedup by nobody within '1 dy';", vec![column, duration]),
        ("source s (id bigint, t timestamp) from log 's' event time t dedup by nobody lateness '1 dy';", vec![column, expected, duration]),
        ("source s (id bigint, t timestamp) from log 's' event time u max ahead soon lateness '1 dy';", vec![column, expected, duration]),
        ("source s (id bigint, t timestamp) from log 's' lateness '1 dy' dedup by nobody within 1h;", vec![missing, duration, column]),
        // What it says is not known, and so nothing that follows from it.
        ("source s (id bigint, t timestamp) from log s event time t;", vec![expected]),
        ("source s (id bigint, t timestamp) from log 's' event t;", vec![expected]),
        ("source s (id bigint, t timestamp) form log 's' event time t;", vec![expected]),
        ("source s (id bigint, t timestamp) from log 's' event time t lateness '3 dy' history '1h';", vec![duration]),
        ("source s (id bigint, t timestamp) from log 's' event time t dedup by id within '1 dy' deletes when id < 0;", vec![duration]),
        ("source s (id bigint, t timestamp) from log 's' event time t dedup id within '1d' deletes when id < 0;", vec![expected]),
        // Beside columns that are none.
        (
            "source s (id number, t timestamp) from log 'a/b' format avro event time t lateness '2d' history '1d';",
            vec!["FB0201", "FB0405", "FB0910", "FB0402"],
        ),
        ("source s (id number, t timestamp) from log 's' partitions 0 by id;", vec![missing, "FB0201", "FB0403"]),
        ("table u (id number, t timestamp) from parquet 's3://b/u' key id;", vec![missing, "FB0201", "FB0915"]),
        ("table u (id bigint, a text, t timestamp) from csv 'u' key who time when;", vec!["FB0404", column, column]),
        // Lines of a view, and their clauses.
        ("features f of e from s ttl '1 dy' (a = sum(y) over 1h);", vec![duration, column]),
        ("features f of e from s ttl never (a = sum(y) over 1h);", vec![expected, column]),
        ("features f of e by who, x from s (a = sum(y) over 1h);", vec!["FB0505", column, column]),
        (
            "features f of e from s (a = sum(x) by name limit 0 default 'x' , b = sum(y) where z over 0m);",
            vec!["FB0515", "FB0520", "FB0207", column, column, "FB0501"],
        ),
        (
            "model m from 'no.onnx' sha256 'x' takes nobody score who into topic 'a/b' watch drift every '1 dy' against 'p' alert when best > 1 into topic 'c/d';",
            vec!["FB0701", "FB0703", "FB0105", "FB0102", "FB0405", duration, "FB0708", "FB0405"],
        ),
        ("model m from no takes 'v';", vec![expected, expected]),
    ] {
        let before = if statement.starts_with("source") { String::new() } else { format!("{SOURCE};\n{VIEW}\n") };
        let (mut said, mut expected) = (codes(&format!("{before}{statement}")), found);
        said.sort_unstable();
        expected.sort_unstable();
        if said != expected {
            wrong.push(format!("{statement}: {said:?}, and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let two_keys = "entity pair (who bigint, name bigint, other bigint);\nfeatures f of pair from s (n = count(*) over 1h);";
    assert_eq!(codes(&format!("{SOURCE};\n{two_keys}")), ["FB0203", "FB0504", "FB0504"]);
}
