//! The carriers of messages in their documented words: Sparrow's and Aakash's answers, Firebase's errors, a mail
//! server's codes.

use chrono::{DateTime, Utc};
use doubles::aakash::Aakash;
use doubles::fcm::{Fate, Fcm, PROJECT};
use doubles::smtp::{self, Smtp};
use doubles::sparrow::Sparrow;
use doubles::{Double, World};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use protocol::clock::ManualClock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// 2023-05-25 10:41:16 UTC.
const START_MS: u64 = 1_685_011_276_471;

fn world() -> World {
    World::new(Arc::new(ManualClock::at(START_MS)), 1)
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap()
}

async fn form(url: String, fields: &[(&str, &str)]) -> (u16, Value) {
    let answer = http().post(url).form(fields).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn sparrow_answers_in_its_numbers() {
    let double = Double::start(Sparrow::new("t", "Demo"), world()).await.unwrap();
    let url = || format!("{}/sms/", double.base_url());
    let sent =
        form(url(), &[("token", "t"), ("from", "Demo"), ("to", "9841000001"), ("text", "hello")]).await;
    let words = "1 mesages has been queued for delivery";
    assert_eq!(sent, (200, json!({ "count": 1, "response_code": 200, "response": words })));
    for (fields, code, words) in [
        ([("token", "x"), ("from", "Demo"), ("to", "9841000001"), ("text", "a")], 1002, "Invalid Token"),
        ([("token", "t"), ("from", "x"), ("to", "9841000001"), ("text", "a")], 1008, "Invalid Sender"),
        (
            [("token", "t"), ("from", "Demo"), ("to", "+9779841000001"), ("text", "a")],
            1007,
            "Invalid Receiver",
        ),
        (
            [("token", "t"), ("from", "Demo"), ("to", "9841000001"), ("text", "")],
            1010,
            "Text cannot be empty",
        ),
    ] {
        assert_eq!(form(url(), &fields).await, (403, json!({ "response_code": code, "response": words })));
    }
    double.book().set_credits(1);
    let long = "x".repeat(161);
    let fields = [("token", "t"), ("from", "Demo"), ("to", "9841000001"), ("text", long.as_str())];
    assert_eq!(form(url(), &fields).await.1["response_code"], 1013, "161 letters are two messages");
    let credit = reqwest::get(format!("{}/credit/?token=t", double.base_url())).await.unwrap();
    let expected = json!({ "credits_available": 1, "credits_consumed": 1, "response_code": 200 });
    assert_eq!(credit.json::<Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn aakash_lists_who_is_valid_and_has_an_empty_list_where_nothing_went() {
    let double = Double::start(Aakash::new("t"), world()).await.unwrap();
    let url = || format!("{}/sms/v3/send", double.base_url());
    let (code, sent) = form(url(), &[("auth_token", "t"), ("to", "9801000001,12"), ("text", "hello")]).await;
    assert_eq!((code, &sent["error"]), (200, &json!(false)));
    assert_eq!(sent["message"], "1 messages has been queued for delivery.");
    assert_eq!(sent["data"]["valid"][0]["mobile"], "9779801000001");
    assert_eq!(sent["data"]["valid"][0]["network"], "ncell");
    let aborted =
        json!([{ "mobile": "12", "text": "hello", "credit": 0, "network": "N/A", "status": "aborted" }]);
    assert_eq!(sent["data"]["invalid"], aborted);
    for (token, to, words) in
        [("x", "9801000001", "The provided Auth Token is not valid."), ("t", "", "The to field is required.")]
    {
        let (_, refused) = form(url(), &[("auth_token", token), ("to", to), ("text", "hello")]).await;
        assert_eq!(refused, json!({ "error": true, "message": words, "data": [] }));
    }
    double.book().set_credits(0);
    let (_, refused) = form(url(), &[("auth_token", "t"), ("to", "9801000001"), ("text", "hello")]).await;
    assert_eq!(refused["message"], "Not enough balance.");
}

/// An assertion of the double's own account, changed as the test wants.
fn assertion(double: &Double<Fcm>, change: impl FnOnce(&mut Value)) -> String {
    let account: Value = serde_json::from_str(&double.service_account()).unwrap();
    let now_s = i64::try_from(START_MS / 1_000).unwrap();
    let mut claims = json!({
        "iss": account["client_email"], "aud": account["token_uri"], "iat": now_s, "exp": now_s + 3_600,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
    });
    change(&mut claims);
    let kid = account["private_key_id"].as_str().map(str::to_owned);
    let key = EncodingKey::from_rsa_pem(account["private_key"].as_str().unwrap().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header { kid, ..Header::new(Algorithm::RS256) }, &claims, &key).unwrap()
}

async fn access(double: &Double<Fcm>, assertion: &str) -> (u16, Value) {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    form(format!("{}/token", double.base_url()), &[("grant_type", grant), ("assertion", assertion)]).await
}

#[tokio::test]
async fn google_grants_access_for_a_fresh_claim_only() {
    let double = Double::start(Fcm::new(), world()).await.unwrap();
    let (code, granted) = access(&double, &assertion(&double, |_| {})).await;
    assert_eq!(
        (code, &granted["token_type"], &granted["expires_in"]),
        (200, &json!("Bearer"), &json!(3_599))
    );
    let now_s = i64::try_from(START_MS / 1_000).unwrap();
    let changes: [fn(&mut Value, i64); 5] = [
        |claims, now_s| claims["exp"] = json!(now_s + 3_700),
        |claims, now_s| claims["exp"] = json!(now_s - 1),
        |claims, now_s| claims["iat"] = json!(now_s + 600),
        |claims, _| claims["aud"] = json!("https://example.com"),
        |claims, _| claims["scope"] = json!("https://www.googleapis.com/auth/cloud-platform"),
    ];
    for change in changes {
        let (code, denied) = access(&double, &assertion(&double, |claims| change(claims, now_s))).await;
        assert_eq!((code, &denied["error"]), (400, &json!("invalid_grant")));
    }
    let mut forged = assertion(&double, |_| {});
    forged.truncate(forged.len() - 8);
    assert_eq!(access(&double, &forged).await.0, 400);
}

#[tokio::test]
async fn firebase_answers_in_the_documented_form() {
    let double = Double::start(Fcm::new(), world()).await.unwrap();
    let bearer = access(&double, &assertion(&double, |_| {})).await.1["access_token"].clone();
    let send = async |message: Value| {
        let url = format!("{}/v1/projects/{PROJECT}/messages:send", double.base_url());
        let call = http().post(url).bearer_auth(bearer.as_str().unwrap());
        let answer = call.json(&json!({ "message": message })).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (code, sent) = send(json!({ "token": "t", "notification": { "title": "a" } })).await;
    assert_eq!(code, 200);
    assert!(sent["name"].as_str().unwrap().starts_with(&format!("projects/{PROJECT}/messages/")));
    for wrong in [
        json!({ "token": "t", "topic": "news" }),
        json!({ "token": "t", "data": { "count": 1 } }),
        json!({ "token": "t", "data": { "from": "me" } }),
        json!({ "token": "t", "sound": "x" }),
        json!({ "token": "t", "android": { "ttl": 3600 } }),
    ] {
        let (code, refused) = send(wrong).await;
        assert_eq!((code, &refused["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
        assert_eq!(refused["error"]["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    }
    for (fate, status, word) in [
        (Fate::Unregistered, 404, "UNREGISTERED"),
        (Fate::NoToken, 400, "INVALID_ARGUMENT"),
        (Fate::OtherProject, 403, "SENDER_ID_MISMATCH"),
        (Fate::AppleRefuses, 401, "THIRD_PARTY_AUTH_ERROR"),
        (Fate::QuotaExceeded { retry_after_s: None }, 429, "QUOTA_EXCEEDED"),
        (Fate::Unavailable { retry_after_s: None }, 503, "UNAVAILABLE"),
        (Fate::Internal, 500, "INTERNAL"),
    ] {
        double.book().bind("t", fate);
        let (code, refused) = send(json!({ "token": "t" })).await;
        assert_eq!((code, &refused["error"]["code"]), (status, &json!(status)));
        assert_eq!(refused["error"]["details"][0]["errorCode"], word);
    }
    assert_eq!(double.book().sent().len(), 1);
}

#[tokio::test]
async fn the_mail_server_speaks_by_the_book() {
    let server = Smtp::start("u", "p", world()).await.unwrap();
    server.bind("nobody@b.example", smtp::Fate::Unknown);
    let address = server.url().rsplit('@').next().unwrap().to_owned();
    let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let mut lines = BufReader::new(reader).lines();
    let greeting = lines.next_line().await.unwrap().unwrap();
    assert!(greeting.starts_with("220 "));
    for (said, answered) in [
        ("MAIL FROM:<a@b.example>", "530"),
        // "\0u\0x", then "\0u\0p".
        ("AUTH PLAIN AHUAeA==", "535"),
        ("AUTH PLAIN AHUAcA==", "235"),
        ("RCPT TO:<c@d.example>", "503"),
        ("MAIL FROM:<a@b.example>", "250"),
        ("RCPT TO:<nobody@b.example>", "550"),
        ("DATA", "503"),
        ("RCPT TO:<c@d.example>", "250"),
        ("DATA", "354"),
        ("Subject: hello\r\n\r\n..dots\r\n.", "250"),
        ("QUIT", "221"),
    ] {
        writer.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.starts_with(answered), "{said}: {line}");
    }
    let mails = server.mails();
    assert_eq!((mails[0].header("subject"), mails[0].body()), (Some("hello"), ".dots\r\n"));
    assert_eq!(
        mails[0].at,
        DateTime::<Utc>::from_timestamp_millis(i64::try_from(START_MS).unwrap()).unwrap()
    );
}
