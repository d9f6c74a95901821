//! Things that outlive the process: one JSON file each, replaced whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file system refused.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
    /// The content is not what was written there.
    #[error("{path} cannot be understood: {error}", path = .0.display(), error = .1)]
    Content(PathBuf, #[source] serde_json::Error),
}

/// Makes a directory and those above it, unless they are there.
pub(crate) fn make_directory(path: &Path) -> Result<(), SavedError> {
    fs::create_dir_all(path).map_err(|error| SavedError::Io(path.to_owned(), error))
}

/// Reads what was saved; `None` if nothing was saved yet.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SavedError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| SavedError::Content(path.to_owned(), error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SavedError::Io(path.to_owned(), error)),
    }
}

/// Replaces the file at once: whoever reads it sees the old or the new content, never a part.
///
/// When this returns, a killed process loses nothing: the bytes are with the operating system. They are
/// not forced to the disk, so a crash of the machine itself may.
pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), SavedError> {
    let bytes = serde_json::to_vec(value).map_err(|error| SavedError::Content(path.to_owned(), error))?;
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|error| SavedError::Io(path.to_owned(), error))
}
