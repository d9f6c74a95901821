//! Cloudinary as a store of pictures: signed uploads, signed deletions, and signed addresses for what is private.
//!
//! Pictures go there after they were made anew here, under a `public_id` that is their place in the store, and never
//! over one that is there. Riders still get them from this server, so links end when we say so.
//! Source: <https://cloudinary.com/documentation/authentication_signatures>.

use crate::clock::Clock;
use crate::config::CloudinarySettings;
use crate::error::{Error, Result};
use crate::limits;
use crate::media::Refusal;
use crate::outside::{Answer, Failure, Outage, Outside, client};
use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use object_store::path::Path;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use sha1::{Digest, Sha1};

/// Letters of the signature in an address.
const ADDRESS_SIGNATURE_LETTERS: usize = 8;

/// The way to one account.
pub(super) struct Cloudinary {
    outside: Outside,
    settings: CloudinarySettings,
    clock: Clock,
}

/// Why Cloudinary did not do it.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    /// Nobody knows; ask again.
    #[error(transparent)]
    Outage(#[from] Outage),
    /// It said no.
    #[error("Cloudinary refused: {0}")]
    Refused(String),
}

impl Failure for NotDone {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Outage(_) => "unavailable",
            Self::Refused(_) => "refused",
        }
    }

    fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }
}

impl From<NotDone> for Error {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Outage(outage) => {
                tracing::warn!(%outage, "Cloudinary does not answer");
                Refusal::MediaUnavailable.problem().retry_after_s(30).into()
            }
            NotDone::Refused(_) => Self::Internal(error.into()),
        }
    }
}

/// What an upload is answered with, as far as we read it.
#[derive(Deserialize)]
struct Stored {
    public_id: String,
    version: u64,
    signature: String,
}

/// What a deletion is answered with.
#[derive(Deserialize)]
struct Destroyed {
    result: String,
}

impl Cloudinary {
    pub(super) fn new(settings: CloudinarySettings, clock: Clock) -> Result<Self> {
        let outside = Outside::new("cloudinary", client()?, limits::PICTURE_STORE_TIMEOUT, clock.clone());
        Ok(Self { outside, settings, clock })
    }

    /// Uploads a picture. The same one again changes nothing.
    pub(super) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let (public_id, _) = named(path)?;
        let mut form = Form::new().part("file", Part::bytes(bytes).file_name("picture"));
        for (name, value) in self.signed(vec![
            ("overwrite", "false".to_owned()),
            ("public_id", public_id.to_owned()),
            ("type", kind(path).to_owned()),
        ]) {
            form = form.text(name, value);
        }
        let request = self.outside.http().post(self.operation("upload")).multipart(form);
        let stored: Stored = self.outside.call("upload", request, read::<Stored>).await?;
        // Whoever answers knows the secret, and speaks of the picture that we sent.
        let expected =
            digest(&format!("public_id={}&version={}", stored.public_id, stored.version), self.secret());
        if stored.public_id != public_id || stored.signature != expected {
            return Err(Error::internal(format!("Cloudinary answered for another picture than {public_id}")));
        }
        Ok(())
    }

    /// Reads a picture, if it is there.
    pub(super) async fn read(&self, path: &Path) -> Result<Option<Bytes>> {
        let request = self.outside.http().get(self.address(path)?);
        let read = self.outside.guard("deliver", async {
            let sent = request.send().await.map_err(|error| Outage::new(error.without_url()))?;
            match sent.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::OK => {}
                status if status.is_client_error() => return Err(NotDone::Refused(status.to_string())),
                status => return Err(Outage::new(status).into()),
            }
            let (mut response, mut bytes) = (sent, Vec::new());
            while let Some(chunk) =
                response.chunk().await.map_err(|error| Outage::new(error.without_url()))?
            {
                if bytes.len() + chunk.len() > limits::PICTURE_READ_MAX_BYTES {
                    return Err(NotDone::Refused("a picture that is larger than any of ours".to_owned()));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(Bytes::from(bytes)))
        });
        Ok(read.await?)
    }

    /// Deletes a picture; one that is not there is deleted.
    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        let (public_id, _) = named(path)?;
        let form = self.signed(vec![
            ("invalidate", "true".to_owned()),
            ("public_id", public_id.to_owned()),
            ("type", kind(path).to_owned()),
        ]);
        let request = self.outside.http().post(self.operation("destroy")).form(&form);
        let destroyed: Destroyed = self.outside.call("destroy", request, read::<Destroyed>).await?;
        match destroyed.result.as_str() {
            "ok" | "not found" => Ok(()),
            other => Err(Error::internal(format!("Cloudinary did not delete {public_id}: {other}"))),
        }
    }

    /// The parameters with the time, the key and the signature over them.
    fn signed(&self, mut parameters: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        parameters.push(("timestamp", self.clock.now().timestamp().to_string()));
        let signature = signature(&parameters, self.secret());
        parameters.push(("api_key", self.settings.api_key.clone()));
        parameters.push(("signature", signature));
        parameters
    }

    fn operation(&self, name: &str) -> String {
        format!("{}/v1_1/{}/image/{name}", self.settings.api_url(), self.settings.cloud_name)
    }

    /// Where a picture is fetched; what is private needs a signature.
    fn address(&self, path: &Path) -> Result<String> {
        let (public_id, extension) = named(path)?;
        let (kind, file) = (kind(path), format!("{public_id}.{extension}"));
        let base = format!("{}/{}/image/{kind}", self.settings.delivery_url(), self.settings.cloud_name);
        let signed = match kind {
            "authenticated" => format!("{}/", address_signature(&file, self.secret())),
            _ => String::new(),
        };
        // The version keeps the first folder from being taken for a transformation.
        Ok(format!("{base}/{signed}v1/{file}"))
    }

    fn secret(&self) -> &str {
        self.settings.api_secret.expose()
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Answer) -> Result<T, NotDone> {
    if answer.status.is_success() { Ok(answer.read()?) } else { Err(NotDone::Refused(answer.words())) }
}

