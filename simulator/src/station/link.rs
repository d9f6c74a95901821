//! The station's modem: one TCP connection, never waited for.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::limits::{OUTBOX_MAX_BYTES, READ_BYTES};

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The connection and the bytes on both sides of it.
#[derive(Default)]
pub(super) struct Link {
    socket: Socket,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Connections that the station has given up while they were half open: the other end must not see it.
    abandoned: Vec<TcpStream>,
    is_frozen: bool,
}

#[derive(Default)]
enum Socket {
    #[default]
    None,
    Connecting(Connecting),
    Open(TcpStream),
}

/// What the modem has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// The connection is open.
    Connected,
    /// The connection did not come about.
    Failed,
    /// Bytes arrived: [`Link::take_received`].
    Received,
    /// Some bytes left.
    Sent,
    /// The other end closed it.
    Closed,
    /// It broke.
    Lost,
}

impl Link {
    pub(super) fn connect(&mut self, address: &str) {
        self.drop_now();
        let address = address.to_owned();
        self.socket = Socket::Connecting(Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }));
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.socket, Socket::Open(_))
    }

    /// Waits for anything; may be dropped at any moment.
    pub(super) async fn ready(&mut self) -> Ready {
        if self.is_frozen {
            return pending().await;
        }
        match &mut self.socket {
            Socket::None => pending().await,
            Socket::Connecting(connecting) => match connecting.await {
                Ok(stream) => {
                    self.socket = Socket::Open(stream);
                    Ready::Connected
                }
                Err(_) => {
                    self.socket = Socket::None;
                    Ready::Failed
                }
            },
            Socket::Open(stream) => {
                let is_full = !self.outbox.is_empty();
                let interest =
                    if is_full { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
                match stream.ready(interest).await {
                    Ok(ready) if ready.is_readable() || ready.is_read_closed() => self.read(),
                    Ok(_) => {
                        self.flush();
                        Ready::Sent
                    }
                    Err(_) => Ready::Lost,
                }
            }
        }
    }

    fn read(&mut self) -> Ready {
        let Socket::Open(stream) = &self.socket else { return Ready::Lost };
        let mut buffer = [0; READ_BYTES];
        match stream.try_read(&mut buffer) {
            Ok(0) => Ready::Closed,
            Ok(length) => {
                self.inbox.extend_from_slice(&buffer[..length]);
                Ready::Received
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ready::Sent,
            Err(_) => Ready::Lost,
        }
    }

    /// All bytes that arrived and were not given back.
    pub(super) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Bytes that are not a whole frame yet.
    pub(super) fn give_back(&mut self, rest: &[u8]) {
        if self.is_open() && !rest.is_empty() {
            self.inbox = rest.to_vec();
        }
    }

    /// Takes bytes to be written; they leave with the next [`flush`](Self::flush). `false` if nothing leaves any more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        if self.is_frozen {
            return true;
        }
        self.outbox.extend_from_slice(bytes);
        self.outbox.len() <= OUTBOX_MAX_BYTES
    }

    /// Hands as much to the socket as it takes.
    pub(super) fn flush(&mut self) {
        let Socket::Open(stream) = &self.socket else { return };
        while !self.outbox.is_empty() && !self.is_frozen {
            match stream.try_write(&self.outbox) {
                Ok(length) => {
                    self.outbox.drain(..length);
                }
                // A broken connection shows itself at the next read.
                Err(_) => return,
            }
        }
    }

    /// From now on nothing is read or written, and nobody is told.
    pub(super) fn freeze(&mut self) {
        self.is_frozen = true;
        self.outbox.clear();
    }

    /// The network is back; what was half open breaks.
    pub(super) fn thaw(&mut self) {
        self.is_frozen = false;
        self.abandoned.clear();
        self.drop_now();
    }

    /// Writes what is left and closes.
    pub(super) fn close(&mut self) {
        self.flush();
        self.drop_now();
    }

    /// The connection is no more, whatever was on its way.
    pub(super) fn drop_now(&mut self) {
        let socket = std::mem::take(&mut self.socket);
        if let (Socket::Open(stream), true) = (socket, self.is_frozen) {
            self.abandoned.push(stream);
        }
        self.inbox = Vec::new();
        self.outbox = Vec::new();
    }
}
