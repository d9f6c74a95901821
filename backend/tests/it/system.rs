//! What staff see of the system itself: its health, jobs that were given up, and its log.

use crate::permissions::token_of;
use crate::test_app::TestApp;
use backend::system_log::{self, LogLines};
use entities::admin_profile::AdminRole;
use entities::job::{self, JobState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A process's log that does nothing but let the backend hear.
struct Hearing(LogLines);

impl Subscriber for Hearing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.hear(event);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn warnings_and_errors_are_kept_for_staff_without_their_secrets() {
    for test in TestApp::on_each_backend().await {
        let hearing = Hearing(test.app.log_lines.clone());
        tracing::subscriber::with_default(hearing, || {
            tracing::info!("nobody needs to know");
            tracing::warn!(target: "gateway::session", stations = 3, "a station left");
            test.clock.advance_ms(1_000);
            tracing::error!(
                target: "backend::http",
                request_id = "01890f3e-7cc2-7000-8000-000000000001",
                otp = "123456",
                route = "/api/v1/wallet",
                "refused Bearer abc of sita@example.com"
            );
        });
        system_log::write_down(&test.app).await.unwrap();
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        let lines = admin.get("/api/v1/admin/logs").await.ok();
        let lines = lines["items"].as_array().unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let error = &lines[0];
        assert_eq!((&error["level"], &error["service"]), (&json!("error"), &json!("backend")));
        assert_eq!(error["message"], "refused Bearer *** of ***@example.com");
        assert_eq!(error["trace_id"], "01890f3e-7cc2-7000-8000-000000000001");
        assert_eq!(
            error["context"],
            json!({ "otp": "***", "route": "/api/v1/wallet", "target": "backend::http" })
        );
        assert_eq!(lines[1]["context"], json!({ "stations": 3, "target": "gateway::session" }));
        for (filter, found) in [
            ("level=warning", 1),
            ("level=critical", 0),
            ("service=gateway", 1),
            ("trace_id=01890f3e-7cc2-7000-8000-000000000001", 1),
        ] {
            let some = admin.get(&format!("/api/v1/admin/logs?{filter}")).await.ok();
            assert_eq!(some["items"].as_array().unwrap().len(), found, "{filter}");
        }
        admin.get("/api/v1/admin/logs?level=loud").await.problem(422, "validation_failed");
        // They do not stay for ever.
        test.clock.advance_ms(31 * 86_400_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        assert_eq!(admin.get("/api/v1/admin/logs").await.ok()["items"], json!([]));
    }
}

#[tokio::test]
async fn more_lines_than_fit_are_dropped_and_nobody_waits() {
    let test = TestApp::new().await;
    tracing::subscriber::with_default(Hearing(test.app.log_lines.clone()), || {
        for number in 0..2 * backend::limits::LOG_LINES_WAITING_MAX {
            tracing::warn!(number, "again");
        }
    });
    system_log::write_down(&test.app).await.unwrap();
    let kept = entities::system_log::Entity::find().all(test.app.db.read()).await.unwrap();
    assert_eq!(kept.len(), backend::limits::LOG_LINES_WAITING_MAX);
}

#[tokio::test]
async fn a_dead_job_is_seen_and_runs_again() {
    for test in TestApp::on_each_backend().await {
        let written = test.app.db.write(|tx| {
            Box::pin(async move {
                let secret = json!({ "code": "123456" });
                backend::jobs::enqueue(tx, "nobody.serves.this", &secret, tx.now(), None).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        for _ in 0..backend::limits::JOB_ATTEMPTS_MAX {
            test.drain_jobs().await;
            test.clock.advance_ms(901_000);
        }
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        let health = admin.get("/api/v1/admin/system/health").await.ok();
        assert_eq!((&health["status"], &health["jobs"]["dead"]), (&json!("degraded"), &json!(1)));

        let dead = admin.get("/api/v1/admin/system/jobs").await.ok();
        assert_eq!(dead["items"].as_array().unwrap().len(), 1);
        let job = &dead["items"][0];
        assert_eq!(job["last_error"], "nothing in this program does such jobs");
        assert!(!job.to_string().contains("123456"));
        assert_eq!(admin.get("/api/v1/admin/system/jobs?queue=another").await.ok()["items"], json!([]));

        let retry = format!("/api/v1/admin/system/jobs/{}/retry", job["id"].as_str().unwrap());
        let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
        moderator.post(&retry, json!({})).await.problem(403, "forbidden");
        let revived = admin.post(&retry, json!({})).await.ok();
        assert_eq!((&revived["state"], &revived["attempts"]), (&json!("ready"), &json!(0)));
        admin.post(&retry, json!({})).await.problem(409, "job_not_dead");
        let unknown = "/api/v1/admin/system/jobs/01890f3e-7cc2-7000-8000-000000000001/retry";
        admin.post(unknown, json!({})).await.problem(404, "job_not_found");
        test.drain_jobs().await;
        let tried = job::Entity::find().filter(job::Column::Queue.eq("nobody.serves.this"));
        let tried = tried.one(test.app.db.read()).await.unwrap().unwrap();
        assert_eq!((tried.state, tried.attempts), (JobState::Ready, 1));
        let deeds = admin.get("/api/v1/admin/logs/actions?action=job.retry").await.ok();
        assert_eq!(deeds["items"][0]["changes"], json!({ "queue": "nobody.serves.this" }));
    }
}

#[tokio::test]
async fn health_names_every_part() {
    for test in TestApp::on_each_backend().await {
        let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
        test.drain_jobs().await;
        let health = moderator.get("/api/v1/admin/system/health").await.ok();
        assert_eq!(health["status"], "ok", "{health}");
        assert_eq!(health["database"]["kind"], test.backend());
        assert_eq!(health["providers"], json!([{ "name": "sandbox", "circuit": "built_in" }]));
        assert_eq!(health["disk"].is_object(), test.app.db.is_embedded());
        assert_eq!(health["jobs"]["due"], 0);
    }
}

#[tokio::test]
async fn health_names_who_carries_messages() {
    use backend::config::{Secret, SmsProvider};
    let test = TestApp::with_settings(|settings| {
        settings.sms.provider = Some(SmsProvider::Sparrow);
        settings.sms.fallback = Some(SmsProvider::Aakash);
        settings.sms.sparrow.token = Secret::new("a token");
        settings.sms.sparrow.from = "Chautari".to_owned();
        settings.sms.aakash.auth_token = Secret::new("a token");
    });
    let test = test.await;
    let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
    let health = moderator.get("/api/v1/admin/system/health").await.ok();
    assert_eq!(
        health["providers"],
        json!([
            { "name": "sandbox", "circuit": "built_in" },
            { "name": "sparrow", "circuit": "closed" },
            { "name": "aakash", "circuit": "closed" },
        ])
    );
    assert!(!health.to_string().contains("a token"));
}
