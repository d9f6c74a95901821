//! A row of each table of `rentals.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for rental_package::Entity {
    fn sample() -> rental_package::Model {
        use rental_package::{PackageType, PaymentModel};
        rental_package::Model {
            id: id(),
            name: "name".to_owned(),
            description: "description".to_owned(),
            duration_minutes: 4,
            price_paisa: Paisa(1_004),
            package_type: PackageType::Monthly,
            payment_model: PaymentModel::Postpaid,
            free_minutes: 5,
            daily_cap_paisa: Some(Paisa(20_000)),
            is_active: true,
            package_metadata: json(),
            created_at: at(9),
            updated_at: at(10),
        }
    }
}

impl Sample for rental::Entity {
    fn sample() -> rental::Model {
        use rental::{RentalPaymentStatus, RentalStatus};
        rental::Model {
            id: id(),
            user_id: id(),
            station_id: id(),
            return_station_id: Some(id()),
            slot_id: id(),
            package_id: id(),
            power_bank_id: Some(id()),
            rental_code: "rental code".to_owned(),
            status: RentalStatus::Completed,
            started_at: Some(at(9)),
            ended_at: Some(at(10)),
            due_at: at(11),
            amount_paid_paisa: Paisa(1_012),
            overdue_amount_paisa: Paisa(1_013),
            payment_status: RentalPaymentStatus::Paid,
            is_returned_on_time: true,
            timely_return_bonus_awarded: true,
            rental_metadata: json(),
            hold_paisa: Paisa(1_018),
            due_paisa: Paisa(1_019),
            points_paid_paisa: Paisa(500),
            rules_version: 21,
            package_snapshot: json(),
            eject_cmd_id: Some(id()),
            return_slot: Some(id()),
            cancel_reason: Some("cancel reason".to_owned()),
            seat_released_at: Some(at(25)),
            lost_at: None,
            swapped_from: None,
            created_at: at(25),
        }
    }
}

impl Sample for rental_extension::Entity {
    fn sample() -> rental_extension::Model {
        rental_extension::Model {
            id: id(),
            rental_id: id(),
            package_id: id(),
            extended_minutes: 4,
            extension_cost_paisa: Paisa(1_004),
            created_by: Some(id()),
            extended_at: at(6),
        }
    }
}

impl Sample for rental_location::Entity {
    fn sample() -> rental_location::Model {
        rental_location::Model {
            id: id(),
            rental_id: id(),
            latitude: 27.717_245,
            longitude: 85.323_961,
            accuracy: 4.5,
            recorded_at: at(5),
        }
    }
}

impl Sample for rental_issue::Entity {
    fn sample() -> rental_issue::Model {
        use rental_issue::{RentalIssueStatus, RentalIssueType};
        rental_issue::Model {
            id: id(),
            rental_id: id(),
            issue_type: RentalIssueType::ReturnIssue,
            images: json(),
            description: "description".to_owned(),
            status: RentalIssueStatus::Resolved,
            reported_at: at(6),
            resolved_at: Some(at(7)),
        }
    }
}

impl Sample for late_fee_config::Entity {
    fn sample() -> late_fee_config::Model {
        use late_fee_config::LateFeeType;
        late_fee_config::Model {
            id: id(),
            version: 3,
            name: "name".to_owned(),
            fee_type: LateFeeType::Compound,
            multiplier_percent: Some(4),
            flat_rate_per_hour_paisa: Some(Paisa(1_004)),
            grace_minutes: 6,
            cap_per_day_paisa: Some(Paisa(1_006)),
            is_active: false,
            created_at: at(8),
            updated_at: at(9),
        }
    }
}
