//! The named points of this crate at which a test may end the process.

/// A write is committed and nobody has been told yet.
pub const AFTER_COMMIT: &str = "backend.after_commit";
/// A job is claimed and its handler has not begun.
pub const AFTER_JOB_CLAIM: &str = "backend.after_job_claim";
/// A provider has told what became of a payment and nothing of it is written yet.
pub const PAYMENT_TRUTH_KNOWN: &str = "backend.payment_truth_known";
/// A provider has opened its page and we have not written that down.
pub const PAYMENT_PAGE_OPENED: &str = "backend.payment_page_opened";

/// Every point of the backend.
pub const ALL: &[&str] = &[AFTER_COMMIT, AFTER_JOB_CLAIM, PAYMENT_TRUTH_KNOWN, PAYMENT_PAGE_OPENED];
