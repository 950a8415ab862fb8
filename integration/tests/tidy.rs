//! The rules of the house that no compiler knows: who may import whom, where a vendor's crate may be named, how a
//! module opens and how long it may be, which words and paths never get in. Every breach is reported with its place
//! and its rule, all in one run. Reads the sources as text: it must never need what it checks to compile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the ground up. A room may import rooms of lower layers, and of its own layer those that it names.
const ROOMS: &[(&str, u8, &[&str])] = &[
    ("allocator", 0, &[]),
    ("codec", 0, &["*"]),
    ("error", 0, &["*"]),
    ("event", 0, &["*"]),
    ("files", 0, &["error"]),
    ("id", 0, &["*"]),
    ("json", 0, &["*"]),
    ("key", 0, &["*"]),
    ("mark", 0, &["*"]),
    ("background", 0, &["*"]),
    ("failpoint", 0, &["*"]),
    ("never", 0, &["*"]),
    ("record", 0, &["*"]),
    ("copying", 0, &["*"]),
    ("time", 0, &["*"]),
    ("value", 0, &["*"]),
    ("aggregate", 1, &[]),
    ("plan", 2, &[]),
    ("window", 3, &[]),
    ("drift", 3, &[]),
    ("language", 3, &["drift"]),
    ("vector", 4, &[]),
    ("decode", 4, &["vector"]),
    // Adapters know one outside system each and do not know one another.
    ("log", 5, &[]),
    ("online", 5, &[]),
    ("offline", 5, &[]),
    ("model", 5, &[]),
    // The parts of a data folder together: the only room beside assembly that knows several adapters.
    ("folder", 6, &[]),
    ("telemetry", 6, &[]),
    ("config", 6, &[]),
    ("training", 7, &[]),
    ("engine", 7, &[]),
    ("demo", 8, &[]),
    ("proof", 8, &[]),
    ("integrity", 8, &[]),
    ("checkpoint", 8, &[]),
    ("serve", 9, &[]),
    ("cli", 10, &[]),
];

/// Who may import the planner: what runs reads plans, and never makes them.
const PLANNERS: &[&str] = &["language", "proof", "demo", "cli"];

/// A vendor's crate, and the folders in which it may be named.
const VENDORS: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/log/kafka"]),
    ("rocksdb", &["src/background.rs", "src/copying.rs", "src/online", "src/log/embedded"]),
    ("librocksdb_sys", &["src/background.rs"]),
    ("datafusion", &["src/language", "src/training"]),
    ("ort", &["src/model"]),
    ("axum", &["src/serve"]),
    ("clap", &["src/cli", "src/main.rs"]),
    ("libmimalloc_sys", &["src/allocator.rs"]),
    ("prometheus_client", &["src/telemetry"]),
];

const LINES_MAX: usize = 600;
const NAMES_THAT_SAY_NOTHING: &[&str] = &["utils", "util", "common", "helpers", "helper", "types", "manager", "misc"];

#[test]
fn rooms_import_only_what_lies_below_them() {
    let exports = exports(&read("src/lib.rs"));
    report(rust_files("src").iter().flat_map(|file| import_breaches(file, &read(file), &exports)));
}

#[test]
fn every_room_has_its_layer() {
    let is_listed = |file: &String| matches!(file.as_str(), "src/lib.rs" | "src/main.rs") || is_test(file) || room_of(file).is_some();
    let breach = |file| format!("{file}:1: this room has no layer: give it one in integration/tests/tidy.rs and docs/ARCHITECTURE.md");
    report(rust_files("src").into_iter().filter(|file| !is_listed(file)).map(breach));
}

#[test]
fn vendor_crates_stay_in_their_rooms() {
    report(rust_files("src").iter().flat_map(|file| vendor_breaches(file, &read(file))));
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let unopened = |file: &String| !is_test(file) && !read(file).trim_start().starts_with("//!");
    let breach = |file| format!("{file}:1: open with `//!`: what it is for, what it must never do");
    report(all_rust_files().into_iter().filter(unopened).map(breach));
}

