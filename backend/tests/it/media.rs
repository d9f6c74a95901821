//! Pictures: brought, made anew, shown to whom they are for, and swept away.

use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::http::{Method, header};
use backend::config::{CloudinarySettings, S3Settings, Secret};
use doubles::cloudinary::Cloudinary;
use doubles::s3::S3;
use doubles::{Double, Misbehaviour, World};
use entities::admin_profile::AdminRole;
use entities::media_upload;
use entities::testing::FreshDatabase;
use futures::TryStreamExt;
use image::{ImageBuffer, ImageFormat, Rgb};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use std::io::Cursor;

const BOUNDARY: &str = "chautari-test-boundary";

/// A JPEG of this colour.
pub(crate) fn jpeg(colour: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = ImageBuffer::from_pixel(32, 16, Rgb([colour, 20, 20]));
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
    bytes
}

/// A JPEG that is larger than any profile needs.
fn wide() -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = ImageBuffer::from_pixel(2_000, 8, Rgb([7_u8, 20, 20]));
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
    bytes
}

/// A form with one part for each name and value, and a file.
fn form(words: &[(&str, &str)], file_name: &str, file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in words {
        let head =
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(head.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         content-type: application/x-anything\r\n\r\n"
    );
    body.extend(head.as_bytes());
    body.extend(file);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn send(caller: &Caller<'_>, path: &str, body: Vec<u8>) -> Answer {
    let request = caller
        .request(Method::POST, path)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
    caller.send(request.body(Body::from(body)).unwrap()).await
}

/// A rider's upload.
pub(crate) async fn upload(caller: &Caller<'_>, purpose: &str, file: &[u8]) -> Value {
    let body = form(&[("purpose", purpose), ("file_type", "IMAGE")], "IMG_1.jpg", file);
    let answer = send(caller, "/api/v1/app/media/upload", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

/// An upload of staff's.
pub(crate) async fn upload_as_staff(caller: &Caller<'_>, purpose: &str, file: &[u8]) -> Value {
    let body = form(&[("purpose", purpose)], "street.jpg", file);
    let answer = send(caller, "/api/v1/admin/media/upload", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

fn signed_in<'a>(test: &'a TestApp, rider: &Rider) -> Caller<'a> {
    test.bearer(rider.token.clone())
}

#[tokio::test]
async fn a_picture_is_stored_anew_and_shown_to_everybody() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let me = signed_in(&test, &rider);
        let body = form(&[("purpose", "profile")], "../../../etc/cron.d/x.php", &jpeg(200));
        let made = send(&me, "/api/v1/app/media/upload", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made = made.ok();
        assert_eq!((&made["original_name"], &made["width"]), (&"x.php".into(), &32.into()));
        let link = made["file_url"].as_str().unwrap();
        let name = link.rsplit('/').next().unwrap();
        assert_eq!((name.len(), link.contains("..")), (68, false), "{link}");
        let shown = test.anonymous().get(link).await;
        assert_eq!(shown.headers["content-type"], "image/jpeg");
        assert_eq!(shown.headers["x-content-type-options"], "nosniff");
        assert!(shown.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert!(shown.headers["cache-control"].to_str().unwrap().contains("immutable"));
        let tag = shown.headers["etag"].clone();
        let known = test.anonymous().request(Method::GET, link).header(header::IF_NONE_MATCH, tag);
        assert_eq!(test.anonymous().send(known.body(Body::empty()).unwrap()).await.status, 304);

        let id = made["id"].as_str().unwrap();
        for astray in [
            format!("/api/v1/media/{id}/..%2f..%2fchautari.db"),
            format!("/api/v1/media/{id}/%2e%2e"),
            format!("/api/v1/media/..%2f{id}/{name}"),
            format!("/api/v1/media/{id}/{}", name.replace(".jpg", ".png")),
            format!("/api/v1/media/01890f3e-7cc2-7000-8000-000000000001/{name}"),
            format!("/api/v1/media/{id}/{}", "0".repeat(64)),
            format!("/api/v1/media/private/{id}/{name}?expires=99999999999&signature={}", "0".repeat(64)),
        ] {
            let answer = test.anonymous().get(&astray).await;
            assert_eq!(answer.status, 404, "{astray}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_is_no_picture_or_a_bomb_is_refused() {
    let test = TestApp::new().await;
    let rider = rider(&test.app).await;
    let me = signed_in(&test, &rider);
    let path = "/api/v1/app/media/upload";
    let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bomb.extend([0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 8, 6, 0, 0, 0]);
    for file in [b"<svg onload=alert(1)>".as_slice(), b"GIF89a", b"%PDF-1.7", b"", &jpeg(1)[..60], &bomb] {
        let refused = send(&me, path, form(&[("purpose", "profile")], "a.jpg", file)).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        let code = refused.body["code"].as_str().unwrap().to_owned();
        assert!(["not_a_picture", "picture_too_large"].contains(&code.as_str()), "{code}");
    }
    let large = vec![0xff; backend::limits::UPLOAD_MAX_BYTES + 1];
    send(&me, path, form(&[("purpose", "profile")], "a.jpg", &large)).await.problem(413, "body_too_large");
    let larger = vec![0xff; backend::limits::UPLOAD_BODY_MAX_BYTES + 1];
    send(&me, path, form(&[], "a.jpg", &larger)).await.problem(413, "body_too_large");
    for (words, pointer) in [
        (&[][..], "purpose"),
        (&[("purpose", "station")][..], "purpose"),
        (&[("purpose", "../x")][..], "purpose"),
        (&[("purpose", "profile"), ("purpose", "kyc")][..], "form"),
        (&[("purpose", "profile"), ("path", "/etc")][..], "form"),
        (&[("purpose", "profile"), ("file_type", "VIDEO")][..], "file_type"),
    ] {
        let problem = send(&me, path, form(words, "a.jpg", &jpeg(1))).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    send(&me, path, b"--nothing".to_vec()).await.problem(400, "malformed_request");
    me.post(path, serde_json::json!({})).await.problem(415, "unsupported_media_type");
    let rows = media_upload::Entity::find().all(test.app.db.read()).await.unwrap();
    assert_eq!(rows, [], "nothing is kept of what is refused");
    // Other operations still take small bodies only.
    let huge = serde_json::json!({ "identifier": "9".repeat(backend::limits::BODY_MAX_BYTES) });
    me.post("/api/v1/auth/otp/request", huge).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_rider_uploads_so_many_pictures_and_then_waits() {
    let test = TestApp::new().await;
    let (rider, other) = (rider(&test.app).await, rider(&test.app).await);
    let me = signed_in(&test, &rider);
    for _ in 0..backend::limits::UPLOADS_BURST.get() {
        upload(&me, "profile", &jpeg(1)).await;
    }
    let body = form(&[("purpose", "profile")], "a.jpg", &jpeg(1));
    let refused = send(&me, "/api/v1/app/media/upload", body).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.problem(429, "rate_limited");
    upload(&signed_in(&test, &other), "profile", &jpeg(1)).await;
}

#[tokio::test]
async fn a_private_picture_is_seen_by_its_link_while_it_lasts() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let me = signed_in(&test, &rider);
        let made = upload(&me, "kyc", &jpeg(9)).await;
        let link = made["file_url"].as_str().unwrap();
        let (bare, query) = link.split_once('?').unwrap();
        let shown = test.anonymous().get(link).await;
        assert_eq!(shown.headers["cache-control"], "private, no-store");
        assert_eq!(shown.status, 200);
        let public = bare.replace("/private", "");
        let forged = link.replace("expires=1", "expires=2");
        for astray in [
            bare,
            public.as_str(),
            forged.as_str(),
            &format!("{bare}?{}", query.replace("signature=", "signature=0")),
        ] {
            let answer = me.get(astray).await;
            assert!([404, 422].contains(&answer.status.as_u16()), "{astray}");
        }
        test.clock.advance_ms(10 * 60_000 + 1_000);
        test.anonymous().get(link).await.problem(404, "media_not_found");
    }
}

#[tokio::test]
async fn what_nobody_takes_is_swept_away_with_its_file() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let link = upload(&signed_in(&test, &rider), "profile", &jpeg(3)).await;
        let link = link["file_url"].as_str().unwrap();
        backend::housekeeping::sweep(&test.app).await.unwrap();
        assert_eq!(test.anonymous().get(link).await.status, 200);
        test.clock.advance_ms(25 * 3_600_000);
        assert!(backend::housekeeping::sweep(&test.app).await.unwrap() >= 1);
        test.drain_jobs().await;
        test.anonymous().get(link).await.problem(404, "media_not_found");
        let rows = media_upload::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(rows, [], "{}", test.backend());
    }
}

#[tokio::test]
async fn a_profile_shows_a_picture_of_the_riders_own_and_keeps_it() {
    for test in TestApp::on_each_backend().await {
        let (rider, other) = (rider(&test.app).await, rider(&test.app).await);
        let (me, stranger) = (signed_in(&test, &rider), signed_in(&test, &other));
        let mut links = Vec::new();
        for (file, width) in [(jpeg(3), 32), (wide(), backend::limits::PROFILE_PICTURE_EDGE_MAX)] {
            let made = upload(&me, "profile", &file).await;
            assert_eq!(made["width"], width);
            links.push(made["file_url"].as_str().unwrap().to_owned());
        }
        let hang = async |who: &Caller<'_>, link: &str| {
            who.put("/api/v1/users/profile", json!({ "profile_picture": link })).await
        };
        let elsewhere = ["https://spy.example/me.jpg", "//spy.example/me.jpg", "/api/v1/media/x/y.jpg"];
        for astray in elsewhere.into_iter().chain([links[0].replace(".jpg", ".png").as_str()]) {
            hang(&me, astray).await.problem(422, "validation_failed");
        }
        hang(&stranger, &links[0]).await.problem(422, "validation_failed");
        for link in &links {
            assert_eq!(hang(&me, link).await.ok()["profile_picture"], *link, "{}", test.backend());
        }
        test.clock.advance_ms(25 * 3_600_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        test.drain_jobs().await;
        test.anonymous().get(&links[0]).await.problem(404, "media_not_found");
        assert_eq!(test.anonymous().get(&links[1]).await.status, 200, "what a profile shows stays");
    }
}

#[tokio::test]
async fn staff_bring_pictures_for_everybody_and_moderators_do_not() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
    let path = "/api/v1/admin/media/upload";
    let body = form(&[("purpose", "content")], "banner.jpg", &jpeg(3));
    let made = send(&staff, path, body.clone()).await.ok();
    assert_eq!(test.anonymous().get(made["file_url"].as_str().unwrap()).await.status, 200);
    let private = form(&[("purpose", "kyc")], "a.jpg", &jpeg(3));
    send(&staff, path, private).await.problem(422, "validation_failed");
    let rider = rider(&test.app).await;
    send(&signed_in(&test, &rider), path, body).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn pictures_can_be_kept_at_cloudinary() {
    let clock = TestApp::clock();
    let account = Cloudinary::new("chautari", "key", "abcd");
    let double = Double::start(account, World::new(clock.clone(), 1)).await.unwrap();
    let test = TestApp::wired(FreshDatabase::sqlite(), clock, |settings| {
        settings.media.cloudinary = CloudinarySettings {
            cloud_name: "chautari".to_owned(),
            api_key: "key".to_owned(),
            api_secret: Secret::new("abcd"),
            api_base_url: double.base_url(),
            delivery_base_url: double.base_url(),
        };
    })
    .await;
    let rider = rider(&test.app).await;
    let me = signed_in(&test, &rider);
    let (public, private) = (upload(&me, "profile", &jpeg(1)).await, upload(&me, "kyc", &jpeg(2)).await);
    for made in [&public, &private] {
        let shown = test.anonymous().get(made["file_url"].as_str().unwrap()).await;
        assert_eq!(
            (shown.status.as_u16(), &shown.headers["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
    }
    let kinds: Vec<String> = double.book().assets().keys().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(kinds, ["authenticated", "upload"], "identity papers are private there, too");

    // An answer that is lost leaves a row without a file, which is swept away like any other.
    for what in [Misbehaviour::LosesAnswer, Misbehaviour::Fails { status: 503 }, Misbehaviour::BreaksJson] {
        double.misbehave_at("/upload", what, 1);
        let body = form(&[("purpose", "profile")], "a.jpg", &jpeg(3));
        let refused = send(&me, "/api/v1/app/media/upload", body).await;
        assert!(refused.headers.contains_key("retry-after"));
        refused.problem(503, "media_unavailable");
        test.clock.advance_ms(60_000);
    }
    double.misbehave_at("/authenticated/", Misbehaviour::Fails { status: 503 }, 1);
    let link = upload(&me, "kyc", &jpeg(2)).await["file_url"].as_str().unwrap().to_owned();
    test.anonymous().get(&link).await.problem(503, "media_unavailable");
    test.anonymous().get(&link).await.ok();

    test.clock.advance_ms(25 * 3_600_000);
    backend::housekeeping::sweep(&test.app).await.unwrap();
    test.drain_jobs().await;
    assert_eq!(double.book().assets().len(), 0, "nothing is left there that no row names");
}

#[tokio::test]
async fn pictures_can_be_kept_in_a_bucket() {
    let clock = TestApp::clock();
    let bucket = S3::new("pictures", "ap-south-1", "key", "secret");
    let double = Double::start(bucket, World::new(clock.clone(), 1)).await.unwrap();
    let settings = S3Settings {
        endpoint: double.base_url(),
        bucket: "pictures".to_owned(),
        region: "ap-south-1".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: Secret::new("secret"),
    };
    let test = TestApp::wired(FreshDatabase::sqlite(), clock, |all| all.media.s3 = settings.clone()).await;
    let rider = rider(&test.app).await;
    let me = signed_in(&test, &rider);
    let (public, private) = (upload(&me, "profile", &jpeg(1)).await, upload(&me, "kyc", &jpeg(2)).await);
    for made in [&public, &private] {
        let shown = test.anonymous().get(made["file_url"].as_str().unwrap()).await;
        assert_eq!(
            (shown.status.as_u16(), &shown.headers["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
    }
    let keys: Vec<String> = double.book().objects().keys().cloned().collect();
    assert_eq!(keys.len(), 2);

    // Whoever has the key finds what we keep, and nobody else does.
    let outsider = |secret: &str| {
        let store = AmazonS3Builder::new().with_endpoint(double.base_url()).with_allow_http(true);
        let store = store.with_bucket_name("pictures").with_region("ap-south-1");
        store.with_access_key_id("key").with_secret_access_key(secret).build().unwrap()
    };
    let listed: Vec<_> = outsider("secret").list(None).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|found| found.location.to_string()).collect::<Vec<_>>(), keys);
    let found = outsider("secret").head(&Path::from(keys[0].as_str())).await.unwrap();
    assert_eq!(found.size, double.book().objects()[&keys[0]].bytes.len() as u64);
    let refused = outsider("another").head(&Path::from(keys[0].as_str())).await.unwrap_err();
    assert!(matches!(refused, object_store::Error::PermissionDenied { .. }), "{refused}");

    // One failure is tried again; a bucket that stays away is said to be away.
    double.misbehave(Misbehaviour::Fails { status: 503 }, 1);
    upload(&me, "profile", &jpeg(3)).await;
    double.misbehave(Misbehaviour::Fails { status: 503 }, 2);
    let refused =
        send(&me, "/api/v1/app/media/upload", form(&[("purpose", "profile")], "a.jpg", &jpeg(4))).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.problem(503, "media_unavailable");

    test.clock.advance_ms(25 * 3_600_000);
    backend::housekeeping::sweep(&test.app).await.unwrap();
    test.drain_jobs().await;
    assert_eq!(double.book().objects().len(), 0, "nothing is left there that no row names");
}
