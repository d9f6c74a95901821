//! `auth/register` and `auth/login`: one proof, two doors.

use super::{HARI, SITA, another, code_for, deeds, id_of, log_in, register, token_of, trail};
use crate::identity::sign_in;
use crate::test_app::TestApp;
use entities::user::{self, UserStatus};
use sea_orm::{ActiveModelTrait, EntityTrait, PaginatorTrait, Set};
use serde_json::{Value, json};

#[tokio::test]
async fn whoever_proves_an_unknown_number_is_told_and_joins_with_the_same_code() {
    for test in TestApp::on_each_backend().await {
        let friend = sign_in(&test, HARI).await;
        let code = code_for(&test, SITA).await;
        log_in(&test, SITA, &code).await.problem(404, "account_unknown");
        let referral = friend["user"]["referral_code"].as_str().unwrap().to_ascii_lowercase();
        let joined =
            register(&test, SITA, &code, json!({ "username": "Sita.Rai", "referral_code": referral })).await;
        assert_eq!(joined.status, 201);
        let joined = joined.ok();
        assert_eq!((&joined["is_new_user"], &joined["user"]["username"]), (&json!(true), &json!("sita.rai")));
        let row = user::Entity::find_by_id(id_of(&joined)).one(test.app.db.read()).await.unwrap().unwrap();
        assert_eq!(row.referred_by, Some(id_of(&friend)));
        assert!(row.phone_verified && !row.email_verified);
        test.bearer(token_of(&joined)).get("/api/v1/auth/me").await.ok();
        test.drain_jobs().await;
        let points = test.bearer(token_of(&joined)).get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 50, "{points}");
    }
}

#[tokio::test]
async fn whoever_has_an_account_is_told_and_signs_in_with_the_same_code() {
    for test in TestApp::on_each_backend().await {
        let first = sign_in(&test, SITA).await;
        let code = code_for(&test, SITA).await;
        register(&test, SITA, &code, json!({})).await.problem(409, "account_exists");
        let again = log_in(&test, SITA, &code).await.ok();
        assert_eq!((&again["is_new_user"], &again["user"]["id"]), (&json!(false), &first["user"]["id"]));
        log_in(&test, SITA, &code).await.problem(422, "otp_invalid");
        assert_eq!(user::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_refused_name_or_friend_costs_no_try_of_the_code() {
    for test in TestApp::on_each_backend().await {
        let code = code_for(&test, HARI).await;
        register(&test, HARI, &code, json!({ "username": "hari" })).await.ok();
        let code = code_for(&test, SITA).await;
        for _ in 0..3 {
            register(&test, SITA, &code, json!({ "username": "HARI" })).await.problem(409, "username_taken");
            register(&test, SITA, &code, json!({ "referral_code": "REF0" }))
                .await
                .problem(422, "referral_code_unknown");
        }
        for wrong in ["a", "sita rai", ".sita", "सीता", "si\u{0}ta"] {
            let problem = register(&test, SITA, &code, json!({ "username": wrong })).await;
            let problem = problem.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], "/username", "{wrong:?}");
        }
        let joined =
            register(&test, SITA, &code, json!({ "username": "sita", "referral_code": Value::Null })).await;
        assert_eq!(joined.ok()["user"]["username"], "sita");
    }
}

#[tokio::test]
async fn a_code_is_guessed_at_no_door_more_often_than_at_another() {
    for test in TestApp::on_each_backend().await {
        sign_in(&test, HARI).await;
        for (identifier, knows) in [(SITA, false), (HARI, true)] {
            let code = code_for(&test, identifier).await;
            let wrong = another(&code);
            for number in 1..=5 {
                let refusal = if number < 5 { "otp_invalid" } else { "otp_burned" };
                let answer = match number % 2 {
                    0 => log_in(&test, identifier, &wrong).await,
                    _ => register(&test, identifier, &wrong, json!({})).await,
                };
                answer.problem(422, refusal);
            }
            let right = if knows {
                log_in(&test, identifier, &code).await
            } else {
                register(&test, identifier, &code, json!({})).await
            };
            right.problem(422, "otp_burned");
        }
    }
}

#[tokio::test]
async fn of_two_who_send_one_code_at_once_one_is_in() {
    for test in TestApp::on_each_backend().await {
        let code = code_for(&test, SITA).await;
        let (one, two) = tokio::join!(
            register(&test, SITA, &code, json!({ "username": "one" })),
            register(&test, SITA, &code, json!({ "username": "two" })),
        );
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201, "{}: {statuses:?}", test.backend());
        assert!(matches!(statuses[1], 409 | 422), "{}: {statuses:?}", test.backend());
        assert_eq!(user::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_banned_rider_is_not_let_in() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, SITA).await;
        let id = id_of(&signed_in);
        let banned = test.app.db.write(move |tx| {
            Box::pin(async move {
                let change =
                    user::ActiveModel { id: Set(id), status: Set(UserStatus::Banned), ..Default::default() };
                change.update(tx).await?;
                Ok(())
            })
        });
        banned.await.unwrap();
        let code = code_for(&test, SITA).await;
        log_in(&test, SITA, &code).await.problem(403, "account_inactive");
        let refresh = json!({ "refresh_token": signed_in["refresh_token"] });
        test.anonymous_post("/api/v1/auth/refresh", refresh).await.problem(401, "refresh_token_invalid");
        test.bearer(token_of(&signed_in)).get("/api/v1/auth/me").await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn the_trail_shows_who_joined_and_signed_in_from_where() {
    for test in TestApp::on_each_backend().await {
        let code = code_for(&test, SITA).await;
        let body = json!({ "identifier": SITA, "otp": code });
        let joined = test.anonymous().post_from([27, 34, 0, 9], "/api/v1/auth/register", body).await.ok();
        let rows = trail(&test, id_of(&joined)).await;
        assert_eq!(deeds(&rows), [("CREATE", "User"), ("LOGIN", "User")]);
        for row in &rows {
            assert_eq!((row.ip_address.as_str(), row.user_agent.as_str()), ("27.34.0.9", "ChautariApp/1.4"));
            assert!(!format!("{row:?}").contains(&code), "the trail holds a code");
        }
        let login = rows.iter().find(|row| row.action == "LOGIN").unwrap();
        assert!(login.session_id.is_some());
        log_in(&test, SITA, "000000").await.problem(422, "otp_invalid");
        assert_eq!(trail(&test, id_of(&joined)).await.len(), 2, "a refused sign-in is no deed");
    }
}
