//! MQTT 3.1.1 by hand, the few packets that the same work needs: no client library stands between.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PUBLISH: u8 = 0x30;
const AT_LEAST_ONCE: u8 = 0x02;
const PUBACK: u8 = 0x40;

/// One connection to the broker.
pub(super) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    arrived: Vec<u8>,
    packet_id: u16,
    /// PUBACKs that arrived.
    pub(super) acknowledged: u64,
}

/// A packet that arrived.
struct Packet<'b> {
    head: u8,
    body: &'b [u8],
    bytes: usize,
}

impl Connection {
    /// Connects as `name` and subscribes to `topic`; then reads no longer wait.
    pub(super) fn open(address: SocketAddr, name: &str, topic: &str, qos: u8) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection =
            Self { stream, out: Vec::new(), arrived: Vec::new(), packet_id: 0, acknowledged: 0 };
        // Protocol level 4, a clean session, no keepalive.
        let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
        text(&mut body, name);
        connection.push(0x10, &[&body]);
        connection.write_out();
        connection.wait_for(0x20);
        let mut body = vec![0, 1];
        text(&mut body, topic);
        body.push(qos);
        connection.push(0x82, &[&body]);
        connection.write_out();
        connection.wait_for(0x90);
        connection
    }

    pub(super) fn set_nonblocking(&self, is_nonblocking: bool) {
        self.stream.set_nonblocking(is_nonblocking).unwrap();
    }

    /// Another handle of the connection, to shut it down.
    pub(super) fn handle(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    pub(super) fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) {
        let mut name = Vec::with_capacity(32);
        text(&mut name, topic);
        if qos == 0 {
            self.push(PUBLISH, &[&name, payload]);
        } else {
            self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
            let id = self.packet_id.to_be_bytes();
            self.push(PUBLISH | AT_LEAST_ONCE, &[&name, &id, payload]);
        }
        self.write_out();
    }

    /// Takes what has arrived, without waiting; `false` if there was nothing.
    pub(super) fn read_acknowledgements(&mut self) -> bool {
        let mut chunk = [0; 4_096];
        match self.stream.read(&mut chunk) {
            Ok(0) => panic!("the broker closed a connection"),
            Ok(read) => self.arrived.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
        let mut at = 0;
        while let Some(packet) = packet(&self.arrived[at..]) {
            self.acknowledged += u64::from(packet.head == PUBACK);
            at += packet.bytes;
        }
        self.arrived.drain(..at);
        true
    }

    /// Waits for a message and answers its payload; `None` once the connection is shut down.
    pub(super) fn next_message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(packet) = packet(&self.arrived) {
                let payload = (packet.head & 0xF0 == PUBLISH).then(|| payload_of(&packet).0.to_vec());
                let bytes = packet.bytes;
                self.arrived.drain(..bytes);
                match payload {
                    Some(payload) => return Some(payload),
                    None => continue,
                }
            }
            let mut chunk = [0; 4_096];
            let read = self.stream.read(&mut chunk).unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.arrived.extend_from_slice(&chunk[..read]);
        }
    }

    /// Counts messages and acknowledges those that ask for it, until the connection is shut down.
    pub(super) fn consume(&mut self, counted: &Arc<AtomicU64>) {
        let mut chunk = vec![0; 64 * 1_024];
        loop {
            let read = self.stream.read(&mut chunk).unwrap_or(0);
            if read == 0 {
                return;
            }
            let mut arrived = std::mem::take(&mut self.arrived);
            arrived.extend_from_slice(&chunk[..read]);
            let (mut at, mut messages) = (0, 0);
            while let Some(packet) = packet(&arrived[at..]) {
                if packet.head & 0xF0 == PUBLISH {
                    messages += 1;
                    if let (_, Some(id)) = payload_of(&packet) {
                        self.push(PUBACK, &[&id]);
                    }
                }
                at += packet.bytes;
            }
            arrived.drain(..at);
            self.arrived = arrived;
            self.write_out();
            counted.fetch_add(messages, Ordering::Relaxed);
        }
    }

    fn wait_for(&mut self, head: u8) {
        loop {
            if let Some(packet) = packet(&self.arrived) {
                assert_eq!(packet.head, head, "the broker's answer");
                let bytes = packet.bytes;
                self.arrived.drain(..bytes);
                return;
            }
            let mut chunk = [0; 256];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the broker closed a connection");
            self.arrived.extend_from_slice(&chunk[..read]);
        }
    }

    fn push(&mut self, head: u8, parts: &[&[u8]]) {
        self.out.push(head);
        let mut length: usize = parts.iter().map(|part| part.len()).sum();
        while length >= 0x80 {
            self.out.push((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        self.out.push(length as u8);
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    fn write_out(&mut self) {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                // Shut down while it wrote: the reader notices.
                Err(_) => break,
            }
        }
        self.out.clear();
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The first packet of these bytes, if it is whole.
fn packet(bytes: &[u8]) -> Option<Packet<'_>> {
    let head = *bytes.first()?;
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.get(at..at + length)?;
    Some(Packet { head, body, bytes: at + length })
}

/// The payload of a PUBLISH, and its packet id if it has one.
fn payload_of<'b>(packet: &Packet<'b>) -> (&'b [u8], Option<[u8; 2]>) {
    let topic = usize::from(u16::from_be_bytes([packet.body[0], packet.body[1]]));
    let rest = &packet.body[2 + topic..];
    if packet.head & 0x06 == 0 { (rest, None) } else { (&rest[2..], Some([rest[0], rest[1]])) }
}
