//! Our payments beside a provider's book, with differences planted in the book (L15).

use crate::moody_provider::{Mood, Planted};
use crate::payments::{assert_sound, balance, open, press, verify};
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::payments::provider::{GivenBack, ProviderStatus};
use backend::payments::reconciliation::{daily, run};
use entities::admin_profile::AdminRole;
use entities::incident::{self, IncidentKind};
use entities::money::Paisa;
use entities::{job, payment_attempt};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

const REPORTS: &str = "/api/v1/admin/payments/reconciliations";
/// The day of [`TestApp`]'s clock in Kathmandu.
const TODAY: &str = "2026-01-15";
const DAY_MS: u64 = 24 * 60 * 60_000;

/// Opens a top-up and pays it; answers the attempt's id. Nobody has asked the provider yet.
async fn paid_page(test: &TestApp, rider: &Rider, amount: &str) -> (String, String) {
    let opened = open(test, rider, amount).await;
    press(test, &opened.page, "pay").await;
    (newest_attempt(test).await, opened.intent_id)
}

/// As [`paid_page`], and credited.
async fn credited(test: &TestApp, rider: &Rider, amount: &str) -> String {
    let (attempt, intent) = paid_page(test, rider, amount).await;
    assert_eq!(verify(test, rider, &intent).await.ok()["payment"]["status"], "completed");
    attempt
}

async fn newest_attempt(test: &TestApp) -> String {
    test.clock.advance_ms(1_000);
    let newest = payment_attempt::Entity::find().order_by_desc(payment_attempt::Column::CreatedAt);
    newest.one(test.app.db.read()).await.unwrap().unwrap().id.to_string()
}

/// Lets the day end and its report be made; answers a staff token and the report with its lines.
async fn report_of_today(test: &TestApp) -> (String, Value) {
    test.clock.advance_ms(DAY_MS);
    let staff = staff_token(test, AdminRole::Admin).await;
    let wanted = json!({ "provider": "sandbox", "day": TODAY });
    let begun = test.bearer(&staff).post(REPORTS, wanted).await.ok();
    test.drain_jobs().await;
    let path = format!("{REPORTS}/{}?limit=100", begun["id"].as_str().unwrap());
    let report = test.bearer(&staff).get(&path).await.ok();
    (staff, report)
}

fn line_of<'a>(report: &'a Value, attempt: &str) -> &'a Value {
    let lines = report["lines"]["items"].as_array().unwrap();
    lines
        .iter()
        .find(|line| line["attempt_id"] == attempt)
        .unwrap_or_else(|| panic!("no {attempt}: {report}"))
}

#[tokio::test]
async fn every_planted_difference_is_found_and_named() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let matched = credited(&test, &rider, "100.00").await;
        let unpaid = {
            open(&test, &rider, "110.00").await;
            newest_attempt(&test).await
        };
        let forgotten = credited(&test, &rider, "120.00").await;
        let other_amount = credited(&test, &rider, "130.00").await;
        let other_status = credited(&test, &rider, "140.00").await;
        let given_back = credited(&test, &rider, "150.00").await;
        let formula = credited(&test, &rider, "160.00").await;
        // Paid, while we believe that the rider gave up and the page is dead.
        let given_up = open(&test, &rider, "170.00").await;
        let missing = newest_attempt(&test).await;
        test.provider.plant(&missing, Planted::Status(ProviderStatus::Cancelled));
        verify(&test, &rider, &given_up.intent_id).await.ok();
        test.provider.weed(&missing);
        press(&test, &given_up.page, "pay").await;
        let other_paid = open(&test, &rider, "180.00").await;
        let other_paid_attempt = newest_attempt(&test).await;
        press(&test, &other_paid.page, "pay").await;

        test.provider.plant(&forgotten, Planted::Forgotten);
        test.provider.plant(&other_amount, Planted::Amount(Paisa(12_999)));
        test.provider.plant(&other_status, Planted::Status(ProviderStatus::Failed));
        test.provider.plant(&given_back, Planted::GaveBack(GivenBack::Everything));
        test.provider.plant(&formula, Planted::TransactionId("=1+1,\"x\"".to_owned()));
        test.provider.plant(&other_paid_attempt, Planted::Amount(Paisa(1)));
        // The poll plan would find it, too; here the report does.
        forget_polls(&test).await;
        assert_eq!(balance(&test, &rider).await, "800.00");

        let (staff, report) = report_of_today(&test).await;
        for (attempt, class, mended) in [
            (&matched, "matched", false),
            (&unpaid, "matched", false),
            (&formula, "matched", false),
            (&forgotten, "missing_at_provider", false),
            (&other_amount, "amount_differs", false),
            (&other_status, "status_differs", false),
            (&given_back, "unexpected_refund", false),
            (&missing, "missing_at_us", true),
            (&other_paid_attempt, "amount_differs", false),
        ] {
            let line = line_of(&report, attempt);
            assert_eq!(
                (&line["class"], &line["mended"]),
                (&json!(class), &json!(mended)),
                "{}",
                test.backend()
            );
        }
        assert_eq!(
            balance(&test, &rider).await,
            "820.00",
            "what was missing at us is credited, what was given back is taken"
        );
        let totals = &report["report"];
        assert_eq!(totals["state"], "finished");
        assert_eq!((&totals["ours"]["amount"], &totals["differences"]), (&json!("800.00"), &json!(6)));
        // All that is paid there, with the planted amounts: 100 + 129.99 + 150 + 160 + 170 + 0.01.
        assert_eq!(totals["theirs"]["amount"], "710.00");
        // What the provider gave back unasked has left clearing and the wallet, which had it still.
        assert_eq!(totals["clearing"]["balance"]["amount"], "820.00");
        assert_eq!(totals["clearing"]["up_to_1_day"]["amount"], "170.00");
        assert_eq!(totals["clearing"]["up_to_7_days"]["amount"], "650.00");
        assert_eq!(totals["suspense"]["balance"]["amount"], "0.00");
        let only = format!("{REPORTS}/{}?class=missing_at_us", totals["id"].as_str().unwrap());
        let only = test.bearer(&staff).get(&only).await.ok();
        assert_eq!(only["lines"]["items"].as_array().unwrap().len(), 1);
        let incidents = incident::Entity::find().filter(incident::Column::Kind.eq(IncidentKind::BooksDiffer));
        assert_eq!(incidents.count(test.app.db.read()).await.unwrap(), 1);
        the_download_is_whole_and_safe(&test, &staff, totals["id"].as_str().unwrap()).await;
        assert_sound(&test).await;
    }
}

