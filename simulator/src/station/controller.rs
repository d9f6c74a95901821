//! The controller's loop: inputs to the machine, its outputs to modem and motors.

use std::time::Duration;

use protocol::crypto::Nonce;
use protocol::frame::{self, Decoded, Frame, MessageType};
use protocol::message::{Ack, Body, Capabilities, ResetReason};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, Actuation, ActuationOutcome};
use protocol::session::station::{
    Board, Happening, Identity, Output, SCRATCH_BYTES, ShortText, StationSession,
};
use protocol::types::SlotNumber;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::link::{Link, Ready};
use super::sensors::{Sensors, Watch, readings};
use super::telemetry::Sampler;
use super::{Note, Order, Station, StationState};
use crate::cabinet::Opened;
use crate::faults::{StationStep, WriteFault};
use crate::flash::StationFlash;
use crate::limits::{LIFE_PACE, SLEEP_MAX_MS};

/// Runs a station until it is told to stop: boot after boot.
pub(super) async fn run(
    mut station: Station,
    flash: StationFlash,
    mut orders: mpsc::Receiver<Order>,
    publish: watch::Sender<StationState>,
    stop: CancellationToken,
) {
    let work = async {
        sleep(Duration::from_millis(station.start_after_ms)).await;
        let mut board = Board { flash, sensors: Sensors(station.cabinet.clone()) };
        let mut reset = ResetReason::PowerOn;
        loop {
            let off = Controller::boot(&mut station, &mut board, reset).live(&mut orders, &publish).await;
            reset = off.reset;
            publish.send_modify(|state| state.is_online = false);
            sleep(Duration::from_millis(off.off_ms)).await;
            while let Err(error) = board.flash.restore_power() {
                tracing::error!(station = station.spec.serial, %error, "a station cannot read its flash");
                sleep(Duration::from_millis(SLEEP_MAX_MS)).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
    station.cabinet.save();
    publish.send_modify(|state| state.is_online = false);
}

/// The power is gone; everything in RAM with it.
struct PowerOff {
    off_ms: u64,
    reset: ResetReason,
}

/// One boot.
struct Controller<'s> {
    station: &'s mut Station,
    board: &'s mut Board<StationFlash, Sensors>,
    session: StationSession,
    link: Link,
    watch: Watch,
    sampler: Sampler,
    random: SmallRng,
    booted_at_ms: u64,
    drift_ppm: i64,
    connected_at_ms: u64,
    opened_at_ms: Option<u64>,
    samples_acknowledged: u32,
    /// The motor that runs, and when it is home.
    motor: Option<(Actuation, u64)>,
    thaw_at_ms: Option<u64>,
    sample_at_ms: u64,
    event_at_ms: u64,
    charged_at_ms: u64,
    off: Option<PowerOff>,
}

impl<'s> Controller<'s> {
    fn boot(
        station: &'s mut Station,
        board: &'s mut Board<StationFlash, Sensors>,
        reset: ResetReason,
    ) -> Self {
        use protocol::session::flash::Flash;
        let settings = &station.settings;
        // A nonce must not come again: the boot number is in flash and never does.
        let boot_no = u64::from(board.flash.counters().boot_no);
        let mut random = SmallRng::seed_from_u64(mix(settings.seed, &station.spec.station_id.0, boot_no));
        let session =
            StationSession::boot(identity(station), settings.session, reset, random.random(), board, 0);
        let watch = Watch::new(&station.cabinet);
        let sample_at_ms = random.random_range(0..settings.sample_interval_ms.max(1));
        let event_at_ms =
            settings.event_interval_ms.map_or(u64::MAX, |every| random.random_range(0..every.max(1)));
        let booted_at_ms = station.clock.monotonic_ms();
        let drift_ppm = station.faults.drift_ppm().into();
        station.tally.boots.one();
        let mut controller = Self {
            sampler: Sampler::new(&mut random),
            station,
            board,
            session,
            link: Link::default(),
            watch,
            random,
            booted_at_ms,
            drift_ppm,
            connected_at_ms: 0,
            opened_at_ms: None,
            samples_acknowledged: 0,
            motor: None,
            thaw_at_ms: None,
            sample_at_ms,
            event_at_ms,
            charged_at_ms: 0,
            off: None,
        };
        controller.note(&Note::Booted { boot_no: controller.session.boot_no() });
        controller
    }

    /// Works until the power goes.
    async fn live(
        mut self,
        orders: &mut mpsc::Receiver<Order>,
        publish: &watch::Sender<StationState>,
    ) -> PowerOff {
        let cabinet = self.station.cabinet.clone();
        loop {
            self.drain();
            self.publish(publish);
            if self.board.flash.is_dead() && self.off.is_none() {
                self.power_cut(None);
            }
            if let Some(off) = self.off.take() {
                return off;
            }
            let wait_ms = self.next_timeout_ms().saturating_sub(self.uptime_ms()).min(SLEEP_MAX_MS);
            tokio::select! {
                biased;
                Some(order) = orders.recv() => self.obey(order),
                () = cabinet.changed() => self.look(),
                ready = self.link.ready() => self.hear(ready),
                () = sleep(Duration::from_millis(wait_ms)) => {}
            }
            self.pass_time();
        }
    }

    fn next_timeout_ms(&self) -> u64 {
        let motor = self.motor.map(|(_, home_at_ms)| home_at_ms);
        let others = [self.session.next_timeout_ms(), motor, self.thaw_at_ms];
        others.into_iter().flatten().fold(self.sample_at_ms.min(self.event_at_ms), u64::min)
    }

    // Inputs

    fn obey(&mut self, order: Order) {
        match order {
            Order::PowerCycle { off_ms } => {
                self.note(&Note::PowerCut(None));
                self.off = Some(PowerOff { off_ms, reset: ResetReason::PowerOn });
            }
            Order::Report(happening) => self.report(happening),
        }
    }

    /// The controller looks at its slots.
    fn look(&mut self) {
        for happening in self.watch.look(&self.station.cabinet) {
            let is_return = matches!(happening, Happening::BankInserted { .. });
            if is_return {
                self.station.tally.banks_in.one();
                if self.cut_at(StationStep::ReturnNoticed) {
                    return;
                }
            }
            self.report(happening);
            if is_return && self.cut_at(StationStep::ReturnQueued) {
                return;
            }
        }
    }

    fn report(&mut self, happening: Happening) {
        let uptime_ms = self.uptime_ms();
        self.session.report(happening, self.board, uptime_ms);
        self.note(&Note::Happened(happening));
    }

    fn hear(&mut self, ready: Ready) {
        let uptime_ms = self.uptime_ms();
        match ready {
            Ready::Connected => {
                self.connected_at_ms = uptime_ms;
                self.note(&Note::Connected);
                let nonce: Nonce = self.random.random();
                self.session.handle_connected(nonce, uptime_ms);
            }
            Ready::Received => self.hear_frames(),
            Ready::Sent => {}
            Ready::Failed | Ready::Lost => self.lose_link(CloseReason::LinkLost),
            Ready::Closed => self.lose_link(CloseReason::PeerClosed),
        }
    }

    fn hear_frames(&mut self) {
        let bytes = self.link.take_received();
        self.station.tally.bytes_in.many(bytes.len() as u64);
        let mut rest = bytes.as_slice();
        while self.off.is_none() && self.link.is_open() {
            match frame::decode(rest, self.session.payload_max_bytes()) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    self.hear_frame(&frame);
                    rest = &rest[consumed..];
                }
                Ok(Decoded::Incomplete { .. }) => {
                    self.link.give_back(rest);
                    return;
                }
                Err(error) => {
                    let uptime_ms = self.uptime_ms();
                    self.session.handle_broken_frame(error, uptime_ms);
                    return;
                }
            }
        }
    }

    fn hear_frame(&mut self, frame: &Frame<'_>) {
        let uptime_ms = self.uptime_ms();
        let at_wall_ms = self.station.clock.wall_ms();
        if let Some(observer) = &mut self.station.observer {
            observer.received(at_wall_ms, frame);
        }
        self.station.tally.frames_in.one();
        let kind = frame.header.kind;
        if kind == MessageType::COMMAND {
            self.station.tally.commands.one();
            if self.cut_at(StationStep::CommandArrived) {
                return;
            }
        }
        let ack = if kind == MessageType::ACK { unverified_ack(frame) } else { None };
        let acknowledged = ack.map(|ack| self.events_through(&ack)).unwrap_or_default();
        let tells_of_result = acknowledged.iter().any(|event| event.is_result);
        if tells_of_result && self.cut_at(StationStep::ResultAcknowledged) {
            return;
        }
        self.session.handle_frame(frame, self.board, uptime_ms);
        if let Some(ack) = ack.filter(|_| self.session.is_open()) {
            self.count_acknowledged(&ack, &acknowledged, uptime_ms);
        }
        if self.session.is_open() && self.opened_at_ms.is_none() {
            self.opened_at_ms = Some(uptime_ms);
            self.station.tally.sessions.one();
            self.station.tally.login.record_ms(uptime_ms - self.connected_at_ms);
        }
        self.drain();
    }

    /// Lets everything happen whose time has come.
    fn pass_time(&mut self) {
        let uptime_ms = self.uptime_ms();
        if self.thaw_at_ms.is_some_and(|thaw_at_ms| thaw_at_ms <= uptime_ms) {
            self.thaw_at_ms = None;
            self.link.thaw();
            self.lose_link(CloseReason::LinkLost);
        }
        if let Some((actuation, home_at_ms)) = self.motor
            && home_at_ms <= uptime_ms
        {
            self.motor = None;
            self.act(actuation);
        }
        if self.sample_at_ms <= uptime_ms {
            self.sample_at_ms = uptime_ms + self.station.settings.sample_interval_ms.max(1);
            self.sample(uptime_ms);
        }
        if self.event_at_ms <= uptime_ms
            && let Some(every_ms) = self.station.settings.event_interval_ms
        {
            self.event_at_ms = uptime_ms + every_ms.max(1);
            self.tell_a_slot();
        }
        if self.session.next_timeout_ms().is_some_and(|due_ms| due_ms <= uptime_ms) {
            self.session.handle_timeout(uptime_ms);
        }
    }

    fn sample(&mut self, uptime_ms: u64) {
        let elapsed_ms = (uptime_ms - self.charged_at_ms) as f64;
        self.charged_at_ms = uptime_ms;
        self.station.cabinet.charge_for(elapsed_ms * LIFE_PACE * self.station.settings.speed);
        self.sampler.take(uptime_ms, readings(&self.station.cabinet), &mut self.random);
        if self.sampler.waiting() >= self.station.settings.samples_per_batch {
            let anchor = self.session.anchor(self.board);
            let cut = self.sampler.cut(&mut self.session, anchor, uptime_ms);
            self.station.tally.samples.many(cut);
        }
    }

    /// An event that is true and changes nothing.
    fn tell_a_slot(&mut self) {
        let readings = readings(&self.station.cabinet);
        let at = self.random.random_range(0..readings.len().max(1));
        if let Some(reading) = readings.get(at) {
            self.report(Happening::SlotState { slot: at as SlotNumber + 1, state: reading.state });
        }
    }

    // Outputs

    fn drain(&mut self) {
        let mut scratch = [0; SCRATCH_BYTES];
        while self.off.is_none() {
            let output = self.session.poll_output(self.board, &mut scratch);
            if self.board.flash.is_dead() {
                // What it said after the cut was never said.
                return self.power_cut(None);
            }
            match output {
                None => break,
                Some(Output::Connect) => {
                    self.station.tally.connections.one();
                    self.note(&Note::Connecting);
                    self.link.connect(&self.station.settings.address);
                }
                Some(Output::Transmit { bytes, .. }) => self.transmit(bytes),
                Some(Output::Actuate(actuation)) => self.begin_to_act(actuation),
                Some(Output::Close(reason)) => {
                    if reason == CloseReason::Refused {
                        self.station.tally.refused.one();
                    }
                    self.link.close();
                    self.closed(reason);
                }
            }
        }
        self.link.flush();
    }

    fn transmit(&mut self, bytes: &[u8]) {
        let Ok(Decoded::Complete { frame, .. }) = frame::decode(bytes, u16::MAX) else { return };
        let kind = frame.header.kind;
        let fault = self.station.faults.on_write(kind);
        if fault == Some(WriteFault::CutBefore) {
            return self.lose_link(CloseReason::LinkLost);
        }
        if let Some(WriteFault::HalfOpen { for_ms }) = fault {
            self.note(&Note::HalfOpen);
            self.link.freeze();
            self.thaw_at_ms = Some(self.uptime_ms() + for_ms);
        }
        let at_wall_ms = self.station.clock.wall_ms();
        if let Some(observer) = &mut self.station.observer {
            observer.sent(at_wall_ms, &frame);
        }
        self.station.tally.frames_out.one();
        self.station.tally.bytes_out.many(bytes.len() as u64);
        let mut is_taken = self.link.write(bytes);
        if fault == Some(WriteFault::Duplicate) {
            is_taken &= self.link.write(bytes);
        }
        if fault == Some(WriteFault::CutAfter) {
            self.link.flush();
            is_taken = false;
        }
        if !is_taken {
            return self.lose_link(CloseReason::LinkLost);
        }
        let step = match kind {
            MessageType::CMD_RECEIPT => StationStep::ReceiptWritten,
            MessageType::CMD_RESULT => StationStep::ResultWritten,
            MessageType::EVENT if is_return(&frame) => StationStep::ReturnWritten,
            _ => return,
        };
        self.link.flush();
        self.cut_at(step);
    }

    fn begin_to_act(&mut self, actuation: Actuation) {
        self.link.flush();
        if let Action::Eject { .. } = actuation.action
            && self.cut_at(StationStep::MotorDue)
        {
            return;
        }
        self.note(&Note::Acting(actuation));
        let motor_ms = match actuation.action {
            Action::Eject { .. } => self.station.settings.motor_ms as f64 / self.station.settings.speed,
            Action::SetSlotDisabled { .. } | Action::SetVolume(_) | Action::Ring | Action::Reboot => 0.0,
        };
        self.motor = Some((actuation, self.uptime_ms() + motor_ms as u64));
    }

    /// The hardware has done what it could; from here to the journal nothing may wait.
    fn act(&mut self, actuation: Actuation) {
        let outcome = match actuation.action {
            Action::Eject { slot, .. } => {
                let opened = self.station.cabinet.open(slot);
                self.watch.expect(slot, &self.station.cabinet);
                match opened {
                    Opened::Out(bank) => {
                        self.station.tally.banks_out.one();
                        self.station.hands.take(bank);
                        ActuationOutcome::Finished
                    }
                    Opened::Jammed => ActuationOutcome::MotorNotHome,
                    Opened::Empty => ActuationOutcome::Finished,
                }
            }
            Action::SetSlotDisabled { slot, disabled } => {
                self.station.cabinet.set_disabled(slot, disabled);
                ActuationOutcome::Finished
            }
            Action::SetVolume(_) | Action::Ring => ActuationOutcome::Finished,
            Action::Reboot => {
                self.off = Some(PowerOff { off_ms: 0, reset: ResetReason::Command });
                return;
            }
        };
        let is_eject = matches!(actuation.action, Action::Eject { .. });
        if is_eject && self.cut_at(StationStep::MotorRan) {
            return;
        }
        let uptime_ms = self.uptime_ms();
        self.session.handle_actuated(actuation.cmd_id, outcome, self.board, uptime_ms);
        if self.board.flash.is_dead() {
            return self.power_cut(None);
        }
        self.note(&Note::Acted(actuation, outcome));
        if is_eject {
            self.cut_at(StationStep::ResultQueued);
        }
    }

    // The link and the power

    fn lose_link(&mut self, reason: CloseReason) {
        let uptime_ms = self.uptime_ms();
        self.link.drop_now();
        self.session.handle_closed(reason, uptime_ms);
        self.closed(reason);
    }

    fn closed(&mut self, reason: CloseReason) {
        self.opened_at_ms = None;
        self.station.tally.closes.one(reason);
        self.note(&Note::Closed(reason));
    }

    /// Whether the power goes now.
    fn cut_at(&mut self, step: StationStep) -> bool {
        let is_cut = self.off.is_none() && self.station.faults.is_power_cut_at(step);
        if is_cut {
            self.power_cut(Some(step));
        }
        is_cut
    }

    fn power_cut(&mut self, step: Option<StationStep>) {
        self.note(&Note::PowerCut(step));
        self.link.drop_now();
        let off_ms = self.station.settings.power_off_ms;
        self.off = Some(PowerOff { off_ms, reset: ResetReason::PowerOn });
    }

    // Counting and telling

    fn uptime_ms(&self) -> u64 {
        let elapsed_ms = self.station.clock.monotonic_ms().saturating_sub(self.booted_at_ms);
        let drift_ms = elapsed_ms as i64 * self.drift_ppm / 1_000_000;
        elapsed_ms.saturating_add_signed(drift_ms)
    }

    /// The events of this boot that an ACK lets go.
    fn events_through(&self, ack: &Ack) -> Vec<Acknowledged> {
        let Some(through) = ack.events_through else { return Vec::new() };
        let boot_no = self.session.boot_no();
        let gone = self.board.flash.events().take_while(|event| event.event_no <= through);
        gone.map(|event| Acknowledged {
            happened_at_ms: (event.boot_no == boot_no).then_some(event.uptime_ms),
            is_result: matches!(event.happening, Happening::CommandResult { .. }),
        })
        .collect()
    }

    fn count_acknowledged(&mut self, ack: &Ack, acknowledged: &[Acknowledged], uptime_ms: u64) {
        let tally = &self.station.tally;
        tally.events_acknowledged.many(acknowledged.len() as u64);
        // What happened before the session had to wait for the login, which is counted by itself.
        let opened_at_ms = self.opened_at_ms.unwrap_or(u64::MAX);
        let times = acknowledged.iter().filter_map(|event| event.happened_at_ms);
        for happened_at_ms in times.filter(|happened_at_ms| *happened_at_ms >= opened_at_ms) {
            tally.event.record_ms(uptime_ms.saturating_sub(happened_at_ms));
        }
        if let Some(through) = ack.samples_through.filter(|point| point.boot_no == self.session.boot_no()) {
            let count = through.sample_no + 1;
            tally.samples_acknowledged.many(count.saturating_sub(self.samples_acknowledged).into());
            self.samples_acknowledged = self.samples_acknowledged.max(count);
        }
    }

    fn publish(&mut self, publish: &watch::Sender<StationState>) {
        self.station.tally.events.many(self.board.flash.take_pushed());
        let now = StationState {
            is_online: self.session.is_open(),
            is_busy: self.session.is_busy(),
            epoch: self.session.epoch(),
            boot_no: self.session.boot_no(),
            events_waiting: self.board.flash.events().count(),
            counts: self.session.counts(),
        };
        publish.send_if_modified(|before| std::mem::replace(before, now) != now);
    }

    fn note(&mut self, note: &Note) {
        let at_wall_ms = self.station.clock.wall_ms();
        if let Some(observer) = &mut self.station.observer {
            observer.noted(at_wall_ms, note);
        }
    }
}

