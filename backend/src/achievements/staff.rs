//! Goals as staff set them: `admin/achievements`.

use crate::auth::Permission;
use crate::cache::Section;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use entities::achievement::{CriteriaType, RewardType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A goal and its reward. Who has reached it keeps what it gave then.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AchievementFields {
    /// What riders call it.
    #[schema(example = "Rental Master")]
    name: String,
    /// What it takes, for riders.
    description: String,
    /// What is counted.
    criteria_type: CriteriaType,
    /// How many it takes.
    #[schema(example = 10, minimum = 1)]
    criteria_value: i32,
    /// What is given.
    reward_type: RewardType,
    /// How many points.
    #[schema(example = 200, minimum = 0)]
    reward_value: i32,
    /// Whether it can be reached.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for AchievementFields {
    const NAME: &'static str = "achievement";
    const PATH: &'static str = "/admin/achievements";
    const MAY_READ: Permission = Permission::RewardsRead;
    const MAY_CHANGE: Permission = Permission::RewardsChange;
    const STALE: &'static [Section] = &[];
    columns! {
        achievement: name, description, criteria_type, criteria_value, reward_type, reward_value, is_active;
        stamps: created_at, updated_at, created_by;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        checks.text("/description", &mut self.description, limits::DESCRIPTION_MAX);
        checks.number("/criteria_value", self.criteria_value, 1..=limits::GOAL_MAX);
        checks.number("/reward_value", self.reward_value, 0..=limits::REWARD_MAX);
    }
}
