//! Extractors that refuse with problem+json: bodies, queries, paths, and the Idempotency-Key.

use crate::error::{Problem, RequestRefusal};
use crate::limits;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body, in both directions.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(RequestRefusal::UnsupportedMediaType.into());
        }
        let body = axum::body::Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::from(RequestRefusal::BodyTooLarge)
            } else {
                RequestRefusal::MalformedRequest.problem().detail("The body ended before it was complete.")
            }
        })?;
        if body.trim_ascii_start().starts_with(b"[") {
            // Every body is an object. The parser would also take a list of its fields' values.
            return Err(Problem::invalid("", "must be an object"));
        }
        parse_json(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Parses a body; the problem points at the field that is wrong.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = json_pointer(error.path());
        let cause = error.into_inner();
        match cause.classify() {
            serde_json::error::Category::Data => Problem::invalid(pointer, without_position(&cause)),
            // A number where a word is wanted counts as bad syntax there, though the body is JSON.
            serde_json::error::Category::Syntax if is_whole_json(body) => {
                Problem::invalid(pointer, without_position(&cause))
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => {
                RequestRefusal::MalformedRequest.problem().detail(format!("The body is not JSON: {cause}."))
            }
        }
    })?;
    deserializer.end().map_err(|_| {
        RequestRefusal::MalformedRequest.problem().detail("Something follows the JSON value.")
    })?;
    refuse_nul(body)?;
    Ok(value)
}

/// PostgreSQL cannot store a text with the character NUL in it, and no person types one.
fn refuse_nul(body: &[u8]) -> Result<(), Problem> {
    // In JSON it can only be written like this, and so can a backslash before "u0000": then look closely.
    const ESCAPED: &[u8] = b"\\u0000";
    if !body.windows(ESCAPED.len()).any(|bytes| bytes == ESCAPED) {
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match nul_below(&value) {
        Some(pointer) => Err(Problem::invalid(pointer, "has a NUL character in it")),
        None => Ok(()),
    }
}

fn nul_below(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| Some(format!("/{index}{}", nul_below(item)?)))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') {
                Some(String::new())
            } else {
                Some(format!("/{name}{}", nul_below(field)?))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_whole_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => "/?".to_owned(),
        })
        .collect()
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// The query string.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if has_nul(parts.uri.query().unwrap_or_default()) {
            return Err(Problem::invalid("query", "has a NUL character in it"));
        }
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejection: QueryRejection| {
            let text = rejection.body_text();
            let detail =
                text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text).to_owned();
            let pointer = detail.split(':').next().filter(|name| !name.contains(' ')).unwrap_or("query");
            Problem::invalid(pointer.to_owned(), detail.clone())
        })
    }
}

/// The parameters in the path. What does not parse names nothing that exists.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if has_nul(parts.uri.path()) {
            return Err(Problem::not_found());
        }
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_: PathRejection| Problem::not_found())
    }
}

/// No URL can have one that is not escaped.
fn has_nul(escaped: &str) -> bool {
    escaped.contains("%00")
}

/// The header that makes a repeated request the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(RequestRefusal::IdempotencyKeyMissing.into());
        };
        let key = value.to_str().unwrap_or_default();
        let length_fits = (limits::IDEMPOTENCY_KEY_MIN..=limits::IDEMPOTENCY_KEY_MAX).contains(&key.len());
        if !length_fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RequestRefusal::IdempotencyKeyMissing.into());
        }
        Ok(Self(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its type matters")]
        slots: Vec<u8>,
    }

    fn pointer(body: &str) -> (String, &'static str) {
        let problem = parse_json::<Body>(body.as_bytes()).unwrap_err();
        (problem.errors.first().map(|field| field.pointer.clone()).unwrap_or_default(), problem.kind.code)
    }

    #[test]
    fn a_wrong_body_points_at_the_field() {
        for (body, expected) in [
            (r#"{"slots":[1,"two"]}"#, ("/slots/1", "validation_failed")),
            (r#"{"slots":[1,300]}"#, ("/slots/1", "validation_failed")),
            (r#"{"slots":[1],"more":2}"#, ("/more", "validation_failed")),
            (r#"{}"#, ("", "validation_failed")),
            (r#"{"slots":"#, ("", "malformed_request")),
            (r#"{"slots":[]} x"#, ("", "malformed_request")),
            ("{\"slots\":\"a\\u0000\"}", ("/slots", "validation_failed")),
            ("", ("", "malformed_request")),
        ] {
            let (pointer, code) = pointer(body);
            assert_eq!((pointer.as_str(), code), expected, "{body}");
        }
    }

    #[test]
    fn a_nul_character_is_refused_wherever_it_stands() {
        let texts = |body: &str| parse_json::<serde_json::Value>(body.as_bytes());
        for (body, pointer) in [
            (r#""\u0000""#, ""),
            (r#"{"a":["x",{"b":"y\u0000"}]}"#, "/a/1/b"),
            (r#"{"a\u0000":1}"#, ""),
            (r#""\\\u0000""#, ""),
        ] {
            assert_eq!(texts(body).unwrap_err().errors[0].pointer, pointer, "{body}");
        }
        assert_eq!(texts(r#""\\u0000""#).unwrap(), "\\u0000");
    }
}
