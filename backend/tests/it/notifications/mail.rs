//! E-mail against a mail server's double: notices and codes arrive, refusals are final, and what may have arrived
//! goes again under its name.

use crate::riders::rider;
use crate::test_app::TestApp;
use backend::config::{MailProvider, Secret};
use backend::notifications::{Notified, notify, template};
use doubles::World;
use doubles::smtp::{Fate, Smtp, Trouble};
use entities::id::UserId;
use entities::sms_fcm_log::{self, MessageStatus, MessageType};
use entities::testing::FreshDatabase;
use entities::{notification_rule, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

const ADDRESS: &str = "sita@example.com";

/// A backend that is wired to a mail server, and a rider with a proven address whose rewards go by mail.
struct Mailed {
    test: TestApp,
    server: Smtp,
    user: UserId,
}

impl Mailed {
    async fn each() -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            let clock = TestApp::clock();
            let server = Smtp::start("chautari", "s3cret", World::new(clock.clone(), 1)).await.unwrap();
            let test = TestApp::wired(database, clock, |settings| {
                settings.mail.provider = Some(MailProvider::Smtp);
                settings.mail.url = Secret::new(server.url());
                settings.mail.from = "Chautari <help@chautari.example>".to_owned();
                settings.mail.timeout_ms = 1_000;
            });
            let test = test.await;
            let user = rider(&test.app).await.id;
            let written = test.app.db.write(move |tx| {
                Box::pin(async move {
                    user::Entity::update_many()
                        .col_expr(user::Column::Email, Expr::value(ADDRESS))
                        .col_expr(user::Column::EmailVerified, Expr::value(true))
                        .filter(user::Column::Id.eq(user))
                        .exec(tx)
                        .await?;
                    notification_rule::Entity::update_many()
                        .col_expr(notification_rule::Column::SendEmail, Expr::value(true))
                        .filter(notification_rule::Column::NotificationType.eq("rewards"))
                        .exec(tx)
                        .await?;
                    Ok(())
                })
            });
            written.await.unwrap();
            worlds.push(Self { test, server, user });
        }
        worlds
    }

    async fn tell(&self, key: &'static str) {
        self.test.clock.advance_ms(1_000);
        let user = self.user;
        let told = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let data = json!({ "points": 50, "reason": "welcome to Chautari" });
                notify(tx, user, template::POINTS_EARNED, data, key.to_owned()).await
            })
        });
        assert_eq!(told.await.unwrap(), Notified::Written);
        self.test.drain_jobs().await;
    }

    /// Lets a minute pass and the jobs of it run.
    async fn a_minute_later(&self) {
        self.test.clock.advance_ms(60_000);
        self.test.drain_jobs().await;
    }

    async fn newest_log(&self) -> sms_fcm_log::Model {
        let newest = sms_fcm_log::Entity::find().order_by_desc(sms_fcm_log::Column::Id);
        newest.one(self.test.app.db.read()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_notice_arrives_with_its_words_and_its_name() {
    for world in Mailed::each().await {
        world.tell("first").await;
        let mails = world.server.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(
            (mails[0].from.as_str(), mails[0].to.as_slice()),
            ("help@chautari.example", [ADDRESS.to_owned()].as_slice())
        );
        let log = world.newest_log().await;
        let name = format!("<{}@chautari.example>", log.notification_id.unwrap());
        assert_eq!(mails[0].header("Message-ID"), Some(name.as_str()));
        assert!(mails[0].header("Subject").unwrap().contains(&log.title), "{:?}", mails[0]);
        assert!(mails[0].body().contains("50"), "{:?}", mails[0]);
        assert_eq!(
            (log.status, log.log_type, log.recipient.as_str()),
            (MessageStatus::Sent, MessageType::Email, ADDRESS)
        );
    }
}

#[tokio::test]
async fn a_busy_server_gets_it_again_and_a_refusal_is_final() {
    for world in Mailed::each().await {
        world.server.bind(ADDRESS, Fate::Busy);
        world.tell("busy").await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Pending);
        world.server.release(ADDRESS);
        world.a_minute_later().await;
        assert_eq!(world.newest_log().await.status, MessageStatus::Sent);

        world.server.trouble(Trouble::LosesAnswer);
        world.tell("lost answer").await;
        world.a_minute_later().await;
        let mails = world.server.mails();
        assert_eq!(mails.len(), 3, "it was taken, and taken again");
        assert_eq!(mails[1].header("Message-ID"), mails[2].header("Message-ID"));
        assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
        assert_eq!(world.newest_log().await.status, MessageStatus::Sent);

        world.server.bind(ADDRESS, Fate::Unknown);
        world.tell("unknown").await;
        let log = world.newest_log().await;
        assert_eq!((log.status, log.attempts), (MessageStatus::Failed, 1));
        assert!(log.response.unwrap().contains("550"));
    }
}

#[tokio::test]
async fn a_code_is_mailed_and_signs_in() {
    for world in Mailed::each().await {
        let asked = world
            .test
            .anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": "gita@example.com" }));
        asked.await.ok();
        let mails = world.server.mails();
        assert_eq!(mails[0].to, ["gita@example.com"]);
        let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        let code = mails[0].body().split(|letter: char| !letter.is_ascii_digit()).find(is_code).unwrap();
        let proof = json!({ "identifier": "gita@example.com", "otp": code });
        world.test.anonymous_post("/api/v1/auth/otp/verify", proof).await.ok();
    }
}
