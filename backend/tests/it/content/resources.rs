//! The five operations of every entity without rules, and who may not use them.

use super::{delete, each};
use crate::identity::sign_in;
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::staff::{self, NewStaff};
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};

/// What to write of an entity, and how to get it wrong.
struct Case {
    path: &'static str,
    /// The audit's word.
    name: &'static str,
    fields: Value,
    /// A field and another good value.
    change: (&'static str, Value),
    /// A field, a bad value, and where the problem points.
    wrong: (&'static str, Value, &'static str),
    /// The field that deleting switches off; none where the row goes.
    switch: Option<&'static str>,
    /// Whether a second row like this is refused.
    unique: bool,
}

fn cases() -> Vec<Case> {
    let (from, until) = ("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z");
    let npr = |amount: &str| json!({ "amount": amount, "currency": "NPR" });
    vec![
        Case {
            path: "content-pages",
            name: "content_page",
            fields: json!({ "slug": "imprint", "title": "Imprint", "content": "Who we are.", "is_published": true }),
            change: ("title", json!("Who we are")),
            wrong: ("slug", json!("Im print"), "/slug"),
            switch: Some("is_published"),
            unique: true,
        },
        Case {
            path: "faqs",
            name: "faq",
            fields: json!({ "question": "Why?", "answer": "Because.", "category": "Other", "display_order": 5, "is_active": true }),
            change: ("answer", json!("Therefore.")),
            wrong: ("question", json!("  "), "/question"),
            switch: Some("is_active"),
            unique: false,
        },
        Case {
            path: "app-versions",
            name: "app_version",
            fields: json!({ "version": "1.1.0", "platform": "ios", "is_mandatory": false, "download_url": "https://apps.example/1", "release_notes": "New.", "released_at": from }),
            change: ("is_mandatory", json!(true)),
            wrong: ("version", json!("1.1"), "/version"),
            switch: None,
            unique: true,
        },
        Case {
            path: "app-updates",
            name: "app_update",
            fields: json!({ "version": "1.1.0", "title": "New", "description": "All new.", "features": ["Dark"], "is_major": false, "released_at": from }),
            change: ("features", json!(["Dark", "Light"])),
            wrong: ("features", json!(["Dark", ""]), "/features/1"),
            switch: None,
            unique: false,
        },
        Case {
            path: "banners",
            name: "banner",
            fields: json!({ "title": "Dashain", "description": null, "image_url": "https://img.example/a.png", "redirect_url": "/offers", "display_order": 1, "is_active": true, "valid_from": from, "valid_until": until }),
            change: ("display_order", json!(-1)),
            wrong: ("redirect_url", json!("javascript:alert(1)"), "/redirect_url"),
            switch: Some("is_active"),
            unique: false,
        },
        Case {
            path: "countries",
            name: "country",
            fields: json!({ "name": "India", "code": "IN", "dial_code": "+91", "flag_url": null, "is_active": true }),
            change: ("flag_url", json!("/assets/flag-in.svg")),
            wrong: ("dial_code", json!("91"), "/dial_code"),
            switch: Some("is_active"),
            unique: true,
        },
        Case {
            path: "station-amenities",
            name: "station_amenity",
            fields: json!({ "name": "prayer room", "icon": "fa-om", "description": "Quiet", "is_active": true }),
            change: ("icon", json!("fa-place-of-worship")),
            wrong: ("name", json!("x".repeat(101)), "/name"),
            switch: Some("is_active"),
            unique: true,
        },
        Case {
            path: "achievements",
            name: "achievement",
            fields: json!({ "name": "Yatri", "description": "Ride a hundred times", "criteria_type": "rental_count", "criteria_value": 100, "reward_type": "points", "reward_value": 500, "is_active": true }),
            change: ("reward_value", json!(600)),
            wrong: ("criteria_value", json!(0), "/criteria_value"),
            switch: Some("is_active"),
            unique: false,
        },
        Case {
            path: "payment-methods",
            name: "payment_method",
            fields: json!({ "name": "Khalti EBanking", "gateway": "khalti", "is_active": false, "configuration": { "logo": "/assets/khalti.svg" }, "min_amount": npr("10.00"), "max_amount": npr("500.00"), "supported_currencies": ["NPR"] }),
            change: ("max_amount", npr("600.00")),
            wrong: ("configuration", json!({ "secret_key": "x" }), "/configuration"),
            switch: Some("is_active"),
            unique: false,
        },
    ]
}

#[tokio::test]
async fn staff_make_read_replace_and_remove_and_each_deed_leaves_a_trace() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        for case in cases() {
            let (path, here) = (format!("/api/v1/admin/{}", case.path), test.backend());
            let made = staff.post(&path, case.fields.clone()).await;
            assert_eq!(made.status, 201, "{here} {path} {}", made.body);
            let made = made.ok();
            let one = format!("{path}/{}", made["id"].as_str().unwrap());
            for (field, value) in case.fields.as_object().unwrap() {
                assert_eq!(&made[field], value, "{here} {path} {field}");
            }
            assert_eq!(staff.get(&one).await.ok(), made, "{here} {path}");
            assert_eq!(staff.get(&format!("{path}?limit=1")).await.ok()["items"][0], made, "{here} {path}");
            if case.unique {
                let taken = staff.post(&path, case.fields.clone()).await.problem(409, "already_exists");
                assert!(taken["errors"][0]["pointer"].is_string(), "{here} {path}");
            }

            let mut changed = case.fields.clone();
            changed[case.change.0] = case.change.1.clone();
            let replaced = staff.put(&one, changed).await.ok();
            assert_eq!(replaced[case.change.0], case.change.1, "{here} {path}");
            assert_eq!(staff.get(&one).await.ok(), replaced, "{here} {path}");

            for _ in 0..2 {
                let deleted = delete(&staff, &one).await;
                match case.switch {
                    Some(switch) => {
                        assert_eq!(deleted.status, 204, "{here} {path}");
                        assert_eq!(staff.get(&one).await.ok()[switch], false, "{here} {path}");
                    }
                    None => {
                        staff.get(&one).await.problem(404, "entry_not_found");
                    }
                }
            }
            let trace = traces(&test, &format!("{}.", case.name)).await;
            let words: Vec<_> = trace.iter().map(|(word, _)| word.as_str()).take(3).collect();
            let expected = ["create", "update", "delete"].map(|verb| format!("{}.{verb}", case.name));
            assert_eq!(words, expected, "{here}");
            assert_eq!(
                trace[1].1[case.change.0],
                json!([case.fields[case.change.0], case.change.1]),
                "{here}"
            );
            assert_eq!(trace[1].1.as_object().unwrap().len(), 1, "only what changed: {:?}", trace[1]);
        }
    }
}

