//! What was measured, printed as a table and as JSON.

use serde_json::json;

#[derive(Default)]
pub struct Figures {
    rows: Vec<(String, f64, &'static str, &'static str)>,
}

impl Figures {
    /// `target` is what the design asks for, in words; empty where it asks for nothing.
    pub fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str, target: &'static str) {
        let what = what.into();
        eprintln!("{what}: {value:.3} {unit}");
        self.rows.push((what, value, unit, target));
    }

    pub fn skip(&mut self, what: impl std::fmt::Display, why: &str) {
        eprintln!("skipped: {what}: {why}");
    }

    pub fn print(&self) {
        let width = self.rows.iter().map(|(what, ..)| what.len()).max().unwrap_or(0);
        for (what, value, unit, target) in &self.rows {
            println!("{what:width$}  {value:>14.3} {unit:<12} {target}");
        }
        let rows: Vec<_> = self.rows.iter().map(|(what, value, unit, _)| json!({"what": what, "value": value, "unit": unit})).collect();
        println!("{}", json!({ "figures": rows }));
    }
}
