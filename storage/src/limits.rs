//! Every limit of this crate. None is configurable unless `embedded::Settings` names it.

/// Items that one page may hold.
pub const PAGE_ITEMS_MAX: usize = 1_000;
