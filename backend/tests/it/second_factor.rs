//! Staff with an authenticator app: set up, asked for, used once, lost and replaced.

use crate::permissions::{PASSWORD, token_of};
use crate::test_app::{Answer, Caller, TestApp};
use axum::http::StatusCode;
use backend::limits;
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

const ADMIN: &str = "admin@chautari.example";
const SUPER: &str = "super_admin@chautari.example";

/// The authenticator app of a member of staff, with the secret that they typed into it.
struct Phone {
    secret: [u8; 20],
}

impl Phone {
    fn scan(enrolment: &Value) -> Self {
        let secret = enrolment["secret"].as_str().unwrap();
        assert!(enrolment["uri"].as_str().unwrap().contains(&format!("secret={secret}&")));
        assert!(enrolment["qr_svg"].as_str().unwrap().contains("<svg"));
        let mut bits = 0_u64;
        let mut bytes = Vec::new();
        for (at, letter) in secret.bytes().enumerate() {
            let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
            bits = (bits << 5) | u64::from(value);
            if at % 8 == 7 {
                bytes.extend_from_slice(&bits.to_be_bytes()[3..]);
                bits = 0;
            }
        }
        Self { secret: bytes.try_into().unwrap() }
    }

    fn code(&self, test: &TestApp) -> String {
        let totp = Builder::new().with_secret(Secret::new_stack(self.secret)).build().unwrap();
        totp.generate(u64::try_from(test.app.clock.now().timestamp()).unwrap()).to_string()
    }
}

async fn log_in(test: &TestApp, email: &str, code: Option<&str>) -> Answer {
    let mut credentials = json!({ "email": email, "password": PASSWORD });
    if let Some(code) = code {
        credentials["code"] = code.into();
    }
    test.anonymous_post("/api/v1/admin/login", credentials).await
}

/// Sets the app up and answers it with its recovery codes.
async fn set_up(test: &TestApp, staff: &Caller<'_>) -> (Phone, Vec<String>) {
    let enrolment = staff.post("/api/v1/admin/me/totp", json!({ "password": PASSWORD })).await.ok();
    let phone = Phone::scan(&enrolment);
    let code = json!({ "code": phone.code(test) });
    let confirmed = staff.post("/api/v1/admin/me/totp/confirm", code).await.ok();
    let codes = serde_json::from_value(confirmed["recovery_codes"].clone()).unwrap();
    (phone, codes)
}

#[tokio::test]
async fn signing_in_asks_for_a_code_once_the_app_is_confirmed_and_takes_each_once() {
    for test in TestApp::on_each_backend().await {
        let token = token_of(&test, AdminRole::Admin).await;
        let other_session = token_of(&test, AdminRole::Admin).await;
        let staff = test.bearer(token);
        let wrong = json!({ "password": "something else" });
        staff.post("/api/v1/admin/me/totp", wrong).await.problem(422, "password_wrong");
        staff
            .post("/api/v1/admin/me/totp/confirm", json!({ "code": "123456" }))
            .await
            .problem(409, "totp_off");

        // Set up and not confirmed: nothing is asked for yet.
        staff.post("/api/v1/admin/me/totp", json!({ "password": PASSWORD })).await.ok();
        log_in(&test, ADMIN, None).await.ok();

        let (phone, codes) = set_up(&test, &staff).await;
        assert_eq!(codes.len(), limits::STAFF_RECOVERY_CODES);
        let me = staff.get("/api/v1/admin/me").await.ok();
        assert_eq!(
            me["second_factor"],
            json!({ "is_on": true, "is_required": false, "recovery_codes_left": 10 })
        );
        test.bearer(other_session).get("/api/v1/admin/me").await.problem(401, "unauthenticated");
        let again = json!({ "password": PASSWORD });
        staff.post("/api/v1/admin/me/totp", again).await.problem(409, "totp_on");

        log_in(&test, ADMIN, None).await.problem(401, "totp_needed");
        log_in(&test, ADMIN, Some("")).await.problem(401, "totp_needed");
        let used_to_confirm = phone.code(&test);
        log_in(&test, ADMIN, Some(&used_to_confirm)).await.problem(422, "totp_wrong");
        test.clock.advance_ms(30_000);
        let code = phone.code(&test);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let signed_in = log_in(&test, ADMIN, Some(&spaced)).await.ok();
        log_in(&test, ADMIN, Some(&code)).await.problem(422, "totp_wrong");
        let staff = test.bearer(signed_in["token"].as_str().unwrap());
        staff.get("/api/v1/admin/stations").await.ok();
    }
}

