//! Proofs of identity: sent by riders, looked at by staff, seen by nobody else.

use crate::media::{jpeg, upload};
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use axum::body::Body;
use axum::http::{Method, header};
use entities::admin_profile::AdminRole;
use entities::{admin_action_log, media_upload};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

fn signed_in<'a>(test: &'a TestApp, rider: &Rider) -> Caller<'a> {
    test.bearer(rider.token.clone())
}

async fn mend(caller: &Caller<'_>, change: Value) -> crate::test_app::Answer {
    let request =
        caller.request(Method::PATCH, "/api/v1/users/kyc").header(header::CONTENT_TYPE, "application/json");
    caller.send(request.body(Body::from(change.to_string())).unwrap()).await
}

/// New pictures of a paper.
async fn papers(caller: &Caller<'_>, number: &str) -> Value {
    let (front, back) = (upload(caller, "kyc", &jpeg(1)).await, upload(caller, "kyc", &jpeg(2)).await);
    json!({
        "citizenship_number": number, "citizenship_front_image": front["id"], "citizenship_back_image": back["id"],
    })
}

#[tokio::test]
async fn a_rider_proves_who_they_are_is_sent_back_once_and_then_approved() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let me = signed_in(&test, &rider);
        let status = async || me.get("/api/v1/users/kyc/status").await.ok();
        assert_eq!(status().await["status"], "not_submitted");
        mend(&me, json!({})).await.problem(404, "kyc_not_submitted");
        let sent = papers(&me, "२७-०१-७०-१२३४५").await;
        assert_eq!(me.post("/api/v1/users/kyc", sent.clone()).await.status, 201);
        me.post("/api/v1/users/kyc", sent).await.problem(409, "kyc_already_submitted");
        assert_eq!(status().await["status"], "pending");

        let staff = test.bearer(staff_token(&test, AdminRole::Moderator).await);
        let listed = staff.get("/api/v1/admin/kyc/submissions").await.ok();
        assert!(listed["items"][0].get("citizenship_number").is_none(), "lists show nothing of the paper");
        let path = format!("/api/v1/admin/kyc/submissions/{}", listed["items"][0]["id"].as_str().unwrap());
        let seen = staff.get(&path).await.ok();
        assert_eq!(seen["citizenship_number"], "27017012345");
        let front = seen["citizenship_front_image"].as_str().unwrap().to_owned();
        assert_eq!(test.anonymous().get(&front).await.headers["content-type"], "image/jpeg");

        // Papers that are exchanged after staff looked at them are not approved by that look.
        test.clock.advance_ms(1_000);
        let back = upload(&me, "kyc", &jpeg(7)).await;
        assert_eq!(mend(&me, json!({ "citizenship_back_image": back["id"] })).await.status, 200);
        let looked_at = json!({ "submitted_at": seen["submitted_at"] });
        staff.post(&format!("{path}/approve"), looked_at).await.problem(409, "kyc_changed");
        let now = staff.get(&path).await.ok()["submitted_at"].clone();
        let no = json!({ "submitted_at": now, "reason": "The back cannot be read." });
        assert_eq!(staff.post(&format!("{path}/reject"), no.clone()).await.ok()["status"], "rejected");
        staff.post(&format!("{path}/reject"), no).await.problem(409, "kyc_changed");
        assert_eq!(status().await["rejection_reason"], "The back cannot be read.");

        test.clock.advance_ms(1_000);
        let back = upload(&me, "kyc", &jpeg(8)).await;
        mend(&me, json!({ "citizenship_back_image": back["id"] })).await.ok();
        assert_eq!(status().await["rejection_reason"], Value::Null);
        let yes = json!({ "submitted_at": staff.get(&path).await.ok()["submitted_at"] });
        assert_eq!(staff.post(&format!("{path}/approve"), yes).await.ok()["status"], "approved");
        mend(&me, json!({ "citizenship_number": "99-99" })).await.problem(409, "kyc_already_approved");
        assert_eq!(staff.get("/api/v1/admin/kyc/submissions").await.ok()["items"], json!([]));
        let approved = staff.get("/api/v1/admin/kyc/submissions?status=approved").await.ok();
        assert_eq!(approved["items"].as_array().unwrap().len(), 1);

        // The rider hears of both decisions and has the points once.
        test.drain_jobs().await;
        let told = me.get("/api/v1/notifications").await.ok();
        let told: Vec<_> =
            told["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect();
        assert!(told.contains(&"Your identity is confirmed"), "{told:?}");
        assert!(told.contains(&"Please look at your papers again"), "{told:?}");
        assert_eq!(me.get("/api/v1/points/summary").await.ok()["current"], 30);
        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let count = |action: &str| notes.iter().filter(|note| note.action == action).count();
        assert_eq!((count("kyc.look"), count("kyc.decide")), (3, 2));

        // Of all that was uploaded the newest front and back stay.
        test.clock.advance_ms(25 * 3_600_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        let kept = media_upload::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(kept.len(), 2, "{}", test.backend());
    }
}

#[tokio::test]
async fn nobody_uses_the_papers_or_the_pictures_of_others() {
    for test in TestApp::on_each_backend().await {
        let (rider, thief) = (rider(&test.app).await, rider(&test.app).await);
        let (me, thief) = (signed_in(&test, &rider), signed_in(&test, &thief));
        let mine = papers(&me, "27-01-70-12345").await;
        let problem = thief.post("/api/v1/users/kyc", mine.clone()).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/citizenship_front_image");
        let public = upload(&thief, "profile", &jpeg(1)).await;
        let mut own = papers(&thief, "27/01/70/12345").await;
        own["citizenship_front_image"] = public["id"].clone();
        let problem = thief.post("/api/v1/users/kyc", own).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/citizenship_front_image", "everybody could see it");
        me.post("/api/v1/users/kyc", mine).await.ok();
        let same = papers(&thief, "27/01/70/12345").await;
        thief.post("/api/v1/users/kyc", same).await.problem(409, "citizenship_number_taken");
        assert_eq!(thief.get("/api/v1/users/kyc/status").await.ok()["status"], "not_submitted");
        let wrong = papers(&thief, "1").await;
        let problem = thief.post("/api/v1/users/kyc", wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/citizenship_number");
    }
}
