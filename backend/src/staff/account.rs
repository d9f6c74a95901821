//! Making a member of staff: `chautari staff create`, and the demo.

use crate::app::App;
use crate::auth::Staff;
use crate::db::Tx;
use crate::error::{Error, Problem, Result};
use crate::identity::account;
use crate::identity::identifier::Identifier;
use crate::identity::trail::Origin;
use crate::staff::{Refusal, password};
use entities::admin_profile::{self, AdminRole};
use entities::id::AdminProfileId;
use entities::staff_credential;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Who shall work here.
#[derive(Clone)]
pub struct NewStaff {
    /// With which they sign in.
    pub email: String,
    /// At least [`crate::limits::STAFF_PASSWORD_MIN`] characters.
    pub password: String,
    /// What they may do.
    pub role: AdminRole,
}

/// Who is fit to work here: the address is one, and the password is hashed.
#[derive(Clone)]
pub(super) struct Applicant {
    identifier: Identifier,
    password_hash: String,
    pub(super) role: AdminRole,
}

/// Makes a member of staff; the person behind the address becomes one, or is made as well.
pub async fn create(app: &App, new: NewStaff) -> Result<AdminProfileId> {
    let applicant = check(app, new).await?;
    app.db
        .write(move |tx| {
            let applicant = applicant.clone();
            Box::pin(async move { add(tx, &applicant, None).await })
        })
        .await
}

/// Looks at address and password, and hashes the password outside of any transaction.
pub(super) async fn check(app: &App, new: NewStaff) -> Result<Applicant> {
    let not_an_address = || Problem::invalid("/email", "must be an e-mail address");
    let identifier = Identifier::parse(&new.email).map_err(|_| not_an_address())?;
    if !matches!(identifier, Identifier::Email(_)) {
        return Err(not_an_address().into());
    }
    password::check("/password", &new.password)?;
    Ok(Applicant { identifier, password_hash: app.passwords.hash(new.password).await?, role: new.role })
}

/// Writes them into the books in the caller's transaction; `by` is the colleague who makes them staff.
pub(super) async fn add(tx: &Tx, applicant: &Applicant, by: Option<&Staff>) -> Result<AdminProfileId> {
    let Applicant { identifier, password_hash, role } = applicant;
    let taken =
        staff_credential::Entity::find().filter(staff_credential::Column::Email.eq(identifier.as_str()));
    if taken.one(tx).await?.is_some() {
        return Err(Refusal::StaffEmailTaken.into());
    }
    let user = match account::find(tx, identifier).await? {
        Some(user) => user,
        None => {
            let origin = by.map(Origin::from).unwrap_or_default();
            account::register(tx, identifier, Default::default(), &origin).await?
        }
    };
    let admin =
        admin_profile::Entity::find().filter(admin_profile::Column::UserId.eq(user.id)).one(tx).await?;
    if admin.is_some() {
        return Err(Error::internal(format!("users {} is staff without credentials", user.id)));
    }
    let id = AdminProfileId::from(tx.new_uuid());
    let profile = admin_profile::ActiveModel {
        id: Set(id),
        user_id: Set(user.id),
        role: Set(*role),
        is_active: Set(true),
        created_by: Set(by.map(|staff| staff.admin_id)),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    admin_profile::Entity::insert(profile).exec_without_returning(tx).await?;
    let credential = staff_credential::ActiveModel {
        admin_id: Set(id),
        email: Set(identifier.to_string()),
        password_hash: Set(password_hash.clone()),
        totp_salt: Set(None),
        totp_confirmed_at: Set(None),
        totp_step: Set(0),
        totp_tries: Set(0),
        totp_tries_since: Set(None),
        updated_at: Set(tx.now()),
    };
    staff_credential::Entity::insert(credential).exec_without_returning(tx).await?;
    Ok(id)
}
