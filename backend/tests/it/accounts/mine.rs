//! What riders see and say of themselves.

use super::{SITA, deeds, id_of, token_of, trail};
use crate::identity::sign_in;
use crate::test_app::TestApp;
use entities::app_config;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

async fn switch_on(test: &TestApp, key: &'static str) {
    let switched = test.app.db.write(move |tx| {
        Box::pin(async move {
            app_config::Entity::update_many()
                .col_expr(app_config::Column::ConfigValue, Expr::value("true"))
                .filter(app_config::Column::ConfigKey.eq(key))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    switched.await.unwrap();
}

#[tokio::test]
async fn the_first_page_shows_profile_identity_money_points_and_whether_one_may_rent() {
    for test in TestApp::on_each_backend().await {
        let rider = test.bearer(token_of(&sign_in(&test, SITA).await));
        test.drain_jobs().await;
        let me = rider.get("/api/v1/auth/me").await.ok();
        assert_eq!(me["phone_number"], SITA);
        assert_eq!(me["profile"]["completeness_percent"], 0);
        assert_eq!(me["kyc"], Value::Null);
        let nothing = json!({ "amount": "0.00", "currency": "NPR" });
        assert_eq!(me["wallet"], json!({ "balance": nothing, "held": nothing }));
        assert_eq!(me["points"], json!({ "current": 50, "total": 50 }));
        assert_eq!(me["rental_eligibility"], json!({ "can_rent": true, "reasons": [] }));
        switch_on(&test, "NEED_RENTALS_PROFILE_COMPLETE").await;
        switch_on(&test, "NEED_RENTALS_KYC_VERIFIED").await;
        let eligibility = rider.get("/api/v1/auth/me").await.ok()["rental_eligibility"].clone();
        assert_eq!(eligibility["can_rent"], false);
        let reasons = eligibility["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 2, "{eligibility}");
        assert!(reasons.iter().all(|reason| reason["code"] == "rental_prerequisites_not_met"));
        assert_eq!((&reasons[0]["pointer"], &reasons[1]["pointer"]), (&json!("/profile"), &json!("/kyc")));
    }
}

#[tokio::test]
async fn parts_of_a_profile_change_and_the_rest_stays() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&signed_in));
        let change = async |changes: Value| rider.patch("/api/v1/users/profile", changes).await;
        let shown = change(json!({ "first_name": " Sita ", "city": "Kathmandu" })).await.ok();
        assert_eq!((&shown["first_name"], &shown["completeness_percent"]), (&json!("Sita"), &json!(50)));
        assert_eq!(shown["missing_fields"], json!(["last_name", "date_of_birth"]));
        let shown = change(json!({ "last_name": "Rai", "date_of_birth": "2000-02-29" })).await.ok();
        assert_eq!((&shown["city"], &shown["is_complete"]), (&json!("Kathmandu"), &json!(true)));
        test.drain_jobs().await;
        let points = rider.get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 70, "signing up and the complete profile: {points}");
        let shown = change(json!({ "city": null })).await.ok();
        assert_eq!((&shown["city"], &shown["missing_fields"]), (&Value::Null, &json!(["city"])));
        assert_eq!(rider.get("/api/v1/users/profile").await.ok(), shown);
        assert_eq!(change(json!({})).await.ok(), shown);
        for (wrong, pointer) in [
            (json!({ "status": "active" }), "/status"),
            (json!({ "is_complete": true }), "/is_complete"),
            (json!({ "gender": 5 }), "/gender"),
            (json!({ "gender": "x" }), "/gender"),
            (json!({ "city": "a\u{0}b" }), "/city"),
            (json!({ "date_of_birth": "1899-12-31" }), "/date_of_birth"),
        ] {
            let problem = change(wrong).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], pointer);
        }
        let rows = trail(&test, id_of(&signed_in)).await;
        assert_eq!(deeds(&rows).iter().filter(|deed| deed.0 == "UPDATE").count(), 3);
        assert!(!format!("{rows:?}").contains("Kathmandu"), "the trail says what changed, not to what");
        assert!(rows.iter().any(|row| row.new_values == Some(json!({ "changed": ["city", "first_name"] }))));
    }
}
