//! Finds ONNX Runtime on this machine and loads it once per process. Must never load a library that was not asked
//! for, and never panic where there is none: models are optional, the engine is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;

use crate::error::{Error, Result};

/// What to do when the library is not there.
const REMEDY: &str = "run `make setup`, or set ORT_DYLIB_PATH to libonnxruntime.so, version 1.17 or later";

static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's ONNX Runtime. Unavailable, with the remedy, when it is not installed or too old; a later call
/// tries again.
pub fn environment() -> Result<Environment> {
    let mut loaded = LOADED.lock();
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let path = library(&|name| std::env::var_os(name).map(PathBuf::from))?;
    let builder = ort::init_from(&path).map_err(|error| Error::unavailable(format!("cannot load onnx runtime: {error}; {REMEDY}")))?;
    let environment = builder
        .with_name("forebay")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _, _, _, message| log(level, message)))
        .build()
        .map_err(|error| Error::unavailable(format!("cannot start onnx runtime of {}: {}; {REMEDY}", path.display(), error.message())))?;
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some(environment.clone());
    Ok(environment)
}

/// Whether a library is installed where it is looked for. It may still be too old.
#[must_use]
pub fn installed() -> bool {
    library(&|name| std::env::var_os(name).map(PathBuf::from)).is_ok()
}

/// `ORT_DYLIB_PATH`, else `<cache>/onnxruntime/libonnxruntime.so` with `<cache>` from `FOREBAY_CACHE`, else
/// `$XDG_CACHE_HOME/forebay` or `~/.cache/forebay`.
fn library(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    let cache = || {
        set("FOREBAY_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("forebay")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("forebay")))
    };
    let path = match set("ORT_DYLIB_PATH") {
        Some(path) => path,
        None => cache()
            .map(|folder| folder.join("onnxruntime").join("libonnxruntime.so"))
            .ok_or_else(|| Error::unavailable(format!("onnx runtime is not installed; {REMEDY}")))?,
    };
    if !Path::is_file(&path) {
        return Err(Error::unavailable(format!("onnx runtime is not installed: there is no file {}; {REMEDY}", path.display())));
    }
    std::path::absolute(&path).map_err(|error| Error::unavailable(format!("{}: {error}; {REMEDY}", path.display())))
}

fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::debug!(target: "onnxruntime", "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn says_what_to_do_where_there_is_no_library() {
        for name in ["ORT_DYLIB_PATH", "FOREBAY_CACHE", "XDG_CACHE_HOME", "HOME"] {
            let error = library(&|asked| (asked == name).then(|| PathBuf::from("/nowhere"))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("make setup") && error.to_string().contains("/nowhere"), "{error}");
        }
        assert_eq!(library(&|_| None).unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn takes_the_library_of_the_cache_folder() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("onnxruntime").join("libonnxruntime.so");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        let found = library(&|asked| (asked == "FOREBAY_CACHE").then(|| cache.path().to_path_buf())).unwrap();
        assert_eq!(found, path);
    }
}
