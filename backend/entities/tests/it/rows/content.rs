//! A row of each table of `content.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for notification_template::Entity {
    fn sample() -> notification_template::Model {
        use notification_template::NotificationType;
        notification_template::Model {
            id: id(),
            name: "name".to_owned(),
            slug: "slug".to_owned(),
            title_template: "title template".to_owned(),
            message_template: "message template".to_owned(),
            notification_type: NotificationType::Security,
            description: Some("description".to_owned()),
            is_active: true,
            rule_type: "rule type".to_owned(),
            created_at: at(9),
            updated_at: at(10),
        }
    }
}

impl Sample for notification_rule::Entity {
    fn sample() -> notification_rule::Model {
        notification_rule::Model {
            id: id(),
            notification_type: "notification type".to_owned(),
            send_in_app: true,
            send_push: true,
            send_sms: true,
            send_email: true,
            is_critical: true,
            created_at: at(7),
            updated_at: at(8),
        }
    }
}

impl Sample for notification::Entity {
    fn sample() -> notification::Model {
        use notification::NotificationChannel;
        use notification_template::NotificationType;
        notification::Model {
            id: id(),
            user_id: id(),
            template_id: Some(id()),
            title: "title".to_owned(),
            message: "message".to_owned(),
            notification_type: NotificationType::Security,
            data: json(),
            channel: NotificationChannel::Email,
            is_read: true,
            read_at: Some(at(9)),
            dedup_key: Some("dedup key".to_owned()),
            created_at: at(11),
        }
    }
}

impl Sample for sms_fcm_log::Entity {
    fn sample() -> sms_fcm_log::Model {
        use sms_fcm_log::{MessageStatus, MessageType};
        sms_fcm_log::Model {
            id: id(),
            user_id: Some(id()),
            notification_id: Some(id()),
            title: "title".to_owned(),
            message: "message".to_owned(),
            log_type: MessageType::Email,
            recipient: "recipient".to_owned(),
            status: MessageStatus::Failed,
            response: Some("response".to_owned()),
            attempts: 4,
            created_at: at(8),
            sent_at: Some(at(9)),
        }
    }
}

impl Sample for content_page::Entity {
    fn sample() -> content_page::Model {
        content_page::Model {
            id: id(),
            slug: "slug".to_owned(),
            title: "title".to_owned(),
            content: "content".to_owned(),
            is_published: true,
            created_at: at(5),
            updated_at: at(6),
        }
    }
}

impl Sample for faq::Entity {
    fn sample() -> faq::Model {
        faq::Model {
            id: id(),
            question: "question".to_owned(),
            answer: "answer".to_owned(),
            category: "category".to_owned(),
            display_order: 5,
            is_active: true,
            created_by: Some(id()),
            updated_by: Some(id()),
            created_at: at(8),
            updated_at: at(9),
        }
    }
}

impl Sample for contact_info::Entity {
    fn sample() -> contact_info::Model {
        use contact_info::ContactType;
        contact_info::Model {
            id: id(),
            contact_type: ContactType::SupportHours,
            value: "value".to_owned(),
            description: Some("description".to_owned()),
            is_active: true,
            updated_by: Some(id()),
            updated_at: at(6),
        }
    }
}

impl Sample for app_version::Entity {
    fn sample() -> app_version::Model {
        use user_device::Platform;
        app_version::Model {
            id: id(),
            version: "version".to_owned(),
            platform: Platform::Web,
            is_mandatory: true,
            download_url: "download url".to_owned(),
            release_notes: "release notes".to_owned(),
            released_at: at(6),
            created_at: at(7),
        }
    }
}

impl Sample for app_update::Entity {
    fn sample() -> app_update::Model {
        app_update::Model {
            id: id(),
            version: "version".to_owned(),
            title: "title".to_owned(),
            description: "description".to_owned(),
            features: app_update::Features(vec!["नेपाल".to_owned()]),
            is_major: true,
            released_at: at(6),
            created_at: at(7),
        }
    }
}

impl Sample for banner::Entity {
    fn sample() -> banner::Model {
        banner::Model {
            id: id(),
            title: "title".to_owned(),
            description: Some("description".to_owned()),
            image_url: "image url".to_owned(),
            redirect_url: Some("redirect url".to_owned()),
            display_order: 6,
            is_active: true,
            valid_from: at(7),
            valid_until: at(8),
            created_at: at(9),
        }
    }
}
