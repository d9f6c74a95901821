//! Settings and notification texts: closed lists, checked before they can do harm.

use super::delete;
use crate::riders::rider;
use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use backend::app_config;
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};

/// The staff's row with that value in that field.
async fn row(staff: &Caller<'_>, path: &str, field: &str, value: &str) -> Value {
    let rows = staff.get(&format!("/api/v1/admin/{path}?limit=100")).await.ok();
    rows["items"].as_array().unwrap().iter().find(|row| row[field] == value).unwrap().clone()
}

/// Without what only the server writes.
fn fields(row: &Value) -> Value {
    let mut fields = row.clone();
    for stamp in ["id", "created_at", "updated_at"] {
        fields.as_object_mut().unwrap().remove(stamp);
    }
    fields
}

fn path_of(path: &str, row: &Value) -> String {
    format!("/api/v1/admin/{path}/{}", row["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_setting_reaches_the_app_and_switched_off_its_default_counts() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let value = async || test.anonymous().get("/api/v1/app/config").await.ok()["values"].clone();
        let at_first = value().await;
        assert_eq!(at_first["MAX_RENTAL_EXTENSIONS"], 3);
        assert_eq!(at_first["PLATFORM_VAT_PERCENT"], "13");
        assert_eq!(at_first["NEED_RENTALS_KYC_VERIFIED"], false);
        assert_eq!(at_first["POINTS_PER_NPR"], 10);
        assert!(at_first.get("SUPER_ADMIN_TOTP_REQUIRED").is_none(), "for staff only");
        let row = row(&staff, "app-configs", "config_key", "MAX_RENTAL_EXTENSIONS").await;
        let path = path_of("app-configs", &row);
        let mut change = fields(&row);
        change["config_value"] = json!("7");
        staff.put(&path, change.clone()).await.ok();
        assert_eq!(value().await["MAX_RENTAL_EXTENSIONS"], 7, "{}", test.backend());
        delete(&staff, &path).await.ok();
        assert_eq!(value().await["MAX_RENTAL_EXTENSIONS"], 3, "{}", test.backend());
        staff.post("/api/v1/admin/app-configs", change).await.problem(409, "already_exists");
    }
}

#[tokio::test]
async fn a_setting_has_its_type_and_nobody_invents_one() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
    let row = row(&staff, "app-configs", "config_key", "POINTS_TOPUP_PER_NPR").await;
    for (field, wrong) in [
        ("config_value", "0"),
        ("config_value", "ten"),
        ("config_value", ""),
        ("data_type", "decimal"),
        ("config_key", "POINTS_PER_USD"),
        // What the books are built upon is shown and not set.
        ("config_key", "POINTS_PER_NPR"),
        ("config_key", "PLATFORM_VAT_PERCENT"),
    ] {
        let mut change = fields(&row);
        change[field] = json!(wrong);
        let problem = staff.put(&path_of("app-configs", &row), change).await;
        let problem = problem.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{wrong}");
    }
    let keys = staff.get("/api/v1/admin/app-configs/keys").await.ok();
    assert_eq!(keys["items"].as_array().unwrap().len(), app_config::KEYS.len());
    test.anonymous().get("/api/v1/admin/app-configs/keys").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_a_new_installation_has_staff_could_have_written() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::SuperAdmin).await);
    for path in [
        "app-configs",
        "notification-templates",
        "notification-rules",
        "content-pages",
        "faqs",
        "contact-infos",
        "app-versions",
        "app-updates",
        "banners",
        "countries",
        "station-amenities",
        "achievements",
        "payment-methods",
    ] {
        let rows = staff.get(&format!("/api/v1/admin/{path}?limit=100")).await.ok();
        let rows = rows["items"].as_array().unwrap();
        assert!(!rows.is_empty(), "{path}");
        for row in rows {
            let put = staff.put(&path_of(path, row), fields(row)).await;
            assert!(put.status.is_success(), "{path} {row}: {}", put.body);
            assert_eq!(fields(&put.body), fields(row), "{path}");
        }
    }
    let keys: Vec<&str> = app_config::KEYS.iter().map(|key| key.name).collect();
    let rows = staff.get("/api/v1/admin/app-configs?limit=100").await.ok();
    for row in rows["items"].as_array().unwrap() {
        assert!(keys.contains(&row["config_key"].as_str().unwrap()), "{row}");
    }
}

