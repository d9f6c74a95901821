//! Idempotency keys (L7): one effect, one answer.

use crate::identity::sign_in;
use crate::test_app::TestApp;
use axum::http::StatusCode;
use backend::error::{RequestRefusal, Result};
use backend::extract::IdempotencyKey;
use backend::idempotency::{self, Answered};
use entities::id::UserId;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

async fn rider(test: &TestApp, number: u8) -> UserId {
    let signed_in = sign_in(test, &format!("+97798410000{number:02}")).await;
    signed_in["user"]["id"].as_str().unwrap().parse().unwrap()
}

/// Does something that can be counted: publishes a job.
async fn order(test: &TestApp, user: UserId, key: &str, body: u32, refuse: bool) -> Result<Answered> {
    let key = IdempotencyKey(key.to_owned());
    idempotency::once(&test.app, user, "POST /test", key, &body, move |tx| {
        Box::pin(async move {
            let id = tx.new_uuid();
            backend::jobs::enqueue(tx, "test.effect", &id, tx.now(), None).await?;
            if refuse {
                return Err(RequestRefusal::Conflict.into());
            }
            Ok((StatusCode::ACCEPTED, json!({ "id": id })))
        })
    })
    .await
}

async fn effects(test: &TestApp) -> usize {
    let jobs = entities::job::Entity::find().all(test.app.db.read()).await.unwrap();
    jobs.iter().filter(|job| job.queue == "test.effect").count()
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_has_one_effect() {
    for test in TestApp::on_each_backend().await {
        let user = rider(&test, 1).await;
        let first = order(&test, user, "key-number-1", 7, false).await.unwrap();
        assert_eq!((first.status, first.replayed), (StatusCode::ACCEPTED, false));
        let again = order(&test, user, "key-number-1", 7, false).await.unwrap();
        assert_eq!((again.status, &again.body, again.replayed), (first.status, &first.body, true));
        let other_body = order(&test, user, "key-number-1", 8, false).await.unwrap_err();
        assert_eq!(other_body.code(), Some("idempotency_key_reused"));
        assert_eq!(effects(&test).await, 1);
        order(&test, user, "key-number-2", 7, false).await.unwrap();
        order(&test, rider(&test, 2).await, "key-number-1", 8, false).await.unwrap();
        assert_eq!(effects(&test).await, 3, "another key and another rider are other requests");
    }
}

#[tokio::test]
async fn of_many_at_once_one_does_it_and_all_get_its_answer() {
    for test in TestApp::on_each_backend().await {
        let user = rider(&test, 1).await;
        let orders = (0..16).map(|_| order(&test, user, "key-number-1", 7, false));
        let answers: Vec<Answered> =
            futures::future::join_all(orders).await.into_iter().collect::<Result<_>>().unwrap();
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "{}", test.backend());
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
        assert_eq!(effects(&test).await, 1);
    }
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_and_may_be_sent_again() {
    for test in TestApp::on_each_backend().await {
        let user = rider(&test, 1).await;
        let refused = order(&test, user, "key-number-1", 7, true).await.unwrap_err();
        assert_eq!(refused.code(), Some("conflict"));
        assert_eq!(effects(&test).await, 0);
        assert!(!order(&test, user, "key-number-1", 7, false).await.unwrap().replayed);
        assert_eq!(effects(&test).await, 1);
    }
}

#[tokio::test]
async fn what_nobody_needs_is_swept_and_the_rest_stays() {
    for test in TestApp::on_each_backend().await {
        let user = rider(&test, 1).await;
        order(&test, user, "key-number-1", 7, false).await.unwrap();
        test.drain_jobs().await;
        assert_eq!(backend::housekeeping::sweep(&test.app).await.unwrap(), 0, "all is fresh");
        test.clock.advance_ms(40 * 24 * 3_600_000);
        assert!(backend::housekeeping::sweep(&test.app).await.unwrap() >= 3);
        let db = test.app.db.read();
        assert_eq!(entities::idempotency_key::Entity::find().count(db).await.unwrap(), 0);
        assert_eq!(entities::otp_request::Entity::find().count(db).await.unwrap(), 0);
        assert_eq!(entities::user_session::Entity::find().count(db).await.unwrap(), 0);
        assert_eq!(effects(&test).await, 1, "a job that is not done stays");
        assert_eq!(entities::user::Entity::find().count(db).await.unwrap(), 1);
    }
}
