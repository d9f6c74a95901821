//! What an operator may choose of a CQL store.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the cluster is, and how its data are kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses of some nodes, `host:port`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace: letters, digits and `_`, at most 48. It is made if it is missing.
    pub keyspace: String,
    /// Copies of each row, by data centre. Empty: `replication_factor` copies wherever the cluster has its one data centre.
    pub replication: BTreeMap<String, u32>,
    /// Copies of each row in a cluster of one data centre.
    pub replication_factor: u32,
    /// The data centre whose nodes are asked, and whose quorum acknowledges. Empty: whichever the cluster has.
    pub local_datacenter: String,
    /// The user, where the cluster asks for one.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "hidden")]
    pub password: String,
    /// How long data are kept after they arrived, days. Used when the tables are made.
    pub retention_days: u32,
    /// How long a write may take, milliseconds, its wait for a place included.
    pub write_timeout_ms: u64,
    /// How long a read may take, milliseconds.
    pub read_timeout_ms: u64,
    /// Statements that may be under way at a time; fewer are while the cluster is slow.
    pub in_flight_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keyspace: "chautari".to_owned(),
            replication: BTreeMap::new(),
            replication_factor: 3,
            local_datacenter: String::new(),
            user: String::new(),
            password: String::new(),
            retention_days: 90,
            write_timeout_ms: 10_000,
            read_timeout_ms: 10_000,
            in_flight_max: 512,
        }
    }
}

impl core::fmt::Debug for Settings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            nodes, keyspace, replication, replication_factor, local_datacenter, retention_days, ..
        } = self;
        f.debug_struct("Settings")
            .field("nodes", nodes)
            .field("keyspace", keyspace)
            .field("replication", replication)
            .field("replication_factor", replication_factor)
            .field("local_datacenter", local_datacenter)
            .field("retention_days", retention_days)
            .finish_non_exhaustive()
    }
}

fn hidden<S: serde::Serializer>(password: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if password.is_empty() { "" } else { "***" })
}

/// A setting that cannot be used; the text names it and says what it may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(&'static str);

impl Settings {
    /// Whether every value can be used; asks nothing of the cluster.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let named = |name: &str| {
            (1..=48).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        // These go into the text of a statement: nothing but a name may pass.
        let data_center = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let checks = [
            (!self.nodes.is_empty(), "nodes is empty: name at least one node of the cluster, \"host:port\""),
            (named(&self.keyspace), "keyspace must be 1 to 48 letters, digits or _"),
            (
                self.replication.keys().all(|name| data_center(name)),
                "replication names a data centre by letters, digits, _ - .",
            ),
            ((1..=9).contains(&self.replication_factor), "replication_factor must be 1 to 9"),
            (
                self.replication.values().all(|copies| (1..=9).contains(copies)),
                "replication must be 1 to 9 in each data centre",
            ),
            ((1..=3_650).contains(&self.retention_days), "retention_days must be 1 to 3650"),
            (self.write_timeout_ms >= 100, "write_timeout_ms must be at least 100"),
            (self.read_timeout_ms >= 100, "read_timeout_ms must be at least 100"),
            ((1..=16_384).contains(&self.in_flight_max), "in_flight_max must be 1 to 16384"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, text)) => Err(InvalidSettings(text)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_statement_is_a_name() {
        let valid = Settings { nodes: vec!["127.0.0.1:9042".to_owned()], ..Settings::default() };
        assert_eq!(valid.check(), Ok(()));
        for keyspace in ["", "a b", "x; DROP KEYSPACE y", "über"] {
            assert!(
                Settings { keyspace: keyspace.to_owned(), ..valid.clone() }.check().is_err(),
                "{keyspace}"
            );
        }
        let replication = BTreeMap::from([("dc'1".to_owned(), 3)]);
        assert!(Settings { replication, ..valid.clone() }.check().is_err());
        assert!(Settings { nodes: vec![], ..valid.clone() }.check().is_err());
        assert!(Settings { retention_days: 0, ..valid }.check().is_err());
    }

    #[test]
    fn the_password_is_never_shown() {
        let settings = Settings { password: "geheim".to_owned(), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("geheim"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("geheim"));
    }
}
