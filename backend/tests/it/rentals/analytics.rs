//! What staff see of the business: days in Kathmandu, the ledger's own sums, and a copy of the books if there is one.

use super::world::World;
use crate::permissions::token_of;
use crate::stations::station;
use crate::test_app::TestApp;
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};

const ANALYTICS: &str = "/api/v1/admin/analytics";
const DAY_S: u64 = 86_400;

fn amounts(earned: &Value) -> [&str; 5] {
    ["rentals", "late_fees", "vat", "promotions", "net"].map(|key| earned[key]["amount"].as_str().unwrap())
}

/// On the 16th somebody rents at A and brings the bank to B, on the 17th somebody rents at A and keeps it.
async fn two_days(world: &World) {
    world.station("A", &[Some(1), Some(2)]).await;
    let b = world.station("B", &[None]).await;
    world.advance_s(DAY_S);
    world.hello();
    let first = world.rider(500).await;
    world.start_and_eject(&first, "A").await;
    world.advance_s(600);
    world.insert(b, 1, world_bank_out(world).await).await;
    world.settle().await;
    world.advance_s(DAY_S);
    world.hello();
    let second = world.rider(500).await;
    world.start_and_eject(&second, "A").await;
    world.settle().await;
}

/// The number of the bank that is rented.
async fn world_bank_out(world: &World) -> u8 {
    for number in [1, 2] {
        if world.bank(number).await.status == entities::power_bank::PowerBankStatus::Rented {
            return number;
        }
    }
    panic!("no bank is out");
}

#[tokio::test]
async fn the_numbers_of_two_days_are_those_of_the_books() {
    for world in World::on_each_backend().await {
        two_days(&world).await;
        let test = &world.test;
        let admin = test.bearer(token_of(test, AdminRole::Admin).await);
        let get = async |path: &str| admin.get(&format!("{ANALYTICS}/{path}")).await.ok();

        let revenue = get("revenue?from=2026-01-15&to=2026-01-17").await;
        let steps = revenue["steps"].as_array().unwrap();
        let days: Vec<&str> = steps.iter().map(|step| step["day"].as_str().unwrap()).collect();
        assert_eq!(days, ["2026-01-15", "2026-01-16", "2026-01-17"]);
        assert_eq!(amounts(&steps[0]), ["0.00"; 5]);
        assert_eq!(amounts(&steps[1]), ["44.25", "0.00", "5.75", "0.00", "44.25"]);
        assert_eq!(amounts(&steps[2]), ["0.00"; 5]);
        assert_eq!(amounts(&revenue["total"]), amounts(&steps[1]));
        let monthly = get("revenue?from=2026-01-01&to=2026-02-28&interval=month").await;
        assert_eq!(monthly["steps"].as_array().unwrap().len(), 2);
        assert_eq!(amounts(&monthly["steps"][0]), amounts(&steps[1]));

        let rentals = get("rentals?from=2026-01-16&to=2026-01-17").await;
        let total = json!({
            "asked_for": 2, "open": 1, "completed": 1, "returned_on_time": 1, "cancelled": 0, "lost": 0,
        });
        assert_eq!(rentals["total"], total, "{}", test.backend());
        assert_eq!(rentals["steps"][0]["completed"], 1);
        assert_eq!(rentals["steps"][1]["open"], 1);

        let users = get("users?from=2026-01-16&to=2026-01-17").await;
        assert_eq!((&users["renting"], &users["steps"][0]["renting"]), (&json!(2), &json!(1)));
        assert_eq!(users["steps"][0]["registered"], 1);

        let stations = get("stations?from=2026-01-16&to=2026-01-17&sort=paid").await;
        assert_eq!(stations["used"], 2);
        let (a, b) = (&stations["items"][0], &stations["items"][1]);
        assert_eq!((&a["serial_number"], &a["paid"]["amount"]), (&json!("A"), &json!("50.00")));
        assert_eq!((&a["rentals"], &a["returns"]), (&total, &json!(0)));
        assert_eq!((&b["serial_number"], &b["returns"]), (&json!("B"), &json!(1)));
        assert_eq!(get("stations?limit=1").await["items"].as_array().unwrap().len(), 1);

        let dashboard = get("dashboard").await;
        assert_eq!(dashboard["today"], "2026-01-17");
        assert_eq!(
            dashboard["rentals"],
            json!({ "pending": 0, "active": 1, "overdue": 0, "lost": 0, "started_today": 1 })
        );
        assert_eq!(
            dashboard["power_banks"],
            json!({ "total": 2, "available": 1, "rented": 1, "missing": 0, "out_of_service": 0 })
        );
        assert_eq!(dashboard["stations"], json!({ "total": 2, "online": 2, "in_maintenance": 0 }));
        assert_eq!(amounts(&dashboard["revenue_today"]), ["0.00"; 5]);
    }
}

#[tokio::test]
async fn a_moderator_sees_how_things_go_and_not_what_is_earned() {
    for world in World::on_each_backend().await {
        two_days(&world).await;
        let moderator = world.test.bearer(token_of(&world.test, AdminRole::Moderator).await);
        let dashboard = moderator.get(&format!("{ANALYTICS}/dashboard")).await.ok();
        assert!(dashboard.get("revenue_today").is_none(), "{dashboard}");
        let stations = moderator.get(&format!("{ANALYTICS}/stations")).await.ok();
        assert_eq!(stations["items"][0]["serial_number"], "A");
        assert!(stations["items"][0].get("paid").is_none(), "{stations}");
        moderator.get(&format!("{ANALYTICS}/stations?sort=paid")).await.problem(403, "forbidden");
        moderator.get(&format!("{ANALYTICS}/revenue")).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_period_that_is_too_long_or_turned_round_is_refused() {
    let test = TestApp::new().await;
    let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
    for (query, field) in [
        ("from=2026-01-02&to=2026-01-01", "to"),
        ("from=2025-01-01&to=2026-01-01", "from"),
        ("from=2000-01-01&to=2026-01-01&interval=month", "from"),
        ("from=0001-01-01&to=0001-01-01", "from"),
        ("from=%2B262142-12-31&to=%2B262142-12-31", "from"),
        ("from=yesterday", "from"),
        ("interval=year", "interval"),
    ] {
        for kind in ["revenue", "users", "rentals", "stations"] {
            let answer = admin.get(&format!("{ANALYTICS}/{kind}?{query}")).await;
            if kind == "stations" && query.starts_with("from=2025") {
                // One sum over the whole period: a year is fine.
                answer.ok();
                continue;
            }
            let problem = answer.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], field, "{kind}?{query}");
        }
    }
}

#[tokio::test]
async fn analytics_read_the_copy_of_the_books_if_there_is_one() {
    for copy in TestApp::on_each_backend().await {
        let url = copy.app.settings.database.url.clone();
        let test = TestApp::with_settings(|settings| settings.database.analytics_url = Some(url)).await;
        station(&test, "A", (27.7, 85.3), 2).await;
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        let total = async || {
            let dashboard = admin.get(&format!("{ANALYTICS}/dashboard")).await.ok();
            dashboard["stations"]["total"].clone()
        };
        assert_eq!(total().await, 0, "the books have it, the copy does not yet");
        station(&copy, "A", (27.7, 85.3), 2).await;
        assert_eq!(total().await, 1);
        let written =
            sea_orm::ConnectionTrait::execute_unprepared(&test.app.analytics, "delete from stations");
        assert!(written.await.is_err(), "{}: nothing can be written through it", copy.backend());
    }
}
