//! What every operation of a shape may answer, written once: a handler describes what is its own.

use super::shapes;
use crate::error::{PROBLEM_JSON, Problem, ProblemBody, ProblemKind, RequestRefusal};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema};

/// Adds the usual refusals to every operation and brings all of it into one form. `4XX` in a handler's list stands
/// for them, and for a state that does not allow the deed (409).
pub(super) fn complete(openapi: &mut OpenApi) {
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(shapes::operation_id(&method, path));
            operation.parameters.iter_mut().flatten().for_each(shapes::bound);
            let may_come_too_late =
                operation.responses.responses.remove("4XX").is_some() && !matches!(method, HttpMethod::Get);
            for refusal in usual_refusals(operation, may_come_too_late) {
                let status = refusal.problem().kind.status.to_string();
                operation.responses.responses.entry(status).or_insert_with(|| problem(String::new()).into());
            }
            for (status, answer) in &mut operation.responses.responses {
                bring_into_form(status, answer);
            }
        }
    }
    let components = openapi.components.get_or_insert_default();
    for kind in first_of_each_status() {
        components.responses.insert(shared_name(kind.status), shared(kind).into());
    }
    shapes::open_what_is_flattened(&mut components.schemas);
    close_the_list_of_codes(&mut components.schemas);
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn usual_refusals(operation: &Operation, may_come_too_late: bool) -> Vec<RequestRefusal> {
    use RequestRefusal::{
        BodyTooLarge, Conflict, Forbidden, MalformedRequest, NotFound, RateLimited, Unauthenticated,
        Unavailable, UnsupportedMediaType, ValidationFailed,
    };
    let mut refusals = vec![RateLimited, Unavailable];
    if may_come_too_late {
        refusals.push(Conflict);
    }
    if operation.security.is_some() {
        refusals.extend([Unauthenticated, Forbidden]);
    }
    if operation.request_body.is_some() {
        refusals.extend([MalformedRequest, BodyTooLarge, UnsupportedMediaType, ValidationFailed]);
    }
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.parameter_in {
            ParameterIn::Path => refusals.push(NotFound),
            ParameterIn::Query | ParameterIn::QueryString => refusals.push(ValidationFailed),
            // The only one is the Idempotency-Key: missing, or used for something else.
            ParameterIn::Header => refusals.extend([MalformedRequest, ValidationFailed]),
            ParameterIn::Cookie => {}
        }
    }
    refusals
}

/// A refusal of which the handler says nothing more than its status is the shared one of that status.
fn bring_into_form(status: &str, answer: &mut RefOr<Response>) {
    let RefOr::T(told) = answer else { return };
    if let Some(index) = told.content.values().position(is_problem) {
        let Some(kind) = first_of_each_status().into_iter().find(|kind| kind.status.to_string() == status)
        else {
            return;
        };
        if told.description.is_empty() && told.content.len() == 1 {
            *answer = RefOr::Ref(Ref::from_response_name(shared_name(kind.status)));
            return;
        }
        told.content.shift_remove_index(index);
        let shared = shared(kind);
        told.content.extend(shared.content);
        told.headers.extend(shared.headers);
    }
    if told.description.is_empty() {
        told.description = if status == "204" { "Done." } else { "Success." }.to_owned();
    }
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let problem = RefOr::from(Ref::from_schema_name(ProblemBody::name()));
    matches!(content, RefOr::T(content) if content.schema.as_ref() == Some(&problem))
}

/// The most general problem of each status that the API knows.
fn first_of_each_status() -> Vec<&'static ProblemKind> {
    let mut kinds: Vec<&'static ProblemKind> = Vec::new();
    for kind in super::problem_codes() {
        if !kinds.iter().any(|known| known.status == kind.status) {
            kinds.push(kind);
        }
    }
    kinds
}

fn shared_name(status: u16) -> String {
    format!("Refused{status}")
}

fn shared(kind: &'static ProblemKind) -> Response {
    let mut answer = problem(format!("For example: {}", kind.title));
    let example = serde_json::to_value(ProblemBody::from(Problem::new(kind))).ok();
    for content in answer.content.values_mut() {
        if let RefOr::T(content) = content {
            content.example.clone_from(&example);
        }
    }
    answer.headers = headers(kind.status);
    answer
}

fn problem(description: String) -> Response {
    let body = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, body).build()
}

fn headers(status: u16) -> BTreeMap<String, RefOr<Header>> {
    let number = |text: &str| header(Type::Integer, text);
    let retry_after = ("Retry-After", number("When to try again, seconds."));
    let headers = match status {
        401 => vec![("WWW-Authenticate", header(Type::String, "`Bearer`."))],
        429 => vec![
            retry_after,
            ("RateLimit-Limit", number("How many requests are allowed at once.")),
            ("RateLimit-Remaining", number("How many are left.")),
            ("RateLimit-Reset", number("When there will be more, seconds.")),
        ],
        503 => vec![retry_after],
        _ => Vec::new(),
    };
    headers.into_iter().map(|(name, header)| (name.to_owned(), header.into())).collect()
}

fn header(kind: Type, text: &str) -> Header {
    let mut header =
        HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind).build())).build();
    header.description = Some(text.to_owned());
    header
}

/// `code` is one of those in the table at the top, and no other.
fn close_the_list_of_codes(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    if let Some(RefOr::T(Schema::Object(body))) = schemas.get_mut(ProblemBody::name().as_ref())
        && let Some(RefOr::T(Schema::Object(code))) = body.properties.get_mut("code")
    {
        let codes = super::problem_codes().into_iter().map(|kind| kind.code.into());
        code.enum_values = Some(codes.collect());
    }
}
