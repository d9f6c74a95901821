//! A row of each table of `settlement.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use chrono::NaiveDate;
use entities::*;

impl Sample for reconciliation_report::Entity {
    fn sample() -> reconciliation_report::Model {
        reconciliation_report::Model {
            id: id(),
            provider: "provider".to_owned(),
            day: NaiveDate::from_ymd_opt(2026, 1, 15).expect("a day"),
            state: reconciliation_report::ReconciliationState::Finished,
            after_attempt: Some(id()),
            waits: 5,
            ours_paisa: Paisa(1_006),
            theirs_paisa: Paisa(1_007),
            fees_paisa: Paisa(1_008),
            differences: 9,
            ageing: json(),
            started_by: Some(id()),
            started_at: at(12),
            finished_at: Some(at(13)),
        }
    }
}

impl Sample for reconciliation_line::Entity {
    fn sample() -> reconciliation_line::Model {
        reconciliation_line::Model {
            id: id(),
            report_id: id(),
            attempt_id: id(),
            class: reconciliation_line::ReconciliationClass::Unanswered,
            our_state: payment_attempt::PaymentAttemptState::Mismatch,
            their_status: Some("their status".to_owned()),
            our_paisa: Paisa(1_007),
            their_paisa: Paisa(1_008),
            fee_paisa: Some(Paisa(1_009)),
            given_back_paisa: Paisa(1_010),
            provider_transaction: Some("provider transaction".to_owned()),
            mended: true,
            created_at: at(13),
        }
    }
}
