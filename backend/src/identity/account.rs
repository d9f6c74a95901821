//! Accounts: found by what a person can prove, made at the first time.

use crate::db::{self, Tx};
use crate::error::{Error, Result};
use crate::identity::identifier::Identifier;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::identity::{News, Refusal};
use crate::news;
use entities::id::{UserId, UserPointsId, UserProfileId, WalletId};
use entities::money::Paisa;
use entities::user::{self, UserStatus};
use entities::{user_points, user_profile, wallet};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// The person with this identifier.
pub async fn find(tx: &Tx, identifier: &Identifier) -> Result<Option<user::Model>> {
    let matches = match identifier {
        Identifier::Phone(number) => user::Column::PhoneNumber.eq(number),
        Identifier::Email(address) => Expr::expr(Func::lower(Expr::col(user::Column::Email))).eq(address),
    };
    Ok(user::Entity::find().filter(matches).filter(user::Column::DeletedAt.is_null()).one(tx).await?)
}

/// What a new rider says of themselves.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// The name that others see; one is made up if absent.
    pub username: Option<String>,
    /// Who sent them.
    pub referred_by: Option<UserId>,
}

/// Makes the account and the empty rows that every account has.
pub async fn register(
    tx: &Tx,
    identifier: &Identifier,
    introduction: Introduction,
    origin: &Origin,
) -> Result<user::Model> {
    const LETTERS: &str = "abcdefghjkmnpqrstuvwxyz23456789";
    let (phone, email) = match identifier {
        Identifier::Phone(number) => (Some(number.clone()), None),
        Identifier::Email(address) => (None, Some(address.clone())),
    };
    let Introduction { username, referred_by } = introduction;
    if let Some(name) = &username {
        let taken = user::Entity::find().filter(user::Column::Username.eq(name)).one(tx).await?;
        if taken.is_some() {
            return Err(Refusal::UsernameTaken.into());
        }
    }
    let is_chosen = username.is_some();
    let id = UserId::from(tx.new_uuid());
    let row = user::ActiveModel {
        id: Set(id),
        username: Set(Some(username.unwrap_or_else(|| format!("rider-{}", tx.random().text(LETTERS, 10))))),
        phone_verified: Set(phone.is_some()),
        email_verified: Set(email.is_some()),
        phone_number: Set(phone),
        email: Set(email),
        first_name: Set(None),
        last_name: Set(None),
        profile_picture: Set(None),
        referral_code: Set(format!("REF{}", tx.random().text(LETTERS, 8).to_ascii_uppercase())),
        referred_by: Set(referred_by),
        status: Set(UserStatus::Active),
        open_rentals: Set(0),
        deleted_at: Set(None),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    user::Entity::insert(row).exec_without_returning(tx).await.map_err(|error| {
        // Of two who want one name at the same time the second is refused by the index.
        if is_chosen && db::is_unique_violation(&error) {
            Refusal::UsernameTaken.into()
        } else {
            Error::from(error)
        }
    })?;
    open_rows(tx, id).await?;
    trail::note(tx, origin, Deed::Create, Trace::of(id)).await?;
    news::publish(tx, &News::Registered { user: id, referred_by }).await?;
    let user = user::Entity::find_by_id(id).one(tx).await?;
    user.ok_or_else(|| Error::internal(format!("users {id} is not there after its insert")))
}

async fn open_rows(tx: &Tx, user_id: UserId) -> Result<()> {
    let profile = user_profile::ActiveModel {
        id: Set(UserProfileId::from(tx.new_uuid())),
        user_id: Set(user_id),
        city: Set(None),
        date_of_birth: Set(None),
        gender: Set(None),
        emergency_contact: Set(None),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    user_profile::Entity::insert(profile).exec_without_returning(tx).await?;
    let purse = wallet::ActiveModel {
        id: Set(WalletId::from(tx.new_uuid())),
        user_id: Set(user_id),
        balance_paisa: Set(Paisa::ZERO),
        currency: Set("NPR".to_owned()),
        is_active: Set(true),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    wallet::Entity::insert(purse).exec_without_returning(tx).await?;
    let points = user_points::ActiveModel {
        id: Set(UserPointsId::from(tx.new_uuid())),
        user_id: Set(user_id),
        current_points: Set(0),
        total_points: Set(0),
        last_updated: Set(tx.now()),
    };
    user_points::Entity::insert(points).exec_without_returning(tx).await?;
    Ok(())
}
