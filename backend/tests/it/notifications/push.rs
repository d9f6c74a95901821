//! Push messages against Firebase's double: who gets one, what it says, and what follows from each answer.

use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::config::Secret;
use backend::notifications::{Notified, notify, template};
use chrono::TimeDelta;
use doubles::fcm::{Fate, Fcm, PROJECT};
use doubles::{Double, Misbehaviour, World};
use entities::admin_profile::AdminRole;
use entities::id::UserDeviceId;
use entities::notification_rule;
use entities::sms_fcm_log::{self, MessageStatus};
use entities::testing::FreshDatabase;
use entities::user_device::{self, Platform};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde_json::json;

/// A backend that is wired to Firebase's double, and a rider.
struct PushWorld {
    test: TestApp,
    fcm: Double<Fcm>,
    rider: Rider,
}

impl PushWorld {
    async fn each() -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            let clock = TestApp::clock();
            let fcm = Double::start(Fcm::new(), World::new(clock.clone(), 1)).await.unwrap();
            let test = TestApp::wired(database, clock, |settings| {
                settings.push.service_account = Secret::new(fcm.service_account());
                settings.push.base_url = fcm.base_url();
                settings.push.timeout_ms = 2_000;
            });
            let test = test.await;
            let rider = rider(&test.app).await;
            worlds.push(Self { test, fcm, rider });
        }
        worlds
    }

    async fn device(&self, token: &str) {
        let (user_id, token) = (self.rider.id, token.to_owned());
        let added = self.test.app.db.write(move |tx| {
            let token = token.clone();
            Box::pin(async move {
                let device = user_device::Model {
                    id: UserDeviceId(tx.new_uuid()),
                    user_id,
                    device_id: format!("installation of {token}"),
                    device_name: None,
                    device_type: Platform::Android,
                    os_version: None,
                    app_version: None,
                    fcm_token: Some(token.clone()),
                    is_active: true,
                    last_verified: tx.now(),
                    last_active: tx.now(),
                    created_at: tx.now(),
                };
                device.into_active_model().insert(tx).await?;
                Ok(())
            })
        });
        added.await.unwrap();
    }

    /// A notice of the class `rental_status`, which is pushed.
    async fn tell(&self, key: &str) -> Notified {
        let (user, key) = (self.rider.id, key.to_owned());
        let told = self.test.app.db.write(move |tx| {
            let key = key.clone();
            Box::pin(async move {
                let data =
                    json!({ "rental_code": "R7K2MQ", "station_name": "Thamel Chowk", "due_at": "18:45" });
                notify(tx, user, template::RENTAL_STARTED, data, key).await
            })
        });
        told.await.unwrap()
    }

    async fn logs(&self) -> Vec<sms_fcm_log::Model> {
        let rows = sms_fcm_log::Entity::find().order_by_asc(sms_fcm_log::Column::Id);
        rows.all(self.test.app.db.read()).await.unwrap()
    }

    async fn only_log(&self) -> sms_fcm_log::Model {
        let mut logs = self.logs().await;
        assert_eq!(logs.len(), 1);
        logs.remove(0)
    }

    /// Lets time pass, and all that it brings happen, until nothing is pending or the time is over.
    async fn wait(&self, longest: TimeDelta) {
        let until = self.test.app.clock.now() + longest;
        self.test.drain_jobs().await;
        while self.is_pending().await && self.test.app.clock.now() < until {
            self.test.clock.advance_ms(10_000);
            self.test.drain_jobs().await;
        }
    }

    async fn is_pending(&self) -> bool {
        self.logs().await.iter().any(|log| log.status == MessageStatus::Pending)
    }

    /// The tokens that would be pushed to.
    async fn tokens(&self) -> Vec<String> {
        let devices = user_device::Entity::find().all(self.test.app.db.read()).await.unwrap();
        devices.into_iter().filter_map(|device| device.fcm_token).collect()
    }

    async fn rule(&self, class: &'static str, column: notification_rule::Column, value: bool) {
        let changed = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let rule = notification_rule::Entity::update_many()
                    .col_expr(column, Expr::value(value))
                    .filter(notification_rule::Column::NotificationType.eq(class));
                Ok(rule.exec(tx).await?.rows_affected)
            })
        });
        assert_eq!(changed.await.unwrap(), 1, "{class}");
    }
}

