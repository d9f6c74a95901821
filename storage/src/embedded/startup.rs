//! Opening a directory: one owner, recovered files, and what memory must know.

use super::stations::Stations;
use super::window::{self, Window};
use super::{Settings, Shared};
use protocol::clock::Clock;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

/// Held open by the store that owns the directory.
const LOCK_FILE: &str = "store.lock";
/// There only while the directory is closed properly.
const CLEAN_FILE: &str = "clean";

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the telemetry in {} is in use by another process", .directory.display())]
    InUse {
        /// Which directory.
        directory: PathBuf,
    },
    /// A file was written by a newer release.
    #[error("{} has version {version}, which only a newer release can read", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// A setting that cannot work.
    #[error("{0}")]
    Settings(&'static str),
    /// The file system refused.
    #[error("the telemetry in {} cannot be opened", .directory.display())]
    Io {
        /// Which directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("a telemetry file cannot be opened")]
    Database(#[from] sqlx::Error),
}

/// A directory that has been opened.
pub(super) struct Started {
    pub(super) shared: Shared,
    /// Windows whose tail is not rewritten yet, with their writing connections.
    pub(super) unfinished: Vec<(Arc<Window>, SqliteConnection)>,
    pub(super) lock: Lock,
}

/// The right to write in a directory; released when it is dropped.
pub(super) struct Lock {
    directory: PathBuf,
    _file: File,
}

impl Lock {
    /// Remembers that everything was closed properly.
    pub(super) fn mark_clean(&self) -> io::Result<()> {
        File::create(self.directory.join(CLEAN_FILE))?.sync_all()?;
        sync_directory(&self.directory)
    }
}

pub(super) async fn start(
    directory: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
) -> Result<Started, OpenError> {
    if settings.window_ms == 0 || !settings.window_ms.is_multiple_of(1_000) {
        return Err(OpenError::Settings("storage.window_ms must be whole seconds, at least one"));
    }
    let io = |source| OpenError::Io { directory: directory.clone(), source };
    let lock = lock(&directory)?;
    let was_clean = remove_clean_mark(&directory).map_err(io)?;
    let stations = Stations::default();
    let mut set_aside = Vec::new();
    let mut windows = Vec::new();
    let mut unfinished = Vec::new();
    for (start_ms, path) in window_files(&directory).map_err(io)? {
        if !was_clean && !is_sound(&path).await? {
            set_aside.push(put_aside(&path).map_err(io)?);
            continue;
        }
        let (window, mut connection) = Window::open(path, start_ms, &settings).await?;
        stations.load(&mut connection).await?;
        let window = Arc::new(window);
        windows.push(window.clone());
        let tail: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tail)").fetch_one(&mut connection).await?;
        if tail {
            unfinished.push((window, connection));
        } else {
            connection.close().await?;
        }
    }
    let stored_bytes = windows.iter().map(|window| window.stored_bytes()).sum();
    let shared = Shared {
        directory,
        settings,
        clock,
        windows: RwLock::new(Arc::new(windows)),
        stations,
        failing: Mutex::new(None),
        set_aside,
        stored_bytes: AtomicU64::new(stored_bytes),
        closed: AtomicBool::new(false),
    };
    Ok(Started { shared, unfinished, lock })
}

/// Makes a new name in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn lock(directory: &Path) -> Result<Lock, OpenError> {
    let io = |source| OpenError::Io { directory: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(io)?;
    let file = File::create(directory.join(LOCK_FILE)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { directory: directory.to_owned(), _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// From here on the directory counts as in use, until it is marked again.
fn remove_clean_mark(directory: &Path) -> io::Result<bool> {
    match fs::remove_file(directory.join(CLEAN_FILE)) {
        Ok(()) => sync_directory(directory).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files of windows, ascending by their start.
fn window_files(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(start_ms) = entry.file_name().to_str().and_then(window::parse_file_name) {
            files.push((start_ms, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// Checks a file that was being written when its process died. Others were finished before: their
/// log is gone.
async fn is_sound(path: &Path) -> Result<bool, OpenError> {
    if !window::beside(path, "-wal").exists() {
        return Ok(true);
    }
    let checked = async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).disable_statement_logging();
        let mut connection = options.connect().await?;
        let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(verdict == "ok")
    };
    match checked.await {
        Err(error) if super::store_error(&error) == crate::StoreError::Corrupt => Ok(false),
        checked => checked.map_err(OpenError::Database),
    }
}

/// Renames a damaged file so that it stays for a person to look at; gives its new name.
fn put_aside(path: &Path) -> io::Result<String> {
    let mut aside = window::beside(path, ".damaged");
    let mut copies = 1;
    while aside.exists() {
        copies += 1;
        aside = window::beside(path, &format!(".damaged-{copies}"));
    }
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(window::beside(path, suffix), window::beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tracing::error!(file = %name, "a damaged telemetry file was set aside");
    Ok(name)
}
