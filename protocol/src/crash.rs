//! Named points at which a test may end the process, as a power failure would.
//!
//! Each crate lists its points in its own `crash.rs`. A build without debug assertions
//! contains none of this.

/// Ends the process here if [`arm`] named this point. Costs nothing in a release build.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::reached(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Lets the process abort when `name` is reached for the `nth` time, counted from 1.
#[cfg(debug_assertions)]
pub fn arm(name: &str, nth: u32) {
    armed::arm(name, nth);
}

#[cfg(debug_assertions)]
mod armed {
    use std::borrow::ToOwned;
    use std::string::String;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<(String, AtomicU32)> = OnceLock::new();

    pub(super) fn arm(name: &str, nth: u32) {
        let _ = ARMED.set((name.to_owned(), AtomicU32::new(nth.max(1))));
    }

    pub(super) fn reached(name: &'static str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}