#[tokio::test]
async fn every_telephone_of_the_rider_rings_once_and_the_inbox_has_it_too() {
    for world in PushWorld::each().await {
        world.device("token-of-the-phone").await;
        let tablet = json!({
            "device_id": "a-tablet-of-this-test", "device_type": "android", "fcm_token": "token-of-the-tablet",
        });
        world.test.bearer(&world.rider.token).post("/api/v1/auth/device", tablet).await.ok();
        assert_eq!(world.tell("first").await, Notified::Written);
        assert_eq!(world.tell("first").await, Notified::WrittenBefore);
        world.test.drain_jobs().await;
        let sent = world.fcm.book().sent().to_vec();
        assert_eq!(sent.len(), 2, "{sent:?}");
        let mut tokens: Vec<_> = sent.iter().map(|message| message["token"].as_str().unwrap()).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, ["token-of-the-phone", "token-of-the-tablet"]);
        assert_eq!(sent[0]["notification"]["title"], "Your power bank is ready");
        assert_eq!(sent[0]["data"]["rental_code"], "R7K2MQ");
        assert_eq!(sent[0]["data"]["notification_type"], "rental");
        assert_eq!(sent[0]["data"]["occasion"], "rental-started");
        assert_eq!(sent[0]["android"]["collapse_key"], sent[0]["data"]["notification_id"]);
        for log in world.logs().await {
            assert_eq!((log.status, log.attempts), (MessageStatus::Sent, 1));
            assert!(log.response.unwrap().starts_with(&format!("projects/{PROJECT}/messages/")));
            assert_eq!(log.sent_at, Some(log.created_at));
        }
        let caller = world.test.bearer(&world.rider.token);
        let inbox = caller.get("/api/v1/notifications").await.ok();
        assert_eq!((inbox["items"].as_array().unwrap().len(), &inbox["unread"]), (1, &json!(1)));
        let pushed = caller.get("/api/v1/notifications?channel=push").await.ok();
        assert_eq!(pushed["items"][0]["id"], sent[0]["data"]["notification_id"]);
        // One access token serves many messages, and is renewed before its end.
        let grants = || world.fcm.received().iter().filter(|call| call.uri.path() == "/token").count();
        assert_eq!(grants(), 1);
        world.test.clock.advance_ms(3_550_000);
        world.tell("second").await;
        world.test.drain_jobs().await;
        assert_eq!(grants(), 2);
    }
}

#[tokio::test]
async fn the_rule_of_a_class_decides_the_ways() {
    for world in PushWorld::each().await {
        world.device("token").await;
        let user = world.rider.id;
        let points = world.test.app.db.write(move |tx| {
            Box::pin(async move {
                let data = json!({ "points": 50, "reason": "welcome" });
                notify(tx, user, template::POINTS_EARNED, data, "points".to_owned()).await
            })
        });
        assert_eq!(points.await.unwrap(), Notified::Written);
        world.test.drain_jobs().await;
        assert!(world.fcm.book().sent().is_empty(), "rewards stay in the app");

        world.rule("rental_status", notification_rule::Column::SendInApp, false).await;
        assert_eq!(world.tell("pushed only").await, Notified::Written);
        world.rule("rental_status", notification_rule::Column::SendPush, false).await;
        assert_eq!(world.tell("on no way").await, Notified::SwitchedOff);
        world.test.drain_jobs().await;
        assert_eq!(world.fcm.book().sent().len(), 1);
        let caller = world.test.bearer(&world.rider.token);
        assert_eq!(caller.get("/api/v1/notifications").await.ok()["unread"], 1);
    }
}

#[tokio::test]
async fn what_is_not_critical_does_not_ring_at_night() {
    for world in PushWorld::each().await {
        world.device("token").await;
        // From ten in the morning to eleven at night.
        world.test.clock.advance_ms(13 * 3_600_000);
        world.tell("critical").await;
        world.test.drain_jobs().await;
        assert_eq!(world.fcm.book().sent().len(), 1);
        world.rule("rental_status", notification_rule::Column::IsCritical, false).await;
        world.tell("not critical").await;
        world.test.drain_jobs().await;
        assert_eq!(world.fcm.book().sent().len(), 1);
        world.test.clock.advance_ms(8 * 3_600_000 - 1_000);
        world.test.drain_jobs().await;
        assert_eq!(world.fcm.book().sent().len(), 1);
        world.test.clock.advance_ms(1_000);
        world.test.drain_jobs().await;
        assert_eq!(world.fcm.book().sent().len(), 2);
    }
}

#[tokio::test]
async fn a_token_that_firebase_gives_up_is_forgotten() {
    for world in PushWorld::each().await {
        for (token, fate, is_forgotten) in [
            ("of an iPhone", Fate::AppleRefuses, false),
            ("of a removed app", Fate::Unregistered, true),
            ("of nothing", Fate::NoToken, true),
            ("of another project", Fate::OtherProject, true),
        ] {
            world.device(token).await;
            world.fcm.book().bind(token, fate);
            world.tell(token).await;
            world.test.drain_jobs().await;
            let logs = world.logs().await;
            let log = logs.iter().rfind(|log| log.recipient == token).unwrap();
            assert_eq!((log.status, log.attempts), (MessageStatus::Failed, 1), "{fate:?}");
            assert_eq!(!world.tokens().await.contains(&token.to_owned()), is_forgotten, "{fate:?}");
        }
        assert!(world.fcm.book().sent().is_empty());
    }
}

