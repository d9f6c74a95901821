//! The gateway's named crash points.

/// A command's state is "sent"; its bytes have not been given to the socket.
pub const BEFORE_COMMAND_WRITE: &str = "gateway.before_command_write";
/// A command's bytes have been given to the socket.
pub const AFTER_COMMAND_WRITE: &str = "gateway.after_command_write";
/// A command is in the table, its offer has not been answered.
pub const AFTER_OFFER_ACCEPTED: &str = "gateway.after_offer_accepted";
/// A numbered event has been read and waits for the backend.
pub const AFTER_EVENT_QUEUED: &str = "gateway.after_event_queued";
/// A batch is about to be posted to the backend.
pub const BEFORE_UPLINK_POST: &str = "gateway.before_uplink_post";
/// The backend has answered a batch; no station has been told.
pub const AFTER_UPLINK_POST: &str = "gateway.after_uplink_post";
/// An acknowledgement of events is about to be written.
pub const BEFORE_EVENT_ACK_WRITE: &str = "gateway.before_event_ack_write";
/// Telemetry is durable; no station has been told.
pub const AFTER_TELEMETRY_APPEND: &str = "gateway.after_telemetry_append";

/// All of them, for the tests that walk them.
pub const ALL: &[&str] = &[
    BEFORE_COMMAND_WRITE,
    AFTER_COMMAND_WRITE,
    AFTER_OFFER_ACCEPTED,
    AFTER_EVENT_QUEUED,
    BEFORE_UPLINK_POST,
    AFTER_UPLINK_POST,
    BEFORE_EVENT_ACK_WRITE,
    AFTER_TELEMETRY_APPEND,
];
