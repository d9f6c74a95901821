//! Khalti's own ways.

use super::world::{Kind, OpenTopUp, ProviderWorld, browser, location, path_of};
use backend::payments::provider::{
    GivenBack, ProviderError, ProviderPayment, ProviderStatus, RefundAnswer, RefundOrder, RefundOutcome,
};
use doubles::Misbehaviour;
use entities::money::Paisa;
use serde_json::{Value, json};

#[tokio::test]
async fn a_browser_pays_on_the_hosted_page() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        let open = world.open("a-top-up", "600.50").await;
        let (browser, page) = (browser(), open.told["gateway_url"].as_str().unwrap());
        assert_eq!(open.told["form_fields"], json!([]));
        assert_eq!(open.told["expires_at"], "2026-01-15T05:15:00Z", "Khalti said 11:00+05:45");
        let shown = browser.get(page).send().await.unwrap().text().await.unwrap();
        assert!(shown.contains("Rs. 600.50") && shown.contains("Chautari wallet top-up"), "{shown}");
        let form = [("pidx", open.reference.as_str()), ("action", "pay")];
        let back = location(&browser.post(page).form(&form).send().await.unwrap());
        assert!(back.contains("status=Completed") && back.contains("total_amount=60050"), "{back}");
        assert!(world.come_back(&path_of(&back)).await.contains("Payment received"));
        world.assert_credited("600.50", 1).await;

        let calls = world.khalti().received();
        assert!(calls.iter().all(|call| call.headers["authorization"] == "Key key-of-this-test"));
        let asked: Value = serde_json::from_slice(&calls[0].body).unwrap();
        let attempt = world.attempt().await.0;
        assert_eq!(
            asked,
            json!({
                "return_url": format!("http://127.0.0.1:8080/api/v1/payments/khalti/return/{attempt}"),
                "website_url": "http://127.0.0.1:8080", "amount": 60_050,
                "purchase_order_id": attempt, "purchase_order_name": "Chautari wallet top-up",
            })
        );
    }
}

/// The way back is unsigned: whatever it says, only the lookup counts.
#[tokio::test]
async fn the_words_of_the_way_back_are_not_believed() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        let open = world.open("a-top-up", "500.00").await;
        let path = world.return_path(&open);
        for words in
            ["status=Completed&amount=50000&transaction_id=4H7AhoXDJWg5WjrcPT9ixW", "", "pidx=", "data=e30="]
        {
            let page = world.come_back(&format!("{path}?{words}")).await;
            assert!(page.contains("on its way"), "{words}: {page}");
        }
        let back = world.pay(&open).unwrap().replace("status=Completed", "status=User%20canceled");
        assert!(world.come_back(&back.replace("50000", "1")).await.contains("Payment received"));
        world.assert_credited("500.00", 1).await;
    }
}

/// `Expired` and `User canceled` come with HTTP 400 and a normal answer.
#[tokio::test]
async fn a_refusal_by_code_with_a_normal_body_is_an_answer() {
    let world = ProviderWorld::seeded(Kind::Khalti, 1).await;
    let open = world.open("a-top-up", "500.00").await;
    for (word, status, given_back) in [
        ("Initiated", ProviderStatus::Pending, GivenBack::Nothing),
        ("Pending", ProviderStatus::Pending, GivenBack::Nothing),
        ("Expired", ProviderStatus::Expired, GivenBack::Nothing),
        ("User canceled", ProviderStatus::Cancelled, GivenBack::Nothing),
        ("Failed", ProviderStatus::Failed, GivenBack::Nothing),
        ("Completed", ProviderStatus::Paid, GivenBack::Nothing),
        ("Refunded", ProviderStatus::Paid, GivenBack::Everything),
        ("Partially Refunded", ProviderStatus::Paid, GivenBack::UnknownPart),
        ("Partially refunded", ProviderStatus::Paid, GivenBack::UnknownPart),
        ("Held", ProviderStatus::Other("Held".to_owned()), GivenBack::Nothing),
    ] {
        world.force_status(&open, word);
        let found = world.look_up(&open, 50_000).await.unwrap();
        assert_eq!(
            (found.status, found.given_back, found.amount),
            (status, given_back, Paisa(50_000)),
            "{word}"
        );
    }
    let stranger = OpenTopUp { reference: "bZQLD9wRVWo4CdESSfuSsB".to_owned(), ..open };
    assert!(matches!(world.look_up(&stranger, 50_000).await, Err(ProviderError::NotFound)));
}

