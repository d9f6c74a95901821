//! What may be found at stations, like wifi: `admin/station-amenities`.

use crate::auth::Permission;
use crate::cache::Section;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that may be found at stations.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StationAmenityFields {
    /// One word.
    #[schema(example = "wifi")]
    name: String,
    /// A font-awesome class or a link.
    #[schema(example = "fa-wifi")]
    icon: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// Whether stations can have it.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for StationAmenityFields {
    const NAME: &'static str = "station_amenity";
    const PATH: &'static str = "/admin/station-amenities";
    const MAY_READ: Permission = Permission::StationsRead;
    const MAY_CHANGE: Permission = Permission::StationsChange;
    const STALE: &'static [Section] = &[];
    const UNIQUE: &'static [&'static str] = &["/name"];
    columns! {
        station_amenity: name, icon, description, is_active;
        stamps: created_at, updated_at;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        checks.text("/icon", &mut self.icon, limits::LINK_MAX);
        checks.text_or_empty("/description", &mut self.description, limits::DESCRIPTION_MAX);
    }
}
