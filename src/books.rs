//! The books of a data directory, for commands that only read them: nothing is made, nothing migrated.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use backend::clock::Clock;
use backend::db::Db;
use backend::random::Random;
use protocol::clock::SystemClock;

use crate::settings::Settings;

/// Opens them, and says where they should be if they are not there.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Db> {
    let url = &settings.database.url;
    if let Some(file) = url.strip_prefix("sqlite://")
        && !Path::new(file.split('?').next().unwrap_or(file)).exists()
    {
        bail!("there are no books at {file}; name the directory with --data-dir");
    }
    Db::open(url, None, Clock::new(Arc::new(SystemClock::new())), Random::from_system())
        .await
        .map_err(anyhow::Error::from)
        .with_context(|| format!("cannot open the database of {:?}", settings.database))
}