#[tokio::test]
async fn a_message_that_was_not_taken_goes_again_when_firebase_wants_it() {
    for world in PushWorld::each().await {
        world.device("token").await;
        world.fcm.book().bind("token", Fate::QuotaExceeded { retry_after_s: None });
        world.tell("too many").await;
        world.test.drain_jobs().await;
        let log = world.only_log().await;
        assert_eq!((log.status, log.attempts), (MessageStatus::Pending, 1));
        assert!(log.response.unwrap().contains("429"));
        world.test.clock.advance_ms(59_000);
        world.test.drain_jobs().await;
        assert_eq!(world.only_log().await.attempts, 1, "a full minute must pass");
        world.fcm.book().bind("token", Fate::Unavailable { retry_after_s: Some(300) });
        world.test.clock.advance_ms(1_000);
        world.test.drain_jobs().await;
        world.fcm.book().release("token");
        world.test.clock.advance_ms(299_000);
        world.test.drain_jobs().await;
        assert_eq!(world.only_log().await.attempts, 2, "it said when");
        world.test.clock.advance_ms(1_000);
        world.test.drain_jobs().await;
        let log = world.only_log().await;
        assert_eq!((log.status, log.attempts), (MessageStatus::Sent, 3));
        assert_eq!(world.fcm.book().sent().len(), 1);
    }
}

#[tokio::test]
async fn an_hour_of_silence_ends_a_message_and_a_lost_answer_sends_it_again_under_its_name() {
    for world in PushWorld::each().await {
        world.device("token").await;
        world.fcm.misbehave_at("messages:send", Misbehaviour::LosesAnswer, 1);
        world.tell("lost answer").await;
        world.wait(TimeDelta::minutes(5)).await;
        let sent = world.fcm.book().sent().to_vec();
        assert_eq!(sent.len(), 2, "it was taken, and taken again");
        assert_eq!(sent[0]["android"]["collapse_key"], sent[1]["android"]["collapse_key"]);
        assert_eq!(world.only_log().await.status, MessageStatus::Sent);

        world.fcm.misbehave(Misbehaviour::HtmlPage { status: 502 }, 1_000);
        world.tell("silence").await;
        world.wait(TimeDelta::minutes(90)).await;
        let log = world.logs().await.pop().unwrap();
        assert_eq!(log.status, MessageStatus::Failed);
        let now = world.test.app.clock.now();
        assert!(now - log.created_at <= TimeDelta::minutes(61), "{log:?}");
        assert_eq!(world.tokens().await, ["token"], "silence says nothing about the token");
    }
}

#[tokio::test]
async fn a_revoked_access_token_is_renewed_once() {
    for world in PushWorld::each().await {
        world.device("token").await;
        world.tell("first").await;
        world.test.drain_jobs().await;
        world.fcm.book().revoke_access();
        world.tell("second").await;
        world.test.drain_jobs().await;
        let logs = world.logs().await;
        assert!(logs.iter().all(|log| (log.status, log.attempts) == (MessageStatus::Sent, 1)), "{logs:?}");
        assert_eq!(world.fcm.book().sent().len(), 2);
    }
}

#[tokio::test]
async fn a_telephone_that_signed_out_meanwhile_does_not_ring() {
    for world in PushWorld::each().await {
        world.device("token").await;
        world.tell("meanwhile").await;
        let signed_out = world.test.app.db.write(|tx| {
            Box::pin(async move {
                let off = user_device::Entity::update_many()
                    .col_expr(user_device::Column::IsActive, Expr::value(false));
                off.exec(tx).await?;
                Ok(())
            })
        });
        signed_out.await.unwrap();
        world.test.drain_jobs().await;
        assert!(world.fcm.received().is_empty());
        assert_eq!(world.only_log().await.status, MessageStatus::Failed);
    }
}

#[tokio::test]
async fn staff_see_what_left_and_not_to_which_token() {
    for world in PushWorld::each().await {
        world.device("a-long-token-1234").await;
        world.tell("first").await;
        world.fcm.book().bind("a-long-token-1234", Fate::AppleRefuses);
        world.test.drain_jobs().await;
        world.fcm.book().release("a-long-token-1234");
        world.test.clock.advance_ms(1_000);
        world.tell("second").await;
        world.test.drain_jobs().await;
        let path = "/api/v1/admin/notifications/deliveries";
        world.test.bearer(&world.rider.token).get(path).await.problem(401, "unauthenticated");
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Moderator).await);
        let all = staff.get(path).await.ok();
        let statuses: Vec<_> =
            all["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
        assert_eq!(statuses, ["sent", "failed"]);
        assert_eq!(all["items"][0]["recipient"], "…1234");
        assert_eq!(all["items"][0]["attempts"], 1);
        let failed =
            staff.get(&format!("{path}?status=failed&type=fcm&user_id={}", world.rider.id)).await.ok();
        assert_eq!(failed["items"], json!([all["items"][1]]));
        assert!(failed["items"][0]["response"].as_str().unwrap().starts_with("THIRD_PARTY_AUTH_ERROR"));
        assert_eq!(staff.get(&format!("{path}?type=sms")).await.ok()["items"], json!([]));
        staff.get(&format!("{path}?type=pigeon")).await.problem(422, "validation_failed");
    }
}
