//! Providers that do not answer, or not in a way that can be read: nothing is concluded from that.

use super::world::{KINDS, Kind, ProviderWorld};
use axum::http::header;
use doubles::Misbehaviour;
use entities::payment_attempt::PaymentAttemptState;
use entities::testing::FreshDatabase;

/// All that a provider's server was seen to do.
const OUTAGES: [Misbehaviour; 9] = [
    Misbehaviour::HangsUp,
    Misbehaviour::LosesAnswer,
    Misbehaviour::Fails { status: 500 },
    Misbehaviour::Fails { status: 503 },
    Misbehaviour::HtmlPage { status: 502 },
    Misbehaviour::HtmlPage { status: 200 },
    Misbehaviour::HtmlPage { status: 403 },
    Misbehaviour::BreaksJson,
    Misbehaviour::Floods { bytes: 1_000_000 },
];

#[tokio::test]
async fn no_outage_is_taken_for_an_outcome() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            world.pay(&open).unwrap();
            for outage in OUTAGES {
                world.misbehave(outage, 1);
                assert_eq!(world.verify(&open).await, "pending", "{outage:?} of {}", world.name());
                world.test.clock.advance_ms(16_000);
            }
            assert_eq!(world.incidents().await, Vec::<&str>::new());
            assert_eq!(world.verify(&open).await, "completed");
            world.assert_credited("500.00", 1).await;
        }
    }
}

#[tokio::test]
async fn a_burst_of_failures_ends_in_a_credit_and_spares_the_provider() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            world.pay(&open).unwrap();
            let before = world.calls();
            world.misbehave(Misbehaviour::Fails { status: 503 }, 1_000);
            for _ in 0..50 {
                assert_eq!(world.verify(&open).await, "pending");
            }
            assert_eq!(world.calls() - before, 5, "after five failures in a row it is left alone");
            world.wait(3).await;
            world.behave();
            world.wait(10).await;
            world.assert_credited("500.00", 1).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_stalls_does_not_stall_us() {
    for kind in KINDS {
        let hasty = |settings: &mut backend::config::Settings| settings.payments.timeout_ms = 300;
        let world = ProviderWorld::on(FreshDatabase::sqlite(), kind, 1, hasty).await;
        let open = world.open("a-top-up", "500.00").await;
        world.pay(&open).unwrap();
        world.misbehave(Misbehaviour::Stalls, 1);
        assert_eq!(world.verify(&open).await, "pending");
        assert_eq!(world.verify(&open).await, "completed");
        world.assert_credited("500.00", 1).await;
    }
}

/// The page was opened and the answer was lost: the same key opens another one, and only one of
/// them was ever shown to anybody.
#[tokio::test]
async fn an_order_whose_answer_was_lost_goes_on_with_the_same_key() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        world.misbehave(Misbehaviour::LosesAnswer, 1);
        let lost = world.ask("one-key-of-mine", "500.00").await;
        assert!(lost.headers.contains_key(header::RETRY_AFTER));
        lost.problem(503, "provider_unavailable");
        assert_eq!(world.attempt().await.1, PaymentAttemptState::Unknown);
        let open = world.open("one-key-of-mine", "500.00").await;
        assert_eq!(world.khalti().book().orders().count(), 2);
        world.pay(&open).unwrap();
        world.wait(2).await;
        world.assert_credited("500.00", 1).await;
    }
}

/// An attempt whose page was never opened ends by itself.
#[tokio::test]
async fn an_order_that_was_never_opened_ends() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        world.misbehave(Misbehaviour::HtmlPage { status: 502 }, 1);
        world.ask("one-key-of-mine", "500.00").await.problem(503, "provider_unavailable");
        world.wait(70).await;
        assert_eq!(world.attempt().await.1, PaymentAttemptState::Expired);
        world.assert_credited("0.00", 0).await;
    }
}
