//! The named points of this crate at which a test may end the process.

/// A write is committed and nobody has been told yet.
pub const AFTER_COMMIT: &str = "backend.after_commit";
/// A job is claimed and its handler has not begun.
pub const AFTER_JOB_CLAIM: &str = "backend.after_job_claim";
/// A provider has told what became of a payment and nothing of it is written yet.
pub const PAYMENT_TRUTH_KNOWN: &str = "backend.payment_truth_known";
/// A provider has opened its page and we have not written that down.
pub const PAYMENT_PAGE_OPENED: &str = "backend.payment_page_opened";
/// A refund is about to be sent, and its provider has not heard of it.
pub const REFUND_SUBMITTED: &str = "backend.refund_submitted";
/// A provider has heard of a refund, and its answer is not written.
pub const REFUND_SENT: &str = "backend.refund_sent";
/// A refund's money is posted and nothing is committed.
pub const REFUND_POSTED: &str = "backend.refund_posted";
/// A rental is in the book, its command is not offered.
pub const AFTER_START_COMMIT: &str = "backend.after_start_commit";
/// OFFERED is in the book, and no gateway has heard of it.
pub const AFTER_OFFER_COMMIT: &str = "backend.after_offer_commit";
/// The gateway has the command, and its answer is not looked at.
pub const AFTER_OFFER_SENT: &str = "backend.after_offer_sent";
/// Events are in the inbox and none of them is applied.
pub const AFTER_INBOX_COMMIT: &str = "backend.after_inbox_commit";
/// An event's effects are written and not committed.
pub const IN_APPLY: &str = "backend.in_apply";
/// A rental's money is moved and nothing is committed.
pub const AFTER_CAPTURE: &str = "backend.after_capture";
/// One event is applied, those after it are not.
pub const AFTER_APPLY: &str = "backend.after_apply";
/// All is applied and the gateway does not know it.
pub const BEFORE_INBOX_ANSWER: &str = "backend.before_inbox_answer";

/// The points that only a refund passes.
pub const OF_REFUNDS: &[&str] = &[REFUND_SUBMITTED, REFUND_SENT, REFUND_POSTED];

/// Every other point of the backend: a rider who tops up, rents and returns passes all of them.
pub const ALL: &[&str] = &[
    AFTER_COMMIT,
    AFTER_JOB_CLAIM,
    PAYMENT_TRUTH_KNOWN,
    PAYMENT_PAGE_OPENED,
    AFTER_START_COMMIT,
    AFTER_OFFER_COMMIT,
    AFTER_OFFER_SENT,
    AFTER_INBOX_COMMIT,
    IN_APPLY,
    AFTER_CAPTURE,
    AFTER_APPLY,
    BEFORE_INBOX_ANSWER,
];
