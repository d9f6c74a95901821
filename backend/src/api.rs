//! The API's description: OpenAPI made from the handlers, the Swagger page, and the list of problem codes.

mod shapes;
mod usual;

use crate::app::{self, App};
use crate::auth::Permission;
use crate::error::{ProblemBody, ProblemKind, RequestRefusal};
use axum::Router;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, OpenApiBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

/// The prefix of every path of the public API.
pub const PREFIX: &str = "/api/v1";

/// The whole description, for `chautari openapi` and the snapshot test.
pub fn openapi() -> OpenApi {
    let mut openapi = described().into_openapi();
    usual::complete(&mut openapi);
    openapi
}

/// The public API below [`PREFIX`] and its description at `/api/docs`.
pub(crate) fn router() -> Router<App> {
    let (router, mut openapi) = described().split_for_parts();
    usual::complete(&mut openapi);
    router.merge(SwaggerUi::new("/api/docs").url("/api/openapi.json", openapi))
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(skeleton()).nest(PREFIX, app::routes()).merge(app::first_routes())
}

/// Every code that an error answer can carry, without repetition.
pub fn problem_codes() -> Vec<&'static ProblemKind> {
    let mut codes: Vec<&'static ProblemKind> = RequestRefusal::ALL.iter().collect();
    for kind in app::refusals() {
        // Two domains may refuse for one reason.
        if !codes.iter().any(|known| known.code == kind.code) {
            codes.push(kind);
        }
    }
    codes
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Chautari", description = "Rent a power bank at a station and return it at any other.", license(name = "MIT OR Apache-2.0")),
    components(schemas(ProblemBody)),
    modifiers(&Bearer),
)]
struct Skeleton;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut OpenApi) {
        let rider = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("access_token of auth/otp/verify"));
        let staff =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("token of admin/login"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("rider", SecurityScheme::Http(rider.build()));
        components.add_security_scheme("staff", SecurityScheme::Http(staff.build()));
    }
}

fn skeleton() -> OpenApi {
    let mut openapi = Skeleton::openapi();
    openapi.info.description = Some(description());
    OpenApiBuilder::from(openapi).build()
}

fn description() -> String {
    let mut text = String::from(
        "Rent a power bank at a station and return it at any other.\n\n\
         Errors are `application/problem+json` (RFC 9457) with a stable `code`:\n\n| code | status | meaning |\n|---|---|---|\n",
    );
    for kind in problem_codes() {
        text.push_str(&format!("| `{}` | {} | {} |\n", kind.code, kind.status, kind.title));
    }
    text.push_str(
        "\nStaff operations name what they need in `x-permission`:\n\n| permission | who has it | what for |\n|---|---|---|\n",
    );
    for permission in Permission::ALL {
        let roles: Vec<_> = permission.roles().iter().map(|role| role.as_str()).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            permission.as_str(),
            roles.join(", "),
            permission.says()
        ));
    }
    text
}
