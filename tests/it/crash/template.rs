//! A data directory with a schema, stations, banks and a signed-in rider: made once, copied for each run.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::server::Site;
use crate::world::{self, Provisioned};

const PHONE: &str = "+9779841000001";

/// What every run begins with.
#[derive(Debug)]
pub(super) struct Template {
    dir: TempDir,
    pub(super) provisioned: Provisioned,
    /// The rider's; it outlives all runs of one test.
    pub(super) access_token: String,
}

impl Template {
    /// Makes it by the same commands and calls that people use.
    pub(super) async fn make() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let site = Site::in_directory(dir.path());
        let (server, rest) = world::open(&site).await;
        let provisioned = world::provision(&site, &rest).await;
        let rider = world::sign_in(&site, &rest, PHONE).await;
        let access_token = rider.access_token().expect("a token").to_owned();
        server.stop().await.expect("the template stops");
        fs::remove_dir_all(dir.path().join("telemetry")).expect("each run makes its own windows");
        Self { dir, provisioned, access_token }
    }

    /// A copy for one run.
    pub(super) fn copy(&self) -> TempDir {
        let copy = TempDir::with_prefix("chautari-crash-").expect("a temporary directory");
        copy_directory(self.dir.path(), copy.path());
        copy
    }
}

fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a directory");
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
