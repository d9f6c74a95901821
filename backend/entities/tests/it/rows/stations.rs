//! A row of each table of `stations.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for station::Entity {
    fn sample() -> station::Model {
        use station::StationStatus;
        station::Model {
            id: id(),
            station_name: "station name".to_owned(),
            serial_number: "serial number".to_owned(),
            imei: Some("imei".to_owned()),
            latitude: 27.717_245,
            longitude: 85.323_961,
            address: "address".to_owned(),
            landmark: Some("landmark".to_owned()),
            opening_time: Some("06:00".to_owned()),
            closing_time: Some("21:30".to_owned()),
            total_slots: 9,
            status: StationStatus::Maintenance,
            is_maintenance: true,
            hardware_info: json(),
            last_heartbeat: Some(at(12)),
            created_at: at(13),
            updated_at: at(14),
        }
    }
}

impl Sample for station_media::Entity {
    fn sample() -> station_media::Model {
        use station_media::StationMediaType;
        station_media::Model {
            id: id(),
            station_id: id(),
            media_upload_id: id(),
            media_type: StationMediaType::FloorPlan,
            title: Some("title".to_owned()),
            description: Some("description".to_owned()),
            is_primary: true,
            created_at: at(7),
            updated_at: at(8),
        }
    }
}

impl Sample for station_amenity::Entity {
    fn sample() -> station_amenity::Model {
        station_amenity::Model {
            id: id(),
            name: "name".to_owned(),
            icon: "icon".to_owned(),
            description: "description".to_owned(),
            is_active: true,
            created_at: at(5),
            updated_at: at(6),
        }
    }
}

impl Sample for station_amenity_mapping::Entity {
    fn sample() -> station_amenity_mapping::Model {
        station_amenity_mapping::Model {
            id: id(),
            station_id: id(),
            amenity_id: id(),
            is_available: true,
            notes: Some("notes".to_owned()),
            created_at: at(5),
            updated_at: at(6),
        }
    }
}

impl Sample for station_slot::Entity {
    fn sample() -> station_slot::Model {
        use station_slot::SlotStatus;
        station_slot::Model {
            id: id(),
            station_id: id(),
            slot_number: 3,
            status: SlotStatus::Error,
            battery_level: Some(5),
            current_rental: None,
            slot_metadata: json(),
            last_updated: at(7),
        }
    }
}

impl Sample for power_bank::Entity {
    fn sample() -> power_bank::Model {
        use power_bank::PowerBankStatus;
        power_bank::Model {
            id: id(),
            serial_number: "serial number".to_owned(),
            model: "model".to_owned(),
            capacity_mah: 4,
            status: PowerBankStatus::Missing,
            current_station: Some(id()),
            current_slot: Some(id()),
            battery_level: Some(8),
            hardware_info: json(),
            last_updated: at(9),
            created_at: at(10),
        }
    }
}

impl Sample for user_station_favorite::Entity {
    fn sample() -> user_station_favorite::Model {
        user_station_favorite::Model { id: id(), user_id: id(), station_id: id(), created_at: at(3) }
    }
}

impl Sample for station_issue::Entity {
    fn sample() -> station_issue::Model {
        use station_issue::{IssuePriority, StationIssueStatus, StationIssueType};
        station_issue::Model {
            id: id(),
            station_id: id(),
            reported_by: id(),
            issue_type: StationIssueType::AmenityIssue,
            description: "description".to_owned(),
            images: json(),
            priority: IssuePriority::Critical,
            status: StationIssueStatus::Resolved,
            assigned_to: Some(id()),
            reported_at: at(9),
            resolved_at: Some(at(10)),
        }
    }
}
