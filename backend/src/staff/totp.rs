//! The authenticator app's codes, without I/O: RFC 6238 with SHA-1, six digits, thirty seconds.
//!
//! The secret that staff scan is made of a salt in the database and a key that is not there, so that a copy of the
//! database opens nothing.

use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use entities::id::AdminProfileId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use totp_rs::{Builder, Secret, Totp};

/// What the app shows beside the address.
const ISSUER: &str = "Chautari";
/// Bytes of a secret: RFC 4226 recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// One person's authenticator app.
pub(super) struct Authenticator {
    secret: [u8; SECRET_BYTES],
    totp: Totp,
}

impl Authenticator {
    /// The app of `admin`, as it was set up with `salt`.
    pub(super) fn of(key: &[u8; 32], admin: AdminProfileId, salt: &str) -> Result<Self> {
        let digest = keyed(key, &["authenticator", &admin.to_string(), salt])?;
        let secret = std::array::from_fn(|at| digest[at]);
        let totp = Builder::new().with_secret(Secret::new_stack(secret)).build().map_err(Error::internal)?;
        Ok(Self { secret, totp })
    }

    /// The time step that a code belongs to, if it is one of this minute; a step later than `after` only, because
    /// a code is for one use.
    pub(super) fn step_of(&self, code: &str, now: DateTime<Utc>, after: i64) -> Option<i64> {
        let step = self.totp.check(code, u64::try_from(now.timestamp()).ok()?)?;
        i64::try_from(step).ok().filter(|step| *step > after)
    }

    /// The secret as people type it.
    pub(super) fn secret_text(&self) -> String {
        base32(&self.secret)
    }

    /// What the QR code says.
    pub(super) fn uri(&self, email: &str) -> String {
        let account: String = email.bytes().map(percent_encoded).collect();
        format!("otpauth://totp/{ISSUER}:{account}?secret={}&issuer={ISSUER}", self.secret_text())
    }
}

/// What the database keeps of a recovery code.
pub(super) fn recovery_hash(key: &[u8; 32], admin: AdminProfileId, code: &str) -> Result<String> {
    Ok(hex::encode(keyed(key, &["recovery", &admin.to_string(), code])?))
}

/// A code as it is compared: people type spaces, dashes and small letters.
pub(super) fn normalised(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect::<String>().to_uppercase()
}

/// Whether a normalised code is one of an authenticator app; others are recovery codes.
pub(super) fn is_of_app(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn keyed(key: &[u8; 32], parts: &[&str]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    for part in parts {
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    Ok(mac.finalize().into_bytes().into())
}

fn percent_encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

/// RFC 4648 without padding, as authenticator apps want it.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut bits = [0_u8; 8];
        bits[3..3 + group.len()].copy_from_slice(group);
        let number = u64::from_be_bytes(bits);
        for letter in 0..(group.len() * 8).div_ceil(5) {
            let index = (number >> (35 - 5 * letter)) & 31;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin() -> AdminProfileId {
        "01890f3e-7cc2-7000-8000-000000000001".parse().unwrap()
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (text, expected) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_code_is_of_this_minute_and_counts_once() {
        let app = Authenticator::of(&[7; 32], admin(), "salt").unwrap();
        let now = DateTime::from_timestamp(1_768_450_500, 0).unwrap();
        let code = app.totp.generate(1_768_450_500).to_string();
        let step = app.step_of(&code, now, 0).unwrap();
        assert_eq!(step, 1_768_450_500 / 30);
        assert_eq!(app.step_of(&code, now, step), None, "used");
        assert_eq!(app.step_of(&code, now + chrono::TimeDelta::seconds(30), 0), Some(step));
        assert_eq!(app.step_of(&code, now + chrono::TimeDelta::seconds(90), 0), None, "too old");
        let other = Authenticator::of(&[7; 32], admin(), "another salt").unwrap();
        assert_eq!(other.step_of(&code, now, 0), None);
        assert_eq!(app.step_of("", now, 0), None);
        assert_eq!(app.step_of("1234567", now, 0), None);
    }

    #[test]
    fn the_qr_code_says_what_apps_read() {
        let app = Authenticator::of(&[7; 32], admin(), "salt").unwrap();
        let uri = app.uri("sita+1@chautari.example");
        let secret = app.secret_text();
        assert_eq!(secret.len(), 32);
        let expected =
            format!("otpauth://totp/Chautari:sita%2B1%40chautari.example?secret={secret}&issuer=Chautari");
        assert_eq!(uri, expected);
    }

    #[test]
    fn people_type_codes_in_their_own_way() {
        assert_eq!(normalised(" 123 456 "), "123456");
        assert_eq!(normalised("abcde-23456"), "ABCDE23456");
        assert!(is_of_app("123456") && !is_of_app("ABCDE23456") && !is_of_app("12345"));
    }
}
