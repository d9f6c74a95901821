//! Every way in which a socket does not get a session, or loses it: one closed set of labels.
//!
//! `chautari_gateway_refusals_total{reason}` counts what never became a session,
//! `chautari_gateway_closes_total{reason}` every connection that ended; log lines and the presence
//! stream use the same words. All series exist from the start, at zero.

use protocol::message::RetryReason;
use protocol::session::CloseReason;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Closed at accept: `connections_max` sockets are open.
    ConnectionsMax,
    /// Closed at accept: `handshakes_max` sockets are before their login.
    HandshakesMax,
    /// Closed at accept: `block_handshakes_max` sockets of one carrier block are before their login.
    BlockHandshakesMax,
    /// Closed at accept, or refused at login: `stations_bytes_max` is nearly used up.
    BytesMax,
    /// Closed at accept: the worker does not keep up with new sockets.
    WorkerBehind,
    /// Closed at accept: the process has no file descriptor left.
    NoDescriptor,
    /// Closed at accept: the socket failed before it was handed over.
    SocketFailed,
    /// A login was answered by RETRY, with this reason.
    Retry(RetryReason),
    /// The session machine ended the connection.
    Session(CloseReason),
    /// The station did not read: `write_backlog_bytes_max`, or `stalled_ms_max` without progress.
    SlowReader,
    /// More than its part of `station_bytes_max` waited with the connection for `stalled_ms_max`.
    OverBudget,
}

impl Reason {
    const AT_ACCEPT: [Self; 7] = [
        Self::ConnectionsMax,
        Self::HandshakesMax,
        Self::BlockHandshakesMax,
        Self::BytesMax,
        Self::WorkerBehind,
        Self::NoDescriptor,
        Self::SocketFailed,
    ];

    /// All labels of `chautari_gateway_refusals_total`.
    pub fn refusals() -> impl Iterator<Item = Self> {
        let of_logins = RetryReason::ALL.iter().copied().chain([RetryReason::Unknown(u8::MAX)]);
        Self::AT_ACCEPT.into_iter().chain(of_logins.map(Self::Retry))
    }

    /// All labels of `chautari_gateway_closes_total`.
    pub fn closes() -> impl Iterator<Item = Self> {
        CloseReason::ALL.iter().copied().map(Self::Session).chain([Self::SlowReader, Self::OverBudget])
    }

    /// The word in metrics, logs and the presence stream.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConnectionsMax => "connections_max",
            Self::HandshakesMax => "handshakes_max",
            Self::BlockHandshakesMax => "block_handshakes_max",
            Self::BytesMax => "bytes_max",
            Self::WorkerBehind => "worker_behind",
            Self::NoDescriptor => "no_descriptor",
            Self::SocketFailed => "socket_failed",
            Self::Retry(reason) => reason.label(),
            Self::Session(reason) => reason.label(),
            Self::SlowReader => "slow_reader",
            Self::OverBudget => "over_budget",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_words_and_none_means_two_things() {
        for all in [Reason::refusals().collect::<Vec<_>>(), Reason::closes().collect()] {
            let labels: BTreeSet<_> = all.iter().map(|reason| reason.label()).collect();
            assert_eq!(labels.len(), all.len());
            let is_word = |label: &str| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(labels.iter().all(|label| is_word(label)), "{labels:?}");
        }
    }
}