#[tokio::test]
async fn a_text_must_render_with_the_names_of_its_occasion() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let row = row(&staff, "notification-templates", "slug", "points-earned").await;
        let path = path_of("notification-templates", &row);
        for (field, wrong) in [
            ("message_template", "You are at {{ station_name }}"),
            ("message_template", "{{ points"),
            ("title_template", "{{ nobody }}"),
            ("title_template", "{# nothing #}"),
            ("slug", "points-lost"),
            ("rule_type", "gossip"),
        ] {
            let mut change = fields(&row);
            change[field] = json!(wrong);
            let problem = staff.put(&path, change).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{wrong}");
        }
        let mut change = fields(&row);
        change["title_template"] = json!("{{ points }} पोइन्ट!");
        staff.put(&path, change).await.ok();
        let rider = rider(&test.app).await;
        let user = rider.id;
        let given = test.app.db.write(move |tx| {
            Box::pin(async move {
                let source = backend::points::Source::Staff;
                backend::points::award(tx, tx.now(), user, 25, source, "a gift").await
            })
        });
        given.await.unwrap();
        test.drain_jobs().await;
        let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        assert_eq!(inbox["items"][0]["title"], "25 पोइन्ट!", "{}", test.backend());
    }
}

#[tokio::test]
async fn a_class_that_staff_switch_off_is_not_told() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
    let row = row(&staff, "notification-rules", "notification_type", "rewards").await;
    let path = path_of("notification-rules", &row);
    let mut change = fields(&row);
    change["notification_type"] = json!("gossip");
    staff.put(&path, change.clone()).await.problem(422, "validation_failed");
    change["notification_type"] = json!("rewards");
    change["send_in_app"] = json!(false);
    staff.put(&path, change.clone()).await.ok();
    staff.post("/api/v1/admin/notification-rules", change).await.problem(409, "already_exists");
    let rider = rider(&test.app).await;
    let user = rider.id;
    let given = test.app.db.write(move |tx| {
        Box::pin(async move {
            backend::points::award(tx, tx.now(), user, 25, backend::points::Source::Staff, "a gift").await
        })
    });
    given.await.unwrap();
    test.drain_jobs().await;
    let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
    assert_eq!(inbox["items"], json!([]));

    delete(&staff, &path).await.ok();
    staff.get(&path).await.problem(404, "entry_not_found");
    let again = json!({
        "notification_type": "rewards", "send_in_app": true, "send_push": false,
        "send_sms": false, "send_email": false, "is_critical": false,
    });
    assert_eq!(staff.post("/api/v1/admin/notification-rules", again).await.status, 201);
}

#[tokio::test]
async fn how_riders_reach_us_is_what_staff_say() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let ways = async || test.anonymous().get("/api/v1/content/contact").await.ok()["contacts"].clone();
        let row = row(&staff, "contact-infos", "contact_type", "phone").await;
        let path = path_of("contact-infos", &row);
        let mut change = fields(&row);
        change["value"] = json!("+977 1 5550199");
        staff.put(&path, change.clone()).await.ok();
        let phone =
            ways().await.as_array().unwrap().iter().find(|way| way["contact_type"] == "phone").cloned();
        assert_eq!(phone.unwrap()["value"], "+977 1 5550199", "{}", test.backend());
        delete(&staff, &path).await.ok();
        assert!(ways().await.as_array().unwrap().iter().all(|way| way["contact_type"] != "phone"));
        staff.post("/api/v1/admin/contact-infos", change.clone()).await.problem(409, "already_exists");
        change["contact_type"] = json!("pigeon");
        staff.post("/api/v1/admin/contact-infos", change).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_moderator_changes_none_of_them() {
    let test = TestApp::new().await;
    let moderator = test.bearer(staff_token(&test, AdminRole::Moderator).await);
    for path in ["app-configs", "notification-templates", "notification-rules", "contact-infos"] {
        let rows = moderator.get(&format!("/api/v1/admin/{path}")).await.ok();
        let row = &rows["items"][0];
        moderator.put(&path_of(path, row), fields(row)).await.problem(403, "forbidden");
        delete(&moderator, &path_of(path, row)).await.problem(403, "forbidden");
        moderator.post(&format!("/api/v1/admin/{path}"), fields(row)).await.problem(403, "forbidden");
        assert_eq!(moderator.get(&format!("/api/v1/admin/{path}")).await.ok(), rows, "{path}");
    }
}
