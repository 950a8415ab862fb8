//! `docs/reference.md` is made from the lists in the code: settings, metrics, codes of refused requests. `BLESS=1` writes it anew.

use std::fmt::Write as _;

use forebay::config::KEYS;
use forebay::serve::CODES;
use forebay::telemetry::names;
use forebay_integration::folders::here;
use forebay_integration::golden;

/// A cell of a table: `|` would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page() -> String {
    let mut page = String::from(
        "# Reference\n\nThis page is generated from the lists in the code. `integration/tests/reference.rs` keeps it up to date.\n\n\
         ## Settings\n\n`forebay config` prints the settings in force and where each one came from. A flag takes precedence over a \
         variable of the environment, a variable over the file `forebay.toml`, and the file over the default. A name with a dot, such as \
         `kafka.bootstrap`, is the key `bootstrap` in the table `[kafka]` of the file. [Operations](operations.md) explains the settings \
         in their context.\n\n| setting | variable | default | meaning |\n|---|---|---|---|\n",
    );
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let _ = writeln!(page, "| `{}` | `{}` | {default} | {} |", key.name, key.variable(), cell(key.help));
    }
    page += "\n## Metrics\n\n`GET /metrics` returns these metrics. [Operations](operations.md) says which of them to watch, and \
             [alerts](alerts.md) has rules.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for metric in names::ALL {
        let kind = match metric.kind {
            names::Kind::Counter => "counter",
            names::Kind::Seconds => "counter (seconds)",
            names::Kind::Gauge => "gauge",
            names::Kind::Histogram => "histogram (seconds)",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(" "), cell(metric.help));
    }
    page += "\n## Codes of refused requests\n\nA refused HTTP request is answered with `{\"error\": {\"code\", \"field\", \"message\"}}`. The \
             code is stable. The [API](api.md) explains requests.\n\n| status | code | meaning |\n|---|---|---|\n";
    for code in CODES {
        let _ = writeln!(page, "| {} | `{}` | {} |", code.status, code.code, cell(code.meaning));
    }
    page
}

#[test]
fn the_page_says_what_the_code_has() {
    golden::check(&here("../docs/reference.md"), &page());
}
