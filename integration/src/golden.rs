//! Golden files: what a test printed last time a person looked at it. `BLESS=1` writes them anew.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

/// Compares with the golden file at `path`, or writes it when `BLESS` is set.
///
/// # Panics
/// When they differ, with the first line that does.
pub fn check(path: &Path, actual: &str) {
    if std::env::var("BLESS").is_ok_and(|bless| bless == "1") {
        fs::create_dir_all(path.parent().expect("a golden lies in a folder")).expect("a folder for goldens");
        fs::write(path, actual).expect("a golden can be written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}; BLESS=1 writes it", path.display()));
    if expected == actual {
        return;
    }
    let difference = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
    let line = difference.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    panic!(
        "{} differs at line {} (BLESS=1 accepts it)\n  expected: {}\n  actual:   {}\n--- all of it ---\n{actual}",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        actual.lines().nth(line).unwrap_or("(end)"),
    );
}

/// The same for JSON, laid out over lines.
pub fn check_json(path: &Path, actual: &Json) {
    let mut text = serde_json::to_string_pretty(actual).expect("JSON can be written");
    text.push('\n');
    check(path, &text);
}

/// Replaces the values of these fields, wherever they are, by `"*"` (null stays null).
pub fn mask(json: &mut Json, fields: &[&str]) {
    match json {
        Json::Object(map) => {
            for (name, value) in map.iter_mut() {
                if fields.contains(&name.as_str()) && !value.is_null() {
                    *value = Json::from("*");
                } else {
                    mask(value, fields);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| mask(item, fields)),
        _ => {}
    }
}