/// L10: an answer about another order, however paid, is not ours.
#[tokio::test]
async fn an_answer_about_another_order_credits_nothing() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        let open = world.open("a-top-up", "500.00").await;
        world.pay(&open).unwrap();
        "bZQLD9wRVWo4CdESSfuSsB".clone_into(&mut world.khalti().book().order(&open.reference).unwrap().pidx);
        assert_eq!(world.verify(&open).await, "needs_review");
        world.assert_credited("0.00", 0).await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_a_refusal_and_says_nothing_of_payments() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        let open = world.open("a-top-up", "500.00").await;
        world.pay(&open).unwrap();
        world.khalti().book().change_key("another key");
        assert_eq!(world.verify(&open).await, "pending");
        world.ask("another-top-up", "500.00").await.problem(502, "provider_refused");
        world.khalti().book().change_key("key-of-this-test");
        assert_eq!(world.verify(&open).await, "completed");
    }
}

async fn paid(world: &ProviderWorld) -> (OpenTopUp, ProviderPayment) {
    let open = world.open("a-top-up", "500.00").await;
    world.pay(&open).unwrap();
    assert_eq!(world.verify(&open).await, "completed");
    let payment = world.look_up(&open, 50_000).await.unwrap();
    (open, payment)
}

async fn refund(world: &ProviderWorld, open: &OpenTopUp, paisa: i64) -> Result<RefundAnswer, ProviderError> {
    let refund = RefundOrder {
        our_reference: "a-refund".to_owned(),
        payment: world.placed(open, 50_000).await,
        transaction_id: None,
        amount: Paisa(paisa),
        payer_mobile: None,
    };
    world.test.app.providers.named("khalti").unwrap().refund(&refund).await
}

#[tokio::test]
async fn money_is_given_back_whole_and_in_parts_and_never_more() {
    let world = ProviderWorld::seeded(Kind::Khalti, 1).await;
    let (open, payment) = paid(&world).await;
    assert_eq!(refund(&world, &open, 20_000).await.unwrap().outcome, RefundOutcome::Succeeded);
    let part = world.look_up(&open, 50_000).await.unwrap();
    assert_eq!((part.status, part.given_back), (ProviderStatus::Paid, GivenBack::UnknownPart));
    let over = refund(&world, &open, 30_001).await;
    assert!(matches!(over, Err(ProviderError::Refused { .. })), "{over:?}");
    assert_eq!(refund(&world, &open, 30_000).await.unwrap().outcome, RefundOutcome::Succeeded);
    assert_eq!(world.look_up(&open, 50_000).await.unwrap().given_back, GivenBack::Everything);
    assert!(matches!(refund(&world, &open, 1).await, Err(ProviderError::Refused { .. })));
    assert_eq!(world.khalti().book().order(&open.reference).unwrap().refunded_paisa, 50_000);

    let calls = world.khalti().received();
    let calls: Vec<_> = calls.iter().filter(|call| call.uri.path().contains("refund")).collect();
    let path = format!("/api/merchant-transaction/{}/refund/", payment.transaction_id.unwrap());
    assert!(calls.iter().all(|call| call.uri.path() == path), "no /v2 in it");
    assert_eq!(serde_json::from_slice::<Value>(&calls[0].body).unwrap(), json!({ "amount": 20_000 }));
}

#[tokio::test]
async fn a_whole_refund_whose_answer_was_lost_is_found_by_asking_and_not_given_twice() {
    let world = ProviderWorld::seeded(Kind::Khalti, 1).await;
    let (open, _) = paid(&world).await;
    world.khalti().misbehave_at("refund", Misbehaviour::LosesAnswer, 1);
    let lost = refund(&world, &open, 50_000).await;
    assert!(matches!(&lost, Err(error @ ProviderError::Unavailable(_)) if !error.is_not_sent()), "{lost:?}");
    assert!(world.khalti().received().last().unwrap().body.is_empty(), "all of it: an empty body");
    assert_eq!(world.look_up(&open, 50_000).await.unwrap().given_back, GivenBack::Everything);
    assert!(matches!(refund(&world, &open, 50_000).await, Err(ProviderError::Refused { .. })));
    assert_eq!(world.khalti().book().order(&open.reference).unwrap().refunded_paisa, 50_000);
}

#[tokio::test]
async fn what_was_not_paid_is_not_given_back() {
    let world = ProviderWorld::seeded(Kind::Khalti, 1).await;
    let open = world.open("a-top-up", "500.00").await;
    assert!(matches!(refund(&world, &open, 50_000).await, Err(ProviderError::Refused { .. })));
    let stranger = OpenTopUp { reference: "bZQLD9wRVWo4CdESSfuSsB".to_owned(), ..open };
    assert!(matches!(refund(&world, &stranger, 50_000).await, Err(ProviderError::NotFound)));
}
