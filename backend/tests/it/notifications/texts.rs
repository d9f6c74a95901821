//! Text messages against the doubles of Sparrow and Aakash: codes and notices get through, once and to the right
//! number, whatever one of the carriers does.

use crate::riders::rider;
use crate::test_app::{Answer, TestApp};
use backend::config::{AakashSettings, Secret, Settings, SmsProvider, SparrowSettings};
use backend::notifications::{Notified, notify, template};
use chrono::TimeDelta;
use doubles::aakash::Aakash;
use doubles::sparrow::Sparrow;
use doubles::{Double, Misbehaviour, World};
use entities::id::UserId;
use entities::sms_fcm_log::{self, MessageStatus, MessageType};
use entities::testing::FreshDatabase;
use entities::{notification_rule, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

const PHONE: &str = "+9779841000001";
const DIGITS: &str = "9841000001";

/// A backend that is wired to both carriers: Sparrow first.
struct Carried {
    test: TestApp,
    sparrow: Double<Sparrow>,
    aakash: Double<Aakash>,
}

impl Carried {
    async fn each(change: impl Fn(&mut Settings)) -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            let clock = TestApp::clock();
            let world = World::new(clock.clone(), 1);
            let sparrow =
                Double::start(Sparrow::new("sparrow-token", "Chautari"), world.clone()).await.unwrap();
            let aakash = Double::start(Aakash::new("aakash-token"), world).await.unwrap();
            let test = TestApp::wired(database, clock, |settings| {
                settings.sms.provider = Some(SmsProvider::Sparrow);
                settings.sms.fallback = Some(SmsProvider::Aakash);
                settings.sms.timeout_ms = 1_000;
                settings.sms.sparrow = SparrowSettings {
                    token: Secret::new("sparrow-token"),
                    from: "Chautari".to_owned(),
                    base_url: sparrow.base_url(),
                };
                settings.sms.aakash =
                    AakashSettings { auth_token: Secret::new("aakash-token"), base_url: aakash.base_url() };
                change(settings);
            });
            worlds.push(Self { test: test.await, sparrow, aakash });
        }
        worlds
    }

    async fn ask(&self, number: &str) -> Answer {
        self.test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": number })).await
    }

    /// Texts that each carrier queued.
    fn queued(&self) -> (usize, usize) {
        (self.sparrow.book().inbox().len(), self.aakash.book().inbox().len())
    }

    /// A rider with a proven number, and a class that goes by text.
    async fn reachable(&self) -> UserId {
        let id = rider(&self.test.app).await.id;
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                user::Entity::update_many()
                    .col_expr(user::Column::PhoneNumber, Expr::value(PHONE))
                    .filter(user::Column::Id.eq(id))
                    .exec(tx)
                    .await?;
                notification_rule::Entity::update_many()
                    .col_expr(notification_rule::Column::SendSms, Expr::value(true))
                    .filter(notification_rule::Column::NotificationType.eq("fines_dues"))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        });
        written.await.unwrap();
        id
    }

    async fn tell(&self, user: UserId, key: &'static str) {
        self.test.clock.advance_ms(1_000);
        let told = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let data = json!({ "rental_code": "R7K2MQ", "amount": "12.00" });
                notify(tx, user, template::RENTAL_DUE_PAID, data, key.to_owned()).await
            })
        });
        assert_eq!(told.await.unwrap(), Notified::Written);
        self.test.drain_jobs().await;
    }

    async fn newest_log(&self) -> sms_fcm_log::Model {
        let newest = sms_fcm_log::Entity::find().order_by_desc(sms_fcm_log::Column::Id);
        newest.one(self.test.app.db.read()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_code_travels_through_the_carrier_and_signs_in() {
    for world in Carried::each(|_| {}).await {
        world.ask(PHONE).await.ok();
        let text = world.sparrow.book().inbox()[0].clone();
        assert_eq!(text.to, DIGITS);
        let code: String = text.text.chars().take_while(char::is_ascii_digit).collect();
        assert!(text.text.is_ascii() && text.text.len() <= 160, "one part: {}", text.text);
        let proof = json!({ "identifier": PHONE, "otp": code });
        assert_eq!(
            world.test.anonymous_post("/api/v1/auth/otp/verify", proof).await.ok()["is_new_user"],
            true
        );
        assert_eq!(world.queued(), (1, 0));
        let log = world.newest_log().await;
        assert_eq!((log.status, log.recipient.as_str(), log.user_id), (MessageStatus::Sent, PHONE, None));
        assert!(!format!("{log:?}").contains(&code), "the log never has the code");
        let call = &world.sparrow.received()[0];
        assert_eq!((call.method.as_str(), call.uri.query()), ("POST", None), "no token in a query");
    }
}

#[tokio::test]
async fn the_other_carrier_is_asked_when_the_first_does_not_take_a_code() {
    for world in Carried::each(|_| {}).await {
        let mut expected = 0;
        for trouble in ["no credit", "down", "page", "silent"] {
            match trouble {
                "no credit" => world.sparrow.book().set_credits(0),
                "down" => world.sparrow.misbehave(Misbehaviour::Fails { status: 503 }, 1),
                "page" => world.sparrow.misbehave(Misbehaviour::HtmlPage { status: 200 }, 1),
                _ => world.sparrow.misbehave(Misbehaviour::HangsUp, 1),
            }
            world.ask(PHONE).await.ok();
            expected += 1;
            assert_eq!(world.queued(), (0, expected), "{trouble}");
            world.sparrow.book().set_credits(100);
            world.test.clock.advance_ms(61_000);
        }
        // Both are away: the rider is told to come back.
        world.sparrow.book().set_credits(0);
        world.aakash.book().set_credits(0);
        world.test.clock.advance_ms(3_600_000);
        world.ask(PHONE).await.problem(503, "unavailable");
    }
}

#[tokio::test]
async fn a_carrier_that_stays_silent_is_left_alone_for_a_while() {
    for world in Carried::each(|settings| settings.sms.timeout_ms = 50).await {
        world.sparrow.misbehave(Misbehaviour::HangsUp, 100);
        for number in 0..8 {
            world.ask(&format!("+977984100010{number}")).await.ok();
        }
        assert_eq!(world.queued(), (0, 8));
        assert_eq!(world.sparrow.received().len(), 5, "the breaker opens after five");
    }
}

#[tokio::test]
async fn a_notice_by_text_goes_once_and_the_log_says_how() {
    for world in Carried::each(|settings| settings.sms.fallback = None).await {
        let user = world.reachable().await;
        world.tell(user, "first").await;
        let log = world.newest_log().await;
        assert_eq!(
            (log.status, log.log_type, log.recipient.as_str()),
            (MessageStatus::Sent, MessageType::Sms, PHONE)
        );
        assert_eq!(world.queued(), (1, 0));

        // Not taken: again later.
        world.sparrow.book().set_credits(0);
        world.tell(user, "no credit").await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Pending);
        world.sparrow.book().set_credits(10);
        world.test.clock.advance_ms(20_000);
        world.test.drain_jobs().await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Sent);
        assert_eq!(world.queued(), (2, 0));

        // It may have arrived: not again.
        world.sparrow.misbehave(Misbehaviour::LosesAnswer, 1);
        world.tell(user, "lost answer").await;
        world.test.clock.advance_ms(3_600_000);
        world.test.drain_jobs().await;
        let log = world.newest_log().await;
        assert_eq!(log.status, MessageStatus::Failed);
        assert!(log.response.unwrap().starts_with("may have arrived"));
        assert_eq!(world.queued(), (3, 0));

        // No such number: never again.
        world.sparrow.book().cut_off(DIGITS);
        world.tell(user, "cut off").await;
        let log = world.newest_log().await;
        assert_eq!((log.status, log.attempts), (MessageStatus::Failed, 1));
        assert!(log.response.unwrap().contains("1011"));
    }
}

