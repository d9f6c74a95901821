//! What staff write of notifications: texts (`admin/notification-templates`) and the channels of each class
//! (`admin/notification-rules`).

use crate::auth::Permission;
use crate::cache::Section;
use crate::limits;
use crate::notifications::{occasions, template};
use crate::resource::{Checks, Resource, columns};
use entities::notification_template::NotificationType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The product's classes of notifications.
const CLASSES: [&str; 7] = [
    "time_alert",
    "fines_dues",
    "rental_status",
    "profile_reminder",
    "rewards",
    "payment_status",
    "admin_notices",
];

/// The wording of a notification.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationTemplateFields {
    /// What staff call it.
    #[schema(example = "rental_started")]
    name: String,
    /// The occasion on which the program uses it.
    #[schema(example = "rental-started")]
    slug: String,
    /// The heading, with the occasion's names in `{{ }}`.
    title_template: String,
    /// The text, with the occasion's names in `{{ }}`.
    #[schema(example = "Rental {{ rental_code }} has started.")]
    message_template: String,
    /// What it is about.
    notification_type: NotificationType,
    /// The class whose rule decides the channels.
    #[schema(example = "rental_status")]
    rule_type: String,
    /// For other members of staff.
    #[serde(default)]
    description: Option<String>,
    /// Whether it is sent at all.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for NotificationTemplateFields {
    const NAME: &'static str = "notification_template";
    const PATH: &'static str = "/admin/notification-templates";
    const MAY_READ: Permission = Permission::NotificationsRead;
    const MAY_CHANGE: Permission = Permission::NotificationsChange;
    const STALE: &'static [Section] = &[];
    const UNIQUE: &'static [&'static str] = &["/slug", "/name"];
    columns! {
        notification_template: name, slug, title_template, message_template, notification_type, rule_type, description, is_active;
        stamps: created_at, updated_at;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        checks.text("/title_template", &mut self.title_template, limits::DESCRIPTION_MAX);
        checks.text("/message_template", &mut self.message_template, limits::ANSWER_MAX);
        checks.text_or_none("/description", &mut self.description, limits::DESCRIPTION_MAX);
        is_class(checks, "/rule_type", &self.rule_type);
        let Some(example) = occasions::example(&self.slug) else {
            return checks.require(false, "/slug", || "is not an occasion of this program".to_owned());
        };
        let names = || format!("must render with {}", occasions::variables(&example));
        let title = template::render(&self.title_template, "", &example);
        checks.require(title.is_ok_and(|(title, _)| !title.trim().is_empty()), "/title_template", names);
        let message = template::render("", &self.message_template, &example);
        checks.require(message.is_ok_and(|(_, text)| !text.trim().is_empty()), "/message_template", names);
    }
}

/// Which channels a class of notifications takes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationRuleFields {
    /// One of the seven classes.
    #[schema(example = "rental_status")]
    notification_type: String,
    /// Into the app's inbox.
    send_in_app: bool,
    /// As a push message.
    send_push: bool,
    /// As a text message.
    send_sms: bool,
    /// As an e-mail.
    send_email: bool,
    /// Sent whatever the rider has muted.
    is_critical: bool,
}

impl Resource for NotificationRuleFields {
    const NAME: &'static str = "notification_rule";
    const PATH: &'static str = "/admin/notification-rules";
    const MAY_READ: Permission = Permission::NotificationsRead;
    const MAY_CHANGE: Permission = Permission::NotificationsChange;
    const STALE: &'static [Section] = &[];
    const UNIQUE: &'static [&'static str] = &["/notification_type"];
    columns! {
        notification_rule: notification_type, send_in_app, send_push, send_sms, send_email, is_critical;
        stamps: created_at, updated_at;
        off: -
    }

    fn check(&mut self, checks: &mut Checks) {
        is_class(checks, "/notification_type", &self.notification_type);
    }
}

fn is_class(checks: &mut Checks, pointer: &str, word: &str) {
    checks.require(CLASSES.contains(&word), pointer, || format!("must be one of {}", CLASSES.join(", ")));
}
