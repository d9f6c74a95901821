//! Where a picture is found: its path in the API, its place in the store, and links that end. Pure.

use super::Refusal;
use crate::api;
use chrono::{DateTime, Utc};
use entities::id::MediaUploadId;
use entities::media_upload::MediaPurpose;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use object_store::path::Path;
use sha2::Sha256;

/// Whether only a link that ends leads to it.
pub(super) fn is_private(purpose: MediaPurpose) -> bool {
    match purpose {
        MediaPurpose::Kyc | MediaPurpose::Issue => true,
        MediaPurpose::Profile | MediaPurpose::Station | MediaPurpose::Content => false,
    }
}

/// The path of a picture in the API, which its row keeps.
pub(super) fn file_url(purpose: MediaPurpose, id: MediaUploadId, name: &str) -> String {
    if is_private(purpose) { private_url(id, name) } else { public_url(id, name) }
}

/// The path of a public picture in the API.
pub(super) fn public_url(id: MediaUploadId, name: &str) -> String {
    format!("{}/media/{id}/{name}", api::PREFIX)
}

/// The path of a private picture in the API, without the signature that leads there.
pub(super) fn private_url(id: MediaUploadId, name: &str) -> String {
    format!("{}/media/private/{id}/{name}", api::PREFIX)
}

/// Where a picture of ours is in the store, if the address is one that [`file_url`] made.
pub(super) fn stored_at(file_url: &str) -> Option<Path> {
    let rest = file_url.strip_prefix(api::PREFIX)?.strip_prefix("/media/")?;
    let (shelf, rest) = match rest.strip_prefix("private/") {
        Some(rest) => ("private", rest),
        None => ("public", rest),
    };
    let (id, name) = rest.split_once('/')?;
    let id: MediaUploadId = id.parse().ok()?;
    is_name(name).then(|| Path::from_iter([shelf, &id.to_string(), name]))
}

/// The place of what a caller asks for. Only names that we give are looked up, so no path leads out of the store.
pub(super) fn asked_for(shelf: &'static str, id: MediaUploadId, name: &str) -> Result<Path, Refusal> {
    if is_name(name) {
        Ok(Path::from_iter([shelf, &id.to_string(), name]))
    } else {
        Err(Refusal::MediaNotFound)
    }
}

/// The upload that an address of ours names.
pub(super) fn upload_of(file_url: &str) -> Option<MediaUploadId> {
    stored_at(file_url)?.parts().nth(1)?.as_ref().parse().ok()
}

/// A SHA-256 in lower-case hexadecimal, a dot, and an extension of ours.
fn is_name(name: &str) -> bool {
    let Some((hash, extension)) = name.split_once('.') else { return false };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    hash.len() == 64 && hash.bytes().all(is_hex) && media_type(extension).is_some()
}

/// The media type that belongs to an extension.
pub(super) fn media_type(extension: &str) -> Option<&'static str> {
    match extension {
        "jpg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        _ => None,
    }
}

/// The address with its end and its signature, if it is private.
pub(super) fn signed(key: &[u8; 32], file_url: &str, until: DateTime<Utc>) -> String {
    if !file_url.starts_with(&format!("{}/media/private/", api::PREFIX)) {
        return file_url.to_owned();
    }
    let expires = until.timestamp();
    let Ok(mac) = mac(key, file_url, expires) else { return file_url.to_owned() };
    let signature = hex::encode(mac.finalize().into_bytes());
    format!("{file_url}?expires={expires}&signature={signature}")
}

/// Compares in constant time.
pub(super) fn is_signed(key: &[u8; 32], file_url: &str, expires: i64, signature: &str) -> bool {
    let (Ok(tag), Ok(mac)) = (hex::decode(signature), mac(key, file_url, expires)) else { return false };
    mac.verify_slice(&tag).is_ok()
}

/// HMAC takes a key of any length: the error cannot come.
fn mac(key: &[u8; 32], file_url: &str, expires: i64) -> Result<Hmac<Sha256>, InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(format!("{file_url}\n{expires}").as_bytes());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890f3e-7cc2-7000-8000-000000000001";

    fn name() -> String {
        format!("{}.jpg", "0a".repeat(32))
    }

    #[test]
    fn an_address_leads_to_one_place_and_no_other() {
        let id: MediaUploadId = ID.parse().unwrap();
        let address = file_url(MediaPurpose::Kyc, id, &name());
        assert_eq!(stored_at(&address).unwrap().as_ref(), format!("private/{ID}/{}", name()));
        let address = file_url(MediaPurpose::Profile, id, &name());
        assert_eq!(stored_at(&address).unwrap().as_ref(), format!("public/{ID}/{}", name()));
        for bad in ["../../secrets/key", "..", "a.jpg", ".jpg", "%2e%2e", &format!("{}.svg", "0a".repeat(32))]
        {
            assert_eq!(asked_for("public", id, bad), Err(Refusal::MediaNotFound), "{bad}");
            assert_eq!(stored_at(&file_url(MediaPurpose::Profile, id, bad)), None, "{bad}");
        }
        assert_eq!(stored_at("https://elsewhere.example/a.jpg"), None);
    }

    #[test]
    fn a_signature_holds_for_one_address_and_one_end() {
        let (key, id) = ([1; 32], ID.parse().unwrap());
        let address = file_url(MediaPurpose::Kyc, id, &name());
        let until = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let link = signed(&key, &address, until);
        let signature = link.split("signature=").nth(1).unwrap();
        assert!(is_signed(&key, &address, 1_700_000_000, signature));
        assert!(!is_signed(&key, &address, 1_700_000_001, signature));
        assert!(!is_signed(&key, &format!("{address}x"), 1_700_000_000, signature));
        assert!(!is_signed(&[2; 32], &address, 1_700_000_000, signature));
        assert!(!is_signed(&key, &address, 1_700_000_000, ""));
        let public = file_url(MediaPurpose::Station, id, &name());
        assert_eq!(signed(&key, &public, until), public, "everybody may see it");
    }
}
