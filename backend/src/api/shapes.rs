//! The forms of operations, parameters and schemas in the description, where a derive cannot say it.

use crate::limits;
use crate::page::Cursor;
use std::collections::BTreeMap;
use utoipa::Number;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, SchemaType, Type};
use utoipa::openapi::{Object, RefOr, Schema};

/// `GET /api/v1/rentals/{id}` is `get_rentals_by_id`: no two operations have one name.
pub(super) fn operation_id(method: &HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Put => "put",
        HttpMethod::Post => "post",
        HttpMethod::Patch => "patch",
        HttpMethod::Delete => "delete",
        HttpMethod::Options | HttpMethod::Head | HttpMethod::Trace => "other",
    };
    let mut id = method.to_owned();
    for part in path.trim_start_matches(super::PREFIX).split('/').filter(|part| !part.is_empty()) {
        let (by, name) = match part.strip_prefix('{') {
            Some(name) => ("by_", name.trim_end_matches('}')),
            None => ("", part),
        };
        id.push_str(&format!("_{by}{}", name.replace('-', "_")));
    }
    id
}

/// A query has no null, and what every page or every key has in common is said here.
pub(super) fn bound(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    if let Some(RefOr::T(Schema::OneOf(either))) = &parameter.schema {
        let mut others = either.items.iter().filter(|item| !is_null(item));
        if let (Some(only), None) = (others.next(), others.next()) {
            parameter.schema = Some(only.clone());
        }
    }
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    schema.schema_type = without_null(&schema.schema_type);
    match (&parameter.parameter_in, parameter.name.to_ascii_lowercase().as_str()) {
        (ParameterIn::Query, "limit") => {
            schema.minimum = Some(Number::from(1_u64));
            schema.maximum.get_or_insert(Number::from(limits::PAGE_MAX));
        }
        (ParameterIn::Query, "cursor") if schema.pattern.is_none() => {
            text(schema, Cursor::LENGTH, Cursor::LENGTH, Cursor::PATTERN);
        }
        (ParameterIn::Header, "idempotency-key") => {
            text(schema, limits::IDEMPOTENCY_KEY_MIN, limits::IDEMPOTENCY_KEY_MAX, "^[!-~]+$");
            schema.examples = vec!["0190f3e7-cc27-7000-8000-000000000001".into()];
        }
        _ => {}
    }
}

/// A closed schema inside of an `allOf` would refuse the fields beside it.
pub(super) fn open_what_is_flattened(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let closed: BTreeMap<String, Schema> = schemas
        .iter()
        .filter_map(|(name, schema)| match schema {
            RefOr::T(Schema::Object(object)) if object.additional_properties.is_some() => {
                let mut open = object.clone();
                open.additional_properties = None;
                Some((format!("#/components/schemas/{name}"), open.into()))
            }
            _ => None,
        })
        .collect();
    schemas.values_mut().for_each(|schema| open_below(schema, &closed));
}

/// A page has its items' schema inside of its own, so they are looked for everywhere.
fn open_below(schema: &mut RefOr<Schema>, closed: &BTreeMap<String, Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::AllOf(together) => {
            for item in &mut together.items {
                if let RefOr::Ref(to) = item
                    && let Some(open) = closed.get(&to.ref_location)
                {
                    *item = RefOr::T(open.clone());
                }
                open_below(item, closed);
            }
        }
        Schema::OneOf(either) => either.items.iter_mut().for_each(|item| open_below(item, closed)),
        Schema::AnyOf(either) => either.items.iter_mut().for_each(|item| open_below(item, closed)),
        Schema::Array(list) => {
            if let ArrayItems::RefOrSchema(item) = &mut list.items {
                open_below(item, closed);
            }
        }
        Schema::Object(object) => {
            object.properties.values_mut().for_each(|field| open_below(field, closed));
        }
        _ => {}
    }
}

fn text(schema: &mut Object, min: usize, max: usize, pattern: &str) {
    (schema.min_length, schema.max_length) = (Some(min), Some(max));
    schema.pattern = Some(pattern.to_owned());
}

fn is_null(item: &RefOr<Schema>) -> bool {
    matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == Type::Null.into())
}

fn without_null(kind: &SchemaType) -> SchemaType {
    let SchemaType::Array(kinds) = kind else { return kind.clone() };
    let mut others = kinds.iter().filter(|kind| **kind != Type::Null);
    match (others.next(), others.next()) {
        (Some(only), None) => only.clone().into(),
        _ => kind.clone(),
    }
}
