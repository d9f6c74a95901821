//! Rounds that begin at most once in a while: what arrives meanwhile shares the next one.

use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When the next round may begin. The first one after a quiet time begins at once, so a lone message never waits.
pub(crate) struct Pace {
    every: Duration,
    next: Option<Instant>,
}

impl Pace {
    pub(crate) const fn every_ms(every_ms: u64) -> Self {
        Self { every: Duration::from_millis(every_ms), next: None }
    }

    /// Returns when the next round may begin, or when the gateway stops.
    pub(crate) async fn wait(&mut self, stop: &CancellationToken) {
        if let Some(next) = self.next {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = stop.cancelled() => {}
            }
        }
        self.next = Some(Instant::now() + self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_round_after_a_quiet_time_begins_at_once_and_the_next_one_waits() {
        let (stop, mut pace) = (CancellationToken::new(), Pace::every_ms(5));
        let started = Instant::now();
        pace.wait(&stop).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        pace.wait(&stop).await;
        assert_eq!(started.elapsed(), Duration::from_millis(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
        pace.wait(&stop).await;
        assert_eq!(started.elapsed(), Duration::from_millis(55));
        stop.cancel();
        pace.wait(&stop).await;
        assert_eq!(started.elapsed(), Duration::from_millis(55), "nor is anybody kept who has to stop");
    }
}
