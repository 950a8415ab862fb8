//! Checkpoints in a folder: one folder for each, by its number, which lies there as a data folder does, and its manifest.
//! Links where that folder is of the data's file system; elsewhere links to what the checkpoint before holds already, and
//! copies of the rest.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, copy, failed, hash, is_never_changed, located, make_parent, remove, sync_folder, sync_folders};
use super::manifest::{Manifest, name_of, number_of};
use super::target::{Target, Watch};
use crate::error::{Error, ErrorKind, Result};

const MANIFEST: &str = "checkpoint.json";
/// What is not whole yet, and what is on its way out.
const PARTIAL: &str = ".partial";

pub struct Folder {
    folder: PathBuf,
    watch: Watch,
}

impl Folder {
    pub fn new(folder: &Path, watch: &Watch) -> Self {
        Self { folder: folder.to_owned(), watch: watch.clone() }
    }

    fn of(&self, number: u64) -> PathBuf {
        self.folder.join(name_of(number))
    }

    fn entries(&self) -> Result<Vec<String>> {
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                let named = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
                named.collect::<Result<_, _>>().map_err(|error| failed("read", &self.folder, &error))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("read", &self.folder, &error)),
        }
    }

    /// The files of the newest checkpoint by their hashes.
    fn held(&self) -> Result<HashMap<String, PathBuf>> {
        let Some(last) = self.numbers()?.pop() else { return Ok(HashMap::new()) };
        match self.manifest(last) {
            Ok(manifest) => Ok(manifest.files.into_iter().map(|file| (file.sha256, located(&self.of(last), &file.path))).collect()),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(HashMap::new()),
            Err(error) => Err(error),
        }
    }
}

impl Target for Folder {
    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self.entries()?.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn manifest(&self, number: u64) -> Result<Manifest> {
        let folder = self.of(number);
        let path = folder.join(MANIFEST);
        match fs::read(&path) {
            Ok(bytes) => Manifest::decode(&bytes, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !folder.exists() => {
                Err(Error::not_found(format!("there is no checkpoint {}", folder.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::corrupt(format!("{} is missing", path.display()))),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn write(&self, staging: &Path, manifest: &Manifest) -> Result<()> {
        let held = self.held()?;
        let partial = self.folder.join(format!("{}{PARTIAL}", name_of(manifest.number)));
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(|error| failed("make", &partial, &error))?;
        for file in &manifest.files {
            let (from, to) = (located(staging, &file.path), located(&partial, &file.path));
            make_parent(&to)?;
            if is_never_changed(&from) {
                if fs::hard_link(&from, &to).is_ok() {
                    continue;
                }
                // What the one before holds is looked at: a damaged file is not handed on.
                if let Some(same) = held.get(&file.sha256)
                    && hash(same, &self.watch).is_ok_and(|(_, found)| found == file.sha256)
                    && fs::hard_link(same, &to).is_ok()
                {
                    continue;
                }
            }
            let (_, found) = copy(&from, &to, &self.watch)?;
            if found != file.sha256 {
                return Err(Error::corrupt(format!("{} changed while it was copied: see to that disk", from.display())));
            }
        }
        files::write(&partial.join(MANIFEST), &manifest.encode()?)?;
        sync_folders(&partial)?;
        let folder = self.of(manifest.number);
        if folder.exists() {
            return Err(Error::conflict(format!("{} is there already: another process makes checkpoints there", folder.display())));
        }
        fs::rename(&partial, &folder).map_err(|error| failed("make", &folder, &error))?;
        sync_folder(&self.folder)
    }

    fn fetch(&self, manifest: &Manifest, into: &Path) -> Result<()> {
        let folder = self.of(manifest.number);
        for file in &manifest.files {
            let from = located(&folder, &file.path);
            if !from.is_file() {
                return Err(Error::corrupt(format!("{} is missing", from.display())));
            }
            if copy(&from, &located(into, &file.path), &self.watch)? != (file.bytes, file.sha256.clone()) {
                return Err(Error::corrupt(format!("{} is not what was written", from.display())));
            }
        }
        sync_folders(into)
    }

    fn remove(&self, number: u64) -> Result<()> {
        let gone = self.folder.join(format!("{}{PARTIAL}", name_of(number)));
        let folder = self.of(number);
        fs::rename(&folder, &gone).map_err(|error| failed("remove", &folder, &error))?;
        remove(&gone)
    }

    fn sweep(&self) -> Result<u64> {
        let mut freed = 0;
        for name in self.entries()?.iter().filter(|name| name.strip_suffix(PARTIAL).and_then(number_of).is_some()) {
            let folder = self.folder.join(name);
            for (_, file) in files::below(&folder)? {
                freed += fs::metadata(&file).map_err(|error| failed("read", &file, &error))?.len();
            }
            remove(&folder)?;
        }
        Ok(freed)
    }
}
