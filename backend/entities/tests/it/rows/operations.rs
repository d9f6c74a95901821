//! A row of each table of `operations.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;
use sea_orm::prelude::Uuid;

impl Sample for command::Entity {
    fn sample() -> command::Model {
        use command::{CommandKind, CommandState};
        command::Model {
            id: id(),
            station_id: id(),
            kind: CommandKind::QueryIccid,
            slot_number: Some(4),
            bank_serial: Some("bank serial".to_owned()),
            argument: 6,
            rental_id: Some(id()),
            requested_by: Some(id()),
            state: CommandState::Done,
            instance_id: Some(Uuid::from_u128(7)),
            reason: Some("reason".to_owned()),
            uncertain: true,
            verdict_event_no: Some(i64::MAX),
            expires_at: at(12),
            max_clock_error_ms: 14,
            offered_at: Some(at(14)),
            finished_at: Some(at(15)),
            created_at: at(16),
        }
    }
}

impl Sample for station_event::Entity {
    fn sample() -> station_event::Model {
        use station_event::TimeQuality;
        station_event::Model {
            id: id(),
            station_id: id(),
            event_no: i64::MAX,
            epoch: i64::MAX,
            kind: "kind".to_owned(),
            body: json(),
            happened_at: at(6),
            time_quality: TimeQuality::Doubtful,
            received_at: at(8),
            applied_at: Some(at(9)),
            parked: true,
            error: Some("error".to_owned()),
        }
    }
}

impl Sample for station_inventory::Entity {
    fn sample() -> station_inventory::Model {
        station_inventory::Model {
            station_id: id(),
            version: 2,
            as_of_event_no: 3,
            last_cmd_id: Some(id()),
            body: json(),
            taken_at: at(5),
        }
    }
}

impl Sample for station_key::Entity {
    fn sample() -> station_key::Model {
        use station_key::Admission;
        station_key::Model {
            station_id: id(),
            key_id: 2,
            key_gen: 3,
            min_key_gen: 4,
            admission: Admission::Revoked,
            roster_version: 6,
        }
    }
}

impl Sample for broadcast::Entity {
    fn sample() -> broadcast::Model {
        broadcast::Model {
            id: id(),
            admin_id: id(),
            title: "title".to_owned(),
            message: "message".to_owned(),
            segment: broadcast::Segment::Inactive,
            state: broadcast::BroadcastState::Stopped,
            after_user: Some(id()),
            total: 9,
            done: 8,
            told: 7,
            created_at: at(11),
            finished_at: Some(at(12)),
        }
    }
}

impl Sample for incident::Entity {
    fn sample() -> incident::Model {
        use incident::{IncidentKind, IncidentState};
        incident::Model {
            id: id(),
            kind: IncidentKind::JobDead,
            station_id: Some(id()),
            power_bank_id: Some(id()),
            rental_id: Some(id()),
            detail: json(),
            state: IncidentState::Resolved,
            dedup_key: "dedup key".to_owned(),
            created_at: at(8),
            resolved_at: Some(at(9)),
        }
    }
}

impl Sample for job::Entity {
    fn sample() -> job::Model {
        use job::JobState;
        job::Model {
            id: id(),
            queue: "queue".to_owned(),
            payload: json(),
            state: JobState::Dead,
            run_at: at(4),
            attempts: 6,
            lease_until: Some(at(6)),
            lease_owner: Some("lease owner".to_owned()),
            dedup_key: Some("dedup key".to_owned()),
            last_error: Some("last error".to_owned()),
        }
    }
}

impl Sample for idempotency_key::Entity {
    fn sample() -> idempotency_key::Model {
        use idempotency_key::IdempotencyState;
        idempotency_key::Model {
            id: id(),
            user_id: id(),
            key: "key".to_owned(),
            route: "route".to_owned(),
            fingerprint: "fingerprint".to_owned(),
            state: IdempotencyState::Completed,
            response_status: Some(7),
            response_body: Some(json()),
            created_at: at(8),
        }
    }
}

impl Sample for otp_request::Entity {
    fn sample() -> otp_request::Model {
        use otp_request::OtpPurpose;
        otp_request::Model {
            id: id(),
            identifier: "identifier".to_owned(),
            purpose: OtpPurpose::Register,
            code_hash: "code hash".to_owned(),
            attempts: 5,
            expires_at: at(5),
            consumed_at: Some(at(6)),
            created_at: at(7),
        }
    }
}

impl Sample for user_session::Entity {
    fn sample() -> user_session::Model {
        user_session::Model {
            id: id(),
            user_id: id(),
            access_hash: "access hash".to_owned(),
            access_expires_at: at(3),
            refresh_hash: "refresh hash".to_owned(),
            refresh_expires_at: at(5),
            family: Uuid::from_u128(7),
            device_id: Some(id()),
            revoked_at: Some(at(8)),
            created_at: at(9),
        }
    }
}

impl Sample for otp_send_count::Entity {
    fn sample() -> otp_send_count::Model {
        otp_send_count::Model { scope: "scope".to_owned(), sent: 1, expires_at: at(2) }
    }
}

impl Sample for former_rider::Entity {
    fn sample() -> former_rider::Model {
        former_rider::Model { identity_hash: "identity hash".to_owned(), forgotten_at: at(2) }
    }
}

impl Sample for device_sighting::Entity {
    fn sample() -> device_sighting::Model {
        device_sighting::Model { device_hash: "device hash".to_owned(), user_id: id(), first_seen_at: at(2) }
    }
}

impl Sample for staff_credential::Entity {
    fn sample() -> staff_credential::Model {
        staff_credential::Model {
            admin_id: id(),
            email: "email".to_owned(),
            password_hash: "password hash".to_owned(),
            totp_salt: Some("totp salt".to_owned()),
            totp_confirmed_at: Some(at(4)),
            totp_step: i64::MAX,
            totp_tries: 6,
            totp_tries_since: Some(at(7)),
            updated_at: at(3),
        }
    }
}

impl Sample for staff_recovery_code::Entity {
    fn sample() -> staff_recovery_code::Model {
        staff_recovery_code::Model {
            id: id(),
            admin_id: id(),
            code_hash: "code hash".to_owned(),
            used_at: Some(at(3)),
            created_at: at(4),
        }
    }
}

impl Sample for staff_session::Entity {
    fn sample() -> staff_session::Model {
        staff_session::Model {
            id: id(),
            admin_id: id(),
            token_hash: "token hash".to_owned(),
            is_limited: true,
            expires_at: at(3),
            revoked_at: Some(at(4)),
            created_at: at(5),
        }
    }
}
