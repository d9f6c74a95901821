//! Settings: compiled-in defaults, then a file, then the environment; unknown keys are refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

use crate::observe::{LogSettings, MetricsSettings};

/// Every key with its default and what it is for.
pub(crate) const DEFAULTS: &str = include_str!("config.default.toml");
/// The file that is read if it exists and no other was named.
const FILE: &str = "chautari.toml";
/// What begins the name of an environment variable that sets a key.
const ENVIRONMENT: &str = "CHAUTARI";

/// Everything that an operator may set, a section per part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) gateway: gateway::config::Settings,
    pub(crate) storage: storage::embedded::Settings,
    pub(crate) cql: storage::scylla::Settings,
    pub(crate) database: backend::config::DatabaseSettings,
    pub(crate) backend: backend::config::BackendSettings,
    pub(crate) cache: backend::config::CacheSettings,
    pub(crate) sms: backend::config::SmsSettings,
    pub(crate) mail: backend::config::MailSettings,
    pub(crate) media: backend::config::MediaSettings,
    pub(crate) push: backend::config::PushSettings,
    pub(crate) payments: backend::config::PaymentsSettings,
    pub(crate) invoices: backend::config::InvoiceSettings,
    pub(crate) metrics: MetricsSettings,
    pub(crate) log: LogSettings,
}

impl Settings {
    /// Reads the settings for a data directory and checks what no type can.
    pub(crate) fn load(file: Option<&Path>, data_dir: &Path) -> anyhow::Result<Self> {
        let mut settings: Self = tree(file)?.try_deserialize().map_err(explain)?;
        if settings.database.url.is_empty() {
            settings.database.url = format!("sqlite://{}", data_dir.join("chautari.db").display());
        }
        if settings.media.directory.is_empty() {
            settings.media.directory = data_dir.join("media").display().to_string();
        }
        settings.check()?;
        Ok(settings)
    }

    /// The sections that the backend reads.
    pub(crate) fn backend_settings(&self) -> backend::config::Settings {
        backend::config::Settings {
            database: self.database.clone(),
            backend: self.backend.clone(),
            cache: self.cache.clone(),
            sms: self.sms.clone(),
            mail: self.mail.clone(),
            media: self.media.clone(),
            push: self.push.clone(),
            payments: self.payments.clone(),
            invoices: self.invoices.clone(),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.gateway.check().context("[gateway]")?;
        self.check_cql()?;
        self.payments.check().map_err(anyhow::Error::msg)?;
        self.backend.check().map_err(anyhow::Error::msg)?;
        self.cache.check().map_err(anyhow::Error::msg)?;
        self.media.check().map_err(anyhow::Error::msg)?;
        for (key, address) in [
            ("gateway.control_listen", self.gateway.control_listen),
            ("backend.internal_listen", self.backend.internal_listen),
        ] {
            if !address.ip().is_loopback() {
                bail!(
                    "{key} = \"{address}\" would open internal calls to the network in clear text; use a loopback address"
                );
            }
        }
        Ok(())
    }
}

impl Settings {
    /// Whether telemetry goes to a CQL cluster instead of to files of this machine.
    pub(crate) fn uses_cql(&self) -> bool {
        !self.cql.nodes.is_empty()
    }

