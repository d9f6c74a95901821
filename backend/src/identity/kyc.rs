//! `users/kyc`: a rider proves who they are with a citizenship number and photographs of the paper.

use crate::app::App;
use crate::auth::Rider;
use crate::db::{self, Tx};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::identity::Refusal;
use crate::limits;
use crate::media;
use crate::resource::Checks;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{MediaUploadId, UserId, UserKycId};
use entities::media_upload::MediaPurpose;
use entities::user_kyc::{self, KycStatus};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A proof of identity.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Papers {
    /// As the paper has it, in Latin or Devanagari digits.
    #[schema(min_length = 4, max_length = 40, example = "27-01-70-12345")]
    citizenship_number: String,
    /// The front: an upload of the rider's with the purpose `kyc`.
    citizenship_front_image: MediaUploadId,
    /// The back: another one.
    citizenship_back_image: MediaUploadId,
}

/// What changes of a proof of identity; what is absent stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PapersChange {
    /// As the paper has it, in Latin or Devanagari digits.
    #[schema(min_length = 4, max_length = 40, example = "27-01-70-12345")]
    citizenship_number: Option<String>,
    /// The front: an upload of the rider's with the purpose `kyc`.
    citizenship_front_image: Option<MediaUploadId>,
    /// The back: another one.
    citizenship_back_image: Option<MediaUploadId>,
}

/// How far a proof of identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KycProgress {
    /// The rider has sent none.
    NotSubmitted,
    /// Staff will look at it.
    Pending,
    /// Staff found it right.
    Approved,
    /// Staff found it wrong; it can be mended.
    Rejected,
}

/// Where the rider's proof of identity stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KycStanding {
    /// How far it is.
    status: KycProgress,
    /// Why staff found it wrong.
    #[schema(example = "The back cannot be read.")]
    rejection_reason: Option<String>,
    /// When it was sent last.
    submitted_at: Option<DateTime<Utc>>,
    /// When staff found it right.
    verified_at: Option<DateTime<Utc>>,
}

impl KycStanding {
    fn of(row: Option<user_kyc::Model>) -> Self {
        let Some(row) = row else {
            let status = KycProgress::NotSubmitted;
            return Self { status, rejection_reason: None, submitted_at: None, verified_at: None };
        };
        let status = match row.status {
            KycStatus::Pending => KycProgress::Pending,
            KycStatus::Approved => KycProgress::Approved,
            KycStatus::Rejected => KycProgress::Rejected,
        };
        Self {
            status,
            rejection_reason: row.rejection_reason,
            submitted_at: Some(row.submitted_at),
            verified_at: row.verified_at,
        }
    }
}

