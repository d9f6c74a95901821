//! A row of each table of `records.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for user_audit_log::Entity {
    fn sample() -> user_audit_log::Model {
        user_audit_log::Model {
            id: id(),
            user_id: Some(id()),
            admin_id: Some(id()),
            action: "action".to_owned(),
            entity_type: "entity type".to_owned(),
            entity_id: "entity id".to_owned(),
            old_values: Some(json()),
            new_values: Some(json()),
            ip_address: "ip address".to_owned(),
            user_agent: "user agent".to_owned(),
            session_id: Some("session id".to_owned()),
            created_at: at(11),
        }
    }
}

impl Sample for admin_action_log::Entity {
    fn sample() -> admin_action_log::Model {
        admin_action_log::Model {
            id: id(),
            admin_id: id(),
            action: "action".to_owned(),
            target_model: "target model".to_owned(),
            target_id: "target id".to_owned(),
            changes: json(),
            ip_address: "ip address".to_owned(),
            user_agent: "user agent".to_owned(),
            created_at: at(8),
        }
    }
}

impl Sample for system_log::Entity {
    fn sample() -> system_log::Model {
        use system_log::LogLevel;
        system_log::Model {
            id: id(),
            log_level: LogLevel::Critical,
            service: "service".to_owned(),
            message: "message".to_owned(),
            context: json(),
            trace_id: Some("trace id".to_owned()),
            created_at: at(6),
        }
    }
}
