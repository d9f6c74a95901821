//! Threads with a current-thread runtime each; their buffers and counters live per thread.

use crate::connection::{self, Transport};
use crate::limits;
use crate::metrics::FrameCounters;
use crate::registry::Mailbox;
use crate::service::{ConnectionPermits, Service};
use protocol::frame::MessageType;
use protocol::limits::{FRAME_OVERHEAD_BYTES, PAYLOAD_HARD_MAX_BYTES};
use protocol::session::gateway::SCRATCH_BYTES;
use protocol::types::CommandId;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A thread that drives connections.
pub(crate) struct Worker {
    thread: JoinHandle<()>,
    sockets: mpsc::Sender<Accepted>,
}

/// A connection on its way to its worker.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: IpAddr,
    pub(crate) permits: ConnectionPermits,
}

/// What carries a connection.
pub(crate) enum Stream {
    Tcp(std::net::TcpStream),
    Other(Box<dyn Transport>),
}

impl Worker {
    /// Starts a thread. `seed` feeds its nonces; `stop` ends it once its connections are closed.
    pub(crate) fn start(
        number: usize,
        service: Arc<Service>,
        seed: [u8; 32],
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let (sockets, accepted) = mpsc::channel(limits::HANDOVER_SOCKETS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("stations-{number}")).spawn(move || {
            SCRATCH.with_borrow_mut(|scratch| scratch.random = StdRng::from_seed(seed));
            runtime.block_on(run(service, accepted, stop));
            with_scratch(|scratch| scratch.counters.flush());
        })?;
        Ok(Self { thread, sockets })
    }

    /// Hands a socket over, or gives it back if the worker is behind.
    pub(crate) fn take_over(&self, accepted: Accepted) -> Result<(), Accepted> {
        self.sockets.try_send(accepted).map_err(|error| match error {
            mpsc::error::TrySendError::Full(accepted) | mpsc::error::TrySendError::Closed(accepted) => {
                accepted
            }
        })
    }

    /// Waits for the thread's end.
    pub(crate) fn join(self) {
        let Self { thread, sockets } = self;
        drop(sockets);
        if thread.join().is_err() {
            tracing::error!("a station worker panicked");
        }
    }
}

async fn run(service: Arc<Service>, mut accepted: mpsc::Receiver<Accepted>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let mailbox = with_scratch(|scratch| scratch.mailbox.clone());
    let mut flush = tokio::time::interval(Duration::from_millis(limits::COUNTERS_FLUSH_MS));
    loop {
        tokio::select! {
            socket = accepted.recv() => match socket {
                Some(socket) => spawn(&connections, &service, socket),
                None => break,
            },
            () = mailbox.arrived() => mailbox.wake_all(),
            _ = flush.tick() => with_scratch(|scratch| scratch.counters.flush()),
            () = stop.cancelled() => break,
        }
    }
    connections.close();
    // Sessions have been told to end; sockets that never logged in are dropped with the runtime.
    let _ = tokio::time::timeout(Duration::from_millis(limits::FAREWELL_MS), connections.wait()).await;
}

fn spawn(connections: &TaskTracker, service: &Arc<Service>, socket: Accepted) {
    let Accepted { stream, peer, permits } = socket;
    let nonce_g = with_scratch(|scratch| {
        let mut nonce = [0; 16];
        scratch.random.fill_bytes(&mut nonce);
        nonce
    });
    let service = service.clone();
    match stream {
        Stream::Tcp(stream) => match TcpStream::from_std(stream) {
            Ok(stream) => drop(connections.spawn(connection::drive(stream, peer, service, nonce_g, permits))),
            Err(error) => tracing::warn!(%error, "an accepted socket cannot be used"),
        },
        Stream::Other(stream) => {
            connections.spawn(connection::drive(stream, peer, service, nonce_g, permits));
        }
    }
}

/// A worker's buffers: borrowed for the length of one turn, never across an await.
pub(crate) struct Scratch {
    read: Vec<u8>,
    out: Vec<u8>,
    out_length: usize,
    /// A command is among the bytes to write.
    pub(crate) has_command: bool,
    pub(crate) counters: FrameCounters,
    /// Where others leave word for this worker's sessions.
    pub(crate) mailbox: Arc<Mailbox>,
    random: StdRng,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Lends this thread's buffers.
pub(crate) fn with_scratch<R>(use_it: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(use_it)
}

/// A half frame before a whole read of new bytes.
const READ_BYTES: usize = FRAME_OVERHEAD_BYTES + PAYLOAD_HARD_MAX_BYTES as usize + limits::READ_SCRATCH_BYTES;

impl Scratch {
    fn new() -> Self {
        Self {
            read: vec![0; READ_BYTES],
            out: vec![0; limits::WRITE_SCRATCH_BYTES + SCRATCH_BYTES],
            out_length: 0,
            has_command: false,
            counters: FrameCounters::new(),
            mailbox: Arc::default(),
            // Replaced by the worker's own seed before its first use.
            random: StdRng::from_seed([0; 32]),
        }
    }

    /// The read buffer, out of the way while the rest of the scratch is in use.
    pub(crate) fn take_read(&mut self) -> Vec<u8> {
        if self.read.is_empty() {
            // A turn that panicked took it along.
            self.read = vec![0; READ_BYTES];
        }
        std::mem::take(&mut self.read)
    }

    pub(crate) fn put_back(&mut self, read: Vec<u8>) {
        self.read = read;
    }

    /// Room for one frame.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.out[self.out_length..]
    }

    /// A frame of `length` bytes was written to the begin of [`Self::room`].
    pub(crate) fn sent(&mut self, length: usize) {
        self.counters.frame_out(MessageType(self.out[self.out_length + 3]));
        self.out_length += length;
    }

    /// What was gathered for the socket.
    pub(crate) fn out(&self) -> &[u8] {
        &self.out[..self.out_length]
    }

    /// Whether there is no room for another frame.
    pub(crate) fn is_crowded(&self) -> bool {
        self.out.len() - self.out_length < SCRATCH_BYTES
    }

    pub(crate) fn clear_out(&mut self) {
        self.out_length = 0;
    }

    /// A fresh UUIDv7 for a command of the gateway's own.
    pub(crate) fn command_id(&mut self, wall_ms: u64) -> CommandId {
        let mut random = [0; 10];
        self.random.fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(wall_ms, &random).into_uuid().into()
    }
}