/// An event that is stored behind the gateway.
struct Acknowledged {
    happened_at_ms: Option<u64>,
    is_result: bool,
}

/// Reads an ACK for counting only; the machine believes it after checking its MAC.
fn unverified_ack(frame: &Frame<'_>) -> Option<Ack> {
    let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
    Ack::decode(payload).ok()
}

fn is_return(frame: &Frame<'_>) -> bool {
    use protocol::message::{Event, EventKind};
    let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
    matches!(Event::decode(payload), Ok(Event { kind: EventKind::BankInserted { .. }, .. }))
}

fn identity(station: &Station) -> Identity {
    let spec = &station.spec;
    Identity {
        station_id: spec.station_id,
        key_id: spec.key_id,
        key_gen: spec.key_gen,
        key: spec.key.clone(),
        firmware: ShortText::new(concat!("chautari-sim ", env!("CARGO_PKG_VERSION"))).unwrap_or_default(),
        hardware: ShortText::new(&format!("simulated, {} slots", spec.slots)).unwrap_or_default(),
        imei: ShortText::default(),
        iccid: ShortText::default(),
        capabilities: Capabilities(Capabilities::SOUND.0 | Capabilities::HEALTH.0 | Capabilities::SUPPLY.0),
    }
}

/// One seed of three: fleet, station, boot.
fn mix(seed: u64, station_id: &[u8; 16], boot_no: u64) -> u64 {
    let (high, low) = (u128::from_be_bytes(*station_id) >> 64, u128::from_be_bytes(*station_id));
    let station = (high as u64).rotate_left(32) ^ low as u64;
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ station.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ boot_no << 1
}
