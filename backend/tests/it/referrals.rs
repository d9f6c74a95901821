//! A friend's code at sign-up is a referral from the first moment. What it brings stands in `rentals/rewards.rs`.

use crate::accounts::{HARI, SITA, code_for, register};
use crate::identity::sign_in;
use crate::test_app::TestApp;
use entities::referral;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

async fn invited(test: &TestApp, token: &Value) -> (Value, Value) {
    let rider = test.bearer(token.as_str().unwrap());
    let mine = rider.get("/api/v1/referrals/my-code").await.ok();
    let friends = rider.get("/api/v1/referrals/my-referrals").await.ok();
    (mine, friends["items"].clone())
}

#[tokio::test]
async fn who_joins_with_a_code_was_brought_by_its_owner() {
    for test in TestApp::on_each_backend().await {
        let friend = sign_in(&test, HARI).await;
        let otp = code_for(&test, SITA).await;
        let code = friend["user"]["referral_code"].clone();
        let joined =
            register(&test, SITA, &otp, json!({ "username": "sita", "referral_code": code })).await.ok();
        test.drain_jobs().await;
        let (mine, friends) = invited(&test, &friend["access_token"]).await;
        assert_eq!((&mine["code"], &mine["invited"], &mine["pending"]), (&code, &json!(1), &json!(1)));
        assert_eq!((&friends[0]["name"], &friends[0]["status"]), (&json!("sita"), &json!("pending")));
        let other = json!({ "code": code });
        let sita = test.bearer(joined["access_token"].as_str().unwrap());
        sita.post("/api/v1/referrals/claim", other).await.problem(409, "already_referred");
        assert_eq!(
            referral::Entity::find().count(test.app.db.read()).await.unwrap(),
            1,
            "{}",
            test.backend()
        );
    }
}

#[tokio::test]
async fn one_mailbox_brings_nobody_and_codes_are_not_collected() {
    for test in TestApp::on_each_backend().await {
        let friend = sign_in(&test, "sita.rai@gmail.com").await;
        let otp = code_for(&test, "sitarai+two@gmail.com").await;
        let code = json!({ "referral_code": friend["user"]["referral_code"] });
        register(&test, "sitarai+two@gmail.com", &otp, code).await.ok();
        test.drain_jobs().await;
        assert_eq!(invited(&test, &friend["access_token"]).await.0["invited"], 0, "{}", test.backend());
        let rider = test.bearer(friend["access_token"].as_str().unwrap());
        let mut refused = 0;
        for number in 1_000..1_000 + 2 * backend::limits::REFERRAL_LOOKUPS_BURST.get() {
            let answer = rider.get(&format!("/api/v1/referrals/validate?code=REF{number}")).await;
            refused += usize::from(answer.status == 429);
        }
        assert!(refused > 0, "nobody looks up codes without end");
    }
}
