//! The operations of the published description, and requests that it calls valid.

use axum::http::Method;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The description, as it is served.
pub(crate) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::to_value(backend::api::openapi()).unwrap())
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// `rider`, `staff`, or nobody in particular.
    pub(crate) who: Option<String>,
    pub(crate) description: Value,
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, description) in item.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let who = description["security"][0].as_object().and_then(|who| who.keys().next().cloned());
            operations.push(Operation { method, path: path.clone(), who, description: description.clone() });
        }
    }
    operations
}

/// All of them, those last that take away what others look at.
pub(crate) fn lasting_first() -> Vec<Operation> {
    let mut operations = operations();
    operations.sort_by_key(|operation| operation.method == Method::DELETE);
    operations
}

impl Operation {
    /// `GET /api/v1/stations/{serial_number}`
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with `value` in every place that is left open.
    pub(crate) fn filled(&self, value: &str) -> String {
        let parts: Vec<&str> =
            self.path.split('/').map(|part| if part.starts_with('{') { value } else { part }).collect();
        parts.join("/")
    }

    /// What its JSON body looks like.
    pub(crate) fn body_schema(&self) -> Option<Value> {
        let content = &self.description["requestBody"]["content"]["application/json"];
        (!content.is_null()).then(|| content["schema"].clone())
    }

    /// A body that the description calls valid, made of its examples.
    pub(crate) fn example_body(&self) -> Value {
        self.body_schema().map_or(Value::Null, |schema| example(&schema))
    }

    /// The query that must be there, made of its examples.
    pub(crate) fn example_query(&self) -> String {
        let parameters = self.description["parameters"].as_array().into_iter().flatten();
        let needed =
            parameters.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
        let pairs: Vec<String> = needed
            .map(|parameter| {
                let value = match &parameter["example"] {
                    Value::Null => example(&parameter["schema"]),
                    value => value.clone(),
                };
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{}={}", parameter["name"].as_str().unwrap(), escaped(&value))
            })
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// Whether a header of that name must be sent.
    pub(crate) fn needs_header(&self, name: &str) -> bool {
        let mut parameters = self.description["parameters"].as_array().into_iter().flatten();
        parameters.any(|parameter| {
            parameter["in"] == "header"
                && parameter["required"] == true
                && parameter["name"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(name))
        })
    }
}

/// As it stands in an address.
fn escaped(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// A value that a schema allows.
pub(crate) fn example(schema: &Value) -> Value {
    if let Some(to) = schema["$ref"].as_str() {
        return document().pointer(to.trim_start_matches('#')).map_or(Value::Null, example);
    }
    for given in
        [&schema["example"], &schema["examples"][0], &schema["default"], &schema["enum"][0], &schema["const"]]
    {
        if !given.is_null() {
            return given.clone();
        }
    }
    for either in ["oneOf", "anyOf"] {
        let options = schema[either].as_array();
        if let Some(option) =
            options.and_then(|options| options.iter().find(|option| option["type"] != "null"))
        {
            return example(option);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let fields = parts.iter().filter_map(|part| example(part).as_object().cloned()).flatten();
        return Value::Object(fields.collect());
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields: Map<String, Value> =
                needed.map(|name| (name.to_owned(), example(&schema["properties"][name]))).collect();
            Value::Object(fields)
        }
        Some("array") => json!([example(&schema["items"])]),
        Some("integer" | "number") => match &schema["minimum"] {
            Value::Null => json!(1),
            minimum => minimum.clone(),
        },
        Some("boolean") => json!(true),
        Some("string") => json!(match schema["format"].as_str() {
            Some("uuid") => "01890f3e-7cc2-7000-8000-000000000001",
            Some("date") => "2026-01-15",
            Some("date-time") => "2026-01-15T04:15:00Z",
            _ => "a text of enough letters",
        }),
        _ => Value::Null,
    }
}
