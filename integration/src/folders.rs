//! Where things lie: the workspace, shared data, Python. Tests ask here what they can use and say what they miss.

use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above this crate");
    root.canonicalize().expect("the workspace exists")
}

/// A file or folder of `integration/`.
#[must_use]
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `../shared/data/NAME` next to the workspace, or below `FOREBAY_SHARED`; `None`, with a line that says so, without.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = workspace().parent().map(|above| above.join("shared"));
    let folders = [std::env::var_os("FOREBAY_SHARED").map(PathBuf::from), beside];
    let found = folders.into_iter().flatten().map(|folder| folder.join("data").join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: ../shared/data/{name} is not there (FOREBAY_SHARED names another place)");
    }
    found
}

/// The cache folder of `make setup`.
#[must_use]
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/forebay");
    std::env::var_os("FOREBAY_CACHE").map_or_else(home, PathBuf::from)
}

/// The Python of `make setup`, with pyarrow and DuckDB; `None`, with a line that says so, without.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let path = cache().join("venv/bin/python");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there (make setup installs it)", path.display());
    None
}

/// A file of Prometheus or libfaketime, as `make setup` unpacks them; `None`, with a line that says so, without.
#[must_use]
pub fn watching(file: &str) -> Option<PathBuf> {
    let found = find(&cache().join("watching/usr"), file);
    if found.is_none() {
        println!("skipped: {file} is not below {} (make setup puts it there)", cache().join("watching").display());
    }
    found
}

/// The file of that name below a folder. Where libraries lie depends on the machine's architecture.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let own = entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|own| own == name)).cloned();
    own.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

/// Whether models can be run: `ORT_DYLIB_PATH` names ONNX Runtime. Says so when not.
#[must_use]
pub fn onnx_runtime() -> bool {
    let there = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| Path::new(&path).exists());
    if !there {
        println!("skipped: ORT_DYLIB_PATH names no ONNX Runtime (make setup installs it, make test sets it)");
    }
    there
}

/// Copies a folder and what is below it.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("a file")),
        }
    }
}

/// Changes some bytes in the middle of the largest file below a folder with that ending.
///
/// # Panics
/// When there is none.
pub fn damage_largest(folder: &Path, ending: &str) {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }
    let files = below(folder).into_iter().filter(|path| path.extension().is_some_and(|own| own == ending));
    let file = files.max_by_key(|path| std::fs::metadata(path).expect("a file").len()).expect("a file with that ending");
    let mut bytes = std::fs::read(&file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&file, bytes).expect("a file");
}
