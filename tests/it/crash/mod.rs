//! The promise under SIGKILL: one rental, and at one moment of it the process dies, a station loses its power
//! or a message is lost. Afterwards everything is settled, and the books say what happened in the world.
//!
//! The world (`world.rs`) lives in this process and cannot be killed: which banks came out, and where they are
//! now. `chautari audit` judges the books; `run.rs` judges the books by the world. Each blow must land: a run
//! whose crash point was not reached has failed.
//!
//! `cargo test` strikes every blow once; `CHAUTARI_REQUIRE=all` makes it [`RUNS_REQUIRED`] runs, each with
//! another rider. `CHAUTARI_CRASH_SEED=N` repeats the run of one seed.

mod blows;
mod run;
mod template;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};

use blows::Case;
use run::{Ending, Failure};
use template::Template;

/// Runs where everything is required.
const RUNS_REQUIRED: usize = 200;
/// Runs at the same time: most of a run is waiting.
const RUNS_AT_ONCE: usize = 6;
/// The longest that one run may take.
const RUN_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_something_dies_no_bank_no_rupee_and_no_return_is_lost() {
    let cases = match environment("CHAUTARI_CRASH_SEED").map(|seed| seed.parse()) {
        Some(seed) => vec![Case::of_seed(seed.expect("CHAUTARI_CRASH_SEED is a number"))],
        None if environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all") => {
            Case::at_least(RUNS_REQUIRED)
        }
        None => Case::at_least(1),
    };
    let template = Arc::new(Template::make().await);
    let (begun, runs) = (Instant::now(), cases.len());
    let (mut completed, mut failures) = (0, Vec::new());
    for (case, ended) in LocalSet::new().run_until(all(cases, &template)).await {
        match ended {
            Ok(Ending::Completed) => completed += 1,
            Ok(Ending::Cancelled) => {}
            Err(failure) => failures.push(format!("CHAUTARI_CRASH_SEED={} ({case})\n{failure}", case.seed)),
        }
    }
    println!(
        "{runs} crash runs in {:.0} s: {completed} rentals completed, {} cancelled without a bank, {} failures",
        begun.elapsed().as_secs_f64(),
        runs - completed - failures.len(),
        failures.len(),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn all(cases: Vec<Case>, template: &Arc<Template>) -> Vec<(Case, Result<Ending, Failure>)> {
    let places = Arc::new(Semaphore::new(RUNS_AT_ONCE));
    let mut runs = JoinSet::new();
    for case in cases {
        let (template, places) = (Arc::clone(template), Arc::clone(&places));
        runs.spawn_local(async move {
            let _place = places.acquire().await.expect("nobody closes it");
            let ended = timeout(RUN_LIMIT, run::run(&case, &template)).await;
            let ended = ended.unwrap_or_else(|_| Err(Failure::new(format!("not over after {RUN_LIMIT:?}"))));
            (case, ended)
        });
    }
    runs.join_all().await
}

#[expect(clippy::disallowed_methods, reason = "a test is told how much to do by the environment")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
