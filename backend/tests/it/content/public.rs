//! What riders read, and how soon a change of staff reaches them.

use super::{delete, each, etag, get_unless};
use crate::staff::staff_token;
use crate::test_app::TestApp;
use axum::http::header;
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};

#[tokio::test]
async fn a_new_installation_has_something_to_read_in_both_languages() {
    for test in TestApp::on_each_backend().await {
        let anybody = test.anonymous();
        for slug in ["terms-of-service", "privacy-policy", "about"] {
            let page = anybody.get(&format!("/api/v1/content/{slug}")).await.ok();
            assert_eq!(page["slug"], slug);
            assert!(page["content"].as_str().unwrap().len() > 100, "{page}");
        }
        let contact = anybody.get("/api/v1/content/contact").await.ok();
        assert_eq!(contact["contacts"].as_array().unwrap().len(), 4);
        assert_eq!(contact["page"]["slug"], "contact");
        let countries = anybody.get("/api/v1/app/countries").await.ok();
        assert_eq!(
            (&countries["items"][0]["code"], &countries["items"][0]["dial_code"]),
            (&json!("NP"), &json!("+977"))
        );
        let flag = anybody.get(countries["items"][0]["flag_url"].as_str().unwrap()).await;
        assert_eq!(flag.headers[header::CONTENT_TYPE], "image/svg+xml");
        let banners = anybody.get("/api/v1/app/banners").await.ok();
        assert_eq!(banners["items"].as_array().unwrap().len(), 2);
        for image in each(&banners, "image_url") {
            assert_eq!(anybody.get(image).await.status, 200, "{image}");
        }
        let updates = anybody.get("/api/v1/app/updates").await.ok();
        assert_eq!(updates["items"][0]["features"].as_array().unwrap().len(), 3);
        let types = anybody.get("/api/v1/app/issue-types").await.ok();
        assert_eq!(
            (types["station"].as_array().unwrap().len(), types["rental"].as_array().unwrap().len()),
            (6, 4)
        );
        assert_eq!(types["rental"][1]["issue_type"], "power_bank_lost");
    }
}

