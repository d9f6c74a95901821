//! The named points of this crate at which a test may end the process.

/// A write is committed and nobody has been told yet.
pub const AFTER_COMMIT: &str = "backend.after_commit";
/// A job is claimed and its handler has not begun.
pub const AFTER_JOB_CLAIM: &str = "backend.after_job_claim";

/// Every point of the backend.
pub const ALL: &[&str] = &[AFTER_COMMIT, AFTER_JOB_CLAIM];