/// Action and changes of every deed of an entity, oldest first.
async fn traces(test: &TestApp, prefix: &str) -> Vec<(String, Value)> {
    let rows = admin_action_log::Entity::find().order_by_asc(admin_action_log::Column::CreatedAt);
    let mut rows = rows.all(test.app.db.read()).await.unwrap();
    rows.retain(|row| row.action.starts_with(prefix));
    // Time stands still in a test: the words' order in the story decides between equal times.
    let place = |action: &str| ["create", "update", "delete"].iter().position(|verb| action.ends_with(verb));
    rows.sort_by_key(|row| (row.created_at, place(&row.action)));
    rows.into_iter().map(|row| (row.action, row.changes)).collect()
}

#[tokio::test]
async fn bad_input_is_a_problem_that_names_the_field_and_changes_nothing() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::SuperAdmin).await);
    for case in cases() {
        let path = format!("/api/v1/admin/{}", case.path);
        let before = staff.get(&path).await.ok();
        let mut wrong = case.fields.clone();
        wrong[case.wrong.0] = case.wrong.1.clone();
        let problem = staff.post(&path, wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], case.wrong.2, "{path}");
        let mut unknown = case.fields.clone();
        unknown["colour"] = json!("blue");
        staff.post(&path, unknown).await.problem(422, "validation_failed");
        staff.post(&path, json!([])).await.problem(422, "validation_failed");
        let nowhere = format!("{path}/01890f3e-7cc2-7000-8000-000000000001");
        staff.get(&nowhere).await.problem(404, "entry_not_found");
        staff.put(&nowhere, case.fields.clone()).await.problem(404, "entry_not_found");
        delete(&staff, &nowhere).await.problem(404, "entry_not_found");
        staff.get(&format!("{path}/not-an-id")).await.problem(404, "not_found");
        staff.get(&format!("{path}?limit=101")).await.problem(422, "validation_failed");
        staff.get(&format!("{path}?cursor=x")).await.problem(422, "validation_failed");
        assert_eq!(staff.get(&path).await.ok(), before, "{path}");
    }
}

