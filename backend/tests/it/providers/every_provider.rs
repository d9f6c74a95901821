//! What holds for every provider that is asked, whatever its words are.

use super::world::{KINDS, ProviderWorld};
use futures::future::join_all;

#[tokio::test]
async fn a_top_up_is_paid_credited_and_only_once() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "600.50").await;
            assert_eq!(world.verify(&open).await, "pending");
            world.assert_credited("0.00", 0).await;
            let back = world.pay(&open).unwrap();
            assert!(back.starts_with(&format!("/api/v1/payments/{}/return/", world.name())), "{back}");
            world.assert_credited("0.00", 0).await;
            assert!(world.come_back(&back).await.contains("Payment received"));
            world.assert_credited("600.50", 1).await;
            // The same way back again, the app's question, and the plan's.
            assert!(world.come_back(&back).await.contains("Payment received"));
            assert_eq!(world.verify(&open).await, "completed");
            world.wait(5).await;
            world.assert_credited("600.50", 1).await;
        }
    }
}

#[tokio::test]
async fn a_rider_who_closed_the_browser_is_credited_by_the_plan() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            world.wait(1).await;
            world.pay(&open).unwrap();
            world.wait(1).await;
            world.assert_credited("500.00", 1).await;
            assert_eq!(world.status(&open).await, "completed");
        }
    }
}

/// L6: redirect, question and plan at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_visitors_at_once_credit_once() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            let back = world.pay(&open).unwrap();
            world.test.clock.advance_ms(60_000);
            let visits = join_all((0..30).map(|number| {
                let (world, open, back) = (&world, &open, &back);
                async move {
                    match number % 3 {
                        0 => assert!(world.come_back(back).await.contains("Payment received")),
                        1 => assert_eq!(world.verify(open).await, "completed"),
                        _ => drop(world.test.drain_jobs().await),
                    }
                }
            }));
            visits.await;
            world.assert_credited("500.00", 1).await;
        }
    }
}

#[tokio::test]
async fn a_rider_who_gives_up_on_the_page_is_not_charged() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            let back = world.give_up(&open).unwrap();
            assert!(world.come_back(&back).await.contains("Payment cancelled"));
            assert_eq!(world.status(&open).await, "cancelled");
            // Pressing pay after the back button does not help: the page is closed.
            world.pay(&open);
            world.wait(10).await;
            world.assert_credited("0.00", 0).await;
        }
    }
}

#[tokio::test]
async fn a_page_that_nobody_paid_is_over_after_its_time_and_not_before() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            world.wait(29).await;
            assert_eq!(world.status(&open).await, "pending", "{}", world.name());
            // The plan's last look at a page that lives for an hour is after two.
            world.wait(100).await;
            assert_eq!(world.status(&open).await, "failed", "{}", world.name());
            assert_eq!(world.pay(&open), None, "the page takes no money any more");
            let calls = world.calls();
            world.wait(120).await;
            assert_eq!(world.calls(), calls, "nobody is asked for ever");
        }
    }
}

/// Late success: the money was on its way when our time was over.
#[tokio::test]
async fn money_that_arrives_after_the_end_is_credited() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            world.wait(61).await;
            assert_eq!(world.verify(&open).await, "failed");
            world.pay_late(&open);
            assert_eq!(world.verify(&open).await, "completed");
            world.assert_credited("500.00", 1).await;
        }
    }
}

/// L10.
#[tokio::test]
async fn another_amount_is_not_credited_and_staff_are_told() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            for (paisa, key) in [(49_999, "a-paisa-less"), (50_001, "a-paisa-more")] {
                let open = world.open(key, "500.00").await;
                world.pay(&open).unwrap();
                world.falsify_amount(&open, paisa);
                assert_eq!(world.verify(&open).await, "needs_review");
            }
            world.assert_credited("0.00", 0).await;
            assert_eq!(world.incidents().await, ["payment_mismatch", "payment_mismatch"]);
        }
    }
}

/// The way back of one payment, brought for another one of the same rider.
#[tokio::test]
async fn the_way_back_of_another_payment_credits_nothing() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let (paid, unpaid) =
                (world.open("the-first", "500.00").await, world.open("the-second", "500.00").await);
            let back = world.pay(&paid).unwrap();
            let (_, words) = back.split_once('?').unwrap();
            let path = world.return_path(&unpaid);
            let page = world.come_back(&format!("{path}?{words}")).await;
            assert!(page.contains("on its way"), "{page}");
            assert_eq!(world.status(&unpaid).await, "pending");
            world.assert_credited("0.00", 0).await;
            world.come_back(&back).await;
            world.wait(2).await;
            world.assert_credited("500.00", 1).await;
            assert_eq!(world.status(&unpaid).await, "pending");
        }
    }
}

#[tokio::test]
async fn a_word_that_nobody_knows_decides_nothing() {
    for kind in KINDS {
        for world in ProviderWorld::each(kind).await {
            let open = world.open("a-top-up", "500.00").await;
            for word in ["AMBIGUOUS", "On hold", "paid", "COMPLETED!"] {
                world.force_status(&open, word);
                assert_eq!(world.verify(&open).await, "pending", "{word}");
            }
            world.assert_credited("0.00", 0).await;
            for _ in 0..26 {
                world.test.clock.advance_ms(60 * 60_000);
                world.test.drain_jobs().await;
            }
            assert_eq!(world.incidents().await, ["payment_unknown"], "staff are told after a day");
            world.pay_late(&open);
            assert_eq!(world.verify(&open).await, "completed");
        }
    }
}
