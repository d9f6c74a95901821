//! The published description: reviewed as a whole, complete operation by operation, and true about its words.

use crate::operations::{Operation, document, operations};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What anybody may call, and why.
const PUBLIC: &[(&str, &str)] = &[
    ("GET /api/v1/app/banners", "shown before signing in"),
    ("GET /api/v1/app/config", "what the app must know before signing in"),
    ("GET /api/v1/app/countries", "for the telephone number that signs in"),
    ("GET /api/v1/app/health", "for whoever watches"),
    ("GET /api/v1/app/issue-types", "words of the program"),
    ("GET /api/v1/app/updates", "shown before signing in"),
    ("POST /api/v1/app/version/check", "an old app may not be able to sign in"),
    ("POST /api/v1/admin/login", "signs in"),
    ("POST /api/v1/auth/login", "signs in"),
    ("POST /api/v1/auth/otp/request", "signs in"),
    ("POST /api/v1/auth/otp/verify", "signs in"),
    ("POST /api/v1/auth/register", "signs in"),
    ("POST /api/v1/auth/refresh", "the refresh token is the proof"),
    ("GET /api/v1/content/about", "texts that everybody may read"),
    ("GET /api/v1/content/contact", "texts that everybody may read"),
    ("GET /api/v1/content/faq", "texts that everybody may read"),
    ("GET /api/v1/content/privacy-policy", "texts that everybody may read"),
    ("GET /api/v1/content/terms-of-service", "texts that everybody may read"),
    ("GET /api/v1/media/{id}/{name}", "pictures of stations are for everybody"),
    ("GET /api/v1/media/private/{id}/{name}", "the signature of the link is the proof"),
    ("GET /api/v1/payments/methods", "prices and ways to pay are no secret"),
    ("GET /api/v1/payments/packages", "prices and ways to pay are no secret"),
    ("GET /api/v1/rentals/packages", "prices and ways to pay are no secret"),
    (
        "GET /api/v1/payments/{provider}/return/{attempt}",
        "the rider's browser comes back; it only makes us ask",
    ),
    ("POST /api/v1/payments/webhooks/{provider}", "the provider's signature is the proof"),
    ("GET /api/v1/promotions/coupons/active", "an invitation"),
    ("GET /api/v1/stations", "the map is for everybody"),
    ("GET /api/v1/stations/nearby", "the map is for everybody"),
    ("GET /api/v1/stations/{serial_number}", "the map is for everybody"),
];

/// The reviewed description, and how to write it anew.
const REVIEWED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
const RENEW: &str = "cargo run -- openapi > backend/openapi.json";

#[test]
fn the_description_is_the_one_that_was_reviewed() {
    let now = backend::api::openapi().to_pretty_json().unwrap() + "\n";
    let reviewed = fs::read_to_string(REVIEWED).unwrap_or_default();
    if now == reviewed {
        return;
    }
    let reviewed: Value = serde_json::from_str(&reviewed).unwrap_or_default();
    let mut changes = Vec::new();
    for part in ["/paths", "/components/schemas", "/components/responses"] {
        let (old, new) = (entries(&reviewed, part), entries(document(), part));
        changes
            .extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("gone: {name}")));
        changes.extend(new.iter().filter_map(|(name, entry)| match old.get(name) {
            None => Some(format!("new: {name}")),
            Some(before) if before != entry => Some(format!("changed: {name}")),
            Some(_) => None,
        }));
    }
    panic!(
        "openapi.json is not what the handlers say. Look at these, then: {RENEW}\n  {}",
        changes.join("\n  ")
    );
}

#[test]
fn an_operation_without_security_is_on_the_list_of_public_ones() {
    let open: BTreeSet<String> =
        operations().iter().filter(|operation| operation.who.is_none()).map(Operation::name).collect();
    let listed: BTreeSet<String> = PUBLIC.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(open, listed, "operations for everybody (left: description, right: the list above)");
}

