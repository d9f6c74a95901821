//! One station's socket: one task that drives the session machine, without a buffer while idle.
//!
//! A turn takes what others ask of the session (commands first), reads what has arrived into the
//! worker's buffer, parses it in place, lets the session react, and writes everything with one
//! call. Only a half frame and bytes that the socket did not take are kept between turns, and while there
//! are such bytes nothing is read: a station that does not listen is not listened to.

mod flow;
mod received;

use crate::codec::FrameCodec;
use crate::crash;
use crate::lanes::Parked;
use crate::limits;
use crate::reasons::Reason;
use crate::registry::{Asked, Inbox, Leave, SessionHandle};
use crate::service::{ConnectionPermits, Service};
use crate::trace::Traced;
use crate::worker::{Scratch, with_scratch};
use protocol::control::SessionOpened;
use protocol::crypto::Nonce;
use protocol::frame::Decoded;
use protocol::message::RetryReason;
use protocol::message::{Command, GoawayReason};
use protocol::session::CloseReason;
use protocol::session::gateway::{GatewaySession, Output};
use protocol::time::Now;
use protocol::types::CommandId;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use flow::Flow;

/// An open stream of bytes from a station: its socket, or whatever else carries the protocol. What is written must be
/// on its way without a flush.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// A connection between its turns.
pub(crate) struct Connection<T: Transport> {
    stream: T,
    peer: IpAddr,
    service: Arc<Service>,
    session: GatewaySession,
    handle: Option<Arc<SessionHandle>>,
    permits: ConnectionPermits,
    /// The begin of a frame whose rest has not arrived.
    partial: Vec<u8>,
    /// Bytes that the socket did not take.
    backlog: Vec<u8>,
    /// What HELLO said, until the session is announced.
    hello: Option<Box<SessionOpened>>,
    /// Events and samples that found their queue full.
    parked: Option<Box<Parked>>,
    drains: bool,
    /// Answers outside of the event lane that the station owes: one for each COMMAND and each CMD_QUERY.
    reports_due: u16,
    sleeps_until_ms: u64,
    flow: Flow,
    /// RETRY has been counted and logged.
    is_refused: bool,
    end: Option<Reason>,
}

/// Drives a socket from accept to close.
///
/// Written so that the future holds one `Connection` and one alarm: arguments of an `async fn`
/// would be kept beside what is made of them, and the farewell's buffer for the whole session.
pub(crate) fn drive<T: Transport>(
    stream: T,
    peer: IpAddr,
    service: Arc<Service>,
    nonce_g: Nonce,
    permits: ConnectionPermits,
) -> impl Future<Output = ()> + Send {
    let now = service.now();
    let mut session = GatewaySession::new(protocol::crypto::LinkMode::Clear, nonce_g, now);
    if permits.is_crowded() {
        session.hurry(limits::HELLO_CROWDED_MS);
    }
    let mut connection = Connection {
        stream,
        peer,
        session,
        service,
        handle: None,
        permits,
        partial: Vec::new(),
        backlog: Vec::new(),
        hello: None,
        parked: None,
        drains: false,
        reports_due: 0,
        sleeps_until_ms: 0,
        flow: Flow::default(),
        is_refused: false,
        end: None,
    };
    connection.account();
    async move {
        let end = {
            let sleep = tokio::time::sleep(Duration::ZERO);
            tokio::pin!(sleep);
            std::future::poll_fn(|cx| with_scratch(|scratch| connection.turn(cx, sleep.as_mut(), scratch)))
                .await
        };
        Box::pin(connection.finish(end)).await;
    }
}

