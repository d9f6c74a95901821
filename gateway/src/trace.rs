//! Live tracing of one station: its frames, explained, for whoever asks and for a while.
//!
//! While nobody traces, a connection looks at one atomic number. What a slow reader cannot take is
//! counted and said, never kept. Nonces, proofs, MACs and keys are not explained, so they cannot leak.

use crate::limits;
use crate::registry::Registry;
use bytes::Bytes;
use futures::Stream;
use protocol::clock::Clock;
use protocol::control::{InstanceId, TraceDirection, TraceEnd, TraceLine, TracedFrame};
use protocol::explain;
use protocol::frame::{self, Decoded, Frame};
use protocol::limits::{FRAME_OVERHEAD_BYTES, PAYLOAD_HARD_MAX_BYTES};
use protocol::types::{Epoch, StationId};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// Who traces whom.
#[derive(Default)]
pub struct TraceHub {
    count: AtomicUsize,
    tracers: RwLock<Vec<Arc<Tracer>>>,
}

/// One reader of one station's frames.
struct Tracer {
    station_id: StationId,
    lines: mpsc::Sender<TraceLine>,
    dropped: AtomicU64,
}

/// A connection at the moment of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced {
    pub(crate) station_id: StationId,
    pub(crate) epoch: Epoch,
    pub(crate) is_session: bool,
    pub(crate) at_ms: u64,
}

impl TraceHub {
    /// Nobody traces.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether anybody traces any station.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// A station's frame was read.
    pub(crate) fn received(&self, of: Traced, frame: &Frame<'_>) {
        self.tell(&of, || of.frame(TraceDirection::FromStation, frame));
    }

    /// These whole frames are about to be written.
    pub(crate) fn sent(&self, of: Traced, mut bytes: &[u8]) {
        while let Ok(Decoded::Complete { frame, consumed }) = frame::decode(bytes, PAYLOAD_HARD_MAX_BYTES) {
            self.tell(&of, || of.frame(TraceDirection::ToStation, &frame));
            bytes = &bytes[consumed..];
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&self, of: Traced, reason: &'static str) {
        let Traced { epoch, is_session, at_ms, .. } = of;
        self.tell(&of, || TraceLine::Closed { at_ms, epoch, is_session, reason: reason.to_owned() });
    }

    fn tell(&self, of: &Traced, line: impl Fn() -> TraceLine) {
        let tracers = self.tracers.read().unwrap_or_else(PoisonError::into_inner);
        for tracer in tracers.iter().filter(|tracer| tracer.station_id == of.station_id) {
            tracer.tell(of.is_session, &line);
        }
    }

    /// A reader, unless there are enough.
    fn enter(self: &Arc<Self>, station_id: StationId) -> Option<Reader> {
        let (lines, received) = mpsc::channel(limits::TRACE_LINES_MAX);
        let tracer = Arc::new(Tracer { station_id, lines, dropped: AtomicU64::new(0) });
        let mut tracers = self.tracers.write().unwrap_or_else(PoisonError::into_inner);
        if tracers.len() >= limits::TRACERS_MAX {
            return None;
        }
        tracers.push(tracer.clone());
        self.count.store(tracers.len(), Ordering::Relaxed);
        Some(Reader { hub: self.clone(), tracer, received })
    }
}

impl Traced {
    fn frame(&self, direction: TraceDirection, frame: &Frame<'_>) -> TraceLine {
        let mut text = explain::describe(frame);
        if text.len() > limits::TRACE_TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(limits::TRACE_TEXT_BYTES_MAX));
            text.push('…');
        }
        TraceLine::Frame(TracedFrame {
            at_ms: self.at_ms,
            direction,
            epoch: self.epoch,
            is_session: self.is_session,
            message: format!("{:?}", frame.header.kind),
            seq: frame.header.seq,
            ack: frame.header.ack,
            bytes: (FRAME_OVERHEAD_BYTES + frame.payload.len()) as u32,
            text,
        })
    }
}

