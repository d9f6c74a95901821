//! The same facts in MQTT 5 and in OCPP-J, byte for byte as these protocols would carry them.

use super::day::{DAY_MS, Fact, KEEPALIVE_MS, SLOTS, Sample, Write};
use protocol::message::SlotReading;

/// How MQTT carries the readings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// Our own batch as it is, so that only the protocols differ.
    Ours,
    /// Fixed fields, packed, no field names.
    Packed,
    /// JSON with short names.
    Json,
}

/// Builds the writes of a day.
struct Line {
    writes: Vec<Write>,
    at_ms: u64,
}

impl Line {
    fn up(&mut self, bytes: usize) {
        self.writes.push(Write { at_ms: self.at_ms, is_up: true, bytes });
    }

    /// The day with a ping of the station wherever it would be silent for as long as ours may be: the link has to be
    /// known to live, and the carrier's NAT must not forget it.
    fn kept_alive(self, ping: usize, pong: usize) -> Vec<Write> {
        let (mut kept, mut silent_since_ms) = (Vec::with_capacity(self.writes.len()), 0);
        let end = Write { at_ms: DAY_MS, is_up: true, bytes: 0 };
        for write in self.writes.into_iter().chain([end]) {
            while write.at_ms > silent_since_ms + KEEPALIVE_MS {
                silent_since_ms += KEEPALIVE_MS;
                kept.push(Write { at_ms: silent_since_ms, is_up: true, bytes: ping });
                kept.push(Write { at_ms: silent_since_ms, is_up: false, bytes: pong });
            }
            if write.is_up {
                silent_since_ms = write.at_ms;
            }
            kept.push(write);
        }
        kept.pop();
        kept
    }

    fn down(&mut self, bytes: usize) {
        self.writes.push(Write { at_ms: self.at_ms, is_up: false, bytes });
    }
}

/// MQTT 5, QoS 1, topic aliases after the first message of a topic.
pub(super) fn mqtt(facts: &[(u64, Fact)], payload: Payload) -> Vec<Write> {
    const PUBACK: usize = 4;
    let mut line = Line { writes: Vec::new(), at_ms: 0 };
    let mut topics = Topics::default();
    for (at_ms, fact) in facts {
        line.at_ms = *at_ms;
        match fact {
            Fact::Login => {
                // CONNECT: 10 of the header, a receive maximum and an alias maximum, the id, a name, a key of 32 digits.
                line.up(packet(10 + 1 + 6 + (2 + 32) + (2 + 12) + (2 + 32)));
                line.down(packet(2 + 1 + 9));
                line.up(packet(2 + 1 + 2 + "s/0123456789abcdef/c".len() + 1));
                line.down(packet(2 + 1 + 1));
            }
            Fact::Samples { samples, batch_bytes } => {
                let bytes = match payload {
                    Payload::Ours => *batch_bytes,
                    // The time of the first, then for each: two bytes of time, the station, the slots.
                    Payload::Packed => 8 + samples.len() * (2 + 5 + usize::from(SLOTS) * 17),
                    Payload::Json => json_of(samples).len(),
                };
                line.up(topics.publish("t", bytes));
                line.down(PUBACK);
            }
            // Number, time, kind, slot, bank, level; a result has the command's id and a verdict instead.
            Fact::Event { .. } => line.exchange(topics.publish("e", body(payload, 27, 88)), PUBACK),
            Fact::Result { .. } => line.exchange(topics.publish("e", body(payload, 34, 110)), PUBACK),
            Fact::Inventory { slots } => {
                let packed = 8 + 8 + 4 + slots.len() * 17;
                let json = 60 + slots.iter().map(|slot| json_slot(slot).len() + 1).sum::<usize>();
                line.exchange(topics.publish("i", body(payload, packed, json)), PUBACK);
            }
            Fact::Command => {
                // Id, kind, slot, bank, expiry, epoch.
                line.down(topics.publish("c", body(payload, 42, 150)));
                line.up(PUBACK);
            }
            Fact::Receipt => line.exchange(topics.publish("r", body(payload, 17, 60)), PUBACK),
            Fact::Time => {
                line.up(topics.publish("q", 8));
                line.down(topics.publish("c", 16));
            }
        }
    }
    // PINGREQ and PINGRESP.
    line.kept_alive(2, 2)
}

impl Line {
    fn exchange(&mut self, up: usize, down: usize) {
        self.up(up);
        self.down(down);
    }
}

const fn body(payload: Payload, packed: usize, json: usize) -> usize {
    match payload {
        Payload::Ours | Payload::Packed => packed,
        Payload::Json => json,
    }
}

