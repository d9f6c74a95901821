//! Every place in the books where a person is written, and what is left of it: nothing that leads to them.

use crate::db::Tx;
use crate::error::Result;
use crate::media;
use crate::random::READABLE;
use crate::riders::forget_words;
use entities::id::UserId;
use entities::user::UserStatus;
use entities::{
    media_upload, notification, sms_fcm_log, user, user_audit_log, user_device, user_kyc, user_leaderboard,
    user_profile, user_station_favorite,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, Set};

/// Forgets a person. Rentals, money, points, refunds and invoices stay: they are the network's books.
pub(super) async fn person(tx: &Tx, id: UserId) -> Result<()> {
    forget_messages(tx, id).await?;
    empty_account(tx, id).await?;
    forget_words::and_places(tx, id).await?;
    // What was theirs alone.
    user_kyc::Entity::delete_many().filter(user_kyc::Column::UserId.eq(id)).exec(tx).await?;
    user_device::Entity::delete_many().filter(user_device::Column::UserId.eq(id)).exec(tx).await?;
    user_leaderboard::Entity::delete_many().filter(user_leaderboard::Column::UserId.eq(id)).exec(tx).await?;
    user_station_favorite::Entity::delete_many()
        .filter(user_station_favorite::Column::UserId.eq(id))
        .exec(tx)
        .await?;
    // Their face and their papers are let go, and swept away.
    media::forget_user(tx, id).await?;
    // What others may still need, without a name: pictures of a broken station, who changed what and when.
    media_upload::Entity::update_many()
        .col_expr(media_upload::Column::UploadedBy, Expr::value(None::<uuid::Uuid>))
        .filter(media_upload::Column::UploadedBy.eq(id))
        .exec(tx)
        .await?;
    user_audit_log::Entity::update_many()
        .set(user_audit_log::ActiveModel {
            old_values: Set(None),
            new_values: Set(None),
            ip_address: Set(String::new()),
            user_agent: Set(String::new()),
            ..Default::default()
        })
        .filter(user_audit_log::Column::UserId.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}

/// What was sent to them, and the codes that were sent before they had an account.
async fn forget_messages(tx: &Tx, id: UserId) -> Result<()> {
    let user = user::Entity::find_by_id(id).one(tx).await?;
    let known_by: Vec<String> =
        user.into_iter().flat_map(|user| [user.phone_number, user.email]).flatten().collect();
    let before_joining = Condition::all()
        .add(sms_fcm_log::Column::UserId.is_null())
        .add(sms_fcm_log::Column::Recipient.is_in(known_by));
    sms_fcm_log::Entity::delete_many()
        .filter(Condition::any().add(sms_fcm_log::Column::UserId.eq(id)).add(before_joining))
        .exec(tx)
        .await?;
    notification::Entity::delete_many().filter(notification::Column::UserId.eq(id)).exec(tx).await?;
    Ok(())
}

async fn empty_account(tx: &Tx, id: UserId) -> Result<()> {
    let nobody = user::ActiveModel {
        username: Set(None),
        email: Set(None),
        phone_number: Set(None),
        first_name: Set(None),
        last_name: Set(None),
        profile_picture: Set(None),
        // The old code is in friends' messages; nobody may join by it any more.
        referral_code: Set(format!("GONE{}", tx.random().text(READABLE, 12))),
        email_verified: Set(false),
        phone_verified: Set(false),
        status: Set(UserStatus::Inactive),
        deleted_at: Set(Some(tx.now())),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    user::Entity::update_many().set(nobody).filter(user::Column::Id.eq(id)).exec(tx).await?;
    let untold = user_profile::ActiveModel {
        city: Set(None),
        date_of_birth: Set(None),
        gender: Set(None),
        emergency_contact: Set(None),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    user_profile::Entity::update_many()
        .set(untold)
        .filter(user_profile::Column::UserId.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}