#[test]
fn files_are_short_and_named_for_what_they_do() {
    let breach = |file: String| {
        let lines = read(&file).lines().count();
        let mut parts = Path::new(&file).iter().filter_map(|part| part.to_str());
        if let Some(name) = parts.find(|part| NAMES_THAT_SAY_NOTHING.contains(&part.trim_end_matches(".rs"))) {
            return Some(format!("{file}:1: `{name}` does not say what is inside"));
        }
        (lines > LINES_MAX).then(|| format!("{file}:{lines}: {lines} lines; {LINES_MAX} at most, so split it by what it does"))
    };
    report(all_rust_files().into_iter().filter_map(breach));
}

#[test]
fn nothing_is_left_open() {
    let marks = [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("FIX", "ME"), ("XX", "X"), ("TO", "DO"), ("#[ig", "nore")];
    let words = marks.map(|(start, end)| format!("{start}{end}"));
    report(all_rust_files().iter().flat_map(|file| word_breaches(file, &read(file), &words, "finish it or take it out")));
}

#[test]
fn nothing_names_a_machine() {
    let words = machine_words();
    let rule = "nothing may name a machine's folders or a host to download from";
    report(text_files().iter().flat_map(|file| word_breaches(file, &read(file), &words, rule)));
}

#[test]
fn diagnostic_codes_are_unique_and_documented() {
    let registry = "src/language/diagnostics/codes.rs";
    let codes = codes_of(&read(registry));
    assert!(!codes.is_empty(), "{registry} registers no codes");
    let pages = read("docs/diagnostics.md");
    report(code_breaches(&codes).into_iter().chain(undocumented(&codes, &pages)).map(|breach| format!("{registry}:{breach}")));
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let names = names_below(&root().join("docs/decisions"));
    assert!(!names.is_empty(), "docs/decisions is empty");
    let breach = |(index, name): (usize, &String)| {
        let start = format!("docs/decisions/{:04}-", index + 1);
        (!name.starts_with(&start)).then(|| format!("{name}:1: its name should start with {start}"))
    };
    report(names.iter().enumerate().filter_map(breach));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = text_files().into_iter().filter(|file| Path::new(file).extension().is_some_and(|extension| extension == "md"));
    report(documents.flat_map(|file| link_breaches(&file, &read(&file))));
}

/// The scanners themselves: a rule that cannot fail proves nothing.
mod scanners {
    use super::*;

    const NONE: [&str; 0] = [];

    fn imports(file: &str, text: &str) -> Vec<String> {
        import_breaches(file, text, &exports("pub use engine::{Engine, Handle};\npub use error::Error;\n"))
    }

    #[test]
    fn an_upward_import_is_found_wherever_it_hides() {
        assert_eq!(imports("src/window/mod.rs", "use crate::engine::Engine;").len(), 1);
        assert_eq!(imports("src/window/mod.rs", "use crate::{error::Error, serve};").len(), 1);
        assert_eq!(imports("src/window/mod.rs", "use crate::{\n    aggregate::{self, Aggregate},\n    online::Store,\n};").len(), 1);
        assert_eq!(imports("src/window/tile.rs", "fn f() { crate::engine::run() }").len(), 1);
        assert_eq!(imports("src/window/tile.rs", "use crate::Engine;").len(), 1);
        assert_eq!(imports("src/key.rs", "use super::engine;").len(), 1);
        assert!(imports("src/window/tile.rs", "fn f() {}\n\nuse crate::engine;")[0].starts_with("src/window/tile.rs:3: "));
    }

    #[test]
    fn a_downward_import_passes() {
        assert_eq!(imports("src/engine/mod.rs", "use crate::{log, online, window::KeyState};"), NONE);
        assert_eq!(imports("src/window/mod.rs", "use crate::aggregate::Aggregate;\nuse crate::Error;"), NONE);
    }