/// Where the rider's proof of identity stands.
#[utoipa::path(get, path = "/users/kyc/status", tag = "users", security(("rider" = [])),
    responses((status = 200, body = KycStanding), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn kyc_status(rider: Rider, State(app): State<App>) -> Result<Json<KycStanding>> {
    Ok(Json(KycStanding::of(find(app.db.read(), rider.user_id).await?)))
}

/// Sends a proof of identity, once.
#[utoipa::path(post, path = "/users/kyc", tag = "users", request_body = Papers, security(("rider" = [])),
    responses((status = 201, body = KycStanding), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn submit_kyc(
    rider: Rider,
    State(app): State<App>,
    Json(papers): Json<Papers>,
) -> Result<(StatusCode, Json<KycStanding>)> {
    let change = PapersChange {
        citizenship_number: Some(papers.citizenship_number),
        citizenship_front_image: Some(papers.citizenship_front_image),
        citizenship_back_image: Some(papers.citizenship_back_image),
    };
    let row = send(&app, rider.user_id, change, true).await?;
    Ok((StatusCode::CREATED, Json(KycStanding::of(Some(row)))))
}

/// Mends a proof of identity that staff have not found right yet. They will look at it anew.
#[utoipa::path(patch, path = "/users/kyc", tag = "users", request_body = PapersChange, security(("rider" = [])),
    responses((status = 200, body = KycStanding), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn mend_kyc(
    rider: Rider,
    State(app): State<App>,
    Json(change): Json<PapersChange>,
) -> Result<Json<KycStanding>> {
    let row = send(&app, rider.user_id, change, false).await?;
    Ok(Json(KycStanding::of(Some(row))))
}

async fn send(app: &App, user: UserId, mut change: PapersChange, is_new: bool) -> Result<user_kyc::Model> {
    if let Some(number) = change.citizenship_number.take() {
        let plain = plain_number(&number);
        let mut checks = Checks::default();
        let must = || "must be the number on the paper: 4 to 20 digits and letters".to_owned();
        checks.require(plain.is_some(), "/citizenship_number", must);
        checks.done()?;
        change.citizenship_number = plain;
    }
    let written = app.db.write(move |tx| {
        let change = change.clone();
        Box::pin(
            async move { if is_new { submit(tx, user, change).await } else { mend(tx, user, change).await } },
        )
    });
    written.await
}

async fn submit(tx: &Tx, user: UserId, change: PapersChange) -> Result<user_kyc::Model> {
    if find(tx, user).await?.is_some() {
        return Err(Refusal::KycSubmitted.into());
    }
    let (Some(number), Some(front), Some(back)) =
        (change.citizenship_number, change.citizenship_front_image, change.citizenship_back_image)
    else {
        return Err(Error::internal("a new proof of identity without all its parts"));
    };
    let front = claim(tx, user, front, "/citizenship_front_image").await?;
    let back = claim(tx, user, back, "/citizenship_back_image").await?;
    let row = user_kyc::ActiveModel {
        id: Set(UserKycId::from(tx.new_uuid())),
        user_id: Set(user),
        citizenship_number: Set(number),
        citizenship_front_image: Set(front),
        citizenship_back_image: Set(back),
        status: Set(KycStatus::Pending),
        rejection_reason: Set(None),
        updated_by: Set(None),
        submitted_at: Set(tx.now()),
        verified_at: Set(None),
    };
    save(tx, user, row, true).await
}

async fn mend(tx: &Tx, user: UserId, change: PapersChange) -> Result<user_kyc::Model> {
    let found = user_kyc::Entity::find().filter(user_kyc::Column::UserId.eq(user)).lock_exclusive();
    let before = found.one(tx).await?.ok_or(Refusal::KycNotSubmitted)?;
    if before.status == KycStatus::Approved {
        return Err(Refusal::KycApproved.into());
    }
    let mut row = user_kyc::ActiveModel {
        id: Set(before.id),
        status: Set(KycStatus::Pending),
        rejection_reason: Set(None),
        submitted_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(number) = change.citizenship_number {
        row.citizenship_number = Set(number);
    }
    if let Some(front) = change.citizenship_front_image {
        let front = claim(tx, user, front, "/citizenship_front_image").await?;
        row.citizenship_front_image = Set(front);
    }
    if let Some(back) = change.citizenship_back_image {
        let back = claim(tx, user, back, "/citizenship_back_image").await?;
        row.citizenship_back_image = Set(back);
    }
    let after = save(tx, user, row, false).await?;
    let kept = [&after.citizenship_front_image, &after.citizenship_back_image];
    let loose: Vec<&str> = [&before.citizenship_front_image, &before.citizenship_back_image]
        .into_iter()
        .filter(|old| !kept.contains(old))
        .map(String::as_str)
        .collect();
    media::release(tx, &loose).await?;
    Ok(after)
}

async fn claim(tx: &Tx, user: UserId, upload: MediaUploadId, pointer: &str) -> Result<String> {
    Ok(media::claim(tx, Some(user), MediaPurpose::Kyc, upload, pointer).await?.file_url)
}

/// Writes in a savepoint: a number that somebody else has must not end the transaction around it.
async fn save(tx: &Tx, user: UserId, row: user_kyc::ActiveModel, makes: bool) -> Result<user_kyc::Model> {
    let savepoint = tx.savepoint().await?;
    let saved = if makes { row.insert(&savepoint).await } else { row.update(&savepoint).await };
    match saved {
        Ok(row) => {
            savepoint.keep().await?;
            Ok(row)
        }
        Err(error) if db::is_unique_violation(&error) => {
            savepoint.undo().await?;
            // Two requests of one rider at the same time, or a paper that somebody else has shown.
            match find(tx, user).await? {
                Some(_) if makes => Err(Refusal::KycSubmitted.into()),
                _ => Err(Refusal::CitizenshipNumberTaken.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

async fn find(db: &impl ConnectionTrait, user: UserId) -> Result<Option<user_kyc::Model>> {
    Ok(user_kyc::Entity::find().filter(user_kyc::Column::UserId.eq(user)).one(db).await?)
}

/// The number without separators and in Latin digits: one paper is one number, however it is typed.
fn plain_number(typed: &str) -> Option<String> {
    if typed.chars().count() > limits::CITIZENSHIP_NUMBER_TYPED_MAX {
        return None;
    }
    let mut plain = String::new();
    for letter in typed.chars() {
        match letter {
            '-' | '/' | ' ' | '.' => {}
            '०'..='९' => plain.push(char::from_digit(u32::from(letter) - u32::from('०'), 10)?),
            letter if letter.is_ascii_alphanumeric() => plain.push(letter.to_ascii_uppercase()),
            _ => return None,
        }
    }
    (4..=20).contains(&plain.len()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_paper_is_one_number_however_it_is_typed() {
        for (typed, plain) in [
            ("27-01-70-12345", Some("27017012345")),
            ("२७-०१-७०-१२३४५", Some("27017012345")),
            (" 27/01/70 12345 ", Some("27017012345")),
            ("ab-12", Some("AB12")),
            ("123", None),
            ("12345\0", None),
            ("1234567890123456789012", None),
            ("२७०१<script>", None),
        ] {
            assert_eq!(plain_number(typed).as_deref(), plain, "{typed}");
        }
    }
}
