//! Definition files: their text, and places in it. Must never interpret what the text says.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One file of definitions. Applied plans are stored as such: a plan is its source text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// As shown in diagnostics; model files are looked for beside it.
    pub path: PathBuf,
    pub text: String,
}

/// A range of bytes of one of the files that are compiled together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Index of the file.
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

impl At {
    /// From the start of this to the end of `other`.
    #[must_use]
    pub(super) fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.end), ..self }
    }
}

/// Every `*.bay` file below `folder`, sorted by path. `NotFound` when the folder or such files are missing, `Input` when
/// one is not UTF-8.
pub fn load(folder: &Path) -> Result<Vec<SourceFile>> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    if paths.is_empty() {
        let folder = folder.display();
        return Err(Error::not_found(format!(
            "no definitions: {folder} holds no *.bay file; write one or name another folder with --features"
        )));
    }
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| {
        Error::not_found(format!("cannot read the definitions folder {}: {error}; name another with --features", folder.display()))
    })?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::unavailable(format!("cannot read {}: {error}", folder.display())))?;
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "bay") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: PathBuf) -> Result<SourceFile> {
    let bytes = fs::read(&path).map_err(|error| Error::unavailable(format!("cannot read {}: {error}", path.display())))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SourceFile { path, text }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(Error::input(format!("{} is not UTF-8: byte {at} starts no character; save it as UTF-8", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::load;
    use crate::error::ErrorKind;

    #[test]
    fn files_are_found_below_the_folder_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(load(&folder.path().join("missing")).unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["sub/b.bay", "c.bay", "a.bay", "notes.md"] {
            fs::write(folder.path().join(name), "-- nothing").unwrap();
        }
        let files = load(folder.path()).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.path.strip_prefix(folder.path()).ok()?.to_str()).collect();
        assert_eq!(names, ["a.bay", "c.bay", "sub/b.bay"]);
        fs::write(folder.path().join("a.bay"), [b'-', b'-', 0xff]).unwrap();
        assert_eq!(load(folder.path()).unwrap_err().kind(), ErrorKind::Input);
    }
}
