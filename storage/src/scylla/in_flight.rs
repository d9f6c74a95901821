//! How many statements are under way: fewer while the cluster is slow.
//!
//! The limit grows by one after as many successes as it allows, and halves when the cluster does not answer or says that it
//! is overloaded. Who waits for a place is counted: stations are told to send less while the line is long.

use crate::StoreError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// The limit never falls below this, so that it can find out that the cluster is well again.
const LIMIT_MIN: usize = 4;

pub(super) struct InFlight {
    max: usize,
    waiting: AtomicUsize,
    places: Semaphore,
    state: Mutex<State>,
    emptied: Notify,
}

struct State {
    limit: usize,
    inside: usize,
    /// Places that are taken away when somebody leaves, because nobody had left when the limit fell.
    owed: usize,
    /// Successes since the limit changed.
    successes: usize,
}

impl InFlight {
    pub(super) fn new(max: usize) -> Self {
        let limit = max.min(LIMIT_MIN.max(max / 4));
        let state = Mutex::new(State { limit, inside: 0, owed: 0, successes: 0 });
        let places = Semaphore::new(limit);
        Self { max, waiting: AtomicUsize::new(0), places, state, emptied: Notify::new() }
    }

    /// Callers that wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Runs one statement in a place of its own.
    pub(super) async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let place = self.enter().await?;
        let outcome = statement.await;
        match &outcome {
            Ok(_) => self.succeeded(),
            Err(StoreError::Timeout | StoreError::Unavailable) => self.overloaded(),
            Err(_) => {}
        }
        drop(place);
        outcome
    }

    /// Waits until nothing is under way.
    pub(super) async fn idle(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // From here on no notice is missed, even one that comes before the wait.
            emptied.as_mut().enable();
            if self.state().inside == 0 {
                return;
            }
            emptied.await;
        }
    }

    async fn enter(&self) -> Result<Place<'_>, StoreError> {
        let waiting = Waiting::new(&self.waiting);
        let permit = self.places.acquire().await.map_err(|_| StoreError::Unavailable)?;
        drop(waiting);
        self.state().inside += 1;
        Ok(Place { of: self, permit: Some(permit) })
    }

    fn succeeded(&self) {
        let mut state = self.state();
        state.successes += 1;
        if state.successes >= state.limit && state.limit < self.max {
            state.successes = 0;
            state.limit += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.add_permits(1);
            }
        }
    }

    fn overloaded(&self) {
        let mut state = self.state();
        // What was under way with the first failure fails with it: one fault, one halving.
        if state.owed > 0 {
            return;
        }
        let limit = (state.limit / 2).max(LIMIT_MIN.min(self.max)).min(state.limit);
        let cut = state.limit - limit;
        state.owed = cut - self.places.forget_permits(cut);
        state.limit = limit;
        state.successes = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One statement's place; given back when it is dropped.
struct Place<'a> {
    of: &'a InFlight,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.inside -= 1;
        if state.owed > 0 {
            state.owed -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
        if state.inside == 0 {
            self.of.emptied.notify_waiters();
        }
    }
}

/// Counts a waiting caller, also one that gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_halves_with_a_fault_and_grows_with_successes() {
        let in_flight = InFlight::new(64);
        assert_eq!(in_flight.state().limit, 16);
        let _ = in_flight.run(async { Err::<(), _>(StoreError::Timeout) }).await;
        assert_eq!(in_flight.state().limit, 8);
        for _ in 0..8 {
            in_flight.run(async { Ok(()) }).await.unwrap();
        }
        assert_eq!(in_flight.state().limit, 9);
        assert_eq!(in_flight.places.available_permits(), 9);
        for _ in 0..20 {
            let _ = in_flight.run(async { Err::<(), _>(StoreError::Unavailable) }).await;
        }
        assert_eq!(in_flight.state().limit, LIMIT_MIN);
        assert_eq!(in_flight.places.available_permits(), LIMIT_MIN);
    }

    #[tokio::test]
    async fn statements_that_fail_together_halve_once_and_all_places_come_back() {
        let in_flight = InFlight::new(64);
        let places: Vec<_> = futures::future::join_all((0..16).map(|_| in_flight.enter())).await;
        assert_eq!(in_flight.places.available_permits(), 0);
        for _ in 0..16 {
            in_flight.overloaded();
        }
        assert_eq!(in_flight.state().limit, 8);
        drop(places);
        in_flight.idle().await;
        assert_eq!(in_flight.places.available_permits(), 8);
        assert_eq!(in_flight.waiting(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_is_no_longer_counted() {
        let in_flight = InFlight::new(1);
        let place = in_flight.enter().await.unwrap();
        assert!(futures::poll!(Box::pin(in_flight.enter())).is_pending());
        assert_eq!(in_flight.waiting(), 0);
        drop(place);
        drop(in_flight.enter().await.unwrap());
    }
}