/// The public id and the extension of a place in the store.
fn named(path: &Path) -> Result<(&str, &str)> {
    path.as_ref().rsplit_once('.').ok_or_else(|| Error::internal(format!("{path} has no extension")))
}

/// What is private is `authenticated` there: no address without a signature leads to it.
fn kind(path: &Path) -> &'static str {
    if path.as_ref().starts_with("private/") { "authenticated" } else { "upload" }
}

/// The signature of a call: the parameters by name, without empty ones, `&` escaped, the secret behind them.
fn signature(parameters: &[(&str, String)], secret: &str) -> String {
    let mut signed: Vec<_> = parameters.iter().filter(|(_, value)| !value.is_empty()).collect();
    signed.sort();
    let pairs: Vec<String> =
        signed.into_iter().map(|(name, value)| format!("{name}={}", value.replace('&', "%26"))).collect();
    digest(&pairs.join("&"), secret)
}

/// The signature in an address.
fn address_signature(file: &str, secret: &str) -> String {
    let digest = Sha1::digest(format!("{file}{secret}"));
    format!("s--{}--", &URL_SAFE.encode(digest)[..ADDRESS_SIGNATURE_LETTERS])
}

fn digest(text: &str, secret: &str) -> String {
    hex::encode(Sha1::digest(format!("{text}{secret}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(parameters: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    /// From the documentation and the tests of Cloudinary's own SDK.
    #[test]
    fn signatures_are_those_that_cloudinary_publishes() {
        let sdk = "hdcixPpR2iKERPwqvH6sHdK9cyac";
        for (parameters, secret, expected) in [
            (
                &[
                    ("eager", "w_400,h_300,c_pad|w_260,h_200,c_crop"),
                    ("public_id", "sample_image"),
                    ("timestamp", "1315060510"),
                ][..],
                "abcd",
                "bfd09f95f331f558cbd1320e67aa8d488770583e",
            ),
            (
                &[("timestamp", "1315060510"), ("tags", ""), ("public_id", "sample_image")],
                "abcd",
                "b4ad47fb4e25c7bf5f92a20089f9db59bc302313",
            ),
            (
                &[("public_id", "folder/file"), ("version", "1234")],
                "b",
                "7a3349cbb373e4812118d625047ede50b90e7b67",
            ),
            (
                &[
                    ("cloud_name", "dn6ot3ged"),
                    ("timestamp", "1568810420"),
                    ("username", "user@cloudinary.com"),
                ],
                sdk,
                "14c00ba6d0dfdedbc86b316847d95b9e6cd46d94",
            ),
            (
                &[
                    ("cloud_name", "dn6ot3ged"),
                    ("notification_url", "https://fake.com/callback?a=1&tags=hello,world"),
                    ("timestamp", "1568810420"),
                ],
                sdk,
                "4fdf465dd89451cc1ed8ec5b3e314e8a51695704",
            ),
            (
                &[
                    ("folder", "kyc/u1"),
                    ("overwrite", "false"),
                    ("public_id", "front"),
                    ("timestamp", "1700000000"),
                    ("type", "authenticated"),
                ],
                "abcd",
                "caf7c948e7fe35771792a32bf06ae4450faa1f46",
            ),
        ] {
            assert_eq!(signature(&owned(parameters), secret), expected, "{parameters:?}");
        }
        assert_eq!(address_signature("c_crop,h_20,w_10/image.jpg", "b"), "s--Ai4Znfl3--");
    }
}
