//! A row of each table of `rewards.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for user_points::Entity {
    fn sample() -> user_points::Model {
        user_points::Model {
            id: id(),
            user_id: id(),
            current_points: 3,
            total_points: 4,
            last_updated: at(4),
        }
    }
}

impl Sample for points_transaction::Entity {
    fn sample() -> points_transaction::Model {
        use points_transaction::{PointsSource, PointsTransactionType};
        points_transaction::Model {
            id: id(),
            user_id: id(),
            transaction_type: PointsTransactionType::Adjustment,
            amount: 4,
            balance_before: 5,
            balance_after: 6,
            description: "description".to_owned(),
            related_rental: Some(id()),
            related_transaction: Some(id()),
            metadata: json(),
            source: PointsSource::Staff,
            business_key: "business key".to_owned(),
            expires_at: Some(at(12)),
            created_at: at(13),
        }
    }
}

impl Sample for referral::Entity {
    fn sample() -> referral::Model {
        use referral::ReferralStatus;
        referral::Model {
            id: id(),
            referrer_id: id(),
            referred_user_id: id(),
            status: ReferralStatus::Expired,
            referrer_points_awarded: 5,
            referred_points_awarded: 6,
            signed_up_at: at(6),
            first_rental_at: Some(at(7)),
            points_awarded_at: Some(at(8)),
            triggering_rental: Some(id()),
            end_reason: Some(referral::ReferralEnd::SamePerson),
            created_at: at(10),
        }
    }
}

impl Sample for user_leaderboard::Entity {
    fn sample() -> user_leaderboard::Model {
        user_leaderboard::Model {
            id: id(),
            user_id: id(),
            rank: 3,
            total_rentals: 4,
            total_points_earned: 5,
            referrals_count: 6,
            timely_returns: 7,
            last_updated: at(7),
            created_at: at(8),
        }
    }
}

impl Sample for achievement::Entity {
    fn sample() -> achievement::Model {
        use achievement::{CriteriaType, RewardType};
        achievement::Model {
            id: id(),
            name: "name".to_owned(),
            description: "description".to_owned(),
            criteria_type: CriteriaType::ReferralCount,
            criteria_value: 5,
            reward_type: RewardType::Points,
            reward_value: 7,
            is_active: true,
            created_by: Some(id()),
            created_at: at(9),
            updated_at: at(10),
        }
    }
}

impl Sample for user_achievement::Entity {
    fn sample() -> user_achievement::Model {
        user_achievement::Model {
            id: id(),
            user_id: id(),
            achievement_id: id(),
            current_progress: 4,
            is_unlocked: true,
            points_awarded: Some(6),
            unlocked_at: Some(at(6)),
            points_transaction_id: Some(id()),
            created_at: at(8),
        }
    }
}

impl Sample for coupon::Entity {
    fn sample() -> coupon::Model {
        use coupon::CouponStatus;
        coupon::Model {
            id: id(),
            code: "code".to_owned(),
            name: "name".to_owned(),
            points_value: 4,
            max_uses_per_user: 5,
            max_uses: Some(7),
            uses: 6,
            is_public: true,
            batch_id: Some(id()),
            valid_from: at(5),
            valid_until: at(6),
            status: CouponStatus::Expired,
            created_by: Some(id()),
            created_at: at(9),
            updated_at: at(10),
        }
    }
}

impl Sample for coupon_usage::Entity {
    fn sample() -> coupon_usage::Model {
        coupon_usage::Model {
            id: id(),
            coupon_id: id(),
            user_id: id(),
            use_number: 3,
            points_received: 4,
            points_transaction_id: Some(id()),
            used_at: at(5),
            created_at: at(6),
        }
    }
}
