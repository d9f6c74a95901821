//! What staff may do, by role: the whole matrix in one table.
//!
//! Every staff operation names its permission in the API's description (`x-permission`), and the [`super::Staff`]
//! extractor holds callers to it before anything of the request is read. An operation without one fails for
//! everybody. Handlers that the console calls as well say `staff.may(…)` themselves.

use crate::api;
use crate::error::{Error, RequestRefusal, Result};
use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use entities::admin_profile::AdminRole;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The name of the extension in the description.
pub const EXTENSION: &str = "x-permission";

const EVERYBODY: &[AdminRole] = AdminRole::ALL;
const NOT_MODERATORS: &[AdminRole] = &[AdminRole::SuperAdmin, AdminRole::Admin];
const SUPER_ADMINS: &[AdminRole] = &[AdminRole::SuperAdmin];

macro_rules! permissions {
    ($($variant:ident = $word:literal $roles:ident $says:literal,)+) => {
        /// One thing that a member of staff may or may not do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Permission {
            $(#[doc = $says] #[serde(rename = $word)] $variant,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word, as the API has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Who has it.
            pub const fn roles(self) -> &'static [AdminRole] {
                match self { $(Self::$variant => $roles,)+ }
            }

            /// What it is for.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)+ }
            }
        }

        // Not derived: a derive inside of a macro does not see the words.
        impl PartialSchema for Permission {
            fn schema() -> RefOr<Schema> {
                let words = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("One thing that a member of staff may or may not do."))
                    .enum_values(Some([$($word),+]));
                words.build().into()
            }
        }

        impl ToSchema for Permission {}
    };
}

permissions! {
    OwnAccount = "own_account" EVERYBODY "See the own account, secure it, end the session.",
    UsersRead = "users_read" EVERYBODY "Find riders and see them.",
    UsersChange = "users_change" NOT_MODERATORS "Ban riders and let them in again.",
    BalancesAdd = "balances_add" NOT_MODERATORS "Give money into a rider's wallet.",
    KycRead = "kyc_read" EVERYBODY "See riders' identity papers.",
    KycDecide = "kyc_decide" EVERYBODY "Say whether a rider's papers are right.",
    StationsRead = "stations_read" EVERYBODY "See stations and power banks.",
    StationsChange = "stations_change" NOT_MODERATORS "Make and change stations and power banks.",
    StationsCommand = "stations_command" NOT_MODERATORS "Make a station do something.",
    IssuesRead = "issues_read" EVERYBODY "See what riders report.",
    IssuesChange = "issues_change" EVERYBODY "Take up and settle what riders report.",
    IncidentsRead = "incidents_read" EVERYBODY "See differences between book and world.",
    IncidentsChange = "incidents_change" NOT_MODERATORS "Settle differences between book and world.",
    RentalsRead = "rentals_read" EVERYBODY "See rentals.",
    RentalsChange = "rentals_change" NOT_MODERATORS "Decide about a rental.",
    PaymentsRead = "payments_read" EVERYBODY "See refunds, payments and the nightly comparison with providers.",
    PaymentsChange = "payments_change" NOT_MODERATORS "Enter settlements, compare with providers again.",
    RefundsDecide = "refunds_decide" NOT_MODERATORS "Say whether money goes back.",
    PricesRead = "prices_read" EVERYBODY "See packages and late fees.",
    PricesChange = "prices_change" NOT_MODERATORS "Change packages and late fees.",
    RewardsRead = "rewards_read" EVERYBODY "See achievements, coupons, referrals and points.",
    RewardsChange = "rewards_change" NOT_MODERATORS "Change achievements and coupons.",
    PointsAdjust = "points_adjust" NOT_MODERATORS "Give points to a rider and take them.",
    ContentRead = "content_read" EVERYBODY "See pages, banners, questions and app versions as staff do.",
    ContentChange = "content_change" NOT_MODERATORS "Change pages, banners, questions and app versions.",
    MediaChange = "media_change" NOT_MODERATORS "Upload and delete pictures.",
    SettingsRead = "settings_read" EVERYBODY "See settings and payment methods.",
    SettingsChange = "settings_change" NOT_MODERATORS "Change settings and payment methods.",
    NotificationsRead = "notifications_read" EVERYBODY "See texts, rules and deliveries of notifications.",
    NotificationsChange = "notifications_change" NOT_MODERATORS "Change texts and rules of notifications.",
    NoticesWrite = "notices_write" EVERYBODY "Write to one rider.",
    Broadcast = "broadcast" NOT_MODERATORS "Write to many riders at once.",
    BatchesRead = "batches_read" EVERYBODY "See how batch work stands.",
    BatchesChange = "batches_change" NOT_MODERATORS "Start and stop batch work.",
    Export = "export" NOT_MODERATORS "Take riders, rentals and transactions away as files.",
    AnalyticsRead = "analytics_read" EVERYBODY "See how stations, riders and rentals do.",
    RevenueRead = "revenue_read" NOT_MODERATORS "See what is earned.",
    SystemRead = "system_read" EVERYBODY "See whether the system is well.",
    JobsChange = "jobs_change" NOT_MODERATORS "Run jobs again that were given up.",
    LogsRead = "logs_read" NOT_MODERATORS "See who did what, and what went wrong.",
    StaffRead = "staff_read" NOT_MODERATORS "See colleagues.",
    StaffChange = "staff_change" SUPER_ADMINS "Make, change and dismiss colleagues.",
}

