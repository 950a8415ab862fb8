//! Commands and what they said, as text for golden files: without colours, times, ports and folders of this run.

use crate::harness::{Ended, Project};

/// The exit code and what was printed. Folders of the project are written as `PROJECT`; log lines are left out.
#[must_use]
pub fn of(project: &Project, command: &str, ended: &Ended) -> String {
    let code = ended.code.map_or("killed".to_owned(), |code| code.to_string());
    let mut text = format!("$ forebay {command}\nexit {code}\n");
    for (name, said) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let masked = mask(project, said);
        if !masked.trim().is_empty() {
            text.push_str(&format!("--- {name}\n{}\n", masked.trim_end()));
        }
    }
    text
}

/// Text without what changes from run to run.
#[must_use]
pub fn mask(project: &Project, text: &str) -> String {
    let folder = project.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let lines = text.lines().filter(|line| !is_log(line)).map(|line| ports(&applied(line).replace(&folder, "PROJECT")));
    lines.map(|line| format!("{}\n", line.trim_end())).collect::<Vec<_>>().concat()
}

/// Whether a line was logged: it starts with the time of day.
fn is_log(line: &str) -> bool {
    line.len() > 20 && line.as_bytes()[..4].iter().all(u8::is_ascii_digit) && line.as_bytes()[4] == b'-' && line.as_bytes()[10] == b'T'
}

/// When definitions were applied, and which these are.
fn applied(line: &str) -> String {
    match line.strip_prefix("definitions: applied ").and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => format!("definitions: applied TIME (IDENTITY){rest}"),
        None => line.to_owned(),
    }
}

/// `127.0.0.1:40001` as `127.0.0.1:PORT`.
fn ports(line: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = line.split(HOST);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        text.push_str(HOST);
        text.push_str(if rest.len() < part.len() { "PORT" } else { "" });
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_log_lines_are_masked() {
        assert_eq!(ports("at 127.0.0.1:4711, and 127.0.0.1:1"), "at 127.0.0.1:PORT, and 127.0.0.1:PORT");
        assert_eq!(applied("definitions: applied 2026-01-31T10:00:00Z (1a2b3c4d); more"), "definitions: applied TIME (IDENTITY); more");
        assert!(is_log("2026-01-31T10:00:00.000Z  INFO forebay: ready"));
        assert!(!is_log("error: the folder is in use"));
    }
}
