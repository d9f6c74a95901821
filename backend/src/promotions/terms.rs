//! Whether a coupon can be used. Pure; [`super::apply`] makes sure of it when many come at once.

use super::Refusal;
use chrono::{DateTime, Utc};
use entities::coupon::{self, CouponStatus};

/// Refuses a coupon that nobody can use now. One that staff have switched off, or whose time has not come, is not
/// there for riders.
pub fn check(coupon: &coupon::Model, now: DateTime<Utc>) -> Result<(), Refusal> {
    match coupon.status {
        CouponStatus::Inactive => Err(Refusal::CouponNotFound),
        _ if now < coupon.valid_from => Err(Refusal::CouponNotFound),
        CouponStatus::Expired => Err(Refusal::CouponExpired),
        CouponStatus::Active if now >= coupon.valid_until => Err(Refusal::CouponExpired),
        CouponStatus::Active if coupon.max_uses.is_some_and(|most| coupon.uses >= most) => {
            Err(Refusal::CouponUsedUp)
        }
        CouponStatus::Active => Ok(()),
    }
}

/// The number of a rider's next use, who has used it `before` times.
pub fn next_use(coupon: &coupon::Model, before: u64) -> Result<i32, Refusal> {
    match i32::try_from(before) {
        Ok(before) if before < coupon.max_uses_per_user => Ok(before + 1),
        Ok(_) | Err(_) => Err(Refusal::CouponAlreadyUsed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use uuid::Uuid;

    fn coupon(status: CouponStatus, max_uses: Option<i32>, uses: i32) -> coupon::Model {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        coupon::Model {
            id: Uuid::nil().into(),
            code: "WELCOME51".to_owned(),
            name: "Welcome".to_owned(),
            points_value: 50,
            max_uses_per_user: 2,
            max_uses,
            uses,
            is_public: true,
            valid_from: start,
            valid_until: start + TimeDelta::days(1),
            status,
            batch_id: None,
            created_by: None,
            created_at: start,
            updated_at: start,
        }
    }

    #[test]
    fn a_coupon_has_its_time_and_its_number() {
        use CouponStatus::{Active, Expired, Inactive};
        for (status, max_uses, uses, hours, refused) in [
            (Active, None, 1_000, 1, None),
            (Active, Some(3), 2, 23, None),
            (Active, Some(3), 3, 1, Some(Refusal::CouponUsedUp)),
            (Active, Some(3), 3, 24, Some(Refusal::CouponExpired)),
            (Active, None, 0, -1, Some(Refusal::CouponNotFound)),
            (Expired, None, 0, 1, Some(Refusal::CouponExpired)),
            (Inactive, None, 0, 1, Some(Refusal::CouponNotFound)),
            (Inactive, None, 0, 48, Some(Refusal::CouponNotFound)),
        ] {
            let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours);
            let found = check(&coupon(status, max_uses, uses), now).err();
            assert_eq!(found, refused, "{status} {uses}/{max_uses:?} after {hours} hours");
        }
    }

    #[test]
    fn a_rider_uses_it_so_often() {
        let coupon = coupon(CouponStatus::Active, None, 0);
        for (before, next) in [(0, Ok(1)), (1, Ok(2)), (2, Err(Refusal::CouponAlreadyUsed))] {
            assert_eq!(next_use(&coupon, before), next);
        }
    }
}
