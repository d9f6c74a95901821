//! What the machine must allow a process that holds many sockets: looked at when it starts, and told with the command
//! that mends it. Everything is read from `/proc`; where that is missing, nothing is said.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// Descriptors beside connections: books, telemetry files, calls to the outside.
const OTHERS: u64 = 512;
/// A socket that has bytes to read and bytes to write holds at least a page of each.
const PAGES_PER_SOCKET: u64 = 2;

/// Raises the limit of file descriptors as far as it may go, and answers what it is then; `None` is no limit.
pub(crate) fn raise_descriptors() -> Option<u64> {
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

/// What the kernel allows; nothing where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The longest queue of sockets that wait to be accepted.
    accept_queue_max: Option<u64>,
    /// Pages that all TCP sockets may use before the kernel takes some away.
    tcp_pressure_pages: Option<u64>,
    /// Connections that the firewall keeps track of, if it does.
    tracked_connections_max: Option<u64>,
    /// Ports that outgoing connections get: the first and the last.
    local_ports: Option<(u64, u64)>,
}

impl Kernel {
    /// The kernel of this machine.
    pub(crate) fn running() -> Self {
        Self::of(|name| fs::read_to_string(format!("/proc/sys/{name}")).ok())
    }

    /// What these files say, by their names below `/proc/sys`.
    fn of(read: impl Fn(&str) -> Option<String>) -> Self {
        let numbers = |name| {
            let text = read(name)?;
            text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>()
        };
        let number = |name| numbers(name)?.first().copied();
        Self {
            accept_queue_max: number("net/core/somaxconn"),
            tcp_pressure_pages: numbers("net/ipv4/tcp_mem").and_then(|pages| pages.get(1).copied()),
            tracked_connections_max: number("net/netfilter/nf_conntrack_max"),
            local_ports: numbers("net/ipv4/ip_local_port_range")
                .and_then(|ports| Some((*ports.first()?, *ports.get(1)?))),
        }
    }

