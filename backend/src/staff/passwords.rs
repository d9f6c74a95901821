//! Passwords of staff: Argon2id, a few at a time, off the threads that serve requests.

use crate::error::{Error, Result};
use crate::limits;
use crate::random::Random;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes and checks passwords.
pub struct Passwords {
    places: Arc<Semaphore>,
    random: Random,
    /// The hash of a password that nobody has: checked when there is no account, so that both take equally long.
    nobody: String,
}

impl Passwords {
    /// Makes ready, which takes as long as one hash.
    pub fn new(random: Random) -> Result<Self> {
        let nobody = hash_now(&hex::encode(random.bytes::<16>()), random.bytes())?;
        Ok(Self { places: Arc::new(Semaphore::new(limits::PASSWORDS_AT_ONCE)), random, nobody })
    }

    /// The PHC string to keep of a password.
    pub async fn hash(&self, password: String) -> Result<String> {
        let salt = self.random.bytes();
        self.off_thread(move || hash_now(&password, salt)).await?
    }

    /// Whether a password fits; takes equally long when there is no hash to compare with.
    pub async fn fits(&self, password: String, hash: Option<String>) -> Result<bool> {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let fits = self.off_thread(move || {
            let hash =
                PasswordHash::new(&hash).map_err(|error| Error::internal(format!("a kept hash: {error}")))?;
            Ok::<bool, Error>(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        Ok(fits.await?? && is_somebody)
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let place = self.places.clone().acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(Error::internal)
    }
}

fn hash_now(password: &str, salt: [u8; 16]) -> Result<String> {
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| Error::internal(format!("argon2: {error}")))?.to_string())
}
