//! Accepts stations' sockets and hands them to the workers.

use crate::limits;
use crate::service::{ConnectionPermits, Service};
use crate::worker::{Accepted, Worker};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
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
    socket.listen(limits::ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop`. Sockets without a place are closed at once: none stays unread in the queue.
pub(crate) async fn accept(
    listener: TcpListener,
    service: Arc<Service>,
    workers: Arc<Vec<Worker>>,
    stop: CancellationToken,
) {
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a socket was not accepted");
                tokio::time::sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let permits = match ConnectionPermits::take(&service, peer.ip()) {
            Ok(permits) => permits,
            Err(full) => {
                turn_away(&service, peer, full.label());
                continue;
            }
        };
        let Ok(stream) = prepare(stream) else { continue };
        turn = (turn + 1) % workers.len();
        if workers[turn].take_over(Accepted { stream, peer, permits }).is_err() {
            turn_away(&service, peer, "worker_behind");
        }
    }
}

fn turn_away(service: &Service, peer: SocketAddr, reason: &'static str) {
    service.metrics.turned_away(reason);
    if let Some(left_out) = service.lines.turned_away.next(service.clock.monotonic_ms()) {
        tracing::warn!(%peer, reason, left_out, "a socket was closed at once");
    }
}

fn prepare(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_millis(limits::TCP_KEEPALIVE_MS))
            .with_interval(Duration::from_millis(limits::TCP_KEEPALIVE_MS / 4)),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(limits::TCP_USER_TIMEOUT_MS)))?;
    stream.into_std()
}
