//! A stream of bytes in memory between a server and a station of the same process.
//!
//! It holds memory for bytes only while there are any, so that what is measured beside it is the server's.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
struct Pipe {
    flow: Mutex<Flow>,
    arrived: Condvar,
}

#[derive(Default)]
struct Flow {
    to_server: Vec<u8>,
    to_station: Vec<u8>,
    server: Option<Waker>,
    is_closed: bool,
}

impl Pipe {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut flow = self.flow();
        flow.is_closed = true;
        let server = flow.server.take();
        drop(flow);
        self.arrived.notify_all();
        server.into_iter().for_each(Waker::wake);
    }
}

/// What the server reads and writes.
pub(super) struct ServerEnd(Arc<Pipe>);

/// What a station reads and writes; a read waits for bytes.
pub(super) struct StationEnd(Arc<Pipe>);

/// Both ends of a new stream.
pub(super) fn pair() -> (ServerEnd, StationEnd) {
    let pipe = Arc::new(Pipe::default());
    (ServerEnd(pipe.clone()), StationEnd(pipe))
}

/// Moves as many bytes as there is room for.
fn take(from: &mut Vec<u8>, room: usize, put: impl FnOnce(&[u8])) -> usize {
    let taken = from.len().min(room);
    put(&from[..taken]);
    if taken == from.len() {
        *from = Vec::new();
    } else {
        from.drain(..taken);
    }
    taken
}

impl AsyncRead for ServerEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut flow = self.0.flow();
        if flow.to_server.is_empty() && !flow.is_closed {
            flow.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        take(&mut flow.to_server, buffer.remaining(), |bytes| buffer.put_slice(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut flow = self.0.flow();
        if flow.is_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        flow.to_station.extend_from_slice(bytes);
        drop(flow);
        self.0.arrived.notify_one();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Read for StationEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut flow = self.0.flow();
        while flow.to_station.is_empty() && !flow.is_closed {
            flow = self.0.arrived.wait(flow).unwrap_or_else(PoisonError::into_inner);
        }
        let room = buffer.len();
        Ok(take(&mut flow.to_station, room, |bytes| buffer[..bytes.len()].copy_from_slice(bytes)))
    }
}

impl Write for StationEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut flow = self.0.flow();
        if flow.is_closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        flow.to_server.extend_from_slice(bytes);
        let server = flow.server.take();
        drop(flow);
        server.into_iter().for_each(Waker::wake);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StationEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}
