//! The columns that cases read, and the values at the edges that each takes. Those that matter most come first: where a
//! case reads several columns, it is tried on all pairs of the first few.

use forebay::DataType;
use serde_json::{Value as Json, json};

pub struct Column {
    pub name: &'static str,
    pub forebay: &'static str,
    pub postgres: &'static str,
}

const fn column(name: &'static str, forebay: &'static str, postgres: &'static str) -> Column {
    Column { name, forebay, postgres }
}

pub const COLUMNS: [Column; 16] = [
    column("n", "bigint", "bigint"),
    column("m", "bigint", "bigint"),
    column("x", "double", "float8"),
    column("y", "double", "float8"),
    column("s", "text", "text"),
    column("r", "text", "text"),
    column("b", "boolean", "boolean"),
    column("c", "boolean", "boolean"),
    column("t", "timestamp", "timestamp"),
    column("u", "timestamp", "timestamp"),
    column("ns", "bigint[]", "bigint[]"),
    column("xs", "double[]", "float8[]"),
    column("ss", "text[]", "text[]"),
    column("bs", "boolean[]", "boolean[]"),
    // Features, which PostgreSQL has nothing of.
    column("f.counts", "map of bigint", ""),
    column("f.recent", "structs", ""),
];

/// Where the features among the columns come from.
pub const VIEW: &str = "entity k (n bigint);
features f of k from s (
  counts = max(n) by s over 1d as counts,
  recent = collect(struct(n, s), 3) over 1d as recent,
);
";

pub fn data_type(forebay: &str) -> DataType {
    match forebay {
        "bigint" => DataType::Int,
        "double" => DataType::Float,
        "text" => DataType::Text,
        "boolean" => DataType::Bool,
        "timestamp" => DataType::Timestamp,
        "map of bigint" => DataType::Map(Box::new(DataType::Int)),
        "structs" => DataType::List(Box::new(DataType::Struct(vec![("n".to_owned(), DataType::Int), ("s".to_owned(), DataType::Text)]))),
        list => DataType::List(Box::new(data_type(list.trim_end_matches("[]")))),
    }
}

/// The values of a column, as JSON: doubles that JSON has no number for are texts, times are ISO 8601 in UTC.
pub fn values(forebay: &str) -> Vec<Json> {
    let all = match forebay {
        "bigint" => {
            json!([0, 1, -1, 2, 7, null, -7, 3, 9007199254740993_i64, 9223372036854775807_i64, -9223372036854775808_i64, 63, 64, 1000, -5])
        }
        "double" => json!([
            0.0,
            "-0",
            1.0,
            -1.0,
            2.5,
            "NaN",
            "Infinity",
            null,
            0.5,
            -2.5,
            "-Infinity",
            -0.5,
            3.7,
            1e300,
            1234.5678,
            1.5,
            -3.7,
            5e-324,
            1e15,
            123456789012345680.0,
            0.1,
            1e-5,
            1e20,
            9.223372036854776e18
        ]),
        "text" => json!([
            "abc",
            "",
            "a",
            null,
            "Ab c",
            "日本語",
            "ÄÖß",
            "b",
            "a%c",
            "a_c",
            "a\\c",
            " ab ",
            "12",
            "-3.5",
            "true",
            "2024-02-29",
            "a\nb",
            "aXbXc",
            "1e3",
            "NaN",
            "it's",
            "x,y,,z",
            "ab12cd",
            "2024-03-31T10:00:30.75Z",
            "t",
            "9223372036854775808"
        ]),
        "boolean" => json!([true, false, null]),
        "timestamp" => json!([
            "2024-03-31T10:00:30.75",
            "1969-12-31T23:59:59.999999",
            "2024-02-29T00:00:00",
            null,
            "1970-01-01T00:00:00",
            "2024-12-30T12:34:56.123456",
            "2024-03-31T01:30:00",
            "2023-10-29T00:30:00",
            "1900-01-01T00:00:00",
            "9999-12-31T00:00:00",
            "2021-01-03T23:59:59",
            "2024-01-31T08:00:00",
            "0001-01-01T00:00:00",
            "3000-06-15T13:00:00.000001"
        ]),
        "bigint[]" => json!([[1, 2, 3], [], [5], null, [2, 2, null], [-1, 9223372036854775807_i64]]),
        "double[]" => json!([[1.5, 2.5], [], ["-0", 0.0], null, ["NaN", 1.0], [2.5, null, -1.0]]),
        "text[]" => json!([["a", "b"], [], ["abc"], null, ["a", null, ""], ["x", "x", "日本"]]),
        "boolean[]" => json!([[true, false], [], [null], null]),
        "map of bigint" => json!([{ "a": 1, "abc": null, "日本語": 3 }, {}, null, { "": 7, "__other": 5 }]),
        "structs" => json!([[{ "n": 1, "s": "x" }, { "n": 2, "s": null }], [], null, [{ "n": null, "s": "z" }]]),
        other => panic!("there are no values of {other}"),
    };
    all.as_array().cloned().unwrap_or_default()
}

/// How many values of each column are taken where a case reads so many.
pub fn taken(columns: usize) -> usize {
    match columns {
        1 => usize::MAX,
        2 => 11,
        3 => 5,
        _ => 3,
    }
}

/// A value as a literal of the language; `None` where it has none of that type.
pub fn literal(value: &Json, forebay: &str) -> Option<String> {
    Some(match (value, forebay) {
        (_, "map of bigint" | "structs") => return None,
        (Json::Null, _) => format!("(null::{forebay})"),
        (Json::Bool(value), _) => value.to_string(),
        (Json::Number(number), "double") => format!("({:?})", number.as_f64()?),
        (Json::Number(number), _) if number.as_i64()? == i64::MIN => return None,
        (Json::Number(number), _) => format!("({number})"),
        (Json::String(text), "double") if text == "-0" => "(-0.0)".to_owned(),
        (Json::String(text), "double") => format!("('{text}'::double)"),
        (Json::String(text), "text") => format!("'{}'", text.replace('\'', "''")),
        (Json::String(text), "timestamp") => format!("timestamp '{text}'"),
        (Json::Array(items), list) if !items.is_empty() => {
            let item = list.strip_suffix("[]")?;
            let items = items.iter().map(|value| literal(value, item)).collect::<Option<Vec<_>>>()?;
            format!("[{}]", items.join(", "))
        }
        _ => return None,
    })
}

/// A value as PostgreSQL reads it.
pub fn for_postgres(value: &Json, postgres: &str) -> String {
    let quoted = |text: &str| format!("'{}'::{postgres}", text.replace('\'', "''"));
    match value {
        Json::Null => format!("null::{postgres}"),
        Json::Array(items) => {
            let item = postgres.trim_end_matches("[]");
            let items: Vec<_> = items.iter().map(|value| for_postgres(value, item)).collect();
            format!("array[{}]::{postgres}", items.join(", "))
        }
        Json::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}
