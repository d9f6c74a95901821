//! A program that calls a double.

use serde_json::Value;
use std::time::Duration;

pub(crate) struct Caller {
    http: reqwest::Client,
    base_url: String,
    authorization: String,
}

pub(crate) fn caller(base_url: &str, authorization: &str) -> Caller {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    Caller { http, base_url: base_url.to_owned(), authorization: authorization.to_owned() }
}

impl Caller {
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.answer(self.http.post(format!("{}{path}", self.base_url)).json(&body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.http.get(format!("{}{path}", self.base_url))).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.header("authorization", &self.authorization).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}
