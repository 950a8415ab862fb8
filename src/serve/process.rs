//! What the system reports of this process, for metrics. Values that the system does not report are left out.

use rustix::process::{Resource, getrlimit};

use crate::telemetry::{Metrics, names};

/// The unit of times in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Brings the metrics of the process up to date.
pub(super) fn refresh(metrics: &Metrics) {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    if let Some(kibibytes) = line(&read("/proc/self/status"), "VmRSS:") {
        metrics.set(names::PROCESS_MEMORY, &[], kibibytes * 1024.0);
    }
    // Fields are counted after the command, which may hold blanks and ends with a bracket.
    let stat = read("/proc/self/stat");
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    if let [user, system] = fields.get(11..13).unwrap_or_default() {
        metrics.reach_seconds(names::PROCESS_CPU, (user + system) / TICKS_PER_SECOND);
    }
    if let (Some(started), Some(boot)) = (fields.get(19), line(&read("/proc/stat"), "btime ")) {
        metrics.set(names::PROCESS_START, &[], boot + started / TICKS_PER_SECOND);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is read here.
        metrics.set(names::PROCESS_FILES, &[], files.count().saturating_sub(1) as f64);
    }
    // None where there is no limit.
    metrics.set(names::PROCESS_FILES_MAX, &[], getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64));
}

/// The first number of the line that begins with `name`.
fn line(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}