    /// What a server with these settings lacks, a sentence each, with what mends it.
    pub(crate) fn shortages(&self, descriptors: Option<u64>, settings: &Settings) -> Vec<String> {
        let connections = settings.gateway.connections_max.saturating_add(settings.backend.connections_max);
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        let backlog = u64::try_from(gateway::limits::ACCEPT_BACKLOG).unwrap_or_default();
        [
            few_descriptors(descriptors, connections.saturating_add(OTHERS)),
            self.short_accept_queue(backlog),
            self.little_tcp_memory(connections.saturating_mul(PAGES_PER_SOCKET)),
            self.few_tracked_connections(connections),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn short_accept_queue(&self, needed: u64) -> Option<String> {
        let allowed = self.accept_queue_max.filter(|allowed| *allowed < needed)?;
        Some(format!(
            "the kernel queues {allowed} sockets until they are accepted, and a storm of logins needs {needed}: \
             `sysctl -w net.core.somaxconn={needed}`, then start this process again"
        ))
    }

    fn little_tcp_memory(&self, needed: u64) -> Option<String> {
        let allowed = self.tcp_pressure_pages.filter(|allowed| *allowed < needed)?;
        // The kernel's own proportions: from 3/4 on it looks, beyond 3/2 it drops segments.
        let (low, high) = (needed / 4 * 3, needed / 2 * 3);
        Some(format!(
            "above {allowed} pages the kernel takes memory away from TCP sockets, and gateway.connections_max and \
             backend.connections_max need {needed}: `sysctl -w net.ipv4.tcp_mem='{low} {needed} {high}'`, or lower both"
        ))
    }

    fn few_tracked_connections(&self, needed: u64) -> Option<String> {
        let allowed = self.tracked_connections_max.filter(|allowed| *allowed < needed)?;
        Some(format!(
            "the firewall tracks {allowed} connections and drops new ones beyond them without a word, and \
             gateway.connections_max and backend.connections_max need {needed}: \
             `sysctl -w net.netfilter.nf_conntrack_max={needed}`"
        ))
    }

    /// What a client lacks that opens so many connections to one address, each `sources` from another one of its own.
    pub(crate) fn local_ports_shortage(&self, connections: u64, sources: u64) -> Option<String> {
        let (first, last) = self.local_ports?;
        let allowed = (last.saturating_sub(first) + 1).saturating_mul(sources);
        (allowed < connections).then(|| {
            format!(
                "{sources} address(es) have {allowed} local ports and {connections} stations need one each: \
                 `sysctl -w net.ipv4.ip_local_port_range='10240 65535'`, or fewer stations"
            )
        })
    }
}

fn few_descriptors(limit: Option<u64>, needed: u64) -> Option<String> {
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "this process may open {limit} file descriptors, and gateway.connections_max and backend.connections_max \
         need {needed}: start it after `ulimit -n {needed}` (systemd: LimitNOFILE={needed}), or lower both"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 18 000 stations and 1 000 riders.
    fn settings() -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chautari.toml");
        std::fs::write(&file, "[gateway]\nconnections_max = 18000\n[backend]\nconnections_max = 1000\n")
            .unwrap();
        Settings::load(Some(&file), dir.path()).unwrap()
    }

    fn kernel(texts: &[(&str, &str)]) -> Kernel {
        Kernel::of(|name| texts.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn the_soft_limit_rises_to_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let lower = limit.maximum.map_or(1_024, |hard| hard - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum: limit.maximum }).unwrap();
        assert_eq!(raise_descriptors(), limit.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }

    #[test]
    fn each_shortage_is_told_with_what_mends_it() {
        let settings = settings();
        let poor = |name, text| kernel(&[(name, text)]).shortages(None, &settings);
        for (told, mended) in [
            (Kernel::default().shortages(Some(1_024), &settings), "`ulimit -n 19512`"),
            (Kernel::default().shortages(Some(19_511), &settings), "LimitNOFILE=19512"),
            (poor("net/core/somaxconn", "128\n"), "`sysctl -w net.core.somaxconn=4096`"),
            (
                poor("net/ipv4/tcp_mem", "20000\t30000\t45000\n"),
                "`sysctl -w net.ipv4.tcp_mem='28500 38000 57000'`",
            ),
            (
                poor("net/netfilter/nf_conntrack_max", "8192\n"),
                "`sysctl -w net.netfilter.nf_conntrack_max=19000`",
            ),
        ] {
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(mended), "{told:?}");
        }
    }

    #[test]
    fn a_machine_that_allows_enough_hears_nothing() {
        let enough = kernel(&[
            ("net/core/somaxconn", "4096\n"),
            ("net/ipv4/tcp_mem", "28500\t38000\t57000\n"),
            ("net/netfilter/nf_conntrack_max", "19000\n"),
            ("net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ]);
        assert_eq!(enough.shortages(Some(19_512), &settings()), Vec::<String>::new());
        assert_eq!(enough.local_ports_shortage(28_232, 1), None);
    }

    #[test]
    fn a_kernel_that_does_not_say_is_not_judged() {
        for silent in [kernel(&[]), kernel(&[("net/core/somaxconn", "many\n"), ("net/ipv4/tcp_mem", "1\n")])]
        {
            assert_eq!(silent, Kernel::default());
            assert_eq!(silent.shortages(None, &settings()), Vec::<String>::new());
            assert_eq!(silent.local_ports_shortage(u64::MAX, 1), None);
        }
    }

    #[test]
    fn ports_of_a_client_are_counted_for_each_of_its_addresses() {
        let kernel = kernel(&[("net/ipv4/ip_local_port_range", "32768\t60999\n")]);
        let told = kernel.local_ports_shortage(28_233, 1).unwrap();
        assert!(told.contains("`sysctl -w net.ipv4.ip_local_port_range='10240 65535'`"), "{told}");
        assert_eq!(kernel.local_ports_shortage(28_233, 2), None);
    }
}