    #[test]
    fn adapters_are_strangers_and_what_runs_never_plans() {
        assert_eq!(imports("src/model/mod.rs", "use crate::log;").len(), 1);
        assert_eq!(imports("src/engine/mod.rs", "use crate::language;").len(), 1);
        assert_eq!(imports("src/cli/check.rs", "use crate::language;"), NONE);
    }

    #[test]
    fn comments_text_and_tests_do_not_count() {
        assert_eq!(imports("src/window/mod.rs", "// crate::engine\n/* crate::serve */ const A: &str = \"crate::engine\";"), NONE);
        assert_eq!(imports("src/window/mod.rs", "const A: &str = r#\"crate::engine \" \"#; const B: char = '\"';"), NONE);
        assert_eq!(imports("src/window/mod.rs", "#[cfg(test)]\nmod tests { use crate::engine; fn f() {} }"), NONE);
        assert_eq!(imports("src/window/mod.rs", "#[cfg(test)]\nmod tests { }\nuse crate::engine;").len(), 1);
        assert_eq!(imports("src/window/tests.rs", "use crate::engine;"), NONE);
        assert_eq!(imports("src/window/mod.rs", "fn f<'a>(c: char) -> bool { c == '\\'' || c == '\\u{1f}' }\nuse crate::engine;").len(), 1);
    }

    #[test]
    fn a_vendor_outside_its_room_is_found() {
        assert_eq!(vendor_breaches("src/engine/mod.rs", "use rocksdb::DB;").len(), 1);
        assert_eq!(vendor_breaches("src/engine/mod.rs", "fn f(db: ::ort::Session) {}").len(), 1);
        assert_eq!(vendor_breaches("src/log/embedded/store.rs", "use rocksdb::DB;"), NONE);
        assert_eq!(vendor_breaches("src/engine/mod.rs", "let port: u16 = import::x(port::y);"), NONE);
    }

    #[test]
    fn a_repeated_or_undocumented_code_is_found() {
        let codes = codes_of("A = \"FB0001\", \"text\";\nB = \"FB0002\";\nC = \"FB0001\";\n");
        assert_eq!(code_breaches(&codes), ["3: FB0001 stands on line 1 already"]);
        assert_eq!(undocumented(&codes[..2], "## FB0001"), ["2: FB0002 has no section in docs/diagnostics.md"]);
    }

    #[test]
    fn machine_paths_and_dead_links_are_found() {
        let line = ["see ", "/ho", "me/someone"].concat();
        assert_eq!(word_breaches("README.md", &line, &machine_words(), "no").len(), 1);
        assert_eq!(link_breaches("README.md", "[gone](docs/no-such-page.md)").len(), 1);
        assert_eq!(link_breaches("README.md", "[here](LICENSE) [out](https://example.org) [part](#limits)"), NONE);
    }
}

fn report(breaches: impl Iterator<Item = String>) {
    let mut count = 0;
    let mut text = String::new();
    for breach in breaches {
        count += 1;
        let _ = write!(text, "\n  {breach}");
    }
    assert!(count == 0, "{count} breaches:{text}");
}

// ---- rules ---------------------------------------------------------------------------------------------------------

fn import_breaches(file: &str, text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let Some((room, layer, siblings)) = room_of(file) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (line, name) in crate_paths(file, &code_of(text)) {
        let target = exports.get(&name).unwrap_or(&name);
        let Some(&(target, target_layer, _)) = ROOMS.iter().find(|(name, ..)| name == target) else { continue };
        let is_sibling = target_layer == layer && (siblings.contains(&"*") || siblings.contains(&target));
        let why = if target == room || is_sibling {
            continue;
        } else if target_layer == layer {
            "rooms of one layer do not import one another"
        } else if target_layer > layer {
            "a room imports only what lies below it"
        } else if target == "language" && !PLANNERS.contains(&room) {
            "what runs reads plans and never makes them"
        } else {
            continue;
        };
        breaches.push(format!("{file}:{line}: {room} imports {target}: {why} (docs/ARCHITECTURE.md)"));
    }
    breaches
}

