//! A row of each table of `people.sql`, with a value in every column that can have one.

use super::{Sample, at, id};
use entities::*;

impl Sample for user::Entity {
    fn sample() -> user::Model {
        use user::UserStatus;
        user::Model {
            id: id(),
            username: Some("username".to_owned()),
            email: Some("email".to_owned()),
            phone_number: Some("phone number".to_owned()),
            first_name: Some("first name".to_owned()),
            last_name: Some("last name".to_owned()),
            profile_picture: Some("profile picture".to_owned()),
            referral_code: "referral code".to_owned(),
            referred_by: Some(id()),
            status: UserStatus::Inactive,
            email_verified: true,
            phone_verified: true,
            open_rentals: 13,
            deleted_at: Some(at(13)),
            created_at: at(14),
            updated_at: at(15),
        }
    }
}

impl Sample for user_profile::Entity {
    fn sample() -> user_profile::Model {
        use user_profile::Gender;
        user_profile::Model {
            id: id(),
            user_id: id(),
            city: Some("city".to_owned()),
            date_of_birth: Some(at(0).date_naive()),
            gender: Some(Gender::Other),
            emergency_contact: Some("emergency contact".to_owned()),
            created_at: at(6),
            updated_at: at(7),
        }
    }
}

impl Sample for admin_profile::Entity {
    fn sample() -> admin_profile::Model {
        use admin_profile::AdminRole;
        admin_profile::Model {
            id: id(),
            user_id: id(),
            role: AdminRole::Moderator,
            is_active: true,
            created_by: Some(id()),
            created_at: at(5),
            updated_at: at(6),
        }
    }
}

impl Sample for user_kyc::Entity {
    fn sample() -> user_kyc::Model {
        use user_kyc::KycStatus;
        user_kyc::Model {
            id: id(),
            user_id: id(),
            citizenship_number: "citizenship number".to_owned(),
            citizenship_front_image: "citizenship front image".to_owned(),
            citizenship_back_image: "citizenship back image".to_owned(),
            status: KycStatus::Rejected,
            rejection_reason: Some("rejection reason".to_owned()),
            updated_by: Some(id()),
            submitted_at: at(8),
            verified_at: Some(at(9)),
        }
    }
}

impl Sample for user_device::Entity {
    fn sample() -> user_device::Model {
        use user_device::Platform;
        user_device::Model {
            id: id(),
            user_id: id(),
            device_id: "device id".to_owned(),
            device_name: Some("device name".to_owned()),
            device_type: Platform::Web,
            os_version: Some("os version".to_owned()),
            app_version: Some("app version".to_owned()),
            fcm_token: Some("fcm token".to_owned()),
            is_active: true,
            last_verified: at(9),
            last_active: at(10),
            created_at: at(11),
        }
    }
}

impl Sample for app_config::Entity {
    fn sample() -> app_config::Model {
        use app_config::ConfigDataType;
        app_config::Model {
            id: id(),
            config_key: "config key".to_owned(),
            config_value: "config value".to_owned(),
            description: "description".to_owned(),
            data_type: ConfigDataType::Json,
            is_active: true,
            updated_at: at(6),
        }
    }
}

impl Sample for country::Entity {
    fn sample() -> country::Model {
        country::Model {
            id: id(),
            name: "name".to_owned(),
            code: "code".to_owned(),
            dial_code: "dial code".to_owned(),
            flag_url: Some("flag url".to_owned()),
            is_active: true,
            created_at: at(6),
        }
    }
}

impl Sample for media_upload::Entity {
    fn sample() -> media_upload::Model {
        use media_upload::{MediaFileType, MediaPurpose};
        media_upload::Model {
            id: id(),
            uploaded_by: Some(id()),
            file_url: "file url".to_owned(),
            file_type: MediaFileType::Document,
            purpose: MediaPurpose::Station,
            original_name: "original name".to_owned(),
            file_size: 6,
            stored_at: Some(at(7)),
            attached_at: Some(at(8)),
            created_at: at(6),
        }
    }
}