/// What a shared refusal says must be true of every operation that refers to it.
#[test]
fn the_shared_example_of_a_status_is_its_most_general_refusal() {
    let shared = &document()["components"]["responses"];
    for (name, title) in [
        ("Refused401", "A valid access token is needed."),
        ("Refused403", "This account may not do that."),
        ("Refused404", "There is nothing here."),
        ("Refused422", "A field is not acceptable."),
    ] {
        assert_eq!(shared[name]["description"], format!("For example: {title}"));
    }
}

#[test]
fn every_operation_is_described() {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let name = operation.name();
        let mut fault = |what: String| faults.push(format!("{name}: {what}"));
        let of = &operation.description;
        if of["summary"].as_str().unwrap_or_default().trim().is_empty() {
            fault("no summary (the doc comment of its handler)".to_owned());
        }
        if of["tags"].as_array().map_or(0, Vec::len) != 1 {
            fault("must have one tag".to_owned());
        }
        if name.contains("/api/v1/payments/") && of["tags"][0] != "payments" {
            fault("stands among payments and must have their tag".to_owned());
        }
        if !ids.insert(of["operationId"].to_string()) || !of["operationId"].is_string() {
            fault(format!("operationId {} is not its own", of["operationId"]));
        }
        for parameter in of["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().unwrap_or_default().is_empty() && parameter["in"] != "path" {
                fault(format!("parameter {} has no description", parameter["name"]));
            }
        }
        check_answers(&operation, &mut fault);
    }
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
}

fn check_answers(operation: &Operation, fault: &mut impl FnMut(String)) {
    let answers = operation.description["responses"].as_object().unwrap();
    if !answers.keys().any(|status| status.starts_with('2') || status.starts_with('3')) {
        fault("no success".to_owned());
    }
    for (status, answer) in answers {
        if status.parse::<u16>().is_err() {
            fault(format!("{status} is no status: list each"));
        }
        let answer = resolved(answer);
        if answer["description"].as_str().unwrap_or_default().is_empty() {
            fault(format!("{status} has no description"));
        }
        // 402 says what to pay and where, beside what is wrong.
        if status.starts_with(['4', '5']) && status != "402" {
            let problem = &answer["content"]["application/problem+json"];
            if problem["schema"]["$ref"] != "#/components/schemas/ProblemBody" {
                fault(format!("{status} is not problem+json: {answer}"));
            }
            if !problem["example"]["code"].is_string() {
                fault(format!("{status} has no example with a code"));
            }
        }
    }
    let status = |status: &str| answers.contains_key(status);
    let has_body = !operation.description["requestBody"].is_null();
    for (needed, when) in
        [("401", operation.who.is_some()), ("429", true), ("422", has_body), ("413", has_body)]
    {
        if when && !status(needed) {
            fault(format!("does not say {needed}"));
        }
    }
}

#[test]
fn what_riders_send_is_closed_and_bounded() {
    let mut faults = BTreeSet::new();
    for operation in operations() {
        // What staff send is bounded by their handlers; it is not described everywhere yet.
        let is_for_staff = operation.who.as_deref() == Some("staff") || operation.path.contains("/admin/");
        // A provider's own words are no object of ours.
        let is_ours = !operation.path.contains("/webhooks/") && !is_for_staff;
        let Some(schema) = operation.body_schema().filter(|_| is_ours) else { continue };
        look_into(&schema, &operation.name(), &mut faults, 0);
    }
    let faults: Vec<String> = faults.into_iter().filter(|fault| !OPEN.contains(&fault.as_str())).collect();
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
}

/// What may be sent beside what is described, and why.
const OPEN: &[&str] = &[
    // Apps pass on whatever the provider's page gave them; none of it is read.
    "POST /api/v1/payments/verify-topup: takes unknown fields",
];

