//! What comes from outside or from a disk, attacked: each target takes any bytes, and nothing may panic, hang or lose
//! count. `tests/fuzz.rs` replays what is kept in `fuzz/corpus`, and `make fuzz` looks for more (`fuzz/fuzz_targets`).

mod definitions;
mod parquet;
mod records;
mod state;

use std::fs;
use std::path::{Path, PathBuf};

use forebay::language::{SourceFile, compile};
use forebay::plan::{ModelSignature, Plan};
use forebay::{Error, Result};

pub use self::definitions::definitions;
pub use self::parquet::parquet;
pub use self::records::records;
pub use self::state::state;

/// Something that takes bytes.
pub struct Target {
    /// Of its binary, its folder in `fuzz/corpus` and its words in `fuzz/dictionaries`.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: Vec<Vec<u8>>,
    /// Panics where a promise is broken.
    pub attempt: Box<dyn FnMut(&[u8])>,
}

impl Target {
    /// Writes the seeds as files into the folder that `FOREBAY_SEEDS` names, if it does.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write_seeds(&self) {
        let Some(folder) = std::env::var_os("FOREBAY_SEEDS").map(PathBuf::from) else { return };
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (number, seed) in self.seeds.iter().enumerate() {
            fs::write(folder.join(number.to_string()), seed).expect("a seed can be written");
        }
    }
}

/// All of them.
#[must_use]
pub fn targets() -> [Target; 4] {
    [definitions(), parquet(), records(), state()]
}

/// Appends every file with that extension below a folder.
fn files(folder: &Path, extension: &str, into: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files(&entry, extension, into);
        } else if entry.extension().is_some_and(|found| found == extension) {
            into.push(fs::read(entry).expect("a file"));
        }
    }
}

fn no_models(_: &Path) -> Result<ModelSignature> {
    Err(Error::not_found("no models here"))
}

fn plan_of(text: &str) -> Plan {
    let compiled = compile(&[SourceFile { path: "fuzz.bay".into(), text: text.to_owned() }], &no_models);
    compiled.plan.unwrap_or_else(|| panic!("{:?}\n{text}", compiled.diagnostics))
}