#[tokio::test]
async fn a_text_whose_try_was_cut_off_is_not_sent_again() {
    for world in Carried::each(|_| {}).await {
        let user = world.reachable().await;
        let told = world.test.app.db.write(move |tx| {
            Box::pin(async move {
                let data = json!({ "rental_code": "R7K2MQ", "amount": "12.00" });
                notify(tx, user, template::RENTAL_DUE_PAID, data, "cut".to_owned()).await?;
                // As a try leaves it whose process died before the carrier's answer came.
                let begun = sms_fcm_log::Entity::update_many()
                    .col_expr(sms_fcm_log::Column::Attempts, Expr::value(1));
                begun.exec(tx).await?;
                Ok(())
            })
        });
        told.await.unwrap();
        world.test.drain_jobs().await;
        world.test.clock.advance_ms(TimeDelta::hours(2).num_milliseconds().unsigned_abs());
        world.test.drain_jobs().await;
        assert_eq!(world.queued(), (0, 0));
        assert_eq!(world.newest_log().await.status, MessageStatus::Failed);
    }
}

#[tokio::test]
async fn aakash_alone_carries_and_tells_bad_numbers_from_bad_days() {
    let only_aakash = |settings: &mut Settings| {
        settings.sms.provider = Some(SmsProvider::Aakash);
        settings.sms.fallback = None;
    };
    for world in Carried::each(only_aakash).await {
        let user = world.reachable().await;
        world.tell(user, "first").await;
        assert_eq!(world.queued(), (0, 1));
        world.aakash.book().set_credits(0);
        world.tell(user, "no balance").await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Pending);
        world.aakash.book().set_credits(10);
        world.test.clock.advance_ms(20_000);
        world.test.drain_jobs().await;
        assert_eq!(world.queued(), (0, 2));
        world.aakash.book().cut_off(DIGITS);
        world.tell(user, "cut off").await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Failed);
    }
}