impl Tracer {
    /// A frame is explained only if there is room for the line. Before the login anybody can say that he is this
    /// station, so half of the room is for its session.
    fn tell(&self, is_session: bool, line: impl Fn() -> TraceLine) {
        if !is_session && self.lines.capacity() <= limits::TRACE_LINES_MAX / 2 {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(missed) = self.take_dropped()
            && self.lines.try_send(missed.clone()).is_err()
        {
            let TraceLine::Dropped { lines } = missed else { return };
            self.dropped.fetch_add(lines + 1, Ordering::Relaxed);
            return;
        }
        match self.lines.try_reserve() {
            Ok(room) => room.send(line()),
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn take_dropped(&self) -> Option<TraceLine> {
        let lines = self.dropped.swap(0, Ordering::Relaxed);
        (lines > 0).then_some(TraceLine::Dropped { lines })
    }
}

/// The reading end; dropping it ends the trace.
struct Reader {
    hub: Arc<TraceHub>,
    tracer: Arc<Tracer>,
    received: mpsc::Receiver<TraceLine>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut tracers = self.hub.tracers.write().unwrap_or_else(PoisonError::into_inner);
        tracers.retain(|tracer| !Arc::ptr_eq(tracer, &self.tracer));
        self.hub.count.store(tracers.len(), Ordering::Relaxed);
    }
}

/// Newline-delimited [`TraceLine`]s of a station for so long, until `shutdown`, or until the reader goes away.
///
/// `None`: there are [`limits::TRACERS_MAX`] already.
pub fn follow(
    instance_id: InstanceId,
    station_id: StationId,
    seconds: u64,
    hub: &Arc<TraceHub>,
    registry: &Registry,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Option<impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static> {
    let reader = hub.enter(station_id)?;
    let lasts = Duration::from_secs(seconds);
    let now_ms = clock.wall_ms();
    let begin = TraceLine::Begin {
        instance_id,
        station_id,
        now_ms,
        until_ms: now_ms + seconds * 1_000,
        epoch: registry.route(&station_id).map(|session| session.epoch),
    };
    let trace = Trace {
        reader,
        clock,
        shutdown,
        end: Box::pin(tokio::time::sleep(lasts)),
        begin: Some(begin),
        is_over: false,
    };
    Some(futures::stream::unfold(trace, |mut trace| async move {
        let chunk = trace.next_chunk().await?;
        Some((Ok(chunk), trace))
    }))
}

struct Trace {
    reader: Reader,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    end: Pin<Box<Sleep>>,
    begin: Option<TraceLine>,
    is_over: bool,
}

impl Trace {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if let Some(begin) = self.begin.take() {
            return Some(lines(&[begin]));
        }
        if self.is_over {
            return None;
        }
        let mut told = Vec::new();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => self.finish(&mut told, TraceEnd::Stopping),
            () = &mut self.end => self.finish(&mut told, TraceEnd::TimeOver),
            Some(line) = self.reader.received.recv() => {
                told.push(line);
                self.take_waiting(&mut told);
            }
            () = tokio::time::sleep(Duration::from_millis(limits::TRACE_TICK_MS)) => {
                told.extend(self.reader.tracer.take_dropped());
                told.push(TraceLine::Tick { now_ms: self.clock.wall_ms() });
            }
        }
        Some(lines(&told))
    }

    fn finish(&mut self, told: &mut Vec<TraceLine>, reason: TraceEnd) {
        self.is_over = true;
        self.take_waiting(told);
        told.extend(self.reader.tracer.take_dropped());
        told.push(TraceLine::End { reason });
    }

    fn take_waiting(&mut self, told: &mut Vec<TraceLine>) {
        while told.len() < limits::TRACE_LINES_MAX
            && let Ok(line) = self.reader.received.try_recv()
        {
            told.push(line);
        }
    }
}

fn lines(told: &[TraceLine]) -> Bytes {
    let mut text = Vec::new();
    for line in told {
        // Lines are plain data with string keys, so writing them to memory cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::PresenceHub;
    use futures::StreamExt;
    use protocol::clock::ManualClock;
    use protocol::message::Message;

    const STATION: StationId = StationId([1; 16]);

    fn heartbeats(count: u32) -> Vec<u8> {
        let mut all = Vec::new();
        for seq in 1..=count {
            let mut bytes = [0; 64];
            let message = Message::Heartbeat;
            let length =
                frame::encode(&message.header(seq, 0), None, &mut bytes, |writer| message.encode(writer))
                    .unwrap();
            all.extend_from_slice(&bytes[..length]);
        }
        all
    }

    async fn next_lines(
        stream: &mut (impl Stream<Item = Result<Bytes, Infallible>> + Unpin),
    ) -> Vec<TraceLine> {
        let chunk = stream.next().await.unwrap().unwrap();
        chunk
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_told_how_many_lines_it_missed_and_the_trace_ends_by_itself() {
        let hub = Arc::new(TraceHub::new());
        let registry =
            Registry::new(Arc::new(PresenceHub::new()), crate::config::FlappingSettings::default());
        let clock = Arc::new(ManualClock::at(7));
        let stop = CancellationToken::new();
        assert!(!hub.is_active());
        let stream = follow(InstanceId::nil(), STATION, 60, &hub, &registry, clock, stop);
        let mut stream = Box::pin(stream.unwrap());
        assert!(hub.is_active());
        let of = Traced { station_id: STATION, epoch: Epoch(3), is_session: true, at_ms: 9 };
        let too_many = limits::TRACE_LINES_MAX as u32 + 3;
        hub.sent(of, &heartbeats(too_many));
        hub.sent(Traced { station_id: StationId([2; 16]), ..of }, &heartbeats(1));
        assert!(matches!(next_lines(&mut stream).await[..], [TraceLine::Begin { until_ms: 60_007, .. }]));
        assert_eq!(next_lines(&mut stream).await.len(), limits::TRACE_LINES_MAX);
        hub.closed(of, "link_lost");
        let after = next_lines(&mut stream).await;
        assert_eq!(after[0], TraceLine::Dropped { lines: 3 });
        assert!(matches!(&after[1], TraceLine::Closed { reason, .. } if reason == "link_lost"));
        loop {
            match &next_lines(&mut stream).await[..] {
                [TraceLine::Tick { .. }] => {}
                [TraceLine::End { reason: TraceEnd::TimeOver }] => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(stream.next().await.is_none());
        drop(stream);
        assert!(!hub.is_active());
    }

    #[test]
    fn who_only_says_that_he_is_the_station_leaves_room_for_its_session() {
        let hub = Arc::new(TraceHub::new());
        let mut reader = hub.enter(STATION).unwrap();
        let session = Traced { station_id: STATION, epoch: Epoch(3), is_session: true, at_ms: 9 };
        hub.sent(Traced { is_session: false, ..session }, &heartbeats(limits::TRACE_LINES_MAX as u32 * 2));
        hub.closed(session, "link_lost");
        let mut lines = Vec::new();
        while let Ok(line) = reader.received.try_recv() {
            lines.push(line);
        }
        assert!(matches!(lines.last(), Some(TraceLine::Closed { .. })), "{:?}", lines.last());
    }

    #[test]
    fn there_are_few_tracers_at_once() {
        let hub = Arc::new(TraceHub::new());
        let mut readers: Vec<_> = (0..limits::TRACERS_MAX).map(|_| hub.enter(STATION).unwrap()).collect();
        assert!(hub.enter(STATION).is_none());
        readers.pop();
        assert!(hub.enter(STATION).is_some());
    }
}
