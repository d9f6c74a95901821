//! eSewa's own ways.

use super::world::{Kind, OpenTopUp, ProviderWorld, browser, form_of, location, path_of};
use backend::payments::provider::{GivenBack, ProviderError, ProviderStatus};
use doubles::Misbehaviour;
use doubles::esewa::{self, AmountStyle, TEST_KEY, TEST_PRODUCT};
use entities::money::Paisa;

#[tokio::test]
async fn a_browser_posts_the_signed_form_and_pays() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        let open = world.opened(world.ask("a-top-up", "600.50").await.ok());
        let (browser, form) = (browser(), form_of(&open.told));
        assert_eq!((form["total_amount"].as_str(), form["amount"].as_str()), ("600.50", "600.50"));
        let to = open.told["gateway_url"].as_str().unwrap();
        assert!(to.ends_with("/api/epay/main/v2/form"), "{to}");
        let page = location(&browser.post(to).form(&form).send().await.unwrap());
        let shown = browser.get(&page).send().await.unwrap().text().await.unwrap();
        assert!(shown.contains("Rs. 600.50"), "{shown}");
        let back = location(&browser.post(&page).form(&[("action", "pay")]).send().await.unwrap());
        assert!(back.contains("?data="), "{back}");
        assert!(world.come_back(&path_of(&back)).await.contains("Payment received"));
        world.assert_credited("600.50", 1).await;
    }
}

/// Amounts are written with one decimal, with commas, and as numbers; the signature covers the text.
#[tokio::test]
async fn every_way_to_write_an_amount_is_read() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        for (number, style) in
            [AmountStyle::Text, AmountStyle::Comma, AmountStyle::Number].into_iter().enumerate()
        {
            world.esewa().book().write_amounts(style);
            let open = world.open(&format!("top-up-{number}"), "12345.50").await;
            let back = world.pay(&open).unwrap();
            assert!(world.come_back(&back).await.contains("Payment received"), "{style:?}");
        }
        assert_eq!(world.incidents().await, Vec::<&str>::new(), "no signature was taken for a false one");
        world.assert_credited("37036.50", 3).await;
    }
}

#[tokio::test]
async fn a_forged_proof_credits_nothing() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        let open = world.open("a-top-up", "500.00").await;
        let path = world.return_path(&open);
        for key in ["a guess", TEST_KEY] {
            // Even a proof with the right key: eSewa's book says that nothing was paid.
            let data = esewa::data(key, "000AWEO", "COMPLETE", "\"500.0\"", &open.reference, TEST_PRODUCT);
            let page = world.come_back(&format!("{path}?data={data}")).await;
            assert!(page.contains("on its way"), "{page}");
        }
        for data in ["", "e30=", "%25%25", "bm90IGpzb24", "W10="] {
            let page = world.come_back(&format!("{path}?data={data}")).await;
            assert!(page.contains("on its way"), "{data}: {page}");
        }
        world.assert_credited("0.00", 0).await;
        assert_eq!(world.status(&open).await, "pending");
    }
}

/// Somebody who knows the key pays five rupees for an order of five hundred.
#[tokio::test]
async fn an_amount_that_was_changed_and_signed_again_credits_nothing_and_staff_are_told() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        let open = world.opened(world.ask("a-top-up", "500.00").await.ok());
        let mut form = form_of(&open.told);
        for name in ["amount", "total_amount"] {
            form.insert(name.to_owned(), "5".to_owned());
        }
        world.esewa().take_form(&form).expect_err("the old signature does not fit");
        let text = format!("total_amount=5,transaction_uuid={},product_code={TEST_PRODUCT}", open.reference);
        form.insert("signature".to_owned(), esewa::signature(TEST_KEY, &text));
        world.esewa().take_form(&form).unwrap();
        let back = world.pay(&open).unwrap();
        assert!(world.come_back(&back).await.contains("on its way"));
        world.come_back(&back).await;
        assert_eq!(world.incidents().await, ["payment_mismatch"], "the provider signed five rupees");
        world.wait(70).await;
        assert_eq!(world.status(&open).await, "failed");
        world.assert_credited("0.00", 0).await;
    }
}

