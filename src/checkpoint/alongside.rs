//! What a start needs beside the data folder: definitions, the files of models and profiles. They are laid out as they lay,
//! so that what one says of another's place still holds.

use std::path::{Path, PathBuf};

use super::files::{self, copy, located};
use super::manifest::Manifest;
use super::target::Watch;
use crate::error::Result;

/// The folder below that of a checkpoint.
const FOLDER: &str = "features";

/// The definitions in force and the files that they name.
#[derive(Clone, Debug, Default)]
pub struct Alongside {
    /// The folder of the definitions, absolute.
    pub features: PathBuf,
    /// Absolute paths.
    pub files: Vec<(PathBuf, Content)>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Content {
    Text(String),
    /// As it lies there when the copy is made.
    OfTheFile,
}

impl Alongside {
    /// Lays them into a copy, and says so in its manifest. What cannot be had is a warning: the events are worth keeping
    /// without it.
    pub fn lay(&self, into: &Path, manifest: &mut Manifest) -> Result<()> {
        manifest.warnings.extend(self.warnings.iter().cloned());
        if self.files.is_empty() {
            return Ok(());
        }
        let root = self.files.iter().fold(self.features.clone(), |root, (path, _)| shared(&root, path));
        let below = |path: &Path| {
            let parts = path.strip_prefix(&root).unwrap_or(path).components().map(|part| part.as_os_str().to_string_lossy().into_owned());
            std::iter::once(FOLDER.to_owned()).chain(parts).collect::<Vec<_>>().join("/")
        };
        for (path, content) in &self.files {
            let to = located(into, &below(path));
            let laid = match content {
                Content::Text(text) => files::write(&to, text.as_bytes()),
                Content::OfTheFile => copy(path, &to, &Watch::default()).map(drop),
            };
            match laid {
                Err(error) if !path.exists() => manifest.warnings.push(error.to_string()),
                laid => laid?,
            }
        }
        manifest.features = Some(below(&self.features));
        manifest.features_were = Some(root.display().to_string());
        Ok(())
    }
}

/// The deepest folder that holds both.
fn shared(folder: &Path, path: &Path) -> PathBuf {
    folder.components().zip(path.components()).take_while(|(one, other)| one == other).map(|(part, _)| part).collect()
}
