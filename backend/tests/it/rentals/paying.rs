//! How a rental is paid: with points, at a provider before it starts, by free minutes and capped days.

use super::world::{ONE_HOUR, Rider, World};
use crate::staff::staff_token;
use crate::test_app::Answer;
use axum::http::StatusCode;
use entities::admin_profile::AdminRole;
use entities::id::RentalId;
use entities::rental::RentalStatus;
use protocol::control::Verdict;
use serde_json::{Value, json};

impl World {
    async fn start_with(&self, rider: &Rider, key: &str, more: Value) -> Answer {
        let mut body = json!({ "station_sn": "A", "package_id": ONE_HOUR, "payment_mode": "wallet" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.test.bearer(&rider.token).post_once(key, "/api/v1/payments/rentals/start", body).await
    }

    pub(super) async fn started(&self, rider: &Rider, key: &str, more: Value) -> RentalId {
        let answer = self.start_with(rider, key, more).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        self.settle().await;
        answer.body["id"].as_str().unwrap().parse().unwrap()
    }

    async fn options(&self, rider: &Rider, question: Value) -> Answer {
        self.test.bearer(&rider.token).post("/api/v1/payments/calculate-options", question).await
    }
}

#[tokio::test]
async fn points_pay_a_part_and_come_back_as_points_when_nothing_came_out() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        world.give_points(&rider, 300).await;
        let too_many = json!({ "payment_mode": "wallet_points", "points_to_use": 501 });
        world.start_with(&rider, "too-many", too_many).await.problem(422, "split_total_mismatch");
        let alone = json!({ "payment_mode": "points" });
        world.start_with(&rider, "not-enough", alone).await.problem(402, "insufficient_points");
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((50_000, 0), 300));