    fn check_cql(&self) -> anyhow::Result<()> {
        if !self.uses_cql() {
            return Ok(());
        }
        self.cql.check().context("[cql]")?;
        // The files of telemetry are also what keeps a second process away from the book of a data directory.
        if self.database.url.starts_with("sqlite:") {
            bail!(
                "cql.nodes is set and database.url is a file of this machine; an installation with a CQL cluster keeps its book in PostgreSQL: set database.url to postgres://…"
            );
        }
        Ok(())
    }
}

/// The keys in effect as TOML, passwords replaced.
pub(crate) fn show(file: Option<&Path>) -> anyhow::Result<String> {
    let mut shown: toml::Table = tree(file)?.try_deserialize().map_err(explain)?;
    for (section, key) in
        [("database", "url"), ("database", "analytics_url"), ("cache", "redis_url"), ("mail", "url")]
    {
        if let Some(toml::Value::String(url)) =
            shown.get_mut(section).and_then(|section| section.get_mut(key))
        {
            *url = without_password(url);
        }
    }
    hide_secrets(&mut shown);
    Ok(toml::to_string(&shown)?)
}

/// `--data-dir`, or the default of the command.
pub(crate) fn data_dir(given: Option<&Path>, default: &str) -> PathBuf {
    given.map_or_else(|| PathBuf::from(default), Path::to_path_buf)
}

fn tree(file: Option<&Path>) -> anyhow::Result<Config> {
    let from_file = match file {
        Some(path) => File::from(path).format(FileFormat::Toml).required(true),
        None => File::new(FILE, FileFormat::Toml).required(false),
    };
    Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(from_file)
        .add_source(
            Environment::with_prefix(ENVIRONMENT)
                .prefix_separator("__")
                .separator("__")
                .try_parsing(true)
                .list_separator(",")
                .with_list_parse_key("backend.gateways")
                .with_list_parse_key("cql.nodes")
                .with_list_parse_key("backend.cors_origins")
                .with_list_parse_key("payments.stripe.webhook_secrets"),
        )
        .build()
        .context("cannot read the settings")
}

fn explain(error: config::ConfigError) -> anyhow::Error {
    anyhow::anyhow!("{error}\n`chautari config show` lists every key with its value in effect")
}

/// Replaces what stands under every key that says that it is a secret.
fn hide_secrets(table: &mut toml::Table) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => hide_secrets(inner),
            toml::Value::String(text) if is_secret(key) && !text.is_empty() => "***".clone_into(text),
            toml::Value::Array(texts) if is_secret(key) && !texts.is_empty() => {
                *texts = vec![toml::Value::String("***".to_owned())];
            }
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => {}
        }
    }
}

