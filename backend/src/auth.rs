//! Who asks: a rider, a member of staff, or one of our own processes.
//!
//! Tokens are 32 random bytes in hexadecimal; the database keeps only their SHA-256.

pub mod permission;

pub use permission::Permission;

use crate::app::App;
use crate::error::{Error, RequestRefusal, Result};
use crate::limits;
use crate::random::Random;
use crate::rate::ClientAddress;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
use entities::admin_profile::AdminRole;
use entities::id::{AdminProfileId, StaffSessionId, UserId, UserSessionId};
use entities::user::UserStatus;
use entities::{admin_profile, staff_session, user, user_session};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The console's cookie.
pub const STAFF_COOKIE: &str = "chautari_staff";

/// A signed-in rider whose account is active.
#[derive(Clone, Copy, Debug)]
pub struct Rider {
    /// Who.
    pub user_id: UserId,
    /// The session that the access token belongs to.
    pub session_id: UserSessionId,
}

impl FromRequestParts<App> for Rider {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let token = bearer(&parts.headers).ok_or(RequestRefusal::Unauthenticated)?;
        let found = user_session::Entity::find()
            .filter(user_session::Column::AccessHash.eq(token_hash(token)))
            .filter(user_session::Column::RevokedAt.is_null())
            .filter(user_session::Column::AccessExpiresAt.gt(app.clock.now()))
            .find_also_related(user::Entity)
            .one(app.db.read())
            .await?;
        let Some((session, Some(user))) = found else { return Err(RequestRefusal::Unauthenticated.into()) };
        match user.status {
            UserStatus::Active => Ok(Self { user_id: user.id, session_id: session.id }),
            UserStatus::Banned | UserStatus::Inactive => Err(RequestRefusal::Forbidden.into()),
        }
    }
}

/// A rider if one is signed in: for what everybody may see and riders see more of.
#[derive(Clone, Copy, Debug)]
pub struct MaybeRider(pub Option<Rider>);

impl FromRequestParts<App> for MaybeRider {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            Rider::from_request_parts(parts, app).await.map(|rider| Self(Some(rider)))
        } else {
            Ok(Self(None))
        }
    }
}

/// A signed-in member of staff: by the console's cookie, or by bearer token.
#[derive(Clone, Debug)]
pub struct Staff {
    /// Who, as staff.
    pub admin_id: AdminProfileId,
    /// Who, as a person.
    pub user_id: UserId,
    /// What they may do.
    pub role: AdminRole,
    /// The session is good for setting up the second factor only, which the role requires.
    pub is_limited: bool,
    /// The session.
    pub session_id: StaffSessionId,
    /// Where the request comes from, for the audit.
    pub ip_address: String,
    /// What sent it, for the audit.
    pub user_agent: String,
}

impl Staff {
    /// Refuses what the role does not allow.
    pub fn may(&self, permission: Permission) -> Result<()> {
        permission.require(self.role)
    }
}

impl FromRequestParts<App> for Staff {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let token = match bearer(&parts.headers) {
            Some(token) => token.to_owned(),
            None => staff_cookie(parts).ok_or(RequestRefusal::Unauthenticated)?,
        };
        let found = staff_session::Entity::find()
            .filter(staff_session::Column::TokenHash.eq(token_hash(&token)))
            .filter(staff_session::Column::RevokedAt.is_null())
            .filter(staff_session::Column::ExpiresAt.gt(app.clock.now()))
            .find_also_related(admin_profile::Entity)
            .one(app.db.read())
            .await?;
        let Some((session, Some(admin))) = found else { return Err(RequestRefusal::Unauthenticated.into()) };
        if !admin.is_active {
            return Err(RequestRefusal::Forbidden.into());
        }
        permission::hold_to_description(parts, admin.role, session.is_limited)?;
        let ClientAddress(address) = ClientAddress::of(app, &parts.headers, &parts.extensions);
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            admin_id: admin.id,
            user_id: admin.user_id,
            role: admin.role,
            is_limited: session.is_limited,
            session_id: session.id,
            ip_address: address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: user_agent.unwrap_or_default().chars().take(limits::USER_AGENT_MAX).collect(),
        })
    }
}

/// One of our own processes, proven by the internal key.
#[derive(Clone, Copy, Debug)]
pub struct Internal;

impl FromRequestParts<App> for Internal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let key = bearer(&parts.headers).ok_or(RequestRefusal::Unauthenticated)?;
        let previous = app.secrets.previous_internal_key.as_deref();
        let known =
            same(key, &app.secrets.internal_key) | previous.is_some_and(|previous| same(key, previous));
        if known { Ok(Self) } else { Err(RequestRefusal::Unauthenticated.into()) }
    }
}

/// A new token for somebody who has proven who they are.
pub fn new_token(random: &Random) -> String {
    hex::encode(random.bytes::<32>())
}

/// What the database keeps of a token.
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The cookie counts only where the browser says that our own page asks: no other site can act for staff.
fn staff_cookie(parts: &Parts) -> Option<String> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !reads && !from_our_own_page(&parts.headers) {
        return None;
    }
    let cookie = CookieJar::from_headers(&parts.headers).get(STAFF_COOKIE)?.value().to_owned();
    Some(cookie)
}

fn from_our_own_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin_host = text("origin").and_then(|origin| origin.split("://").nth(1));
    origin_host.is_some() && origin_host == text("host")
}

fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}
