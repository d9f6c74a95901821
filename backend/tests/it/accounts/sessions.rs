//! Staying signed in: one telephone at a time, and no second use of what was used.

use super::{SITA, code_for, deeds, id_of, log_in, token_of, trail};
use crate::identity::sign_in;
use crate::test_app::TestApp;
use serde_json::{Value, json};

async fn refresh(test: &TestApp, token: &Value) -> crate::test_app::Answer {
    test.anonymous().post("/api/v1/auth/refresh", json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_its_session_and_no_other() {
    for test in TestApp::on_each_backend().await {
        let phone = sign_in(&test, SITA).await;
        let code = code_for(&test, SITA).await;
        let tablet = log_in(&test, SITA, &code).await.ok();
        let next = refresh(&test, &phone["refresh_token"]).await.ok();
        let latest = refresh(&test, &next["refresh_token"]).await.ok();
        // The thief comes late, and with him everybody of the family is out.
        refresh(&test, &phone["refresh_token"]).await.problem(401, "refresh_token_invalid");
        test.bearer(token_of(&latest)).get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        refresh(&test, &latest["refresh_token"]).await.problem(401, "refresh_token_invalid");
        test.bearer(token_of(&tablet)).get("/api/v1/auth/me").await.ok();
        refresh(&test, &tablet["refresh_token"]).await.ok();
        let rows = trail(&test, id_of(&phone)).await;
        let ended: Vec<_> = rows.iter().filter(|row| row.action == "LOGOUT").collect();
        assert_eq!(ended.len(), 1, "{rows:?}");
        assert_eq!(ended[0].new_values, Some(json!({ "reason": "refresh_token_reused" })));
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_sent_twice_at_once_leaves_nobody_signed_in() {
    for test in TestApp::on_each_backend().await {
        let phone = sign_in(&test, SITA).await;
        let (one, two) =
            tokio::join!(refresh(&test, &phone["refresh_token"]), refresh(&test, &phone["refresh_token"]));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        let winner = if one.status == 200 { one } else { two };
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{}", test.backend());
        let token = token_of(&winner.ok());
        test.bearer(token).get("/api/v1/auth/me").await.problem(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_refresh_at_that_moment_saves_a_session_that_ends() {
    for test in TestApp::on_each_backend().await {
        for round in 0..15 {
            let phone = match round {
                0 => sign_in(&test, SITA).await,
                _ => {
                    test.clock.advance_ms(24 * 3_600_000);
                    let code = code_for(&test, SITA).await;
                    log_in(&test, SITA, &code).await.ok()
                }
            };
            let caller = test.bearer(token_of(&phone));
            let (refreshed, ended) = tokio::join!(
                refresh(&test, &phone["refresh_token"]),
                caller.post("/api/v1/auth/logout?all=true", json!({}))
            );
            // Where the refresh came first, the old access token may have been refused before anything ended.
            if ended.status == 204 && refreshed.status == 200 {
                let saved = refreshed.ok();
                let me = test.bearer(token_of(&saved)).get("/api/v1/auth/me").await;
                assert_eq!(me.status, 401, "round {round} on {}", test.backend());
                refresh(&test, &saved["refresh_token"]).await.problem(401, "refresh_token_invalid");
            }
        }
    }
}

#[tokio::test]
async fn a_rider_signs_out_here_or_everywhere() {
    for test in TestApp::on_each_backend().await {
        let mut tokens = vec![token_of(&sign_in(&test, SITA).await)];
        let mut user = None;
        for _ in 0..2 {
            let code = code_for(&test, SITA).await;
            let signed_in = log_in(&test, SITA, &code).await.ok();
            user = Some(id_of(&signed_in));
            tokens.push(token_of(&signed_in));
        }
        let me = async |token: &str| test.bearer(token).get("/api/v1/auth/me").await.status.as_u16();
        assert_eq!(test.bearer(&tokens[0]).post("/api/v1/auth/logout", json!({})).await.status, 204);
        assert_eq!([me(&tokens[0]).await, me(&tokens[1]).await, me(&tokens[2]).await], [401, 200, 200]);
        assert_eq!(test.bearer(&tokens[1]).post("/api/v1/auth/logout?all=true", json!({})).await.status, 204);
        assert_eq!([me(&tokens[1]).await, me(&tokens[2]).await], [401, 401]);
        let rows = trail(&test, user.unwrap()).await;
        assert_eq!(deeds(&rows).iter().filter(|deed| deed.0 == "LOGOUT").count(), 2);
    }
}