/// Notes objects that take any field, texts and lists without an end, and scalars without an example.
fn look_into(schema: &Value, place: &str, faults: &mut BTreeSet<String>, depth: usize) {
    let schema = resolved(schema);
    if depth > 6 {
        return;
    }
    for either in ["oneOf", "anyOf", "allOf"] {
        for option in schema[either].as_array().into_iter().flatten() {
            look_into(option, place, faults, depth + 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object();
            if schema["additionalProperties"] != false && fields.is_some_and(|fields| !fields.is_empty()) {
                faults.insert(format!("{place}: takes unknown fields"));
            }
            for (name, field) in fields.into_iter().flatten() {
                look_into(field, &format!("{place} /{name}"), faults, depth + 1);
            }
        }
        Some("array") if schema["maxItems"].is_null() => {
            faults.insert(format!("{place}: a list without an end"));
        }
        Some("string") => {
            let known =
                ["maxLength", "enum", "pattern", "const"].iter().any(|bound| !schema[bound].is_null());
            let formats = ["uuid", "date", "date-time", "binary"];
            let is_format = schema["format"].as_str().is_some_and(|format| formats.contains(&format));
            if !known && !is_format {
                faults.insert(format!("{place}: a text without an end"));
            }
            if !is_format
                && schema["enum"].is_null()
                && schema["example"].is_null()
                && schema["examples"].is_null()
            {
                faults.insert(format!("{place}: no example"));
            }
        }
        Some("integer" | "number") => {
            let ends = ["maximum", "enum", "format"].iter().any(|end| !schema[end].is_null());
            if !ends {
                faults.insert(format!("{place}: a number without an end"));
            }
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let mut lost = BTreeSet::new();
    walk(document(), &mut |value| {
        if let Some(to) = value["$ref"].as_str()
            && document().pointer(to.trim_start_matches('#')).is_none()
        {
            lost.insert(to.to_owned());
        }
    });
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn no_two_types_share_a_name_in_the_description() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for (path, text) in sources() {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for part in code.split("#[derive(").skip(1) {
            let (derives, rest) = part.split_once(")]").unwrap_or_default();
            if !derives.contains("ToSchema") {
                continue;
            }
            let renamed = rest.split_once("schema(as = ").filter(|(before, _)| !before.contains('{'));
            let name = match renamed {
                Some((_, name)) => name.split(')').next(),
                None => {
                    let mut words = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                    words.find(|word| matches!(*word, "struct" | "enum")).and_then(|_| words.next())
                }
            };
            places.entry(name.unwrap_or_default().to_owned()).or_default().push(path.display().to_string());
        }
    }
    assert!(places.len() > 50, "only {} types were found", places.len());
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "one would stand for the other; write #[schema(as = …)]: {places:#?}");
}

#[test]
fn every_code_that_can_be_answered_is_in_the_closed_list() {
    let listed: BTreeSet<&str> = backend::api::problem_codes().iter().map(|kind| kind.code).collect();
    let mut missing = Vec::new();
    for (path, text) in sources() {
        for block in text.split("refusals! {").skip(1).filter(|block| block.contains("pub enum")) {
            let block = block.split("\n}").next().unwrap_or_default();
            for line in block.lines().filter(|line| line.contains(" = ") && line.contains('"')) {
                let code = line.split('"').nth(1).unwrap_or_default();
                if !listed.contains(code) {
                    missing.push(format!("{}: {code}", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "add their enums to refusals() in app.rs: {missing:#?}");
    let mut codes: Vec<&str> = backend::api::problem_codes().iter().map(|kind| kind.code).collect();
    codes.sort_unstable();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all, "a code is listed twice");
}

/// What a `$ref` stands for.
fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(to) => document().pointer(to.trim_start_matches('#')).unwrap_or(value),
        None => value,
    }
}

fn entries(document: &Value, part: &str) -> BTreeMap<String, Value> {
    let entries = document.pointer(part).and_then(Value::as_object);
    entries.into_iter().flatten().map(|(name, entry)| (name.clone(), entry.clone())).collect()
}

fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, look)),
        _ => {}
    }
}

/// Every source file that can describe a type.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}
