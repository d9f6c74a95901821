//! Accounts: joining, staying signed in, and what strangers may not do.

mod codes;
mod deletion;
mod devices;
mod joining;
mod mine;
mod sessions;
mod staff_users;

use crate::test_app::{Answer, TestApp};
use entities::id::UserId;
use entities::user_audit_log;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

pub(crate) const SITA: &str = "+9779841000001";
pub(crate) const HARI: &str = "+9779841000002";

/// Asks for a code and reads it from the outbox.
pub(crate) async fn code_for(test: &TestApp, identifier: &str) -> String {
    test.clock.advance_ms(61_000);
    test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": identifier })).await.ok();
    test.app.otp_outbox.newest_code_for(identifier).unwrap()
}

/// Another code than this one.
fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn log_in(test: &TestApp, identifier: &str, otp: &str) -> Answer {
    test.anonymous_post("/api/v1/auth/login", json!({ "identifier": identifier, "otp": otp })).await
}

/// Sends `auth/register` with more fields than the proof.
pub(crate) async fn register(test: &TestApp, identifier: &str, otp: &str, more: Value) -> Answer {
    let mut body = json!({ "identifier": identifier, "otp": otp });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    test.anonymous_post("/api/v1/auth/register", body).await
}

fn id_of(signed_in: &Value) -> UserId {
    signed_in["user"]["id"].as_str().unwrap().parse().unwrap()
}

fn token_of(signed_in: &Value) -> String {
    signed_in["access_token"].as_str().unwrap().to_owned()
}

/// The trail of an account: action and entity, oldest first.
pub(crate) async fn trail(test: &TestApp, user: UserId) -> Vec<user_audit_log::Model> {
    user_audit_log::Entity::find()
        .filter(user_audit_log::Column::UserId.eq(user))
        .order_by_asc(user_audit_log::Column::CreatedAt)
        .order_by_asc(user_audit_log::Column::Id)
        .all(test.app.db.read())
        .await
        .unwrap()
}

fn deeds(trail: &[user_audit_log::Model]) -> Vec<(&str, &str)> {
    let mut deeds: Vec<_> = trail.iter().map(|row| (row.action.as_str(), row.entity_type.as_str())).collect();
    deeds.sort_unstable();
    deeds
}