fn vendor_breaches(file: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let mut breaches = Vec::new();
    for (vendor, rooms) in VENDORS {
        if rooms.iter().any(|room| file.starts_with(room)) {
            continue;
        }
        for (at, _) in code.match_indices(&format!("{vendor}::")) {
            if !code[..at].ends_with(is_word) {
                breaches.push(format!("{file}:{}: {vendor} is named outside {}", line_at(&code, at), rooms.join(" and ")));
            }
        }
    }
    breaches
}

fn word_breaches(file: &str, text: &str, words: &[String], rule: &str) -> Vec<String> {
    let found = |(line, text): (usize, &str)| {
        let word = words.iter().find(|word| text.contains(word.as_str()))?;
        Some(format!("{file}:{}: `{word}`: {rule}", line + 1))
    };
    text.lines().enumerate().filter_map(found).collect()
}

/// The codes of the registry with their lines: `"FB0123"` opens an entry.
fn codes_of(registry: &str) -> Vec<(usize, String)> {
    let mut codes = Vec::new();
    for (at, _) in registry.match_indices("= \"FB") {
        codes.push((line_at(registry, at), registry[at + 3..].chars().take_while(|c| is_word(*c)).collect()));
    }
    codes
}

fn code_breaches(codes: &[(usize, String)]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut breaches = Vec::new();
    for (line, code) in codes {
        match seen.insert(code, line) {
            Some(first) => breaches.push(format!("{line}: {code} stands on line {first} already")),
            None if code.len() != 6 => breaches.push(format!("{line}: {code} is not `FB` and four digits")),
            None => {}
        }
    }
    breaches
}

fn undocumented(codes: &[(usize, String)], pages: &str) -> Vec<String> {
    let missing = codes.iter().filter(|(_, code)| !pages.contains(code.as_str()));
    missing.map(|(line, code)| format!("{line}: {code} has no section in docs/diagnostics.md")).collect()
}

/// In parts, so that this file does not breach its own rule.
fn machine_words() -> Vec<String> {
    let folders = [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wor", "k/"), ("/far", "m/")];
    let hosts = [("crates", ".io"), ("pypi", ".org"), ("maven", ".org"), ("files.python", "hosted"), ("registry.npm", "js")];
    folders.iter().chain(&hosts).map(|(start, end)| format!("{start}{end}")).collect()
}

fn link_breaches(file: &str, text: &str) -> Vec<String> {
    let folder = root().join(file).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut breaches = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target: String = text[at + 2..].chars().take_while(|c| !matches!(c, ')' | ' ' | '#' | '\n')).collect();
        let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        if !elsewhere && !folder.join(&target).exists() {
            breaches.push(format!("{file}:{}: the link to {target} leads nowhere", line_at(text, at)));
        }
    }
    breaches
}

// ---- reading Rust as text ------------------------------------------------------------------------------------------

/// The room of a file of `src/`; none for the map, the entry point and files that hold tests only.
fn room_of(file: &str) -> Option<(&'static str, u8, &'static [&'static str])> {
    let path = file.strip_prefix("src/")?;
    if is_test(file) {
        return None;
    }
    let name = path.split('/').next()?.trim_end_matches(".rs");
    ROOMS.iter().find(|(room, ..)| *room == name).copied()
}

/// Whether a file of `src/` holds tests only: what it is for is said by the module that it tests.
fn is_test(file: &str) -> bool {
    file.starts_with("src/") && file.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The first name of every path from the crate's root, with its line; a group gives one for each of its members.
fn crate_paths(file: &str, code: &str) -> Vec<(usize, String)> {
    let depth = file.matches('/').count();
    let below_root = depth == 1 || depth == 2 && file.ends_with("/mod.rs");
    let starts = if below_root { &["crate::", "super::"][..] } else { &["crate::"] };
    let mut paths = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| is_word(c) || c == '$' || c == ':') {
                continue;
            }
            let from = at + start.len();
            paths.extend(first_names(&code[from..]).into_iter().map(|(offset, name)| (line_at(code, from + offset), name)));
        }
    }
    paths
}

