//! Where pictures are kept, and how much of the machine they may take.

use super::Refusal;
use super::cloudinary::Cloudinary;
use super::link;
use crate::clock::Clock;
use crate::config::{MediaSettings, S3Settings, Secrets};
use crate::error::{Error, Problem, Result};
use crate::limits;
use crate::rate::Rate;
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use governor::Quota;
use hmac::{Hmac, KeyInit, Mac};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use sha2::Sha256;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One place where pictures are kept.
enum Store {
    /// A directory, a bucket, or anything else that `object_store` knows.
    Objects(Arc<dyn ObjectStore>),
    /// An account at Cloudinary.
    Cloudinary(Cloudinary),
}

/// The store of pictures, the key of their links, and the bounds of uploads.
pub struct Media {
    store: Option<Store>,
    key: [u8; 32],
    uploads: Rate<UserId>,
    /// A picture being made anew takes much memory.
    pub(super) room: Arc<Semaphore>,
    /// So does one on its way to a reader.
    pub(super) sendings: Arc<Semaphore>,
}

impl Media {
    /// Cloudinary, the bucket, or the local directory of the settings, made if it is missing; without either every upload is
    /// refused.
    pub fn from_settings(settings: &MediaSettings, secrets: &Secrets, clock: Clock) -> Result<Self> {
        settings.check().map_err(Error::internal)?;
        let store = if settings.cloudinary.is_set() {
            Some(Store::Cloudinary(Cloudinary::new(settings.cloudinary.clone(), clock.clone())?))
        } else if settings.s3.is_set() {
            Some(Store::Objects(bucket(&settings.s3)?))
        } else {
            local(&settings.directory)?.map(Store::Objects)
        };
        let quota = Quota::with_period(limits::UPLOAD_EVERY).map(|q| q.allow_burst(limits::UPLOADS_BURST));
        let quota = quota.ok_or_else(|| Error::internal("uploads: a pause of nothing"))?;
        Ok(Self {
            store,
            key: link_key(secrets)?,
            uploads: Rate::new(quota, clock),
            room: Arc::new(Semaphore::new(limits::PICTURES_AT_ONCE)),
            sendings: Arc::new(Semaphore::new(limits::PICTURES_SENT_AT_ONCE)),
        })
    }

    /// Keeps pictures elsewhere.
    pub(crate) fn keep_in(&mut self, store: Arc<dyn ObjectStore>) {
        self.store = Some(Store::Objects(store));
    }

    /// What leads to a stored picture for the next minutes: a path on this server. Public ones lead there for ever.
    pub fn link(&self, file_url: &str, now: DateTime<Utc>) -> String {
        link::signed(&self.key, file_url, now + limits::PICTURE_LINK_LIFE)
    }

    /// Whether a private link is one of ours and has not ended.
    pub(super) fn is_link(&self, file_url: &str, expires: i64, signature: &str, now: DateTime<Utc>) -> bool {
        expires > now.timestamp() && link::is_signed(&self.key, file_url, expires, signature)
    }

    /// Takes one of the uploads that a person may make.
    pub(super) fn count_upload(&self, user: UserId) -> Result<(), Problem> {
        self.uploads.check(&user)
    }

    /// Refuses before work is done for nothing.
    pub(super) fn is_there(&self) -> Result<()> {
        self.at().map(|_| ())
    }

    pub(super) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        match self.at()? {
            Store::Objects(objects) => {
                objects.put(path, bytes.into()).await.map_err(not_done)?;
                Ok(())
            }
            Store::Cloudinary(cloudinary) => cloudinary.put(path, bytes).await,
        }
    }

    /// The bytes, if they are there.
    pub(super) async fn read(&self, path: &Path) -> Result<Option<Bytes>> {
        match self.at()? {
            Store::Objects(objects) => match objects.get(path).await {
                Ok(found) => Ok(Some(found.bytes().await.map_err(not_done)?)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(not_done(error)),
            },
            Store::Cloudinary(cloudinary) => cloudinary.read(path).await,
        }
    }

    /// Deletes a picture; one that is not there is deleted.
    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        match self.at()? {
            Store::Objects(objects) => match objects.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(not_done(error)),
            },
            Store::Cloudinary(cloudinary) => cloudinary.delete(path).await,
        }
    }

    fn at(&self) -> Result<&Store> {
        Ok(self.store.as_ref().ok_or_else(|| Refusal::MediaUnavailable.problem().retry_after_s(3_600))?)
    }
}

/// A store over the network may be away; one that says no is ours to mend.
fn not_done(error: object_store::Error) -> Error {
    match error {
        object_store::Error::Generic { store: "S3", source } => {
            tracing::warn!(error = %source, "the bucket of pictures does not answer");
            Refusal::MediaUnavailable.problem().retry_after_s(30).into()
        }
        error => Error::Internal(error.into()),
    }
}

fn bucket(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>> {
    let options = ClientOptions::new()
        .with_allow_http(settings.endpoint.starts_with("http://"))
        .with_connect_timeout(limits::PROVIDER_CONNECT_TIMEOUT)
        .with_timeout(limits::PICTURE_STORE_TIMEOUT);
    let retries = RetryConfig {
        max_retries: 1,
        retry_timeout: limits::PICTURE_STORE_TIMEOUT,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(settings.secret_access_key.expose())
        // Not every store that speaks S3 knows how to delete many at once.
        .with_disable_bulk_delete(true)
        .with_client_options(options)
        .with_retry(retries);
    if !settings.endpoint.is_empty() {
        builder = builder.with_endpoint(settings.endpoint.trim_end_matches('/'));
    }
    Ok(Arc::new(builder.build().map_err(anyhow::Error::from)?))
}

fn local(directory: &str) -> Result<Option<Arc<dyn ObjectStore>>> {
    if directory.is_empty() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Error::internal(format!("media.directory {directory}: {error}"));
    std::fs::create_dir_all(directory).map_err(failed)?;
    // Identity papers are among the pictures.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    let store = LocalFileSystem::new_with_prefix(directory).map_err(anyhow::Error::from)?;
    Ok(Some(Arc::new(store.with_fsync(true).with_automatic_cleanup(true))))
}

/// A key of its own, made of the installation's secret: a link says nothing about one-time codes.
fn link_key(secrets: &Secrets) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secrets.otp_key).map_err(anyhow::Error::from)?;
    mac.update(b"chautari media links");
    Ok(mac.finalize().into_bytes().into())
}