/// The topics that have an alias already.
#[derive(Default)]
struct Topics(Vec<&'static str>);

impl Topics {
    /// A PUBLISH at QoS 1: topic (empty once it has an alias), packet id, the alias as a property, the payload.
    fn publish(&mut self, topic: &'static str, payload: usize) -> usize {
        let name = if self.0.contains(&topic) { 0 } else { "s/0123456789abcdef/".len() + topic.len() };
        if name > 0 {
            self.0.push(topic);
        }
        packet(2 + name + 2 + (1 + 3) + payload)
    }
}

/// A packet with its fixed header.
const fn packet(body: usize) -> usize {
    body + if body < 128 { 2 } else { 3 }
}

fn json_of(samples: &[Sample]) -> String {
    let samples: Vec<_> = samples
        .iter()
        .map(|sample| {
            let slots: Vec<_> = sample.slots.iter().map(json_slot).collect();
            let station = &sample.station;
            format!(
                r#"{{"t":{},"rssi":{},"mv":{},"c":{},"slots":[{}]}}"#,
                1_780_000_000_000 + sample.uptime_ms,
                station.signal_dbm,
                station.supply_mv,
                station.board_temperature_c,
                slots.join(",")
            )
        })
        .collect();
    format!("[{}]", samples.join(","))
}

fn json_slot(slot: &SlotReading) -> String {
    let bank = slot.bank.map_or_else(|| "null".to_owned(), |bank| format!("\"{bank}\""));
    format!(
        r#"{{"bank":{bank},"st":{},"pct":{},"mv":{},"ma":{},"c":{},"soh":{}}}"#,
        slot.state.0,
        slot.level_percent,
        slot.voltage_mv,
        slot.current_ma,
        slot.temperature_c,
        slot.health_percent
    )
}

/// OCPP 1.6-J over a WebSocket: one call in flight, each with its result; readings as MeterValues of each slot
/// that holds a bank, everything else that OCPP has no word for as DataTransfer.
pub(super) fn ocpp(facts: &[(u64, Fact)]) -> Vec<Write> {
    let mut line = Line { writes: Vec::new(), at_ms: 0 };
    for (at_ms, fact) in facts {
        line.at_ms = *at_ms;
        match fact {
            Fact::Login => {
                line.up(290);
                line.down(160);
                let boot = r#"{"chargePointVendor":"Chautari","chargePointModel":"CH-8","chargePointSerialNumber":"CH-00001","firmwareVersion":"1.0.0","iccid":"8997701234567890123","imsi":"429010123456789"}"#;
                let accepted =
                    r#"{"currentTime":"2026-05-28T20:26:40.000Z","interval":900,"status":"Accepted"}"#;
                line.call("BootNotification", boot, accepted);
            }
            Fact::Samples { samples, .. } => {
                (0..SLOTS).for_each(|slot| meter_values(&mut line, samples, slot))
            }
            Fact::Event { number } => {
                let data = format!(
                    "kind=bank_inserted;no={number};t=2026-05-28T20:26:40.000Z;slot=3;bank=0101010101010101;pct=60"
                );
                line.call("DataTransfer", &data_transfer("event", &data), ACCEPTED);
            }
            Fact::Inventory { slots } => {
                for (number, slot) in (1..).zip(slots) {
                    line.call("StatusNotification", &status(number, slot), "{}");
                }
            }
            Fact::Command => {
                let data = "id=0197a1b2-0000-7000-8000-000000000001;slot=3;bank=0101010101010101;before=2026-05-28T20:27:00.000Z";
                line.down(websocket(call("DataTransfer", &data_transfer("eject", data)), false));
                line.up(websocket(result(ACCEPTED), true));
            }
            // The answer to the call said that it is accepted.
            Fact::Receipt => {}
            Fact::Result { number } => {
                let data = format!(
                    "id=0197a1b2-0000-7000-8000-000000000001;no={number};verdict=done;t=2026-05-28T20:26:41.000Z"
                );
                line.call("DataTransfer", &data_transfer("result", &data), ACCEPTED);
            }
            Fact::Time => line.call("Heartbeat", "{}", r#"{"currentTime":"2026-05-28T20:26:40.000Z"}"#),
        }
    }
    // The ping of the WebSocket, which is masked, and its pong.
    line.kept_alive(6, 2)
}

const ACCEPTED: &str = r#"{"status":"Accepted"}"#;

impl Line {
    fn call(&mut self, action: &str, payload: &str, answer: &str) {
        self.up(websocket(call(action, payload), true));
        self.down(websocket(result(answer), false));
    }
}

fn meter_values(line: &mut Line, samples: &[Sample], slot: u8) {
    let at = usize::from(slot);
    if samples.iter().all(|sample| sample.slots[at].bank.is_none()) {
        return;
    }
    let values: Vec<_> = samples
        .iter()
        .map(|sample| {
            let reading = &sample.slots[at];
            format!(
                r#"{{"timestamp":"2026-05-28T20:26:40.000Z","sampledValue":[{{"value":"{}","measurand":"SoC"}},{{"value":"{:.3}","measurand":"Voltage"}},{{"value":"{:.3}","measurand":"Current.Import"}},{{"value":"{}","measurand":"Temperature"}}]}}"#,
                reading.level_percent,
                f64::from(reading.voltage_mv) / 1_000.0,
                f64::from(reading.current_ma) / 1_000.0,
                reading.temperature_c
            )
        })
        .collect();
    let payload = format!(r#"{{"connectorId":{},"meterValue":[{}]}}"#, slot + 1, values.join(","));
    line.call("MeterValues", &payload, "{}");
}

fn status(number: u8, slot: &SlotReading) -> String {
    let bank = slot.bank.map_or_else(|| "none".to_owned(), |bank| bank.to_string());
    format!(
        r#"{{"connectorId":{number},"errorCode":"NoError","info":"{bank}","status":"Available","timestamp":"2026-05-28T20:26:40.000Z"}}"#
    )
}

fn data_transfer(message: &str, data: &str) -> String {
    format!(r#"{{"vendorId":"np.chautari","messageId":"{message}","data":"{data}"}}"#)
}

fn call(action: &str, payload: &str) -> usize {
    format!(r#"[2,"0000000001","{action}",{payload}]"#).len()
}

fn result(answer: &str) -> usize {
    format!(r#"[3,"0000000001",{answer}]"#).len()
}

/// A WebSocket frame; what a client sends is masked.
const fn websocket(payload: usize, is_masked: bool) -> usize {
    let mask = if is_masked { 4 } else { 0 };
    payload + mask + if payload < 126 { 2 } else { 4 }
}