async fn the_download_is_whole_and_safe(test: &TestApp, staff: &str, report: &str) {
    let answer = test.bearer(staff).get(&format!("{REPORTS}/{report}/csv")).await;
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    let text = answer.ok().as_str().unwrap().to_owned();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 9 + 1, "headings, lines, and nothing after the last end of line");
    assert!(lines[0].starts_with("attempt,class,our_state"));
    let planted = lines.iter().find(|line| line.contains("1+1")).unwrap();
    assert!(planted.contains(",\"'=1+1,\"\"x\"\"\","), "{planted}");
}

/// Ends the poll plan of every attempt.
async fn forget_polls(test: &TestApp) {
    let write = test.app.db.write(|tx| {
        Box::pin(async move {
            job::Entity::delete_many().filter(job::Column::Queue.eq("payments.reconcile")).exec(tx).await?;
            Ok(())
        })
    });
    write.await.unwrap();
}

#[tokio::test]
async fn a_report_is_made_once_for_each_day_whoever_asks() {
    for test in TestApp::on_each_backend().await {
        let staff = staff_token(&test, AdminRole::Admin).await;
        let rider = rider(&test.app).await;
        credited(&test, &rider, "100.00").await;
        let wanted = json!({ "provider": "sandbox", "day": TODAY });
        let early = test.bearer(&staff).post(REPORTS, wanted.clone()).await;
        assert_eq!(early.problem(422, "validation_failed")["errors"][0]["pointer"], "/day");
        let nobody = json!({ "provider": "nobody", "day": "2026-01-01" });
        test.bearer(&staff).post(REPORTS, nobody).await.problem(422, "validation_failed");
        let (staff, first) = report_of_today(&test).await;
        let first = first["report"].clone();
        let again = test.bearer(&staff).post(REPORTS, wanted).await.ok();
        assert_eq!(first, again);
        let listed = test.bearer(&staff).get(&format!("{REPORTS}?provider=sandbox")).await.ok();
        assert_eq!(listed["items"], json!([first]));
        let moderator = format!("{REPORTS}/01890f3e-7cc2-7000-8000-000000000001");
        test.bearer(&staff).get(&moderator).await.problem(404, "report_not_found");
    }
}

/// More payments than one step takes, a provider that is away in the middle, and a step that is repeated.
#[tokio::test]
async fn a_report_waits_for_a_provider_that_is_away_and_goes_on_where_it_was() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let mut attempts = Vec::new();
        for rupees in 0..20 {
            attempts.push(credited(&test, &rider, &format!("{}.00", 100 + rupees)).await);
        }
        test.provider.plant(&attempts[10], Planted::Silence);
        let (staff, waiting) = report_of_today(&test).await;
        assert_eq!(waiting["report"]["state"], "running", "{}", test.backend());
        assert_eq!(line_of(&waiting, &attempts[10])["class"], "unanswered");
        test.provider.weed(&attempts[10]);
        test.clock.advance_ms(11 * 60_000);
        test.drain_jobs().await;
        let id = waiting["report"]["id"].as_str().unwrap();
        let report = test.bearer(&staff).get(&format!("{REPORTS}/{id}?limit=100")).await.ok();
        assert_eq!(report["report"]["state"], "finished");
        assert_eq!(report["classes"], json!([{ "class": "matched", "lines": 20 }]));
        let sum: i64 = (0..20).map(|rupees| 100 + rupees).sum();
        assert_eq!(report["report"]["ours"]["amount"], format!("{sum}.00"));
        assert_eq!(report["report"]["theirs"], report["report"]["ours"]);
    }
}

