//! Making a member of staff: `chautari staff create`, and the demo.

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Problem, Result};
use crate::identity::account;
use crate::identity::identifier::Identifier;
use crate::identity::trail::Origin;
use crate::limits;
use crate::staff::Refusal;
use entities::admin_profile::{self, AdminRole};
use entities::id::AdminProfileId;
use entities::staff_credential;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Who shall work here.
#[derive(Clone)]
pub struct NewStaff {
    /// With which they sign in.
    pub email: String,
    /// At least [`limits::STAFF_PASSWORD_MIN`] characters.
    pub password: String,
    /// What they may do.
    pub role: AdminRole,
}

/// Makes a member of staff; the person behind the address becomes one, or is made as well.
pub async fn create(app: &App, new: NewStaff) -> Result<AdminProfileId> {
    let identifier = Identifier::parse(&new.email)?;
    if !matches!(identifier, Identifier::Email(_)) {
        return Err(Problem::invalid("/email", "must be an e-mail address").into());
    }
    let length = new.password.chars().count();
    if length < limits::STAFF_PASSWORD_MIN || new.password.len() > limits::STAFF_PASSWORD_MAX {
        let detail = format!("must have at least {} characters", limits::STAFF_PASSWORD_MIN);
        return Err(Problem::invalid("/password", detail).into());
    }
    let hash = app.passwords.hash(new.password).await?;
    app.db
        .write(move |tx| {
            let (identifier, hash) = (identifier.clone(), hash.clone());
            Box::pin(async move { add(tx, &identifier, hash, new.role).await })
        })
        .await
}

async fn add(
    tx: &Tx,
    identifier: &Identifier,
    password_hash: String,
    role: AdminRole,
) -> Result<AdminProfileId> {
    let taken =
        staff_credential::Entity::find().filter(staff_credential::Column::Email.eq(identifier.as_str()));
    if taken.one(tx).await?.is_some() {
        return Err(Refusal::StaffEmailTaken.into());
    }
    let user = match account::find(tx, identifier).await? {
        Some(user) => user,
        None => account::register(tx, identifier, Default::default(), &Origin::default()).await?,
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
        role: Set(role),
        is_active: Set(true),
        created_by: Set(None),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    admin_profile::Entity::insert(profile).exec_without_returning(tx).await?;
    let credential = staff_credential::ActiveModel {
        admin_id: Set(id),
        email: Set(identifier.to_string()),
        password_hash: Set(password_hash),
        updated_at: Set(tx.now()),
    };
    staff_credential::Entity::insert(credential).exec_without_returning(tx).await?;
    Ok(id)
}