/// NOT_FOUND is also what one sees before the payer has come.
#[tokio::test]
async fn an_order_that_esewa_does_not_know_yet_is_not_failed() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        let open = world.opened(world.ask("a-top-up", "500.00").await.ok());
        world.wait(20).await;
        assert_eq!(world.verify(&open).await, "pending");
        world.esewa().take_form(&form_of(&open.told)).unwrap();
        world.pay(&open).unwrap();
        assert_eq!(world.verify(&open).await, "completed");
        world.assert_credited("500.00", 1).await;
    }
}

#[tokio::test]
async fn every_word_of_the_status_is_read() {
    let world = ProviderWorld::seeded(Kind::Esewa, 1).await;
    let open = world.open("a-top-up", "500.00").await;
    for (word, status, given_back) in [
        ("PENDING", ProviderStatus::Pending, GivenBack::Nothing),
        ("COMPLETE", ProviderStatus::Paid, GivenBack::Nothing),
        ("AMBIGUOUS", ProviderStatus::Other("AMBIGUOUS".to_owned()), GivenBack::Nothing),
        ("CANCELED", ProviderStatus::Cancelled, GivenBack::Everything),
        ("FULL_REFUND", ProviderStatus::Paid, GivenBack::Everything),
        ("PARTIAL_REFUND", ProviderStatus::Paid, GivenBack::UnknownPart),
    ] {
        world.force_status(&open, word);
        let found = world.look_up(&open, 50_000).await.unwrap();
        assert_eq!(
            (found.status, found.given_back, found.amount),
            (status, given_back, Paisa(50_000)),
            "{word}"
        );
        assert_eq!((found.merchant.as_str(), found.currency.as_str()), (TEST_PRODUCT, "NPR"));
        assert_eq!(found.our_reference, open.reference);
    }
    world.force_status(&open, "NOT_FOUND");
    assert!(matches!(world.look_up(&open, 50_000).await, Err(ProviderError::NotFound)));
    world.force_status(&open, "COMPLETE");
    let other = world.look_up(&open, 50_001).await;
    assert!(matches!(other, Err(ProviderError::NotFound)), "all three must fit: {other:?}");
}

/// Its outages are JSON with a code of HTTP that nobody documents; guests of some clouds see 403.
#[tokio::test]
async fn an_outage_that_looks_like_an_answer_is_an_outage() {
    for world in ProviderWorld::each(Kind::Esewa).await {
        let open = world.open("a-top-up", "500.00").await;
        world.pay(&open).unwrap();
        for status in [200, 400, 403, 404] {
            world.misbehave(Misbehaviour::Fails { status }, 1);
            let found = world.look_up(&open, 50_000).await;
            assert!(matches!(found, Err(ProviderError::Unavailable(_))), "{status}: {found:?}");
        }
        assert_eq!(world.verify(&open).await, "completed");
    }
}

/// L10: the payment arrived at another account.
#[tokio::test]
async fn a_payment_to_another_merchant_is_not_ours() {
    let world = ProviderWorld::seeded(Kind::Esewa, 1).await;
    let open = world.open("a-top-up", "500.00").await;
    world.pay(&open).unwrap();
    "SOMEBODY".clone_into(&mut world.esewa().book().payment(&open.reference).unwrap().product_code);
    assert!(matches!(world.look_up(&open, 50_000).await, Err(ProviderError::NotFound)));
    let stranger = OpenTopUp { reference: "somebody-elses".to_owned(), ..open };
    assert!(matches!(world.look_up(&stranger, 50_000).await, Err(ProviderError::NotFound)));
    world.assert_credited("0.00", 0).await;
}
