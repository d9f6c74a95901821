//! What a station's messages mean to the rest of the gateway.

use super::{Connection, Transport};
use crate::admission::Refusal;
use crate::budget::Level;
use crate::lanes::Parked;
use crate::limits;
use crate::reasons::Reason;
use crate::registry::{Leave, Mailbox, NotAccepted, SessionHandle};
use crate::telemetry::ArrivedBatch;
use protocol::control::{CommandReport, EventBody, ReportedState, SessionOpened, StationEvent};
use protocol::message::{Hello, JournalState, Message, Reconnect, RetryReason, Telemetry};
use protocol::session::gateway::{Received, Terms};
use protocol::time::Now;
use protocol::types::{CommandId, EventNo};
use std::sync::Arc;

impl<T: Transport> Connection<T> {
    /// `payload` is that of the frame in which it came, `mailbox` that of this worker.
    pub(super) fn handle_received(
        &mut self,
        received: Received<'_>,
        payload: &[u8],
        mailbox: &Arc<Mailbox>,
        now: Now,
    ) {
        match received {
            Received::Hello(hello) => self.handle_hello(&hello),
            Received::Proven { .. } => self.handle_proven(mailbox, now),
            Received::Telemetry(telemetry) => self.handle_telemetry(&telemetry, payload, now),
            Received::Event(event_no, message) => self.handle_event(event_no, &message, now),
            Received::CommandReceipt(_) | Received::CommandState(_) if !self.takes_report(now) => {}
            Received::CommandReceipt(receipt) => {
                self.service.commands.received(&self.session.station_id(), &receipt.cmd_id);
                self.report(receipt.cmd_id, ReportedState::from(&receipt), now);
            }
            Received::CommandState(state) => {
                if matches!(state.state, JournalState::Verdict(_)) {
                    self.service.commands.answered(&self.session.station_id(), &state.cmd_id);
                }
                self.report(state.cmd_id, ReportedState::from(&state), now);
                self.leave_if_finished(now);
            }
            Received::Goaway(goaway) => {
                if let Some(left_out) = self.service.lines.said.next(now.monotonic_ms) {
                    tracing::info!(station_id = %self.session.station_id(), reason = goaway.reason.label(), left_out, "goaway");
                }
            }
            Received::Complaint(error) => {
                if let Some(left_out) = self.service.lines.said.next(now.monotonic_ms) {
                    tracing::info!(station_id = %self.session.station_id(), code = error.code.label(), left_out, "complaint");
                }
            }
        }
    }

    fn handle_hello(&mut self, hello: &Hello<'_>) {
        if self.service.budget.level() >= Level::NoLogins {
            let refusal = self.service.admission.without_room(&hello.station_id);
            return self.refuse(refusal, Reason::BytesMax);
        }
        match self.service.admission.judge_hello(hello, self.peer) {
            Ok(admitted) => {
                if admitted.has_turn {
                    self.permits.took_turn();
                    if self.permits.is_crowded() {
                        // A slow link is no silence.
                        self.session.unhurry(limits::HELLO_CROWDED_MS);
                    }
                }
                self.session.challenge(&admitted.key);
            }
            Err(refusal) => return self.refuse(refusal, Reason::Retry(refusal.reason)),
        }
        self.hello = Some(Box::new(SessionOpened {
            instance_id: self.service.instance_id,
            station_id: hello.station_id,
            epoch: self.session.epoch(),
            firmware: hello.firmware.to_owned(),
            hardware: hello.hardware.to_owned(),
            imei: (!hello.imei.is_empty()).then(|| hello.imei.to_owned()),
            slots: hello.slots,
        }));
    }

    fn handle_proven(&mut self, mailbox: &Arc<Mailbox>, now: Now) {
        let Some(hello) = self.hello.take() else { return };
        let imei = hello.imei.as_deref().unwrap_or_default();
        if let Err(refusal) = self.service.admission.judge_proven(&hello.station_id, hello.epoch, imei) {
            return self.refuse(refusal, Reason::Retry(refusal.reason));
        }
        let handle = SessionHandle::new(hello.station_id, hello.epoch, now.wall_ms);
        let handle = Arc::new(handle.with_mailbox(mailbox.clone()));
        match self.service.registry.accept(&handle, now.monotonic_ms) {
            Err(why) => {
                if let NotAccepted::Quarantined { is_new: true, .. } = why {
                    self.service.metrics.identity_conflicts.increment(1);
                    tracing::error!(station_id = %hello.station_id, "two devices use one identity; both are quarantined");
                }
                let refusal = self.service.admission.not_accepted(&hello.station_id, why);
                return self.refuse(refusal, Reason::Retry(refusal.reason));
            }
            Ok(accepted) => {
                // From here on whatever ends this connection takes it out of the registry.
                self.handle = Some(handle.clone());
                if let Some(replaced) = accepted.replaced {
                    self.service.metrics.takeovers.increment(1);
                    replaced.leave(Leave::TakenOver);
                }
                // Whoever was revoked, or is sent away, between the look and the entry has this session in no list.
                let still = self.service.admission.judge_proven(&hello.station_id, hello.epoch, imei);
                self.session.welcome(self.terms(accepted.is_flapping));
                if let Err(refusal) = still {
                    handle.leave(match refusal.reason {
                        RetryReason::Draining => Leave::Stopped,
                        _ => Leave::Revoked,
                    });
                }
            }
        }
        self.permits.logged_in();
        self.service.metrics.logins.increment(1);
        if let Some(left_out) = self.service.lines.opened.next(now.monotonic_ms) {
            tracing::info!(station_id = %hello.station_id, epoch = %hello.epoch, peer = %self.peer, left_out, "session opened");
        }
        self.service.announcements.push(handle, *hello);
        self.parked = None;
    }

