//! A provider gives money back that nobody asked for: never credited if we had not, accounted for once if we had.

use crate::payments::{assert_sound, attempt, balance, open, press, status, tamper, verify};
use crate::riders::rider;
use crate::test_app::TestApp;
use backend::payments::machine::Truth;
use backend::payments::sync;
use entities::incident::{self, IncidentKind};
use entities::payment_attempt::PaymentAttemptState;
use entities::{ledger_entry, sandbox_payment};
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_credited_payment_that_is_reversed_is_accounted_for_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        press(&test, &opened.page, "pay").await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        let attempt = attempt(&test).await.id;
        assert_eq!(sync::sync_again(&test.app, attempt).await.unwrap().1, Truth::Paid);

        tamper(&test, &opened.page, sandbox_payment::Column::State).await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(reversals(&test).await, 0, "a rider's own question does not ask again");
        for (standing, truth) in join_all((0..20).map(|_| sync::sync_again(&test.app, attempt)))
            .await
            .into_iter()
            .map(Result::unwrap)
        {
            assert_eq!((standing.attempt, truth), (PaymentAttemptState::Succeeded, Truth::GivenBack));
        }
        assert_eq!(reversals(&test).await, 1, "{}", test.backend());
        assert_eq!(balance(&test, &rider).await, "0.00", "the payer has it");
        let incidents = incident::Entity::find().all(test.app.db.read()).await.unwrap();
        let kinds: Vec<_> = incidents.iter().map(|incident| incident.kind).collect();
        assert_eq!(kinds, [IncidentKind::PaymentReversed]);
        assert_eq!(incidents[0].detail["unexplained_paisa"], 50_000);
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_payment_that_was_given_back_first_is_never_credited() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        press(&test, &opened.page, "pay").await;
        tamper(&test, &opened.page, sandbox_payment::Column::State).await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "failed", "{}", test.backend());
        assert_eq!(attempt(&test).await.state, PaymentAttemptState::GivenBack);
        test.clock.advance_ms(3_600_000);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "0.00");
        assert_eq!(ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
        assert_sound(&test).await;
    }
}

async fn reversals(test: &TestApp) -> u64 {
    let found = ledger_entry::Entity::find().filter(ledger_entry::Column::Kind.eq("provider_reversal"));
    found.count(test.app.db.read()).await.unwrap()
}