#[tokio::test]
async fn questions_come_in_order_by_page_category_and_search() {
    for test in TestApp::on_each_backend().await {
        let anybody = test.anonymous();
        let mut read = Vec::new();
        let mut next = String::new();
        loop {
            let page = anybody.get(&format!("/api/v1/content/faq?limit=5{next}")).await.ok();
            read.extend(each(&page, "id").into_iter().map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        let all = anybody.get("/api/v1/content/faq?limit=100").await.ok();
        assert_eq!(all["page"]["slug"], "faq");
        assert_eq!(read, each(&all, "id"), "{}", test.backend());
        assert_eq!(read.len(), 12);
        let payments = anybody.get("/api/v1/content/faq?category=payments").await.ok();
        assert!(each(&payments, "category").iter().all(|category| *category == "Payments"));
        assert_eq!(payments["items"].as_array().unwrap().len(), 3);
        let found = anybody.get("/api/v1/content/faq?search=QR").await.ok();
        assert_eq!(found["items"].as_array().unwrap().len(), 2, "in English and in Nepali");
        let nothing = anybody.get("/api/v1/content/faq?search=%25%27--").await.ok();
        assert_eq!(nothing["items"], json!([]));
        anybody.get("/api/v1/content/faq?limit=0").await.problem(422, "validation_failed");
        let long = "x".repeat(61);
        anybody.get(&format!("/api/v1/content/faq?search={long}")).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_change_of_staff_is_read_at_once_and_nothing_is_sent_twice() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let anybody = test.anonymous();
        let path = "/api/v1/content/about";
        let first = anybody.get(path).await;
        assert_eq!(first.headers[header::CACHE_CONTROL], "public, max-age=60");
        let known = etag(&first);
        let unchanged = get_unless(&anybody, path, &known).await;
        assert_eq!((unchanged.status.as_u16(), &unchanged.body), (304, &json!("")));
        assert_eq!(etag(&unchanged), known);

        let pages = staff.get("/api/v1/admin/content-pages?limit=100").await.ok();
        let row = pages["items"].as_array().unwrap().iter().find(|row| row["slug"] == "about").unwrap();
        let row_path = format!("/api/v1/admin/content-pages/{}", row["id"].as_str().unwrap());
        let rewritten = json!({ "slug": "about", "title": "About us", "content": "We are new." });
        staff.put(&row_path, rewritten).await.ok();
        let second = get_unless(&anybody, path, &known).await;
        assert_ne!(etag(&second), known);
        assert_eq!(second.ok()["title"], "About us", "{}", test.backend());

        delete(&staff, &row_path).await.ok();
        anybody.get(path).await.problem(404, "not_found");
        assert!(anybody.get("/api/v1/content/privacy-policy").await.status.is_success());
    }
}

#[tokio::test]
async fn reads_come_from_memory_and_the_rate_is_measured() {
    let test = TestApp::new().await;
    let paths = ["content/faq", "content/about", "app/banners", "app/countries", "app/config", "app/updates"];
    for path in paths {
        test.anonymous().get(&format!("/api/v1/{path}")).await.ok();
    }
    let (hits, misses) = test.app.cache.counts();
    for _ in 0..10 {
        for path in paths {
            test.anonymous().get(&format!("/api/v1/{path}")).await.ok();
        }
    }
    let (hits_after, misses_after) = test.app.cache.counts();
    assert_eq!(misses_after, misses, "nothing was read from the book again");
    assert!(hits_after - hits >= 60);
    test.clock.advance_ms(30_000);
    test.anonymous().get("/api/v1/content/about").await.ok();
    assert_eq!(test.app.cache.counts().1, misses + 1, "another process may have written meanwhile");
    let health = test.anonymous().get("/api/v1/app/health").await.ok();
    assert_eq!(
        (&health["status"], &health["worker"], &health["database"]),
        (&json!("ok"), &json!("ok"), &json!("ok"))
    );
    assert!(health["cache"]["hits"].as_u64().unwrap() >= 60);
}

#[tokio::test]
async fn banners_and_updates_appear_and_go_at_their_time() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let now = test.app.clock.now();
        let in_seconds = |seconds: i64| (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
        let banner = json!({
            "title": "Tihar", "image_url": "/assets/banner-welcome.svg", "display_order": -5,
            "valid_from": in_seconds(10), "valid_until": in_seconds(20),
        });
        staff.post("/api/v1/admin/banners", banner).await.ok();
        let update =
            json!({ "version": "2.0.0", "title": "Two", "description": "", "released_at": in_seconds(10) });
        staff.post("/api/v1/admin/app-updates", update).await.ok();
        let shown = async || {
            let banners = test.anonymous().get("/api/v1/app/banners").await.ok();
            let updates = test.anonymous().get("/api/v1/app/updates").await.ok();
            let has = |list: &Value, title: &str| each(list, "title").contains(&title);
            (has(&banners, "Tihar"), has(&updates, "Two"))
        };
        assert_eq!(shown().await, (false, false), "{}", test.backend());
        test.clock.advance_ms(10_000);
        assert_eq!(shown().await, (true, true), "{}: to the second, though cached", test.backend());
        let banners = test.anonymous().get("/api/v1/app/banners").await.ok();
        assert_eq!(banners["items"][0]["title"], "Tihar", "the least display_order is first");
        test.clock.advance_ms(10_000);
        assert_eq!(shown().await, (false, true), "{}", test.backend());
        let page = test.anonymous().get("/api/v1/app/updates?limit=1").await.ok();
        assert_eq!(each(&page, "title"), ["Two"]);
        let next = format!("/api/v1/app/updates?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
        assert_eq!(test.anonymous().get(&next).await.ok()["items"][0]["version"], "1.0.0");
    }
}

#[tokio::test]
async fn an_old_app_is_told_to_update_and_must_if_one_on_the_way_was_mandatory() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let check = async |platform: &str, version: &str| {
            let body = json!({ "platform": platform, "current_version": version });
            test.anonymous_post("/api/v1/app/version/check", body).await
        };
        let advice = check("android", "1.0.0").await.ok();
        assert_eq!(
            (&advice["update_available"], &advice["latest_version"]),
            (&json!(false), &json!("1.0.0"))
        );
        for (version, is_mandatory, released_at) in [
            ("1.2.0", true, "2026-01-01T00:00:00Z"),
            ("1.10.0", false, "2026-01-02T00:00:00Z"),
            ("3.0.0", true, "2027-01-01T00:00:00Z"),
        ] {
            let new = json!({
                "version": version, "platform": "android", "is_mandatory": is_mandatory, "released_at": released_at,
                "download_url": "https://play.example/app", "release_notes": format!("Notes of {version}"),
            });
            staff.post("/api/v1/admin/app-versions", new).await.ok();
        }
        for (platform, current, available, mandatory, latest) in [
            ("android", "1.0.0", true, true, "1.10.0"),
            ("android", "1.2.0", true, false, "1.10.0"),
            ("android", "v1.9", true, false, "1.10.0"),
            ("android", "1.10.0", false, false, "1.10.0"),
            ("android", "2.0.0", false, false, "1.10.0"),
            ("ios", "1.0.0", false, false, "1.0.0"),
        ] {
            let advice = check(platform, current).await.ok();
            assert_eq!(
                (&advice["update_available"], &advice["is_mandatory"], &advice["latest_version"]),
                (&json!(available), &json!(mandatory), &json!(latest)),
                "{} {platform} {current}",
                test.backend()
            );
        }
        assert_eq!(check("android", "1.0.0").await.ok()["release_notes"], "Notes of 1.10.0");
        let problem = check("android", "newest").await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/current_version");
        check("symbian", "1.0.0").await.problem(422, "validation_failed");
    }
}