        let both = json!({ "payment_mode": "wallet_points", "points_to_use": 200 });
        let id = world.started(&rider, "with-both", both.clone()).await;
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((47_000, 5_000), 100));
        world.all_books_agree().await;
        world.verdict(id, Verdict::Failed { reason: 1 }).await;
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((50_000, 0), 300));
        world.all_books_agree().await;

        let id = world.started(&rider, "with-both-again", both).await;
        world.verdict(id, Verdict::Done).await;
        world.advance_s(600);
        world.insert(a, 1, 1).await;
        let row = world.rental(id).await;
        assert_eq!((row.amount_paid_paisa.0, row.points_paid_paisa.0), (5_000, 2_000));
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((47_000, 0), 100));
        assert_eq!(world.receipts(&rider, "rental").await, [(json!("50.00"), json!("combination"))]);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn what_free_minutes_save_comes_back_money_as_money_and_points_as_points() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let package = json!({
            "name": "Five minutes free", "duration_minutes": 60, "price": { "amount": "50.00", "currency": "NPR" },
            "package_type": "hourly", "payment_model": "prepaid", "free_minutes": 5,
            "daily_cap": { "amount": "80.00", "currency": "NPR" },
        });
        let mut wrong = package.clone();
        wrong["daily_cap"]["amount"] = json!("49.99");
        staff.post("/api/v1/admin/packages", wrong).await.problem(422, "validation_failed");
        let made = staff.post("/api/v1/admin/packages", package).await.ok();
        assert_eq!((&made["free_minutes"], &made["daily_cap"]["amount"]), (&json!(5), &json!("80.00")));

        let rider = world.rider(500).await;
        world.give_points(&rider, 100).await;
        let more = json!({ "package_id": made["id"], "payment_mode": "wallet_points" });
        let id = world.started(&rider, "back-at-once", more).await;
        world.verdict(id, Verdict::Done).await;
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((46_000, 5_000), 0));
        world.advance_s(299);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 0);
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((50_000, 0), 100));
        world.all_books_agree().await;

        let id = world.started(&rider, "back-late", json!({ "package_id": made["id"] })).await;
        world.verdict(id, Verdict::Done).await;
        world.advance_s(10 * 3_600);
        world.insert(a, 1, 1).await;
        // The late fee alone would be 100.
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 8_000);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_package_gets_another_price_and_leaves_the_shop_and_who_rents_keeps_the_old_terms() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let on_sale = async || {
            let shop = world.test.anonymous().get("/api/v1/rentals/packages").await.ok();
            let items = shop["items"].as_array().unwrap().clone();
            items.into_iter().find(|item| item["id"] == ONE_HOUR)
        };
        let id = world.start_and_eject(&rider, "A").await;

        let path = format!("/api/v1/admin/packages/{ONE_HOUR}");
        let mut package = on_sale().await.unwrap();
        package.as_object_mut().unwrap().remove("id");
        package["name"] = json!("An hour");
        package["price"]["amount"] = json!("65.00");
        let mut wrong = package.clone();
        wrong["price"]["amount"] = json!("0.00");
        staff.put(&path, wrong).await.problem(422, "validation_failed");
        let nobodys = "/api/v1/admin/packages/00000000-0000-7000-8000-0000000003ff";
        staff.put(nobodys, package.clone()).await.problem(404, "entry_not_found");
        let changed = staff.put(&path, package.clone()).await.ok();
        assert_eq!((&changed["name"], &changed["price"]["amount"]), (&json!("An hour"), &json!("65.00")));
        assert_eq!(on_sale().await.unwrap(), changed, "{}", world.test.backend());

        world.advance_s(600);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 5_000, "as it was agreed");
        let id = world.started(&rider, "the-new-price", json!({})).await;
        assert_eq!(world.rental(id).await.hold_paisa.0, 6_500);
        world.verdict(id, Verdict::Failed { reason: 1 }).await;

        package["is_active"] = json!(false);
        staff.put(&path, package.clone()).await.ok();
        assert!(on_sale().await.is_none());
        world.start_with(&rider, "withdrawn", json!({})).await.problem(422, "package_not_found");
        package["is_active"] = json!(true);
        staff.put(&path, package).await.ok();
        world.started(&rider, "and-back", json!({})).await;
        let deeds = staff.get("/api/v1/admin/logs/actions?action=package.update").await.ok();
        let deeds = deeds["items"].as_array().unwrap();
        assert_eq!(deeds.len(), 3, "{deeds:?}");
        let change = deeds.iter().find(|deed| !deed["changes"]["price"].is_null()).unwrap();
        assert_eq!(change["changes"]["name"], json!(["1 hour", "An hour"]));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_rental_that_is_paid_at_a_provider_starts_when_the_money_is_there() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(0).await;
        let no_method = json!({ "payment_mode": "direct" });
        let problem = world.start_with(&rider, "no-method", no_method).await;
        let problem = problem.problem(422, "payment_method_required");
        assert_eq!(problem["errors"][0]["pointer"], "/payment_method_id");
        // A method without the mode that uses it is not passed over in silence.
        let no_mode = json!({ "payment_method_id": world.sandbox_method().await });
        let problem =
            world.start_with(&rider, "without-mode", no_mode).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/payment_method_id");
        let direct = json!({ "payment_mode": "direct", "payment_method_id": world.sandbox_method().await });
        let asked =
            world.start_with(&rider, "pay-first", direct.clone()).await.problem(402, "payment_required");
        let again = world.start_with(&rider, "pay-first", direct).await;
        assert_eq!(again.body, asked, "the same key is the same payment");
        let payment = &asked["payment"];
        assert_eq!(payment["amount"]["amount"], "50.00");
        assert_eq!(world.money(&rider).await, (0, 0));

        world.pay_at_provider(&rider, payment).await;
        assert_eq!(world.money(&rider).await, (0, 5_000));
        let path = format!("/api/v1/payments/status/{}", payment["intent_id"].as_str().unwrap());
        let status = world.test.bearer(&rider.token).get(&path).await.ok();
        let id: RentalId = status["rental_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            (&status["intent_type"], &status["start_refused"]),
            (&json!("rental_payment"), &json!(null))
        );
        world.verdict(id, Verdict::Done).await;
        world.settle().await;
        // The app finds what it was told of by the notification's data.
        let caller = world.test.bearer(&rider.token);
        let inbox = caller.get("/api/v1/notifications").await.ok();
        let told = |occasion: &str| {
            let items = inbox["items"].as_array().unwrap();
            items.iter().find(|item| item["occasion"] == occasion).unwrap()["data"].clone()
        };
        assert_eq!(told("payment-received")["intent_id"], payment["intent_id"]);
        let rental = caller.get(&format!("/api/v1/rentals/{id}")).await.ok();
        let started = told("rental-started");
        assert_eq!((&started["rental_id"], &started["due_at_iso"]), (&rental["id"], &rental["due_at"]));
        // It is a rental like any other: more time is bought for it from the wallet.
        world
            .extend(&rider, id, "no-money", json!({ "payment_mode": "wallet" }))
            .await
            .problem(402, "insufficient_balance");
        world.top_up(&rider, 70).await;
        world.extend(&rider, id, "one-hour", json!({ "payment_mode": "wallet" })).await.ok();
        assert_eq!(world.money(&rider).await, (2_000, 10_000));
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        assert_eq!(
            (world.money(&rider).await, world.rental(id).await.amount_paid_paisa.0),
            ((2_000, 0), 10_000)
        );
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_paid_start_that_is_refused_leaves_the_money_in_the_wallet_and_is_told() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (rider, quicker) = (world.rider(0).await, world.rider(500).await);
        let direct = json!({ "payment_mode": "direct", "payment_method_id": world.sandbox_method().await });
        let asked = world.start_with(&rider, "pay-first", direct.clone()).await;
        world.start_and_eject(&quicker, "A").await;
        world.pay_at_provider(&rider, &asked.body["payment"]).await;
        assert_eq!(world.money(&rider).await, (5_000, 0));
        let told = world.test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        let told = told["items"].as_array().unwrap().clone();
        let refused = told.iter().find(|item| item["title"] == "Your rental did not start").unwrap();
        assert!(refused["message"].as_str().unwrap().contains("No charged power bank"), "{refused}");
        let intent_id = &asked.body["payment"]["intent_id"];
        assert_eq!(
            (&refused["data"]["intent_id"], &refused["data"]["code"]),
            (intent_id, &json!("no_powerbanks_available"))
        );
        let path = format!("/api/v1/payments/status/{}", intent_id.as_str().unwrap());
        let status = world.test.bearer(&rider.token).get(&path).await.ok();
        assert_eq!((&status["status"], &status["rental_id"]), (&json!("completed"), &json!(null)));
        assert_eq!(
            status["start_refused"],
            json!({
                "code": "no_powerbanks_available",
                "detail": "No charged power bank is free at this station.",
            }),
            "{}",
            world.test.backend()
        );
        // And a start that could not happen now is refused before anything is paid.
        let refused = world.start_with(&rider, "pay-in-vain", direct).await;
        refused.problem(409, "no_powerbanks_available");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_start_that_was_paid_long_after_is_not_made() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(0).await;
        let direct = json!({ "payment_mode": "direct", "payment_method_id": world.sandbox_method().await });
        let asked = world.start_with(&rider, "pay-first", direct).await;
        world.press_pay(&asked.body["payment"]).await;
        // The provider is not asked for half an hour: its answer was lost, and the poll was late.
        world.advance_s(31 * 60);
        world.verify(&rider, &asked.body["payment"]).await;
        assert_eq!(world.money(&rider).await, (5_000, 0));
        let told = world.test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        assert!(told.to_string().contains("The payment came too late"), "{told}");
        let path =
            format!("/api/v1/payments/status/{}", asked.body["payment"]["intent_id"].as_str().unwrap());
        let status = world.test.bearer(&rider.token).get(&path).await.ok();
        assert_eq!(status["start_refused"]["code"], "paid_too_late");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn who_does_not_say_how_pays_with_points_first_wherever_something_is_paid() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let caller = world.test.bearer(&rider.token);
        world.give_points(&rider, 100).await;
        let asked = world.options(&rider, json!({ "scenario": "pre_payment", "package_id": ONE_HOUR })).await;
        assert_eq!(asked.ok()["payment_breakdown"]["points_used"], 100);
        let wish = json!({ "station_sn": "A", "package_id": ONE_HOUR });
        let started = caller.post_once("start-it", "/api/v1/rentals/start", wish).await;
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((46_000, 5_000), 0));
        world.settle().await;
        let id: RentalId = started.ok()["id"].as_str().unwrap().parse().unwrap();
        world.verdict(id, Verdict::Done).await;

        world.give_points(&rider, 100).await;
        let more = json!({ "package_id": ONE_HOUR });
        caller.post_once("extend-it", &format!("/api/v1/rentals/{id}/extend"), more).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((42_000, 10_000), 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn options_say_what_something_costs_and_what_is_missing() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(20).await;
        world.give_points(&rider, 120).await;
        let asked =
            world.options(&rider, json!({ "scenario": "pre_payment", "package_id": ONE_HOUR })).await.ok();
        assert_eq!(asked["total_amount"]["amount"], "50.00");
        assert_eq!(asked["user_balances"]["points"], 120);
        assert_eq!(
            asked["payment_breakdown"],
            json!({
                "points_used": 120, "points_amount": { "amount": "12.00", "currency": "NPR" },
                "wallet_used": { "amount": "38.00", "currency": "NPR" },
            })
        );
        assert_eq!(
            (&asked["is_sufficient"], &asked["shortfall"]["amount"], &asked["suggested_topup"]["amount"]),
            (&json!(false), &json!("18.00"), &json!("100.00"))
        );
        let wallet = json!({ "scenario": "pre_payment", "package_id": ONE_HOUR, "payment_mode": "wallet" });
        assert_eq!(world.options(&rider, wallet).await.ok()["shortfall"]["amount"], "30.00");
        let top_up =
            json!({ "scenario": "wallet_topup", "amount": { "amount": "150.00", "currency": "NPR" } });
        assert_eq!(world.options(&rider, top_up).await.ok()["suggested_topup"]["amount"], "200.00");
        let due = json!({ "scenario": "settle_dues" });
        world.options(&rider, due).await.problem(409, "no_due_amount");
        let wrong = json!({ "scenario": "post_payment", "package_id": ONE_HOUR });
        world.options(&rider, wrong).await.problem(422, "validation_failed");
        world.top_up(&rider, 18).await;
        let asked =
            world.options(&rider, json!({ "scenario": "pre_payment", "package_id": ONE_HOUR })).await.ok();
        assert_eq!((&asked["is_sufficient"], &asked["suggested_topup"]), (&json!(true), &json!(null)));
    }
}