    fn refuse(&mut self, refusal: Refusal, reason: Reason) {
        self.hello = None;
        self.note_refusal(reason, refusal.retry_after_ms);
        self.session.refuse(refusal.reason, refusal.retry_after_ms);
    }

    pub(super) fn note_refusal(&mut self, reason: Reason, retry_after_ms: u32) {
        self.is_refused = true;
        self.service.metrics.refused(reason);
        if let Some(left_out) = self.service.lines.refused.next(self.service.clock.monotonic_ms()) {
            let (station_id, reason) = (self.session.station_id(), reason.label());
            tracing::info!(%station_id, peer = %self.peer, reason, retry_after_ms, left_out, "login refused");
        }
    }

    fn terms(&self, is_flapping: bool) -> Terms {
        let settings = &self.service.settings;
        // A station that comes and goes is asked to come back later than the others.
        let pause_ms = if is_flapping { settings.flapping.pause_ms } else { 0 };
        Terms {
            keepalive_s: settings.keepalive_s,
            payload_max_bytes: settings.frame_bytes_max,
            ack_delay_ms: settings.ack_delay_ms,
            event_window: self.service.uplink.window(),
            sample_window: self.service.telemetry.window(),
            reconnect: Reconnect {
                min_ms: settings.admission.reconnect_min_ms.max(pause_ms),
                max_ms: settings.admission.reconnect_max_ms.max(pause_ms),
                spread_ms: settings.admission.reconnect_spread_ms.max(pause_ms),
            },
        }
    }

    fn handle_telemetry(&mut self, telemetry: &Telemetry<'_>, payload: &[u8], now: Now) {
        let Some(handle) = &self.handle else { return };
        let batch = ArrivedBatch::new(payload, telemetry, now.wall_ms);
        Parked::send_batch(&mut self.parked, &self.service, handle, batch);
    }

    fn handle_event(&mut self, event_no: EventNo, message: &Message<'_>, now: Now) {
        let Some(handle) = &self.handle else { return };
        let (stamp, body) = match message {
            Message::Event(event) => (&event.stamp, EventBody::from(event)),
            Message::Alarm(alarm) => (&alarm.stamp, EventBody::from(alarm)),
            Message::Inventory(inventory) => (&inventory.stamp, EventBody::from(inventory)),
            Message::CmdResult(result) => {
                self.service.commands.answered(&handle.station_id, &result.cmd_id);
                (&result.stamp, EventBody::from(result))
            }
            // The session calls nothing else an event.
            _ => return,
        };
        let (happened_at_ms, time_quality) = stamp.happened_at(now.wall_ms);
        let event = StationEvent {
            station_id: handle.station_id,
            epoch: handle.epoch,
            event_no,
            happened_at_ms,
            time_quality,
            received_at_ms: now.wall_ms,
            body,
        };
        Parked::send_event(&mut self.parked, &self.service, handle, event);
        self.leave_if_finished(now);
    }

    /// Reports need no window, so each must have been asked for: a station that tells more would fill the backend's
    /// time with them.
    fn takes_report(&mut self, now: Now) -> bool {
        let is_due = self.reports_due > 0;
        self.reports_due = self.reports_due.saturating_sub(1);
        if !is_due {
            self.service.metrics.report_unasked();
            if let Some(left_out) = self.service.lines.said.next(now.monotonic_ms) {
                tracing::warn!(station_id = %self.session.station_id(), left_out, "a report that nobody asked for");
            }
        }
        is_due
    }

    fn report(&self, cmd_id: CommandId, report: ReportedState, now: Now) {
        let Some(handle) = &self.handle else { return };
        let report = CommandReport {
            station_id: handle.station_id,
            epoch: handle.epoch,
            cmd_id,
            received_at_ms: now.wall_ms,
            report,
        };
        self.service.uplink.push_report(handle, report);
    }
}