impl Permission {
    /// Whether somebody with this role has it.
    pub fn is_of(self, role: AdminRole) -> bool {
        self.roles().contains(&role)
    }

    /// Refuses who does not have it.
    pub fn require(self, role: AdminRole) -> Result<()> {
        if self.is_of(role) { Ok(()) } else { Err(RequestRefusal::Forbidden.into()) }
    }

    fn of(operation: &Operation) -> Option<Self> {
        let said = operation.extensions.as_ref()?.get(EXTENSION)?;
        Self::deserialize(said).ok()
    }
}

/// Refuses a role what the operation's description does not grant it. Pages of the console are no operations.
/// A limited session is good for the own account and nothing else.
pub(super) fn hold_to_description(parts: &Parts, role: AdminRole, is_limited: bool) -> Result<()> {
    let Some(path) = parts.extensions.get::<MatchedPath>() else {
        return Err(Error::internal("staff came in by no route"));
    };
    if !path.as_str().starts_with(api::PREFIX) {
        return if is_limited { Err(RequestRefusal::SecondFactorNeeded.into()) } else { Ok(()) };
    }
    // HEAD is answered by the handler of GET.
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    match OPERATIONS.get(&(method, path.as_str().to_owned())) {
        Some(Permission::OwnAccount) => Ok(()),
        Some(_) if is_limited => Err(RequestRefusal::SecondFactorNeeded.into()),
        Some(permission) => permission.require(role),
        None => Err(Error::internal(format!("{} {} has no {EXTENSION}", parts.method, path.as_str()))),
    }
}

/// The permission of each staff operation, as it is described.
static OPERATIONS: LazyLock<HashMap<(Method, String), Permission>> = LazyLock::new(|| {
    let described = api::openapi().paths.paths.into_iter();
    let operations = described.flat_map(|(path, item)| {
        let permitted = operations_of(item)
            .into_iter()
            .filter_map(|(method, operation)| Some((method, Permission::of(&operation?)?)));
        permitted.map(move |(method, permission)| ((method, path.clone()), permission)).collect::<Vec<_>>()
    });
    operations.collect()
});

fn operations_of(item: PathItem) -> [(Method, Option<Operation>); 5] {
    [
        (Method::GET, item.get),
        (Method::POST, item.post),
        (Method::PUT, item.put),
        (Method::PATCH, item.patch),
        (Method::DELETE, item.delete),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_admin_may_everything_and_a_moderator_least() {
        for permission in Permission::ALL {
            assert!(permission.is_of(AdminRole::SuperAdmin), "{permission:?}");
            assert!(
                permission.is_of(AdminRole::Admin) || !permission.is_of(AdminRole::Moderator),
                "{permission:?}"
            );
        }
    }

    #[test]
    fn its_word_is_what_the_description_says() {
        for permission in Permission::ALL {
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
        }
    }
}