#[tokio::test]
async fn of_many_sign_ins_with_one_code_one_passes() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(token_of(&test, AdminRole::Admin).await);
        let (phone, _) = set_up(&test, &staff).await;
        test.clock.advance_ms(60_000);
        let code = phone.code(&test);
        let tries = (0..5).map(|_| log_in(&test, ADMIN, Some(&code)));
        let answers = futures::future::join_all(tries).await;
        let passed = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(passed, 1, "{}", test.backend());
    }
}

#[tokio::test]
async fn a_recovery_code_stands_in_for_a_lost_app_once() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(token_of(&test, AdminRole::Admin).await);
        let (phone, codes) = set_up(&test, &staff).await;
        log_in(&test, ADMIN, Some(&codes[0].to_lowercase())).await.ok();
        log_in(&test, ADMIN, Some(&codes[0])).await.problem(422, "totp_wrong");
        let me = staff.get("/api/v1/admin/me").await.ok();
        assert_eq!(me["second_factor"]["recovery_codes_left"], 9);

        test.clock.advance_ms(60_000);
        let renewed =
            staff.post("/api/v1/admin/me/totp/recovery-codes", json!({ "code": phone.code(&test) })).await;
        let renewed = renewed.ok()["recovery_codes"][0].as_str().unwrap().to_owned();
        log_in(&test, ADMIN, Some(&codes[1])).await.problem(422, "totp_wrong");
        log_in(&test, ADMIN, Some(&renewed)).await.ok();

        test.clock.advance_ms(60_000);
        let both = json!({ "password": PASSWORD, "code": phone.code(&test) });
        assert_eq!(staff.post("/api/v1/admin/me/totp/disable", both).await.status, 204);
        log_in(&test, ADMIN, None).await.ok();
        // What was scanned and printed is worth nothing, also after a new set-up.
        test.clock.advance_ms(60_000);
        let (_, fresh) = set_up(&test, &staff).await;
        assert!(!fresh.contains(&renewed));
        log_in(&test, ADMIN, Some(&renewed)).await.problem(422, "totp_wrong");
    }
}

#[tokio::test]
async fn guessing_codes_is_stopped_for_a_quarter_of_an_hour_and_only_who_knows_the_password_can_cause_it() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(token_of(&test, AdminRole::Admin).await);
        let (phone, _) = set_up(&test, &staff).await;
        test.clock.advance_ms(60_000);
        let wrong = "000000";
        for number in 0..limits::STAFF_CODE_TRIES_MAX {
            // From as many addresses as they like.
            let body = json!({ "email": ADMIN, "password": PASSWORD, "code": wrong });
            let answer = post_from(&test, &format!("10.1.{number}.1"), &body).await;
            answer.problem(422, "totp_wrong");
        }
        test.clock.advance_ms(400_000);
        let locked = log_in(&test, ADMIN, Some(&phone.code(&test))).await;
        assert!(locked.headers.contains_key("retry-after"));
        locked.problem(429, "totp_locked");
        test.clock.advance_ms(900_000);
        log_in(&test, ADMIN, Some(&phone.code(&test))).await.ok();

        let stranger = json!({ "email": ADMIN, "password": "not it", "code": wrong });
        for number in 0..=limits::STAFF_CODE_TRIES_MAX {
            let answer = post_from(&test, &format!("10.2.{number}.1"), &stranger).await;
            answer.problem(401, "credentials_wrong");
        }
        test.clock.advance_ms(60_000);
        log_in(&test, ADMIN, Some(&phone.code(&test))).await.ok();
    }
}

