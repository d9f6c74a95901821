//! How riders reach us: `content/contact` and `admin/contact-infos`.

use super::pages::{self, PageText};
use crate::app::App;
use crate::cache::{Section, Shared};
use crate::error::Result;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use entities::contact_info::{self, ContactType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One way to reach us.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactInfoFields {
    /// There is one of each.
    contact_type: ContactType,
    /// The number, the address, the hours.
    #[schema(example = "+977 1 4100000")]
    value: String,
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// Whether riders see it.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for ContactInfoFields {
    const NAME: &'static str = "contact_info";
    const PATH: &'static str = "/admin/contact-infos";
    const STALE: &'static [Section] = &[Section::Contacts];
    const UNIQUE: &'static [&'static str] = &["/contact_type"];
    columns! {
        contact_info: contact_type, value, description, is_active;
        stamps: updated_at, updated_by;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/value", &mut self.value, limits::LINK_MAX);
        checks.text_or_none("/description", &mut self.description, limits::DESCRIPTION_MAX);
    }
}

/// How riders reach us.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Contact {
    /// The page that introduces it; none if staff took it down.
    page: Option<PageText>,
    /// Each way to reach us.
    contacts: Vec<ContactWay>,
}

/// One way to reach us.
#[derive(Debug, Serialize, ToSchema)]
struct ContactWay {
    contact_type: ContactType,
    value: String,
    description: Option<String>,
}

/// How riders reach us.
#[utoipa::path(get, path = "/content/contact", tag = "content", responses((status = 200, body = Contact), (status = 304)))]
pub(super) async fn contact(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Contacts, "", async {
        let rows = contact_info::Entity::find()
            .filter(contact_info::Column::IsActive.eq(true))
            .order_by_asc(contact_info::Column::ContactType)
            .all(app.db.read())
            .await?;
        let contacts = rows.into_iter().map(|row| ContactWay {
            contact_type: row.contact_type,
            value: row.value,
            description: row.description,
        });
        let page = pages::published(&app, pages::CONTACT).await?;
        Ok(Shared::json(&Contact { page, contacts: contacts.collect() })?.into())
    });
    Ok(answer.await?.response(&headers))
}
