//! File descriptors: each connection takes one, and the usual limit is far below what a gateway holds.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// Descriptors beside connections: books, telemetry files, calls to the outside.
const OTHERS: u64 = 512;

/// Raises the limit of this process as far as it may go, and answers what it is then; `None` is no limit.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of file descriptors could not be raised");
            limit.current
        }
    }
}

/// What to tell the operator if `limit` is less than the settings may need.
pub(crate) fn shortage(limit: Option<u64>, settings: &Settings) -> Option<String> {
    let connections = settings.gateway.connections_max.saturating_add(settings.backend.connections_max);
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "this process may open {limit} file descriptors, and gateway.connections_max and backend.connections_max \
         need {needed}: start it after `ulimit -n {needed}` (systemd: LimitNOFILE={needed}), or lower both"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_rises_to_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let lower = limit.maximum.map_or(1_024, |hard| hard - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum: limit.maximum }).unwrap();
        assert_eq!(raise(), limit.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }

    #[test]
    fn a_shortage_is_told_with_what_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chautari.toml");
        std::fs::write(&file, "[gateway]\nconnections_max = 18000\n[backend]\nconnections_max = 1000\n")
            .unwrap();
        let settings = Settings::load(Some(&file), dir.path()).unwrap();
        assert_eq!(shortage(Some(19_512), &settings), None);
        assert_eq!(shortage(None, &settings), None);
        let told = shortage(Some(1_024), &settings).unwrap();
        assert!(told.contains("`ulimit -n 19512`") && told.contains("LimitNOFILE=19512"), "{told}");
    }
}