#[tokio::test]
async fn strangers_and_riders_are_refused_and_moderators_may_only_look() {
    let test = TestApp::new().await;
    let rider = sign_in(&test, "+9779841000001").await["access_token"].as_str().unwrap().to_owned();
    let moderator = test.bearer(staff_token(&test, AdminRole::Moderator).await);
    for case in cases() {
        let path = format!("/api/v1/admin/{}", case.path);
        let before = moderator.get(&path).await.ok();
        let one = format!("{path}/01890f3e-7cc2-7000-8000-000000000001");
        for outsider in [test.anonymous(), test.bearer(&rider)] {
            outsider.get(&path).await.problem(401, "unauthenticated");
            outsider.get(&one).await.problem(401, "unauthenticated");
            outsider.post(&path, case.fields.clone()).await.problem(401, "unauthenticated");
            outsider.put(&one, case.fields.clone()).await.problem(401, "unauthenticated");
            delete(&outsider, &one).await.problem(401, "unauthenticated");
        }
        moderator.post(&path, case.fields.clone()).await.problem(403, "forbidden");
        moderator.put(&one, case.fields.clone()).await.problem(403, "forbidden");
        delete(&moderator, &one).await.problem(403, "forbidden");
        assert_eq!(moderator.get(&path).await.ok(), before, "{path}");
    }
    assert!(traces(&test, "").await.is_empty(), "what was refused leaves no deed");
}

#[tokio::test]
async fn a_list_is_paged_and_stays_right_while_rows_are_added() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let make = async |name: &str| {
            test.clock.advance_ms(5);
            staff.post("/api/v1/admin/station-amenities", json!({ "name": name, "icon": "fa-x" })).await.ok();
        };
        for name in ["one", "two", "three"] {
            make(name).await;
        }
        let first = staff.get("/api/v1/admin/station-amenities?limit=2").await.ok();
        assert_eq!(each(&first, "name"), ["three", "two"]);
        make("four").await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest =
            staff.get(&format!("/api/v1/admin/station-amenities?limit=100&cursor={cursor}")).await.ok();
        assert_eq!(each(&rest, "name")[0], "one");
        assert_eq!(rest["items"].as_array().unwrap().len(), 7, "and the six of a new installation");
        assert!(rest.get("next_cursor").is_none());
    }
}

#[tokio::test]
async fn who_wrote_an_answer_first_and_last_is_kept() {
    let test = TestApp::new().await;
    let first = test.bearer(staff_token(&test, AdminRole::Admin).await);
    let made = first
        .post("/api/v1/admin/faqs", json!({ "question": "Why?", "answer": "So.", "category": "Other" }))
        .await
        .ok();
    let (email, password) = ("gita@chautari.example", "another good password");
    let new = NewStaff { email: email.to_owned(), password: password.to_owned(), role: AdminRole::Admin };
    staff::create(&test.app, new).await.unwrap();
    let login = json!({ "email": email, "password": password });
    let token = test.anonymous_post("/api/v1/admin/login", login).await.ok();
    test.clock.advance_ms(1_000);
    let path = format!("/api/v1/admin/faqs/{}", made["id"].as_str().unwrap());
    let change = json!({ "question": "Why?", "answer": "Thus.", "category": "Other" });
    let replaced = test.bearer(token["token"].as_str().unwrap()).put(&path, change).await.ok();
    assert_eq!(replaced["created_at"], made["created_at"]);
    assert_ne!(replaced["updated_at"], made["updated_at"]);
    let row = entities::faq::Entity::find_by_id(
        made["id"].as_str().unwrap().parse::<entities::id::FaqId>().unwrap(),
    );
    let row = row.one(test.app.db.read()).await.unwrap().unwrap();
    assert!(row.created_by.is_some() && row.updated_by.is_some() && row.created_by != row.updated_by);
}

#[tokio::test]
async fn the_description_has_every_operation_with_its_body_and_its_refusals() {
    let openapi = serde_json::to_value(backend::api::openapi()).unwrap();
    for case in cases() {
        let all = &openapi["paths"][format!("/api/v1/admin/{}", case.path)];
        let one = &openapi["paths"][format!("/api/v1/admin/{}/{{id}}", case.path)];
        for (operation, status) in [
            (&all["get"], "200"),
            (&all["post"], "201"),
            (&one["get"], "200"),
            (&one["put"], "200"),
            (&one["delete"], "204"),
        ] {
            assert!(operation["responses"][status].is_object(), "{}: {operation}", case.path);
            assert_eq!(operation["security"][0]["staff"], json!([]));
            assert!(operation["responses"]["401"]["content"]["application/problem+json"].is_object());
        }
        let of = |content: &Value| {
            let name =
                content["application/json"]["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            openapi["components"]["schemas"][name]["properties"].clone()
        };
        let body = of(&all["post"]["requestBody"]["content"]);
        let entry = of(&one["get"]["responses"]["200"]["content"]);
        for field in case.fields.as_object().unwrap().keys() {
            assert!(body[field].is_object() && entry[field].is_object(), "{} {field}: {entry}", case.path);
        }
        assert!(entry["id"].is_object() && body.get("id").is_none());
    }
}
