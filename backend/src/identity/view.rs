//! A rider as they see themselves: part of what signing in and `auth/me` answer.

use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::user::{self, UserStatus};
use serde::Serialize;
use utoipa::ToSchema;

/// A rider as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Their id.
    pub id: UserId,
    /// The name in lists.
    pub username: Option<String>,
    /// Proven e-mail address.
    pub email: Option<String>,
    /// Proven telephone number.
    pub phone_number: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// URL.
    pub profile_picture: Option<String>,
    /// What they give to friends.
    pub referral_code: String,
    /// Whether they may rent.
    pub status: UserStatus,
    /// Member since.
    pub created_at: DateTime<Utc>,
}

impl From<user::Model> for UserView {
    fn from(user: user::Model) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            phone_number: user.phone_number,
            first_name: user.first_name,
            last_name: user.last_name,
            profile_picture: user.profile_picture,
            referral_code: user.referral_code,
            status: user.status,
            created_at: user.created_at,
        }
    }
}