#[tokio::test]
async fn a_provider_that_stays_silent_leaves_open_lines_that_are_asked_for_again() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let attempt = credited(&test, &rider, "100.00").await;
        test.provider.becomes(Mood::Away);
        let (staff, report) = report_of_today(&test).await;
        let id = report["report"]["id"].as_str().unwrap().to_owned();
        for _ in 0..13 {
            test.clock.advance_ms(10 * 60_000);
            test.drain_jobs().await;
        }
        let path = format!("{REPORTS}/{id}");
        let silent = test.bearer(&staff).get(&path).await.ok();
        assert_eq!(
            (&silent["report"]["state"], &silent["report"]["differences"]),
            (&json!("finished"), &json!(1))
        );
        assert_eq!(line_of(&silent, &attempt)["class"], "unanswered");
        test.provider.becomes(Mood::Good);
        let wanted = json!({ "provider": "sandbox", "day": TODAY });
        assert_eq!(test.bearer(&staff).post(REPORTS, wanted).await.ok()["state"], "running");
        test.drain_jobs().await;
        let answered = test.bearer(&staff).get(&path).await.ok();
        assert_eq!(answered["report"]["differences"], 0, "{}", test.backend());
        assert_eq!(line_of(&answered, &attempt)["class"], "matched");
    }
}

#[tokio::test]
async fn each_night_reports_the_day_before_and_leaves_the_next_night_behind() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        daily::keep_going(&test.app).await.unwrap();
        daily::keep_going(&test.app).await.unwrap();
        credited(&test, &rider, "100.00").await;
        for _ in 0..3 {
            test.clock.advance_ms(DAY_MS);
            test.drain_jobs().await;
        }
        let staff = staff_token(&test, AdminRole::Moderator).await;
        let listed = test.bearer(&staff).get(REPORTS).await.ok();
        let days: Vec<&Value> =
            listed["items"].as_array().unwrap().iter().map(|report| &report["day"]).collect();
        assert_eq!(days, ["2026-01-17", "2026-01-16", "2026-01-15"], "{}", test.backend());
        assert_eq!(listed["items"][2]["ours"]["amount"], "100.00");
        let waiting = job::Entity::find()
            .filter(job::Column::Queue.is_in([daily::QUEUE.name, run::QUEUE.name]))
            .filter(job::Column::State.eq(job::JobState::Ready));
        assert_eq!(waiting.count(test.app.db.read()).await.unwrap(), 1, "only the next night's");
        let wanted = json!({ "provider": "sandbox", "day": "2026-01-01" });
        test.bearer(&staff).post(REPORTS, wanted).await.problem(403, "forbidden");
    }
}

/// L15: what a provider pays out leaves clearing, the oldest first, and once.
#[tokio::test]
async fn a_settlement_drains_clearing_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        credited(&test, &rider, "500.00").await;
        test.clock.advance_ms(2 * DAY_MS);
        credited(&test, &rider, "300.00").await;
        let staff = staff_token(&test, AdminRole::Admin).await;
        let money = |amount: &str| json!({ "amount": amount, "currency": "NPR" });
        let settlement = |gross: &str, fee: &str| json!({ "provider": "sandbox", "gross": money(gross), "fee": money(fee), "bank_reference": "NIC-77" });
        let path = "/api/v1/admin/payments/settlements";
        let caller = test.bearer(&staff);
        let settled = caller.post_once("settle-one", path, settlement("600.00", "12.00")).await;
        assert_eq!(settled.status, 201);
        let settled = settled.ok();
        assert_eq!(settled["net"]["amount"], "588.00");
        assert_eq!(settled["clearing"]["balance"]["amount"], "200.00");
        assert_eq!(settled["clearing"]["up_to_1_day"]["amount"], "200.00");
        assert_eq!(settled["clearing"]["up_to_7_days"]["amount"], "0.00");
        let again = caller.post_once("settle-one", path, settlement("600.00", "12.00")).await.ok();
        assert_eq!(settled, again);
        let under_another_key =
            caller.post_once("settle-two", path, settlement("600.00", "12.00")).await.ok();
        assert_eq!(under_another_key["clearing"]["balance"]["amount"], "200.00", "once, {}", test.backend());
        caller
            .post_once("settle-three", path, settlement("601.00", "12.00"))
            .await
            .problem(409, "ledger_conflict");
        for (gross, fee) in [("0.00", "0.00"), ("10.00", "10.01"), ("10.00", "-1.00")] {
            let key = format!("wrong-{gross}-{fee}");
            caller.post_once(&key, path, settlement(gross, fee)).await.problem(422, "validation_failed");
        }
        assert_sound(&test).await;
    }
}
