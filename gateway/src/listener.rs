//! Accepts stations' sockets and hands them to the workers.
//!
//! The accept queue is always drained: a socket without a place is closed at once, so that its station hears of
//! it and comes back by its own back-off. That needs a file descriptor for a moment, even when the
//! process has none left; a few are kept in reserve for it.

use crate::limits;
use crate::reasons::Reason;
use crate::service::{ConnectionPermits, Service};
use crate::worker::{Accepted, Stream, Worker};
use futures::FutureExt;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Binds the station port with a long queue.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind_stations(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Before the first station can connect: a socket has what its listener had at that moment.
    prepare(&SockRef::from(&socket))?;
    socket.listen(limits::ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop`.
pub(crate) async fn accept(
    listener: TcpListener,
    service: Arc<Service>,
    workers: Arc<Vec<Worker>>,
    stop: CancellationToken,
) {
    if let Err(error) = prepare(&SockRef::from(&listener)) {
        tracing::warn!(%error, "stations' sockets have the system's time-outs");
    }
    let mut acceptor =
        Acceptor { listener, service, workers, turn: 0, reserve: Reserve::new(), pause: Pause::new() };
    tokio::select! {
        () = acceptor.run() => {}
        () = stop.cancelled() => {}
    }
}

struct Acceptor {
    listener: TcpListener,
    service: Arc<Service>,
    workers: Arc<Vec<Worker>>,
    turn: usize,
    reserve: Reserve,
    pause: Pause,
}

impl Acceptor {
    async fn run(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.pause.reset();
                    self.place(stream, peer);
                }
                Err(error) => {
                    self.tell_failure(&error);
                    if !(is_exhausted(&error) && self.refuse_waiting()) {
                        self.pause.wait().await;
                    }
                }
            }
        }
    }

    fn place(&mut self, stream: TcpStream, peer: SocketAddr) {
        let permits = match ConnectionPermits::take(&self.service, peer.ip()) {
            Ok(permits) => permits,
            Err(reason) => return turn_away(&self.service, peer, reason),
        };
        let Ok(stream) = prepared(stream) else {
            return turn_away(&self.service, peer, Reason::SocketFailed);
        };
        self.turn = (self.turn + 1) % self.workers.len();
        let accepted = Accepted { stream: Stream::Tcp(stream), peer: peer.ip(), permits };
        if self.workers[self.turn].take_over(accepted).is_err() {
            turn_away(&self.service, peer, Reason::WorkerBehind);
        }
    }

    /// Closes the sockets that wait, one after the other in the reserved descriptor. Answers whether there
    /// was any: if not, another thread was quicker to take it.
    fn refuse_waiting(&mut self) -> bool {
        self.reserve.release();
        let mut refused = 0;
        while refused < limits::REFUSALS_IN_A_ROW
            && let Some(Ok((stream, peer))) = self.listener.accept().now_or_never()
        {
            drop(stream);
            turn_away(&self.service, peer, Reason::NoDescriptor);
            refused += 1;
        }
        self.reserve.take_back();
        refused > 0
    }

    fn tell_failure(&self, error: &io::Error) {
        if let Some(left_out) = self.service.lines.accept_failed.next(self.service.clock.monotonic_ms()) {
            let connections = self.service.connections.load(std::sync::atomic::Ordering::Relaxed);
            if is_exhausted(error) {
                tracing::error!(%error, connections, left_out, "no file descriptor is left: new stations are closed; raise `ulimit -n` or lower gateway.connections_max");
            } else {
                tracing::warn!(%error, connections, left_out, "a socket was not accepted");
            }
        }
    }
}

fn turn_away(service: &Service, peer: SocketAddr, reason: Reason) {
    service.metrics.refused(reason);
    if let Some(left_out) = service.lines.turned_away.next(service.clock.monotonic_ms()) {
        tracing::warn!(%peer, reason = reason.label(), left_out, "a socket was closed at once");
    }
}

/// File descriptors for the moment in which there is no other. More than one, because another thread may be
/// quicker to take what is released.
struct Reserve(Vec<File>);

impl Reserve {
    fn new() -> Self {
        let mut reserve = Self(Vec::with_capacity(limits::RESERVED_DESCRIPTORS));
        reserve.take_back();
        reserve
    }

    fn release(&mut self) {
        self.0.pop();
    }

    /// What cannot be had now is tried again after the next failed accept.
    fn take_back(&mut self) {
        while self.0.len() < limits::RESERVED_DESCRIPTORS
            && let Ok(file) = File::open("/dev/null")
        {
            self.0.push(file);
        }
    }
}

/// A growing pause between accepts that fail.
struct Pause {
    next_ms: u64,
}

impl Pause {
    const fn new() -> Self {
        Self { next_ms: limits::ACCEPT_PAUSE_MIN_MS }
    }

    const fn reset(&mut self) {
        *self = Self::new();
    }

    async fn wait(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.next_ms)).await;
        self.next_ms = (self.next_ms * 2).min(limits::ACCEPT_PAUSE_MAX_MS);
    }
}

/// EMFILE, the process has no descriptor left, or ENFILE, the system has none: the numbers are those of every Unix.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// What a socket of a station needs: frames leave at once, and a peer that is gone is noticed.
fn prepare(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_millis(limits::TCP_KEEPALIVE_MS))
            .with_interval(Duration::from_millis(limits::TCP_KEEPALIVE_MS / 4)),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(limits::TCP_USER_TIMEOUT_MS)))?;
    Ok(())
}

/// An accepted socket, ready for its worker. On Linux it has what its listener was given, which saves five calls for
/// each login.
fn prepared(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    #[cfg(not(target_os = "linux"))]
    prepare(&SockRef::from(&stream))?;
    stream.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_has_all_that_a_station_needs() {
        let listener = bind_stations("127.0.0.1:0".parse().unwrap()).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = prepared(listener.accept().await.unwrap().0).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_millis(limits::TCP_KEEPALIVE_MS));
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_millis(limits::TCP_USER_TIMEOUT_MS))
        );
    }
}
