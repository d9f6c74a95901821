//! The routes of a resource and their description: what `#[utoipa::path]` does for a handler, for all five.

use super::{Resource, create, delete, list, replace, show};
use crate::app::App;
use crate::auth::permission::{self, Permission};
use crate::error::ProblemBody;
use crate::page::PageQuery;
use axum::routing::{MethodRouter, get};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required, ResponseBuilder, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

type Schemas = Vec<(String, RefOr<Schema>)>;

/// The five operations of a resource.
pub(crate) fn routes<R: Resource>() -> OpenApiRouter<App> {
    let one = format!("{}/{{id}}", R::PATH);
    let mut of_all = Paths::new();
    of_all.add_path_operation(R::PATH, vec![HttpMethod::Get], listing::<R>());
    of_all.add_path_operation(R::PATH, vec![HttpMethod::Post], creation::<R>());
    let mut of_one = Paths::new();
    of_one.add_path_operation(&one, vec![HttpMethod::Get], reading::<R>());
    of_one.add_path_operation(&one, vec![HttpMethod::Put], replacement::<R>());
    of_one.add_path_operation(&one, vec![HttpMethod::Delete], deletion::<R>());
    let all_methods: MethodRouter<App> = get(list::<R>).post(create::<R>);
    let one_methods: MethodRouter<App> = get(show::<R>).put(replace::<R>).delete(delete::<R>);
    OpenApiRouter::new().routes((schemas::<R>(), of_all, all_methods)).routes((
        Vec::new(),
        of_one,
        one_methods,
    ))
}

fn listing<R: Resource>() -> Operation {
    let items = ArrayBuilder::new().items(Ref::from_schema_name(entry::<R>()));
    let page = ObjectBuilder::new()
        .property("items", items)
        .required("items")
        .property("next_cursor", ObjectBuilder::new().schema_type(Type::String));
    let operation = operation::<R>(
        "list",
        R::MAY_READ,
        format!("Every {}, newest first.", words::<R>()),
        &[401, 403, 422],
    );
    PageQuery::into_params(|| Some(ParameterIn::Query))
        .into_iter()
        .fold(operation, OperationBuilder::parameter)
        .response("200", ResponseBuilder::new().description("One page.").content(JSON, content(page)))
        .build()
}

fn creation<R: Resource>() -> Operation {
    operation::<R>("create", R::MAY_CHANGE, format!("Makes a {}.", words::<R>()), &[401, 403, 409, 422])
        .request_body(Some(body::<R>()))
        .response("201", one_entry::<R>("It is made."))
        .build()
}

fn reading<R: Resource>() -> Operation {
    operation::<R>("show", R::MAY_READ, format!("One {}.", words::<R>()), &[401, 403, 404])
        .parameter(id())
        .response("200", one_entry::<R>("It."))
        .build()
}

fn replacement<R: Resource>() -> Operation {
    operation::<R>(
        "replace",
        R::MAY_CHANGE,
        format!("Replaces all of a {}.", words::<R>()),
        &[401, 403, 404, 409, 422],
    )
    .parameter(id())
    .request_body(Some(body::<R>()))
    .response("200", one_entry::<R>("As it is now."))
    .build()
}

fn deletion<R: Resource>() -> Operation {
    let switched = R::switch_off(&mut R::empty(uuid::Uuid::nil()));
    let summary = if switched { "Switches a {} off; it can be put back." } else { "Deletes a {}." };
    operation::<R>("delete", R::MAY_CHANGE, summary.replace("{}", &words::<R>()), &[401, 403, 404])
        .parameter(id())
        .response("204", ResponseBuilder::new().description("Done."))
        .build()
}

const JSON: &str = "application/json";

fn operation<R: Resource>(
    verb: &str,
    permission: Permission,
    summary: String,
    problems: &[u16],
) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .tag("staff")
        .operation_id(Some(format!("{verb}_{}", R::NAME)))
        .summary(Some(summary))
        .extensions(Some(Extensions::builder().add(permission::EXTENSION, permission.as_str()).build()))
        .security(SecurityRequirement::new("staff", Vec::<String>::new()));
    problems.iter().fold(operation, |operation, status| {
        let problem = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
        let response =
            ResponseBuilder::new().description("Refused.").content(crate::error::PROBLEM_JSON, problem);
        operation.response(status.to_string(), response)
    })
}

fn body<R: Resource>() -> utoipa::openapi::request_body::RequestBody {
    let fields = Content::new(Some(Ref::from_schema_name(R::name())));
    RequestBodyBuilder::new().content(JSON, fields).required(Some(Required::True)).build()
}

fn one_entry<R: Resource>(says: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(says)
        .content(JSON, Content::new(Some(Ref::from_schema_name(entry::<R>()))))
}

fn id() -> ParameterBuilder {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Its id."))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))),
        ))
}

/// The fields' schema, all that it refers to, and the entry's: id and times beside the fields.
fn schemas<R: Resource>() -> Schemas {
    let mut schemas = Schemas::new();
    R::schemas(&mut schemas);
    schemas.push((R::name().into_owned(), R::schema()));
    let text = |format| {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format))).build()
    };
    // Not allOf: the fields refuse other properties, and the entry has three more.
    if let RefOr::T(Schema::Object(mut entry_schema)) = R::schema() {
        entry_schema.additional_properties = None;
        entry_schema.required.push("id".to_owned());
        entry_schema.properties.insert("id".to_owned(), text(KnownFormat::Uuid).into());
        entry_schema.properties.insert("created_at".to_owned(), text(KnownFormat::DateTime).into());
        entry_schema.properties.insert("updated_at".to_owned(), text(KnownFormat::DateTime).into());
        schemas.push((entry::<R>(), RefOr::T(entry_schema.into())));
    }
    schemas
}

/// `CountryFields` → `CountryEntry`.
fn entry<R: Resource>() -> String {
    format!("{}Entry", R::name().trim_end_matches("Fields"))
}

fn words<R: Resource>() -> String {
    R::NAME.replace('_', " ")
}

fn content(schema: impl Into<Schema>) -> Content {
    Content::new(Some(RefOr::T(schema.into())))
}