fn is_secret(key: &str) -> bool {
    key.contains("secret") || key.contains("token") || key.contains("password") || key == "service_account"
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, place)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Settings> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("chautari.toml");
        std::fs::write(&file, text)?;
        Settings::load(Some(&file), dir.path())
    }

    #[test]
    fn the_defaults_are_complete() {
        let settings = load("").unwrap();
        assert_eq!(settings.gateway.listen.port(), 7420);
        assert_eq!(settings.backend.listen.port(), 8080);
        assert_eq!(settings.metrics.listen.port(), 9420);
        assert!(settings.database.url.starts_with("sqlite://"));
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_code() {
        let settings = load("").unwrap();
        assert_eq!(format!("{:?}", settings.gateway), format!("{:?}", gateway::config::Settings::default()));
        assert_eq!(settings.storage, storage::embedded::Settings::default());
        assert_eq!(settings.cql, storage::scylla::Settings::default());
        assert_eq!(
            format!("{:?}", settings.backend),
            format!("{:?}", backend::config::BackendSettings::default())
        );
        assert_eq!(settings.payments, backend::config::PaymentsSettings::default());
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = load("[gateway]\nlisten_on = \"127.0.0.1:1\"").unwrap_err().to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn an_origin_with_a_path_is_named() {
        for wrong in ["https://app.example/", "app.example", "https://*.example"] {
            let error = load(&format!("[backend]\ncors_origins = [\"{wrong}\"]")).unwrap_err().to_string();
            assert!(error.contains("backend.cors_origins") && error.contains(wrong), "{error}");
        }
        assert!(load("[backend]\ncors_origins = [\"https://app.example\", \"*\"]").is_ok());
    }

    #[test]
    fn internal_ports_stay_on_this_machine() {
        let error = load("[backend]\ninternal_listen = \"0.0.0.0:8081\"").unwrap_err().to_string();
        assert!(error.contains("backend.internal_listen"), "{error}");
    }

    #[test]
    fn a_provider_that_is_half_set_up_is_named_with_what_is_missing() {
        for (text, named) in [
            ("[payments.khalti]\nlive = true", "payments.khalti.secret_key is missing"),
            ("[payments.esewa]\nproduct_code = \"EPAYTEST\"", "CHAUTARI__PAYMENTS__ESEWA__SECRET_KEY"),
            ("[payments.esewa]\nsecret_key = \"x\"", "payments.esewa.product_code is missing"),
            (
                "[payments.esewa]\nlive = true\nproduct_code = \"EPAYTEST\"\nsecret_key = \"8gBm\"",
                "payments.esewa.live = true with the test product EPAYTEST",
            ),
            (
                "[payments.khalti]\nlive = true\nsecret_key = \"8gBm\"\nbase_url = \"https://dev.khalti.com/\"",
                "the provider's sandbox",
            ),
            (
                "[payments.khalti]\nlive = true\nsecret_key = \"8gBm\"\nbase_url = \"http://khalti.example\"",
                "in clear text",
            ),
            (
                "[payments.khalti]\nsecret_key = \"8gBm\"\nbase_url = \"https://khalti.com\"",
                "where real money moves",
            ),
            ("[payments.stripe]\nwebhook_secrets = [\"whsec_1\"]", "payments.stripe.secret_key is missing"),
            (
                "[payments.stripe]\nsecret_key = \"sk_test_8gBm\"",
                "CHAUTARI__PAYMENTS__STRIPE__WEBHOOK_SECRETS",
            ),
            (
                "[payments.stripe]\nsecret_key = \"sk_live_8gBm\"\nwebhook_secrets = [\"whsec_1\"]",
                "is for real money and live = false",
            ),
            (
                "[payments.stripe]\nlive = true\nsecret_key = \"rk_test_8gBm\"\nwebhook_secrets = [\"whsec_1\"]",
                "is for play money and live = true",
            ),
            (
                "[payments.stripe]\nsecret_key = \"sk_test_8gBm\"\nwebhook_secrets = [\"8gBm\"]",
                "each begins with whsec_",
            ),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
            assert!(!error.contains("8gBm"), "{error}");
        }
        let both = "[payments.khalti]\nsecret_key = \"8gBm\"\n[payments.esewa]\nproduct_code = \"EPAYTEST\"\nsecret_key = \"8gBm/:&EnhH.1/q\"";
        let payments = load(both).unwrap().payments;
        assert!(payments.khalti.is_set() && payments.esewa.is_set());
        assert!(!format!("{payments:?}").contains("8gBm"));
    }

    #[test]
    fn a_cql_cluster_needs_usable_settings_and_postgres() {
        let postgres = "[database]\nurl = \"postgres://me@db/chautari\"\n[cql]\nnodes = [\"db1:9042\"]\n";
        assert!(load(postgres).unwrap().uses_cql());
        for (text, named) in [
            ("[cql]\nnodes = [\"db1:9042\"]".to_owned(), "database.url"),
            (format!("{postgres}keyspace = \"a b\""), "keyspace"),
            (format!("{postgres}retention_days = 0"), "retention_days"),
        ] {
            let error = format!("{:#}", load(&text).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
        assert!(!load("").unwrap().uses_cql());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chautari.toml");
        std::fs::write(&file, "[payments.khalti]\nsecret_key = \"8gBm\"\n[cql]\npassword = \"8gBm\"")
            .unwrap();
        let shown = show(Some(&file)).unwrap();
        assert!(shown.contains("secret_key = \"***\"") && !shown.contains("8gBm"), "{shown}");
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("postgres://me:se@cret@db/x"), "postgres://me:***@db/x");
        assert_eq!(without_password("sqlite://data/x.db"), "sqlite://data/x.db");
    }
}