/// `a::b` gives `a`; `{a::{b, c}, d}` gives `a` and `d`.
fn first_names(path: &str) -> Vec<(usize, String)> {
    let name_at = |at: usize| path[at..].chars().take_while(|c| is_word(*c)).collect::<String>();
    if !path.starts_with('{') {
        return vec![(0, name_at(0))];
    }
    let (mut depth, mut expected, mut names) = (0, false, Vec::new());
    for (at, c) in path.char_indices() {
        match c {
            '{' => {
                expected = depth == 0;
                depth += 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expected = depth == 1,
            _ if expected && !c.is_whitespace() => {
                names.push((at, name_at(at)));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

/// Names that `lib.rs` exports, with the room that each comes from.
fn exports(map: &str) -> BTreeMap<String, String> {
    let code = code_of(map);
    let mut exports = BTreeMap::new();
    for (at, start) in code.match_indices("pub use ") {
        let statement = code[at + start.len()..].split(';').next().unwrap_or_default();
        let Some((room, names)) = statement.split_once("::") else { continue };
        for name in names.split(|c: char| !is_word(c)).filter(|name| !name.is_empty()) {
            exports.insert(name.to_owned(), room.to_owned());
        }
    }
    exports
}

/// The text with comments, literals and `#[cfg(test)]` items blanked, line breaks kept.
fn code_of(text: &str) -> String {
    let mut code = blank_literals(text);
    while let Some(at) = code.find("#[cfg(test)]") {
        let end = item_end(&code, at);
        let blank = blank(&code[at..end]);
        code.replace_range(at..end, &blank);
    }
    code
}

/// Where the item that starts at `at` ends: after its `;` or its last brace.
fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let literal = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            quoted_end(rest)
        } else if (c == 'r' || rest.starts_with("br")) && !out.ends_with(is_word) {
            raw_end(rest)
        } else if c == '\'' {
            char_end(rest)
        } else {
            0
        };
        let length = literal.max(c.len_utf8());
        if literal == 0 {
            out.push(c);
        } else {
            out.push_str(&blank(&rest[..length]));
        }
        rest = &rest[length..];
    }
    out
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

fn quoted_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The end of `r#"…"#` (with any number of `#`), 0 when none starts here.
fn raw_end(text: &str) -> usize {
    let start = text.trim_start_matches('b').trim_start_matches('r');
    let hashes = start.len() - start.trim_start_matches('#').len();
    if !start[hashes..].starts_with('"') {
        return 0;
    }
    let body = text.len() - start.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    text[body..].find(&close).map_or(text.len(), |end| body + end + close.len())
}

/// The end of a character literal, 0 for a lifetime.
fn char_end(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

// ---- files ---------------------------------------------------------------------------------------------------------

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_default()
}

/// Files below a folder, as paths from the root, sorted; without what git does not keep.
fn names_below(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, ".git" | "target" | "data" | "__pycache__") {
            names.extend(names_below(&path));
        } else if path.is_file() {
            names.extend(path.strip_prefix(root()).ok().and_then(Path::to_str).map(str::to_owned));
        }
    }
    names.sort();
    names
}

fn rust_files(folder: &str) -> Vec<String> {
    let files: Vec<String> = names_below(&root().join(folder)).into_iter().filter(|name| name.ends_with(".rs")).collect();
    assert!(!files.is_empty(), "no sources below {folder}");
    files
}

fn all_rust_files() -> Vec<String> {
    ["src", "integration", "benchmarks"].iter().flat_map(|folder| rust_files(folder)).collect()
}

/// What people write and read; data and lock files are neither, and `.cargo` is written by setup for its machine.
fn text_files() -> Vec<String> {
    let kinds = [".rs", ".md", ".toml", ".sh", ".py", ".yml", ".xml", ".bay", ".awk", ".txt", "Makefile", ".ci/run"];
    names_below(&root()).into_iter().filter(|name| !name.starts_with(".cargo/") && kinds.iter().any(|kind| name.ends_with(kind))).collect()
}