impl<T: Transport> Connection<T> {
    /// One wake-up: everything that can be done now, then the next alarm is set.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        mut sleep: Pin<&mut Sleep>,
        scratch: &mut Scratch,
    ) -> Poll<Reason> {
        loop {
            scratch.clear_out();
            let now = self.service.now();
            self.take_inbox(scratch, now);
            let reads_on = self.read(cx, scratch, now);
            let was_throttled = self.was_throttled();
            self.handle_time(scratch, now);
            self.flush(cx, scratch, now);
            self.account();
            if let Some(end) = self.end {
                return Poll::Ready(end);
            }
            let is_throttled = self.is_throttled(now);
            if self.session.is_over() || (was_throttled && !is_throttled) {
                // It has something to say, or was not read, and nobody would wake this task for either.
                continue;
            }
            // First the waker, then the look: what comes between the two is not missed.
            if let Some(handle) = &self.handle {
                handle.register(cx.waker());
                if handle.has_pending() && self.backlog.is_empty() {
                    continue;
                }
            }
            if reads_on {
                // The others of this worker get their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_alarm(cx, sleep.as_mut()));
        }
    }

    // What others ask

    fn take_inbox(&mut self, scratch: &mut Scratch, now: Now) {
        let Some(handle) = &self.handle else { return };
        let (events, samples) = (self.service.uplink.window(), self.service.telemetry.window());
        self.session.set_windows(events.frames, samples.frames, now);
        // A socket that takes no bytes gets no command: it stays proven unsent.
        let Some(inbox) = handle.take(self.backlog.is_empty()) else { return };
        self.handle_inbox(inbox, scratch, now);
        self.drain(scratch);
    }

    fn handle_inbox(&mut self, inbox: Inbox, scratch: &mut Scratch, now: Now) {
        if let Some(asked) = &inbox.asked {
            self.ask(asked, scratch, now);
        }
        if let Some(through) = inbox.events_through {
            protocol::crash::point(crash::BEFORE_EVENT_ACK_WRITE);
            self.session.acknowledge_events(through, now);
        }
        // In the order in which they were stored, which is that of the lane.
        let other_boots = inbox.asked.into_iter().flat_map(|asked| asked.samples_through);
        for through in inbox.samples_through.into_iter().chain(other_boots) {
            self.session.acknowledge_samples(through, now);
        }
        match inbox.leave {
            Some(Leave::TakenOver) => self.session.dismiss(GoawayReason::Replaced, now),
            Some(Leave::Quarantined) => self.session.dismiss(GoawayReason::Operator, now),
            Some(Leave::Revoked) => self.session.dismiss(GoawayReason::Revoked, now),
            Some(Leave::Stopped) => self.session.dismiss(GoawayReason::Draining, now),
            Some(Leave::Drained) => {
                self.drains = true;
                let deadline_ms = self.service.settings.drain.deadline_ms as u32;
                self.session.goaway(GoawayReason::Draining, deadline_ms, now);
                self.leave_if_finished(now);
            }
            None => {}
        }
    }

    fn ask(&mut self, asked: &Asked, scratch: &mut Scratch, now: Now) {
        for command in &asked.commands {
            if !self.session.is_open() || self.session.is_draining() {
                self.service.commands.give_up(command);
            } else if self.service.commands.begin_send(command) {
                protocol::crash::point(crash::BEFORE_COMMAND_WRITE);
                let message = Command::from_offer(command.id, &command.offer, self.session.epoch());
                let sent = self.session.send_command(&message, now, scratch.room()).map(<[u8]>::len);
                match sent {
                    Ok(length) => {
                        scratch.sent(length);
                        scratch.has_command = true;
                        self.reports_due = self.reports_due.saturating_add(1);
                    }
                    // Begun and not written: in doubt to the outside, which a query settles.
                    Err(error) => {
                        if let Some(left_out) = self.service.lines.unwritten.next(now.monotonic_ms) {
                            tracing::warn!(cmd_id = %command.id, %error, left_out, "a command was not written");
                        }
                    }
                }
            }
        }
        for query in &asked.queries {
            self.query(*query, scratch, now);
        }
        if asked.query_inventory {
            let cmd_id = scratch.command_id(now.wall_ms);
            if let Ok(length) = self.session.query_inventory(cmd_id, now, scratch.room()).map(<[u8]>::len) {
                scratch.sent(length);
                self.reports_due = self.reports_due.saturating_add(1);
            }
        }
    }

    fn query(&mut self, cmd_id: CommandId, scratch: &mut Scratch, now: Now) {
        if let Ok(length) = self.session.query(cmd_id, now, scratch.room()).map(<[u8]>::len) {
            scratch.sent(length);
            self.reports_due = self.reports_due.saturating_add(1);
        }
    }

    /// A draining session ends once its open ejects have their verdict.
    fn leave_if_finished(&mut self, now: Now) {
        if self.drains && !self.service.commands.has_open(&self.session.station_id()) {
            self.session.dismiss(GoawayReason::Draining, now);
        }
    }

    // What arrives

    /// Answers whether there may be more to read.
    fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Now) -> bool {
        for _ in 0..limits::READS_PER_TURN {
            if self.session.is_over() || self.end.is_some() || self.is_throttled(now) {
                return false;
            }
            if scratch.out().len() > limits::ANSWERS_PER_READ_BYTES {
                return true;
            }
            let mut bytes = scratch.take_read();
            let kept = self.partial.len();
            bytes[..kept].copy_from_slice(&self.partial);
            let mut buffer = ReadBuf::new(&mut bytes[kept..]);
            let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            let read = buffer.filled().len();
            let result = match polled {
                Poll::Pending => {
                    scratch.put_back(bytes);
                    return false;
                }
                Poll::Ready(result) => result,
            };
            if result.is_err() || read == 0 {
                let reason = if result.is_err() { CloseReason::LinkLost } else { CloseReason::PeerClosed };
                self.session.handle_closed(reason);
                self.drain(scratch);
                scratch.put_back(bytes);
                return false;
            }
            scratch.counters.bytes_in += read as u64;
            self.handle_bytes(&bytes[..kept + read], scratch, now);
            scratch.put_back(bytes);
        }
        true
    }

    fn handle_bytes(&mut self, bytes: &[u8], scratch: &mut Scratch, now: Now) {
        let mut at = 0;
        let frames_before = self.session.counts().frames_in;
        while !self.session.is_over() {
            let codec = FrameCodec::new(self.session.payload_max_bytes());
            match codec.next_frame(&bytes[at..]) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    at += consumed;
                    scratch.counters.frame_in(frame.header.kind);
                    self.flow.count_frame();
                    let received = self.session.handle_frame(&frame, now);
                    if self.service.traces.is_active() {
                        self.service.traces.received(self.traced(), &frame);
                    }
                    if let Some(received) = received {
                        self.handle_received(received, frame.payload, &scratch.mailbox, now);
                    }
                }
                Ok(Decoded::Incomplete { .. }) => {
                    if at < bytes.len() {
                        self.session.handle_partial_frame(now);
                    }
                    break;
                }
                Err(error) => self.session.handle_broken_frame(error, now),
            }
            self.drain(scratch);
        }
        self.drain(scratch);
        self.partial.clear();
        if self.session.is_over() || at == bytes.len() {
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(&bytes[at..]);
        }
        // Half a frame proves nothing, and a broken one neither.
        if let Some(handle) = &self.handle
            && self.session.counts().frames_in != frames_before
        {
            handle.seen(now.wall_ms);
            if handle.trust() {
                self.service.registry.announce_change(handle);
            }
            if let Some(rtt_ms) = self.session.round_trip_ms() {
                handle.measured(rtt_ms);
            }
        }
    }

    // Time

    fn handle_time(&mut self, scratch: &mut Scratch, now: Now) {
        if let Some(handle) = &self.handle {
            Parked::retry(&mut self.parked, &self.service, handle);
        }
        if self.session.next_timeout_ms().is_some_and(|at_ms| at_ms <= now.monotonic_ms) {
            self.session.handle_timeout(now);
        }
        if self.drains {
            self.leave_if_finished(now);
        }
        self.end_if_stalled(now);
        self.drain(scratch);
    }

    /// Ready when something is due. The alarm is only moved forward; one that rings early is set anew.
    fn poll_alarm(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        let now_ms = self.service.clock.monotonic_ms();
        let mut due_ms = self.session.next_timeout_ms().unwrap_or(u64::MAX);
        if self.drains {
            due_ms = due_ms.min(now_ms + limits::RETRY_MS);
        }
        if self.parked.is_some() {
            due_ms = due_ms.min(now_ms + Service::retry_ms(&self.service.parked));
        }
        due_ms = due_ms.min(self.next_look_ms(now_ms));
        if self.session.windows().is_some_and(|(_, samples)| samples.frames == 0) {
            due_ms = due_ms.min(now_ms + limits::WINDOW_LOOK_MS);
        }
        if due_ms <= now_ms {
            return Poll::Ready(());
        }
        if self.sleeps_until_ms <= now_ms || due_ms < self.sleeps_until_ms {
            self.sleeps_until_ms = due_ms;
            let wait = Duration::from_millis(due_ms - now_ms);
            let wait = wait.min(Duration::from_millis(limits::ALARM_MAX_MS));
            sleep.as_mut().reset(Instant::now() + wait);
        }
        ready!(sleep.poll(cx));
        self.sleeps_until_ms = 0;
        Poll::Ready(())
    }

    // What is said

    fn drain(&mut self, scratch: &mut Scratch) {
        loop {
            match self.session.poll_output(scratch.room()) {
                Some(Output::Transmit { bytes, .. }) => {
                    let length = bytes.len();
                    scratch.sent(length);
                }
                Some(Output::Suspect) => {
                    if let Some(handle) = &self.handle
                        && handle.suspect(self.service.clock.wall_ms())
                    {
                        self.service.registry.announce_change(handle);
                    }
                }
                Some(Output::Close(reason)) => self.end = self.end.or(Some(Reason::Session(reason))),
                None => return,
            }
            if scratch.is_crowded() {
                self.trace(scratch);
                self.backlog.extend_from_slice(scratch.out());
                scratch.clear_out();
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Now) {
        self.trace(scratch);
        let is_behind = !self.backlog.is_empty();
        if is_behind {
            self.backlog.extend_from_slice(scratch.out());
        }
        let bytes = if is_behind { &self.backlog } else { scratch.out() };
        let (written, is_broken) = write_all_now(&mut self.stream, cx, bytes);
        scratch.counters.bytes_out += written as u64;
        if is_behind {
            self.backlog.drain(..written);
            if written > 0 {
                self.flow.progressed(now.monotonic_ms);
            }
            if self.backlog.is_empty() {
                self.backlog = Vec::new();
            }
        } else {
            self.backlog.extend_from_slice(&scratch.out()[written..]);
        }
        if std::mem::take(&mut scratch.has_command) {
            protocol::crash::point(crash::AFTER_COMMAND_WRITE);
        }
        scratch.clear_out();
        if is_broken {
            // The backlog stays, so that no command is taken for a socket that is gone.
            self.session.handle_closed(CloseReason::LinkLost);
        } else if self.backlog.len() > self.service.settings.write_backlog_bytes_max {
            self.session.handle_closed(CloseReason::LinkLost);
            self.end = Some(Reason::SlowReader);
        }
    }

    fn trace(&self, scratch: &Scratch) {
        if self.service.traces.is_active() {
            self.service.traces.sent(self.traced(), scratch.out());
        }
    }

    fn traced(&self) -> Traced {
        Traced {
            station_id: self.session.station_id(),
            epoch: self.session.epoch(),
            is_session: self.handle.is_some(),
            at_ms: self.service.clock.wall_ms(),
        }
    }

    // The end

    async fn finish(mut self, end: Reason) {
        let at_ms = self.service.clock.wall_ms();
        self.service.metrics.closed(end);
        if self.service.traces.is_active() {
            self.service.traces.closed(self.traced(), end.label());
        }
        self.tell(end);
        self.leave_registry(end, at_ms);
        let says_goodbye = match end {
            Reason::Session(reason) => !matches!(reason, CloseReason::PeerClosed | CloseReason::LinkLost),
            _ => false,
        };
        if says_goodbye {
            let farewell = async {
                if !self.backlog.is_empty() {
                    self.stream.write_all(&self.backlog).await?;
                }
                self.stream.shutdown().await?;
                // Unread bytes would turn the close into a reset, and the last word would be lost.
                let (mut rest, mut left) = ([0; 512], limits::FAREWELL_READ_BYTES);
                while left > 0 {
                    match tokio::io::AsyncReadExt::read(&mut self.stream, &mut rest).await? {
                        0 => break,
                        read => left = left.saturating_sub(read),
                    }
                }
                std::io::Result::Ok(())
            };
            let _ = tokio::time::timeout(Duration::from_millis(limits::FAREWELL_MS), farewell).await;
        }
    }

    fn leave_registry(&mut self, end: Reason, at_ms: u64) {
        let Some(handle) = self.handle.take() else { return };
        self.service.registry.remove(&handle, end.label(), at_ms);
        // After the route is gone: what was never written finds the next session or is proven unsent.
        self.service.commands.hand_over(handle.close());
    }

    fn tell(&mut self, end: Reason) {
        if end == Reason::Session(CloseReason::Refused) {
            // The session itself refuses one thing only: a message set that is not spoken here.
            if !self.is_refused {
                self.note_refusal(Reason::Retry(RetryReason::Version), 0);
            }
            return;
        }
        let Some(left_out) = self.service.lines.closed.next(self.service.clock.monotonic_ms()) else {
            return;
        };
        let (peer, reason) = (self.peer, end.label());
        match &self.handle {
            Some(handle) => {
                tracing::info!(station_id = %handle.station_id, epoch = %handle.epoch, %peer, reason, left_out, "session closed");
            }
            None => {
                let station_id = self.session.station_id();
                tracing::info!(%station_id, %peer, reason, left_out, "closed before its login");
            }
        }
    }
}

impl<T: Transport> Drop for Connection<T> {
    /// A fault of ours ends one session as any other end would: nobody takes it for one that listens.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let end = Reason::Session(CloseReason::Internal);
            self.service.metrics.closed(end);
            self.leave_registry(end, self.service.clock.wall_ms());
        }
    }
}

/// Writes until the socket takes no more: how much, and whether it is broken.
fn write_all_now(stream: &mut impl Transport, cx: &mut Context<'_>, bytes: &[u8]) -> (usize, bool) {
    let mut written = 0;
    while written < bytes.len() {
        match Pin::new(&mut *stream).poll_write(cx, &bytes[written..]) {
            Poll::Ready(Ok(count)) if count > 0 => written += count,
            Poll::Ready(_) => return (written, true),
            Poll::Pending => break,
        }
    }
    (written, false)
}

/// What a task of this future costs before it has allocated anything.
fn future_bytes<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
    size_of::<F>()
}

/// What one connection takes in its task.
pub(crate) fn task_bytes() -> usize {
    future_bytes(drive::<tokio::net::TcpStream>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_small() {
        let (task, handle) = (task_bytes(), size_of::<SessionHandle>());
        assert!(task + handle <= 1_024, "task {task} bytes, handle {handle} bytes");
    }
}
