//! `GET` and `PUT users/profile`: what a rider says of themselves. PUT replaces all of it.

use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::identity::News;
use crate::{limits, news};
use axum::extract::State;
use chrono::NaiveDate;
use entities::id::UserId;
use entities::user;
use entities::user_profile::{self, Gender};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, Set,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rider says of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Given name.
    #[serde(default)]
    #[schema(example = "Sita", max_length = 200)]
    first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    #[schema(example = "Rai", max_length = 200)]
    last_name: Option<String>,
    /// Where they live.
    #[serde(default)]
    #[schema(example = "Kathmandu", max_length = 200)]
    city: Option<String>,
    /// `YYYY-MM-DD`.
    #[serde(default)]
    date_of_birth: Option<NaiveDate>,
    /// As they state it.
    #[serde(default)]
    gender: Option<Gender>,
    /// Whom to call.
    #[serde(default)]
    #[schema(example = "+9779801234567", max_length = 200)]
    emergency_contact: Option<String>,
    /// URL of a picture.
    #[serde(default)]
    #[schema(example = "https://media.example/sita.jpg", max_length = 200)]
    profile_picture: Option<String>,
}

/// A profile and whether it is complete.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileView {
    #[serde(flatten)]
    profile: Profile,
    /// Names, city and date of birth are there.
    is_complete: bool,
}

impl Profile {
    fn is_complete(&self) -> bool {
        self.first_name.is_some()
            && self.last_name.is_some()
            && self.city.is_some()
            && self.date_of_birth.is_some()
    }

    fn check(mut self, today: NaiveDate) -> Result<Self, Problem> {
        for (pointer, text) in [
            ("/first_name", &mut self.first_name),
            ("/last_name", &mut self.last_name),
            ("/city", &mut self.city),
            ("/emergency_contact", &mut self.emergency_contact),
            ("/profile_picture", &mut self.profile_picture),
        ] {
            let trimmed = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            if trimmed.as_ref().is_some_and(|text| text.chars().count() > limits::PROFILE_TEXT_MAX) {
                return Err(Problem::invalid(
                    pointer,
                    format!("must have at most {} characters", limits::PROFILE_TEXT_MAX),
                ));
            }
            if trimmed.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
                return Err(Problem::invalid(pointer, "must not contain control characters"));
            }
            *text = trimmed;
        }
        if self.profile_picture.as_ref().is_some_and(|url| !url.starts_with("https://")) {
            return Err(Problem::invalid("/profile_picture", "must be an https URL"));
        }
        let earliest = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap_or(NaiveDate::MIN);
        if self.date_of_birth.is_some_and(|born| born < earliest || born >= today) {
            return Err(Problem::invalid("/date_of_birth", "must be a day in the past"));
        }
        Ok(self)
    }
}

/// The rider's profile.
#[utoipa::path(get, path = "/users/profile", tag = "users", security(("rider" = [])), responses((status = 200, body = ProfileView), (status = 401, body = ProblemBody)))]
pub(super) async fn show_profile(rider: Rider, State(app): State<App>) -> Result<Json<ProfileView>> {
    let (user, profile) = load(app.db.read(), rider.user_id).await?;
    let profile = Profile {
        first_name: user.first_name,
        last_name: user.last_name,
        city: profile.city,
        date_of_birth: profile.date_of_birth,
        gender: profile.gender,
        emergency_contact: profile.emergency_contact,
        profile_picture: user.profile_picture,
    };
    Ok(Json(ProfileView { is_complete: profile.is_complete(), profile }))
}

/// Replaces the rider's profile.
#[utoipa::path(put, path = "/users/profile", tag = "users", security(("rider" = [])), request_body = Profile, responses((status = 200, body = ProfileView), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_profile(
    rider: Rider,
    State(app): State<App>,
    Json(profile): Json<Profile>,
) -> Result<Json<ProfileView>> {
    let profile = profile.check(app.clock.now().date_naive())?;
    let written = profile.clone();
    app.db
        .write(move |tx| {
            let profile = written.clone();
            Box::pin(async move { replace(tx, rider.user_id, profile).await })
        })
        .await?;
    Ok(Json(ProfileView { is_complete: profile.is_complete(), profile }))
}

async fn replace(tx: &Tx, user_id: UserId, profile: Profile) -> Result<()> {
    let (user, row) = load(tx, user_id).await?;
    let is_complete = profile.is_complete();
    let mut user = user.into_active_model();
    user.first_name = Set(profile.first_name);
    user.last_name = Set(profile.last_name);
    user.profile_picture = Set(profile.profile_picture);
    user.updated_at = Set(tx.now());
    user.update(tx).await?;
    let mut row = row.into_active_model();
    row.city = Set(profile.city);
    row.date_of_birth = Set(profile.date_of_birth);
    row.gender = Set(profile.gender);
    row.emergency_contact = Set(profile.emergency_contact);
    row.updated_at = Set(tx.now());
    row.update(tx).await?;
    if is_complete {
        news::publish(tx, &News::ProfileCompleted { user: user_id }).await?;
    }
    Ok(())
}

async fn load(db: &impl ConnectionTrait, user_id: UserId) -> Result<(user::Model, user_profile::Model)> {
    let found = user_profile::Entity::find()
        .filter(user_profile::Column::UserId.eq(user_id))
        .find_also_related(user::Entity)
        .one(db)
        .await?;
    let Some((profile, Some(user))) = found else {
        return Err(Error::internal(format!("users {user_id} has no profile")));
    };
    Ok((user, profile))
}
