//! Secrets that the installation makes for itself, one file each in `<data-dir>/secrets/`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The file name of a station master key, without its number.
const STATION_MASTER: &str = "station_master_";
/// The file name of the bearer key.
const INTERNAL_KEY: &str = "internal_key";
/// The number of the master key that a new installation starts with.
const FIRST_STATION_MASTER: u16 = 1;

/// Everything that only this installation knows.
pub(crate) struct Secrets {
    /// Master keys by `key_id`; every station's key is derived from one of them.
    pub(crate) station_masters: BTreeMap<u16, [u8; 32]>,
    /// The bearer key of calls between gateway and backend.
    pub(crate) internal_key: String,
    /// Keys the hashes of one-time passwords.
    pub(crate) otp_key: [u8; 32],
}

impl Secrets {
    /// Reads the secrets of a data directory and makes those that a first start lacks.
    pub(crate) fn open_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join("secrets");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot create {}", dir.display()))?;
        if station_master_files(&dir)?.is_empty() {
            read_or_create(&dir.join(format!("{STATION_MASTER}{FIRST_STATION_MASTER}")))?;
        }
        Self::read(&dir)
    }

    /// Reads those of an installation that exists; makes none.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join("secrets");
        let masters = station_master_files(&dir).unwrap_or_default();
        if masters.is_empty() {
            bail!(
                "no key of stations in {}; name the directory of the running product with --data-dir",
                dir.display()
            );
        }
        Self::read(&dir)
    }

    /// What the backend is given of them.
    pub(crate) fn for_backend(&self) -> backend::config::Secrets {
        backend::config::Secrets {
            internal_key: self.internal_key.clone(),
            previous_internal_key: None,
            otp_key: self.otp_key,
            station_masters: self.station_masters.clone(),
        }
    }

    fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut station_masters = BTreeMap::new();
        for (key_id, path) in station_master_files(dir)? {
            station_masters.insert(key_id, read_or_create(&path)?);
        }
        Ok(Self {
            station_masters,
            internal_key: hex::encode(read_or_create(&dir.join(INTERNAL_KEY))?),
            otp_key: read_or_create(&dir.join("otp_key"))?,
        })
    }
}

/// The bearer key of an installation that exists already; makes nothing.
pub(crate) fn internal_key(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("secrets").join(INTERNAL_KEY);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {}; name the directory of the running product with --data-dir", path.display())
    })?;
    Ok(hex::encode(parse(&path, &text)?))
}

fn station_master_files(dir: &Path) -> anyhow::Result<Vec<(u16, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()?.strip_prefix(STATION_MASTER)?.parse().ok());
        if let Some(key_id) = number {
            found.push((key_id, path));
        }
    }
    Ok(found)
}

/// Reads a secret from a file of its own.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(path, &text)
}

fn read_or_create(path: &Path) -> anyhow::Result<[u8; 32]> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> anyhow::Result<[u8; 32]> {
    let mut secret = [0; 32];
    if hex::decode_to_slice(text.trim(), &mut secret).is_err() {
        bail!("{} must hold 64 hexadecimal digits", path.display());
    }
    Ok(secret)
}

/// Writes a new secret beside its place and links it there, so that of two processes that
/// start together one wins and both read the same value.
fn create(path: &Path) -> anyhow::Result<[u8; 32]> {
    let secret: [u8; 32] = rand::random();
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", hex::encode(secret))?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = write();
    // A draft that stays behind is harmless and must not hide the real error.
    let _ = fs::remove_file(&draft);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    parse(path, &fs::read_to_string(path)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_start_reads_what_the_first_one_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let first = Secrets::open_or_create(dir.path()).unwrap();
        let second = Secrets::open_or_create(dir.path()).unwrap();
        assert_eq!(first.station_masters, second.station_masters);
        assert_eq!(first.internal_key, second.internal_key);
        assert_eq!(first.otp_key, second.otp_key);
        assert_eq!(internal_key(dir.path()).unwrap(), first.internal_key);
        let mode = fs::metadata(dir.path().join("secrets/otp_key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_directory_without_an_installation_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let error = internal_key(dir.path()).unwrap_err().to_string();
        assert!(error.contains("--data-dir"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_secret_is_named() {
        let dir = tempfile::tempdir().unwrap();
        Secrets::open_or_create(dir.path()).unwrap();
        fs::write(dir.path().join("secrets/otp_key"), "zz").unwrap();
        let error = Secrets::open_or_create(dir.path()).err().unwrap();
        assert!(error.to_string().contains("otp_key"), "{error}");
    }
}
