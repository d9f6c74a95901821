//! The inbox is the rider's own: listed, counted, read, thrown away, and closed to everybody else.

use crate::riders::{Rider, rider};
use crate::test_app::TestApp;
use backend::notifications::{Notified, notify, template};
use serde_json::{Value, json};

const INBOX: &str = "/api/v1/notifications";

/// Tells a rider of points and of a payment, a second apart.
async fn tell_two(test: &TestApp, rider: &Rider) {
    let points = json!({ "points": 50, "reason": "welcome to Chautari" });
    let payment = json!({ "amount": "500.00", "payment_method": "Khalti" });
    for (slug, data) in [(template::POINTS_EARNED, points), (template::PAYMENT_RECEIVED, payment)] {
        let (user, key) = (rider.id, format!("{slug} of {}", rider.id));
        let told = test.app.db.write(move |tx| {
            let (data, key) = (data.clone(), key.clone());
            Box::pin(async move { notify(tx, user, slug, data, key).await })
        });
        assert_eq!(told.await.unwrap(), Notified::Written);
        test.clock.advance_ms(1_000);
    }
}

fn titles(inbox: &Value) -> Vec<&str> {
    inbox["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_inbox_is_listed_newest_first_and_by_kind_and_by_way() {
    for test in TestApp::on_each_backend().await {
        let sita = rider(&test.app).await;
        tell_two(&test, &sita).await;
        let caller = test.bearer(&sita.token);
        let all = caller.get(INBOX).await.ok();
        assert_eq!(all["unread"], 2);
        let kinds: Vec<_> =
            all["items"].as_array().unwrap().iter().map(|item| item["notification_type"].clone()).collect();
        assert_eq!(kinds.len(), 2, "{all}");
        assert_eq!(kinds[0], "payment");
        assert_eq!(all["items"][0]["channel"], "in_app");
        assert_eq!(all["items"][0]["occasion"], "payment-received");
        assert_eq!(all["items"][0]["data"], json!({ "amount": "500.00", "payment_method": "Khalti" }));

        let payments = caller.get(&format!("{INBOX}?notification_type=payment")).await.ok();
        assert_eq!(titles(&payments), [titles(&all)[0]]);
        assert_eq!(titles(&caller.get(&format!("{INBOX}?channel=sms")).await.ok()).len(), 0);
        let first = caller.get(&format!("{INBOX}?limit=1")).await.ok();
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = caller.get(&format!("{INBOX}?limit=1&cursor={cursor}")).await.ok();
        assert_eq!([titles(&first), titles(&second)].concat(), titles(&all));
        assert!(second.get("next_cursor").is_none());
        for wrong in ["limit=0", "limit=101", "cursor=zz", "channel=pigeon", "is_read=perhaps"] {
            caller.get(&format!("{INBOX}?{wrong}")).await.problem(422, "validation_failed");
        }
        assert_eq!(caller.get("/api/user/notifications").await.ok(), all);
    }
}

#[tokio::test]
async fn a_notification_is_read_unread_and_thrown_away() {
    for test in TestApp::on_each_backend().await {
        let sita = rider(&test.app).await;
        tell_two(&test, &sita).await;
        let caller = test.bearer(&sita.token);
        let all = caller.get(INBOX).await.ok();
        let one = format!("{INBOX}/{}", all["items"][0]["id"].as_str().unwrap());
        assert_eq!(caller.get(&one).await.ok(), all["items"][0]);
        let read = caller.patch(&one, json!({ "is_read": true })).await.ok();
        assert_eq!((&read["is_read"], read["read_at"].is_string()), (&json!(true), true));
        assert_eq!(caller.get(&one).await.ok(), read);
        assert_eq!(caller.get(&format!("{INBOX}?is_read=false")).await.ok()["unread"], 1);
        let unread = caller.patch(&one, json!({ "is_read": false })).await.ok();
        assert_eq!((&unread["is_read"], &unread["read_at"]), (&json!(false), &Value::Null));
        caller.patch(&one, json!({ "title": "x" })).await.problem(422, "validation_failed");

        let stats = caller.get(&format!("{INBOX}/stats")).await.ok();
        assert_eq!((&stats["total"], &stats["unread"]), (&json!(2), &json!(2)));
        assert_eq!(stats["by_type"]["payment"], json!({ "total": 1, "unread": 1 }));
        assert_eq!(caller.post(&format!("{INBOX}/mark-all-read"), json!({})).await.ok()["marked"], 2);
        assert_eq!(caller.get(&format!("{INBOX}/stats")).await.ok()["unread"], 0);

        assert_eq!(caller.delete(&one).await.status, 204);
        caller.delete(&one).await.problem(404, "not_found");
        caller.get(&one).await.problem(404, "not_found");
        assert_eq!(titles(&caller.get(INBOX).await.ok()).len(), 1);
    }
}

#[tokio::test]
async fn nobody_elses_notification_can_be_seen_marked_or_thrown_away() {
    for test in TestApp::on_each_backend().await {
        let (sita, hari) = (rider(&test.app).await, rider(&test.app).await);
        tell_two(&test, &sita).await;
        let hers = test.bearer(&sita.token).get(INBOX).await.ok();
        let one = format!("{INBOX}/{}", hers["items"][0]["id"].as_str().unwrap());
        let his = test.bearer(&hari.token);
        assert_eq!(his.get(INBOX).await.ok(), json!({ "items": [], "unread": 0 }));
        his.get(&one).await.problem(404, "not_found");
        his.patch(&one, json!({ "is_read": true })).await.problem(404, "not_found");
        his.delete(&one).await.problem(404, "not_found");
        assert_eq!(his.post(&format!("{INBOX}/mark-all-read"), json!({})).await.ok()["marked"], 0);
        assert_eq!(test.bearer(&sita.token).get(INBOX).await.ok(), hers);
        for path in [INBOX, &one, "/api/user/notifications"] {
            test.anonymous().get(path).await.problem(401, "unauthenticated");
        }
    }
}
