//! What is open after a rental is paid once, exactly, from whatever the rider has; then the rider may rent again.

use super::world::{Rider, World};
use crate::test_app::Answer;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use backend::points::{self, Source};
use entities::id::RentalId;
use entities::rental::RentalPaymentStatus;
use serde_json::{Value, json};

impl World {
    /// A rider who had NPR 60, kept the bank for three hours and owes NPR 90 of a bill of NPR 150.
    pub(super) async fn rider_who_owes_90(&self) -> (Rider, RentalId) {
        let a = self.station("A", &[Some(1)]).await;
        let rider = self.rider(60).await;
        let id = self.start_and_eject(&rider, "A").await;
        self.advance_s(3 * 3_600);
        self.settle().await;
        self.insert(a, 1, 1).await;
        self.settle().await;
        (rider, id)
    }

    pub(super) async fn pay_due(&self, rider: &Rider, id: RentalId, key: &str, body: Value) -> Answer {
        let path = format!("/api/v1/rentals/{id}/pay-due");
        let mut how = json!({ "payment_mode": "wallet" });
        how.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.test.bearer(&rider.token).post_once(key, &path, how).await
    }

    pub(super) async fn give_points(&self, rider: &Rider, points: i32) {
        let user = rider.id;
        let given = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let gift = format!("gift {}", tx.new_uuid());
                points::award(tx, tx.now(), user, points, Source::Staff, &gift).await
            })
        });
        assert!(given.await.unwrap());
    }

    pub(super) async fn points(&self, rider: &Rider) -> i32 {
        points::balance(self.test.app.db.read(), rider.id).await.unwrap().current
    }

    pub(super) async fn sandbox_method(&self) -> Value {
        self.test.anonymous().get("/api/v1/payments/methods").await.ok()["items"][0]["id"].clone()
    }

    /// Presses "pay" on the page of an intent, and lets the provider be asked.
    pub(super) async fn pay_at_provider(&self, rider: &Rider, intent: &Value) {
        self.press_pay(intent).await;
        self.verify(rider, intent).await;
    }

    pub(super) async fn press_pay(&self, intent: &Value) {
        let page = intent["gateway_url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap();
        let request = self.test.anonymous().request(Method::POST, page);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.test.anonymous().send(request.body(Body::from("action=pay")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    }

    pub(super) async fn verify(&self, rider: &Rider, intent: &Value) {
        let body = json!({ "intent_id": intent["intent_id"] });
        self.test.bearer(&rider.token).post("/api/v1/payments/verify-topup", body).await.ok();
        self.settle().await;
    }

    /// Amounts of one kind of receipt, newest first.
    pub(super) async fn receipts(&self, rider: &Rider, kind: &str) -> Vec<(Value, Value)> {
        let path = format!("/api/v1/payments/transactions?transaction_type={kind}");
        let listed = self.test.bearer(&rider.token).get(&path).await.ok();
        let items = listed["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|item| (item["amount"]["amount"].clone(), item["payment_method_type"].clone()))
            .collect()
    }

    /// Every book, money's and rentals'.
    pub(super) async fn all_books_agree(&self) {
        self.books_agree().await;
        let mut findings = backend::payments::audit::audit(self.test.app.db.read()).await.unwrap();
        // Riders of this world are given money without a provider.
        findings.retain(|finding| !["topup", "clearing"].contains(&finding.rule));
        assert!(findings.is_empty(), "{}: {findings:#?}", self.test.backend());
    }
}

#[tokio::test]
async fn an_open_amount_is_paid_from_the_wallet_and_the_rider_may_rent_again() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        world.all_books_agree().await;
        let wallet = json!({});
        world.pay_due(&rider, id, "too-early", wallet.clone()).await.problem(402, "insufficient_balance");
        world.top_up(&rider, 200).await;
        let paid = world.pay_due(&rider, id, "pay-it-now", wallet.clone()).await.ok();
        assert_eq!(
            (&paid["payment_status"], &paid["due"]["amount"], &paid["amount_paid"]["amount"]),
            (&json!("paid"), &json!("0.00"), &json!("150.00"))
        );
        assert_eq!(world.money(&rider).await, (11_000, 0));
        // The same request again is the same payment; another one has nothing to pay.
        let again = world.pay_due(&rider, id, "pay-it-now", wallet.clone()).await.ok();
        assert_eq!(again["amount_paid"], paid["amount_paid"]);
        world.pay_due(&rider, id, "pay-it-twice", wallet).await.problem(409, "no_due_amount");
        assert_eq!(world.money(&rider).await, (11_000, 0));
        // The hour was paid by the hold: what was open is a fine.
        assert_eq!(world.receipts(&rider, "fine").await, [(json!("90.00"), json!("wallet"))]);
        world.all_books_agree().await;
        world.start_and_eject(&rider, "A").await;
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn an_open_amount_is_paid_with_points_or_with_both() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        let had = world.points(&rider).await;
        let points = |mode: &str, count: Option<i32>| json!({ "payment_mode": mode, "points_to_use": count });
        let pay = async |key: &str, body: Value| world.pay_due(&rider, id, key, body).await;
        pay("no-points", points("points", None)).await.problem(402, "insufficient_points");
        world.give_points(&rider, 900 - had).await;
        pay("too-many-points", points("wallet_points", Some(901))).await.problem(422, "split_total_mismatch");
        pay("points-of-wallet", points("wallet", Some(5))).await.problem(422, "split_total_mismatch");
        pay("too-little-money", points("wallet_points", Some(300)))
            .await
            .problem(402, "insufficient_balance");
        assert_eq!(world.points(&rider).await, 900, "a refusal takes nothing");
        world.top_up(&rider, 60).await;
        let paid = pay("some-points", points("wallet_points", Some(300))).await.ok();
        assert_eq!(paid["payment_status"], "paid");
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((0, 0), 600));
        assert_eq!(world.rental(id).await.points_paid_paisa.0, 3_000);
        assert_eq!(world.receipts(&rider, "fine").await, [(json!("90.00"), json!("combination"))]);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn points_alone_leave_a_receipt_too() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        world.give_points(&rider, 1_000).await;
        let had = world.points(&rider).await;
        let path = format!("/api/v1/payments/rentals/{id}/pay-due");
        let body = json!({ "payment_mode": "points" });
        world.test.bearer(&rider.token).post_once("all-points", &path, body).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((0, 0), had - 900));
        assert_eq!(world.receipts(&rider, "fine").await, [(json!("90.00"), json!("points"))]);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn who_does_not_say_how_pays_what_is_open_with_points_first() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        world.give_points(&rider, 300 - world.points(&rider).await).await;
        world.top_up(&rider, 60).await;
        let path = format!("/api/v1/rentals/{id}/pay-due");
        world.test.bearer(&rider.token).post_once("however-it-is", &path, json!({})).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((0, 0), 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn only_the_rider_pays_and_only_the_exact_amount() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        world.top_up(&rider, 500).await;
        let stranger = world.rider(500).await;
        world.pay_due(&stranger, id, "not-my-rental", json!({})).await.problem(404, "rental_not_found");
        let part = json!({ "amount": { "amount": "50.00", "currency": "NPR" } });
        world.pay_due(&rider, id, "only-a-part", part).await.problem(422, "payment_amount_mismatch");
        let direct = json!({ "payment_mode": "direct" });
        let problem = world.pay_due(&rider, id, "which-method", direct).await;
        let problem = problem.problem(422, "payment_method_required");
        assert_eq!(problem["errors"][0]["pointer"], "/payment_method_id");
        for mode in ["wallet", "points", "wallet_points"] {
            let method = world.sandbox_method().await;
            let both = json!({ "payment_mode": mode, "payment_method_id": method });
            let problem = world.pay_due(&rider, id, "both-ways", both).await;
            let problem = problem.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], "/payment_method_id", "{mode}");
        }
        assert_eq!(world.rental(id).await.payment_status, RentalPaymentStatus::Pending);
        let exact = json!({ "amount": { "amount": "90.00", "currency": "NPR" } });
        world.pay_due(&rider, id, "all-of-it", exact).await.ok();
        assert_eq!(world.rental(id).await.payment_status, RentalPaymentStatus::Paid);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn of_many_who_pay_at_once_one_pays() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        world.top_up(&rider, 500).await;
        let keys: Vec<String> = (0..12).map(|number| format!("at-once-{number}")).collect();
        let all = keys.iter().map(|key| world.pay_due(&rider, id, key, json!({})));
        let answers = futures::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
        assert_eq!(world.money(&rider).await, (41_000, 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_payment_at_a_provider_pays_what_is_open() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        let body = json!({ "payment_mode": "direct", "payment_method_id": world.sandbox_method().await });
        let opened = world.pay_due(&rider, id, "by-the-provider", body.clone()).await;
        assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
        let again = world.pay_due(&rider, id, "by-the-provider", body).await;
        assert_eq!(again.body, opened.body, "the same key is the same payment");
        assert_eq!(opened.body["amount"]["amount"], "90.00");
        world.pay_at_provider(&rider, &opened.body).await;
        let row = world.rental(id).await;
        assert_eq!((row.due_paisa.0, row.payment_status), (0, RentalPaymentStatus::Paid));
        assert_eq!(world.money(&rider).await, (0, 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_payment_that_comes_too_late_stays_in_the_wallet() {
    for world in World::on_each_backend().await {
        let (rider, id) = world.rider_who_owes_90().await;
        let body = json!({ "payment_mode": "direct", "payment_method_id": world.sandbox_method().await });
        let opened = world.pay_due(&rider, id, "by-the-provider", body).await;
        world.top_up(&rider, 90).await;
        world.pay_due(&rider, id, "from-the-wallet", json!({})).await.ok();
        world.pay_at_provider(&rider, &opened.body).await;
        assert_eq!(world.money(&rider).await, (9_000, 0));
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 15_000);
        world.books_agree().await;
    }
}
