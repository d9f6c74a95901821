//! Calls of operators to the control port of the gateway that runs on this machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, Response, StatusCode};

use crate::secrets;
use crate::settings::Settings;

/// How long the gateway may take to begin an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The way to the gateway.
pub(crate) struct Control {
    http: Client,
    url: String,
    key: String,
}

impl Control {
    /// The gateway that these settings start, with the key of its data directory.
    pub(crate) fn open(settings: &Settings, data_dir: &Path) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().connect_timeout(ANSWER).build()?;
        let url = format!("http://{}/control/v1", settings.gateway.control_listen);
        Ok(Self { http, url, key: secrets::internal_key(data_dir)? })
    }

    /// Asks, and answers what the gateway accepted.
    pub(crate) async fn call(&self, method: Method, path: &str) -> anyhow::Result<Response> {
        let Self { http, url, key } = self;
        let asked = http.request(method, format!("{url}/{path}")).bearer_auth(key).send();
        let answered = tokio::time::timeout(ANSWER, asked).await.context("the gateway does not answer")?;
        let response = answered.with_context(|| {
            format!("no gateway is reached at {url}; does `chautari up` run with these settings?")
        })?;
        if response.status() == StatusCode::UNAUTHORIZED {
            bail!("the gateway at {url} has another key; name its data directory with --data-dir");
        }
        if !response.status().is_success() {
            let problem: serde_json::Value = response.json().await.unwrap_or_default();
            bail!("{}", problem["detail"].as_str().unwrap_or("the gateway refused without a reason"));
        }
        Ok(response)
    }
}
