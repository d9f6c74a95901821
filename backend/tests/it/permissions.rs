//! The matrix of permissions: every staff operation is tried by every role.

use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::http::{Method, header};
use backend::auth::Permission;
use backend::auth::permission::EXTENSION;
use backend::staff::{self, NewStaff};
use entities::admin_profile::AdminRole;
use serde::Deserialize;
use serde_json::json;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Signs in a member of staff of that role, who is made the first time.
pub(crate) async fn token_of(test: &TestApp, role: AdminRole) -> String {
    let email = format!("{role}@chautari.example");
    let new = NewStaff { email: email.clone(), password: PASSWORD.to_owned(), role };
    if let Err(refused) = staff::create(&test.app, new).await {
        assert_eq!(refused.code(), Some("staff_email_taken"));
    }
    let credentials = json!({ "email": email, "password": PASSWORD });
    let answer = test.anonymous_post("/api/v1/admin/login", credentials).await.ok();
    answer["token"].as_str().unwrap().to_owned()
}

struct StaffOperation {
    method: Method,
    /// With an id that nothing has.
    path: String,
    permission: Permission,
}

/// What the description asks of staff, in the order of the document.
fn staff_operations() -> Vec<StaffOperation> {
    let openapi = serde_json::to_value(backend::api::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_for_staff = operation["security"][0].get("staff").is_some();
            let said = operation.get(EXTENSION);
            assert_eq!(
                is_for_staff,
                said.is_some(),
                "{method} {path}: staff and only staff have {EXTENSION}"
            );
            let Some(said) = said else { continue };
            let permission =
                Permission::deserialize(said).unwrap_or_else(|_| panic!("{method} {path}: {said}"));
            let part = |part: &str| match part.starts_with('{') {
                true => "01890f3e-7cc2-7000-8000-0000000000ff".to_owned(),
                false => part.to_owned(),
            };
            let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            operations.push(StaffOperation { method, path, permission });
        }
    }
    operations
}

async fn send(caller: &Caller<'_>, operation: &StaffOperation) -> Answer {
    let request = caller
        .request(operation.method.clone(), &operation.path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "a-key-for-this-test");
    caller.send(request.body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn every_role_may_what_the_matrix_says_and_nothing_else() {
    let test = TestApp::new().await;
    let operations = staff_operations();
    assert!(operations.len() > 80, "only {} staff operations", operations.len());
    for role in AdminRole::ALL {
        let caller = test.bearer(token_of(&test, *role).await);
        for operation in &operations {
            if operation.path.ends_with("/logout") {
                continue;
            }
            let answer = send(&caller, operation).await;
            let may = operation.permission.is_of(*role);
            let said = format!("{role} {} {}: {}", operation.method, operation.path, answer.body);
            assert_ne!(answer.status, 401, "{said}");
            assert_eq!(answer.body["code"] != "forbidden", may, "{said}");
        }
    }
}

#[tokio::test]
async fn the_description_shows_the_matrix() {
    let openapi = serde_json::to_value(backend::api::openapi()).unwrap();
    let text = openapi["info"]["description"].as_str().unwrap();
    for permission in Permission::ALL {
        assert!(text.contains(&format!("| `{}` |", permission.as_str())), "{permission:?}");
    }
}
