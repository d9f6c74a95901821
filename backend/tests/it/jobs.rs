//! Jobs: written with their cause, done at least once, finished once.

use crate::test_app::TestApp;
use backend::error::Error;
use backend::jobs;
use backend::limits;
use chrono::TimeDelta;
use entities::incident::{self, IncidentKind};
use entities::job::{self, JobState};
use sea_orm::{EntityTrait, Set};

async fn enqueue(test: &TestApp, queue: &'static str, dedup_key: Option<&'static str>) -> bool {
    let written = test.app.db.write(move |tx| {
        Box::pin(async move {
            let dedup_key = dedup_key.map(str::to_owned);
            jobs::enqueue(tx, queue, &serde_json::json!({ "domain": "none", "news": 1 }), tx.now(), dedup_key)
                .await
        })
    });
    written.await.unwrap()
}

async fn only_job(test: &TestApp) -> job::Model {
    let mut rows = job::Entity::find().all(test.app.db.read()).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[tokio::test]
async fn a_job_with_a_known_key_is_not_stored_twice() {
    for test in TestApp::on_each_backend().await {
        assert!(enqueue(&test, "news", Some("once")).await);
        assert!(!enqueue(&test, "news", Some("once")).await);
        assert_eq!(test.drain_jobs().await, 1);
        assert_eq!(only_job(&test).await.state, JobState::Done);
        assert_eq!(test.drain_jobs().await, 0);
    }
}

#[tokio::test]
async fn a_job_of_an_undone_write_never_was() {
    for test in TestApp::on_each_backend().await {
        let undone = test.app.db.write::<(), _>(|tx| {
            Box::pin(async move {
                jobs::enqueue(tx, "news", &1, tx.now(), None).await?;
                Err(Error::internal("on purpose"))
            })
        });
        assert!(undone.await.is_err());
        assert_eq!(test.drain_jobs().await, 0);
    }
}

#[tokio::test]
async fn a_job_that_always_fails_is_dead_after_its_last_attempt_and_staff_are_told() {
    for test in TestApp::on_each_backend().await {
        enqueue(&test, "a.queue.that.nobody.serves", None).await;
        for attempt in 1..=limits::JOB_ATTEMPTS_MAX {
            assert_eq!(test.drain_jobs().await, 1, "attempt {attempt}");
            assert_eq!(test.drain_jobs().await, 0, "it waits after attempt {attempt}");
            let pause_ms = limits::JOB_BACKOFF_MAX.num_milliseconds() + 1_000;
            test.clock.advance_ms(pause_ms.unsigned_abs());
        }
        let dead = only_job(&test).await;
        assert_eq!((dead.state, dead.attempts), (JobState::Dead, limits::JOB_ATTEMPTS_MAX));
        let incidents = incident::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(
            incidents.iter().map(|incident| incident.kind).collect::<Vec<_>>(),
            [IncidentKind::JobDead]
        );
    }
}

#[tokio::test]
async fn a_job_of_a_process_that_died_is_taken_over() {
    for test in TestApp::on_each_backend().await {
        enqueue(&test, "news", None).await;
        let lease_until = test.app.clock.now() + limits::JOB_LEASE;
        let claimed = test.app.db.write(move |tx| {
            Box::pin(async move {
                let running = job::ActiveModel {
                    state: Set(JobState::Running),
                    attempts: Set(1),
                    lease_until: Set(Some(lease_until)),
                    lease_owner: Set(Some("a process that died".to_owned())),
                    ..Default::default()
                };
                job::Entity::update_many().set(running).exec(tx).await?;
                Ok(())
            })
        });
        claimed.await.unwrap();
        assert_eq!(test.drain_jobs().await, 0);
        jobs::take_over(&test.app).await.unwrap();
        // The books of one process know that it is dead; those of several wait for the lease.
        let embedded = test.backend() == "sqlite";
        assert_eq!(test.drain_jobs().await, usize::from(embedded));
        test.clock.advance_ms(limits::JOB_LEASE.num_milliseconds().unsigned_abs() + 1);
        assert_eq!(test.drain_jobs().await, usize::from(!embedded));
    }
}

#[tokio::test]
async fn a_job_in_the_future_waits_for_its_time() {
    for test in TestApp::on_each_backend().await {
        let later = test.app.db.write(|tx| {
            let news = serde_json::json!({ "domain": "none", "news": 1 });
            Box::pin(
                async move { jobs::enqueue(tx, "news", &news, tx.now() + TimeDelta::minutes(1), None).await },
            )
        });
        later.await.unwrap();
        assert_eq!(test.drain_jobs().await, 0);
        test.clock.advance_ms(60_000);
        assert_eq!(test.drain_jobs().await, 1);
    }
}