#[tokio::test]
async fn a_rental_keeps_the_late_fee_that_its_rider_agreed_to() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let id = world.start_and_eject(&rider, "A").await;

        let path = "/api/v1/admin/late-fee-configs";
        let rate = json!({ "amount": "30.00", "currency": "NPR" });
        let flat = json!({ "name": "Flat", "fee_type": "flat_rate", "flat_rate_per_hour": rate, "grace_minutes": 10 });
        let lacking = json!({ "name": "Flat", "fee_type": "compound", "flat_rate_per_hour": rate });
        staff.post(path, lacking).await.problem(422, "validation_failed");
        let made = staff.post(path, flat).await.ok();
        assert_eq!((&made["version"], &made["is_active"]), (&json!(2), &json!(false)));
        let try_on =
            |config: &Value| json!({ "config_id": config, "package_id": ONE_HOUR, "late_minutes": 70 });
        let trial = staff.post(&format!("{path}/test-calculation"), try_on(&made["id"])).await.ok();
        assert_eq!(
            (&trial["late_fee"]["amount"], &trial["total"]["amount"], &trial["version"]),
            (&json!("30.00"), &json!("80.00"), &json!(2))
        );
        let activated =
            staff.post(&format!("{path}/{}/activate", made["id"].as_str().unwrap()), json!({})).await.ok();
        assert_eq!(activated["is_active"], true);
        let listed = staff.get(path).await.ok();
        let active: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|item| &item["is_active"]).collect();
        assert_eq!(active, [&json!(true), &json!(false)]);

        // 70 minutes late by the old rate: 68 of them at twice the price, capped at 100.
        world.advance_s(3_600 + 70 * 60);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.overdue_amount_paisa.0, 10_000);
        world.settle().await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(3_600 + 70 * 60);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.overdue_amount_paisa.0, 3_000);
        world.all_books_agree().await;
    }
}