async fn post_from(test: &TestApp, address: &str, body: &Value) -> Answer {
    use axum::extract::ConnectInfo;
    let request = test.anonymous().request(axum::http::Method::POST, "/api/v1/admin/login");
    let request = request.header("content-type", "application/json");
    let mut request = request.body(axum::body::Body::from(body.to_string())).unwrap();
    let address = std::net::SocketAddr::new(address.parse().unwrap(), 4_000);
    request.extensions_mut().insert(ConnectInfo(address));
    test.anonymous().send(request).await
}

#[tokio::test]
async fn where_operators_require_it_a_super_admin_without_an_app_may_only_set_one_up() {
    for test in TestApp::on_each_backend().await {
        let boss = test.bearer(token_of(&test, AdminRole::SuperAdmin).await);
        let settings = boss.get("/api/v1/admin/app-configs?limit=100").await.ok();
        let setting = settings["items"].as_array().unwrap().iter();
        let setting = setting.clone().find(|row| row["config_key"] == "SUPER_ADMIN_TOTP_REQUIRED").unwrap();
        let mut fields = setting.clone();
        for stamp in ["id", "created_at", "updated_at"] {
            fields.as_object_mut().unwrap().remove(stamp);
        }
        fields["config_value"] = "true".into();
        let path = format!("/api/v1/admin/app-configs/{}", setting["id"].as_str().unwrap());
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        admin.put(&path, fields.clone()).await.problem(403, "forbidden");
        let other = settings["items"].as_array().unwrap().iter();
        let other = other.clone().find(|row| row["config_key"] == "MAX_RENTAL_EXTENSIONS").unwrap();
        let mut renamed = other.clone();
        for stamp in ["id", "created_at", "updated_at"] {
            renamed.as_object_mut().unwrap().remove(stamp);
        }
        // Nor by giving its row another key, or by switching it off.
        admin.put(&path, renamed).await.problem(403, "forbidden");
        admin.delete(&path).await.problem(403, "forbidden");
        boss.put(&path, fields).await.ok();

        let signed_in = log_in(&test, SUPER, None).await.ok();
        assert_eq!(signed_in["is_limited"], true);
        let boss = test.bearer(signed_in["token"].as_str().unwrap());
        boss.get("/api/v1/admin/stations").await.problem(403, "second_factor_needed");
        assert_eq!(boss.get("/console").await.status, StatusCode::SEE_OTHER);
        assert_eq!(boss.get("/api/v1/admin/me").await.ok()["is_limited"], true);
        let (phone, _) = set_up(&test, &boss).await;
        boss.get("/api/v1/admin/stations").await.ok();
        test.clock.advance_ms(60_000);
        let both = json!({ "password": PASSWORD, "code": phone.code(&test) });
        boss.post("/api/v1/admin/me/totp/disable", both).await.problem(409, "totp_required_by_role");
        // Of an admin nobody requires one.
        assert_eq!(log_in(&test, ADMIN, None).await.ok()["is_limited"], false);
        assert_eq!(log_in(&test, SUPER, Some(&phone.code(&test))).await.ok()["is_limited"], false);
    }
}

#[tokio::test]
async fn the_console_asks_for_the_code_too() {
    let test = TestApp::new().await;
    let staff = test.bearer(token_of(&test, AdminRole::Admin).await);
    let (phone, _) = set_up(&test, &staff).await;
    test.clock.advance_ms(60_000);
    let form = |code: &str| {
        let email = ADMIN.replace('@', "%40");
        let password = PASSWORD.replace(' ', "+");
        format!("email={email}&password={password}&code={code}")
    };
    let send = async |form: String| {
        let nobody = test.anonymous();
        let request = nobody.request(axum::http::Method::POST, "/console/sign-in");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        nobody.send(request.body(axum::body::Body::from(form)).unwrap()).await
    };
    let asked = send(form("")).await;
    assert!(asked.body.as_str().unwrap().contains("name=\"code\""), "{}", asked.body);
    let signed_in = send(form(&phone.code(&test))).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    assert!(signed_in.headers["set-cookie"].to_str().unwrap().starts_with("chautari_staff="));
}
