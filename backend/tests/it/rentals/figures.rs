//! A rider's rentals in numbers and in lists, and staff's lists of everybody's.

use super::world::{ONE_HOUR, World};
use crate::staff::staff_token;
use backend::staff::NewStaff;
use entities::admin_profile::AdminRole;
use protocol::control::Verdict;
use serde_json::json;

#[tokio::test]
async fn numbers_and_filters_show_what_happened() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2), Some(3)]).await;
        world.station("B", &[Some(4)]).await;
        let (rider, other) = (world.rider(1_000).await, world.rider(500).await);
        let caller = world.test.bearer(&rider.token);
        let nothing = caller.get("/api/v1/rentals/stats").await.ok();
        assert_eq!((&nothing["total_rentals"], &nothing["timely_return_percent"]), (&json!(0), &json!(null)));

        for late_s in [0, 7_200] {
            let id = world.start_and_eject(&rider, "A").await;
            world.advance_s(1_800 + late_s);
            world.settle().await;
            let slot = u8::try_from(world.eject(id).await.slot_number.unwrap()).unwrap();
            let number =
                world.eject(id).await.bank_serial.unwrap().chars().last().unwrap().to_digit(16).unwrap();
            world.insert(a, slot, u8::try_from(number).unwrap()).await;
            world.settle().await;
        }
        let cancelled = world.start(&rider, "A").await;
        world.verdict(cancelled, Verdict::Rejected { reason: 2 }).await;
        // The next day in Kathmandu.
        world.advance_s(86_400);
        let open = world.start_and_eject(&rider, "B").await;
        world.start_and_eject(&other, "A").await;

        let stats = caller.get("/api/v1/rentals/stats").await.ok();
        let counted =
            ["total_rentals", "open_rentals", "completed_rentals", "cancelled_rentals", "lost_rentals"]
                .map(|name| stats[name].as_i64().unwrap());
        assert_eq!(counted, [3, 1, 2, 1, 0], "what came to nothing is not among all");
        assert_eq!((&stats["timely_returns"], &stats["timely_return_percent"]), (&json!(1), &json!(50)));
        // Twice NPR 50, and ninety late minutes at twice the rate, of which the first two are free, capped at NPR 100.
        assert_eq!(stats["total_spent"]["amount"], "200.00");
        // Both places tell one story.
        let usage = caller.get("/api/v1/users/analytics/usage-stats").await.ok();
        assert_eq!((&usage["timely_returns"], &usage["late_returns"]), (&json!(1), &json!(1)));
        for (here, there) in [
            ("total_rentals", "total_rentals"),
            ("total_spent", "total_spent"),
            ("timely_returns", "timely_returns"),
            ("last_rental_at", "last_rental_date"),
        ] {
            assert_eq!(stats[here], usage[there], "{here} {}", world.test.backend());
        }
        let favorite = &stats["favorite_station"];
        assert_eq!((&favorite["serial_number"], &favorite["rentals"]), (&json!("A"), &json!(2)));

        let count = async |query: &str| {
            let listed = caller.get(&format!("/api/v1/rentals/history?{query}")).await.ok();
            listed["items"].as_array().unwrap().len()
        };
        for (query, found) in [
            ("", 4),
            ("station_sn=A", 3),
            ("station_sn=B&status=active", 1),
            ("station_sn=nowhere", 0),
            ("start_date=2026-01-16", 1),
            ("end_date=2026-01-15", 3),
            ("start_date=2026-01-15&end_date=2026-01-15&status=completed", 2),
            ("payment_status=refunded", 1),
        ] {
            assert_eq!(count(query).await, found, "{} {query}", world.test.backend());
        }
        for query in ["start_date=tomorrow", "station_sn=%00"] {
            let path = format!("/api/v1/rentals/history?{query}");
            caller.get(&path).await.problem(422, "validation_failed");
        }

        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Moderator).await);
        let of_rider = format!("user_id={}", rider.id);
        for (query, found) in [
            ("", 2),
            ("view=all", 5),
            (of_rider.as_str(), 4),
            ("status=cancelled", 1),
            ("view=open&station_sn=A", 1),
            ("station_sn=nowhere", 0),
            ("start_date=2026-01-16", 2),
        ] {
            let listed = staff.get(&format!("/api/v1/admin/rentals?{query}")).await.ok();
            assert_eq!(listed["items"].as_array().unwrap().len(), found, "{} {query}", world.test.backend());
        }
        let seen = staff.get(&format!("/api/v1/admin/rentals/{open}")).await.ok();
        assert_eq!(
            (&seen["user_id"], &seen["held"]["state"], &seen["commands"][0]["outcome"]),
            (&json!(rider.id), &json!("held"), &json!("done"))
        );
        staff.get(&format!("/api/v1/admin/rentals/{ONE_HOUR}")).await.problem(404, "rental_not_found");
    }
}

#[tokio::test]
async fn staff_end_a_rental_whose_bank_is_in_their_hands() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(600);
        let path = format!("/api/v1/admin/rentals/{id}/force-complete");
        let moderator = world.test.bearer(staff_token(&world.test, AdminRole::Moderator).await);
        moderator.post(&path, json!({ "reason": "handed in" })).await.problem(403, "forbidden");
        let staff = world.test.bearer(admin_token(&world.test).await);
        staff.post(&path, json!({ "reason": " " })).await.problem(422, "validation_failed");
        let ended = staff.post(&path, json!({ "reason": "handed in" })).await.ok();
        assert_eq!(
            (&ended["status"], &ended["amount_paid"]["amount"]),
            (&json!("completed"), &json!("50.00"))
        );
        staff.post(&path, json!({ "reason": "handed in" })).await.problem(409, "invalid_rental_status");
        assert_eq!(world.money(&rider).await, (45_000, 0));
        world.all_books_agree().await;
    }
}

/// Another member of staff than the moderator.
async fn admin_token(test: &crate::test_app::TestApp) -> String {
    let (email, password) = ("gita@chautari.example", "correct horse battery");
    let new = NewStaff { email: email.to_owned(), password: password.to_owned(), role: AdminRole::Admin };
    backend::staff::create(&test.app, new).await.unwrap();
    let credentials = json!({ "email": email, "password": password });
    let signed_in = test.anonymous_post("/api/v1/admin/login", credentials).await.ok();
    signed_in["token"].as_str().unwrap().to_owned()
}
