//! The points of this crate at which a test may end the process.

/// Rows are written, their commit is not.
pub const BEFORE_COMMIT: &str = "storage.before_commit";
/// The commit is durable, nobody has been told.
pub const AFTER_COMMIT: &str = "storage.after_commit";
/// Blocks are written and tail rows deleted, the commit is not.
pub const BEFORE_COMPACTION_COMMIT: &str = "storage.before_compaction_commit";
/// The compaction is durable.
pub const AFTER_COMPACTION_COMMIT: &str = "storage.after_compaction_commit";
/// The file of a new window exists and is empty.
pub const AFTER_WINDOW_CREATED: &str = "storage.after_window_created";
/// What must outlive an expired window is copied, its file is not deleted.
pub const BEFORE_WINDOW_DELETED: &str = "storage.before_window_deleted";

/// All of them.
pub const ALL: &[&str] = &[
    BEFORE_COMMIT,
    AFTER_COMMIT,
    BEFORE_COMPACTION_COMMIT,
    AFTER_COMPACTION_COMMIT,
    AFTER_WINDOW_CREATED,
    BEFORE_WINDOW_DELETED,
];
