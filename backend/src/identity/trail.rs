//! What happened to a rider's account, for the rider and for staff: rows of `user_audit_logs` in the transaction of
//! the deed itself.

use crate::app::App;
use crate::auth::Staff;
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use crate::rate::ClientAddress;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use entities::id::{AdminProfileId, UserAuditLogId, UserId};
use entities::user_audit_log;
use sea_orm::{EntityTrait, Set};
use serde_json::Value;
use std::convert::Infallible;
use uuid::Uuid;

/// Where a request comes from, as the trail has it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Empty if it is not known.
    pub ip_address: String,
    /// What the program calls itself.
    pub user_agent: String,
    /// The session of the rider or of staff.
    pub session: Option<Uuid>,
    /// The member of staff who acts.
    pub admin: Option<AdminProfileId>,
}

impl Origin {
    /// The same, in a session.
    pub fn within(mut self, session: impl Into<Uuid>) -> Self {
        self.session = Some(session.into());
        self
    }
}

impl From<&Staff> for Origin {
    fn from(staff: &Staff) -> Self {
        Self {
            ip_address: staff.ip_address.clone(),
            user_agent: staff.user_agent.clone(),
            session: Some(staff.session_id.into()),
            admin: Some(staff.admin_id),
        }
    }
}

impl FromRequestParts<App> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let ClientAddress(address) = ClientAddress::of(app, &parts.headers, &parts.extensions);
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            ip_address: address.map(|address| address.to_string()).unwrap_or_default(),
            user_agent: user_agent.unwrap_or_default().chars().take(limits::USER_AGENT_MAX).collect(),
            session: None,
            admin: None,
        })
    }
}

/// What was done: the diagram's five words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something began to exist.
    Create,
    /// Something changed.
    Update,
    /// Something is gone.
    Delete,
    /// A session began.
    Login,
    /// A session ended.
    Logout,
}

impl Deed {
    /// The word in `user_audit_logs.action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Login => "LOGIN",
            Self::Logout => "LOGOUT",
        }
    }
}

/// What it was done to, and what that changed.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Whose account.
    pub user: UserId,
    /// `User`, `UserDevice`, …: the diagram's name of the entity.
    pub entity: &'static str,
    /// The id of its row.
    pub entity_id: Uuid,
    /// What it was before; nothing secret.
    pub before: Option<Value>,
    /// What it is now; nothing secret.
    pub after: Option<Value>,
}

impl Trace {
    /// Of the account itself.
    pub fn of(user: UserId) -> Self {
        Self { user, entity: "User", entity_id: user.into(), before: None, after: None }
    }

    /// With what changed.
    pub fn changed(mut self, before: Value, after: Value) -> Self {
        (self.before, self.after) = (Some(before), Some(after));
        self
    }
}

/// Writes the row.
pub async fn note(tx: &Tx, origin: &Origin, deed: Deed, trace: Trace) -> Result<()> {
    let row = user_audit_log::ActiveModel {
        id: Set(UserAuditLogId::from(tx.new_uuid())),
        user_id: Set(Some(trace.user)),
        admin_id: Set(origin.admin),
        action: Set(deed.as_str().to_owned()),
        entity_type: Set(trace.entity.to_owned()),
        entity_id: Set(trace.entity_id.to_string()),
        old_values: Set(trace.before),
        new_values: Set(trace.after),
        ip_address: Set(origin.ip_address.clone()),
        user_agent: Set(origin.user_agent.clone()),
        session_id: Set(origin.session.map(|session| session.to_string())),
        created_at: Set(tx.now()),
    };
    user_audit_log::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}
