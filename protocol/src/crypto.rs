//! Keys and proofs: HKDF-SHA256 and HMAC-SHA256, nothing of our own beyond what is hashed in which order.
//!
//! ```text
//! master[key_id] ── station key K ──┬── gateway proof  HMAC(K, "gw" | transcript)
//!                                   ├── station proof  HMAC(K, "st" | transcript)
//!                                   └── session keys, one per direction ── the `mac` TLV
//! ```
//!
//! A key never shows in `Debug`, is compared in constant time, and is overwritten when dropped.

use crate::types::{Epoch, StationId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

type HmacSha256 = Hmac<Sha256>;

/// Random bytes that one end gives to a login.
pub type Nonce = [u8; 16];
/// What an end sends to prove that it holds the station key.
pub type Proof = [u8; 32];

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 secret bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The secret itself: for storing and printing at provisioning, never for logs.
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        /// For comparing whole states, as a model checker does.
        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0 = [0; 32];
                // Keeps the compiler from seeing that nobody reads the zeros.
                core::hint::black_box(&self.0);
            }
        }
    };
}

key!(
    /// The secret of a master generation (`key_id`): gateways hold it, stations never do.
    MasterKey
);
key!(
    /// The secret of one station in one key generation.
    StationKey
);
key!(
    /// The secret of one direction of one session.
    SessionKey
);

/// The two keys of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKeys {
    /// Station to gateway.
    pub to_gateway: SessionKey,
    /// Gateway to station.
    pub to_station: SessionKey,
}

/// How the bytes of a connection travel; part of the transcript, so nobody can lower it unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkMode {
    /// Plain TCP: proofs and MACs, nothing secret.
    Clear = 0,
    /// Noise NNpsk0 records.
    Noise = 1,
    /// Inside of TLS.
    Tls = 2,
}

/// The hash of a HELLO payload: all that a gateway keeps of it for the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HelloHash([u8; 32]);

/// The hash of everything that both ends said before they proved themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transcript([u8; 32]);

impl MasterKey {
    /// Derives a station's key: no database is asked at a login.
    pub fn station_key(&self, station_id: StationId, key_gen: u16) -> StationKey {
        StationKey(expand(None, &self.0, &[b"csp1 station key", &station_id.0, &key_gen.to_be_bytes()]))
    }
}

impl HelloHash {
    /// Hashes the payload of HELLO exactly as it travelled.
    pub fn of(hello_payload: &[u8]) -> Self {
        Self(Sha256::digest(hello_payload).into())
    }
}

impl Transcript {
    /// Joins what was said: `challenge_head` is the payload of CHALLENGE before its `proof` TLV,
    /// `exporter` the TLS exporter inside of TLS and empty elsewhere.
    pub fn new(mode: LinkMode, hello: &HelloHash, challenge_head: &[u8], exporter: &[u8]) -> Self {
        let challenge: [u8; 32] = Sha256::digest(challenge_head).into();
        let exporter: [u8; 32] = Sha256::digest(exporter).into();
        let joined = Sha256::new()
            .chain_update(b"csp1 transcript")
            .chain_update([mode as u8])
            .chain_update(hello.0)
            .chain_update(challenge)
            .chain_update(exporter);
        Self(joined.finalize().into())
    }
}

impl StationKey {
    /// What the gateway sends in CHALLENGE.
    pub fn gateway_proof(&self, transcript: &Transcript) -> Proof {
        self.proof(b"gw", transcript).finalize().into_bytes().into()
    }

    /// What the station sends in PROOF.
    pub fn station_proof(&self, transcript: &Transcript) -> Proof {
        self.proof(b"st", transcript).finalize().into_bytes().into()
    }

    /// Whether CHALLENGE came from a gateway that holds this key. Constant time.
    pub fn gateway_proof_fits(&self, transcript: &Transcript, proof: &Proof) -> bool {
        self.proof(b"gw", transcript).verify_slice(proof).is_ok()
    }

    /// Whether PROOF came from a station that holds this key. Constant time.
    pub fn station_proof_fits(&self, transcript: &Transcript, proof: &Proof) -> bool {
        self.proof(b"st", transcript).verify_slice(proof).is_ok()
    }

    /// The keys of the session of `epoch`.
    pub fn session_keys(&self, nonce_s: &Nonce, nonce_g: &Nonce, epoch: Epoch) -> SessionKeys {
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(nonce_s);
        salt[16..].copy_from_slice(nonce_g);
        let epoch = epoch.0.to_be_bytes();
        let key = |label: &[u8]| SessionKey(expand(Some(&salt), &self.0, &[label, &epoch]));
        SessionKeys { to_gateway: key(b"csp1 session s>g"), to_station: key(b"csp1 session g>s") }
    }

    fn proof(&self, label: &[u8], transcript: &Transcript) -> HmacSha256 {
        hmac(&self.0).chain_update(label).chain_update(transcript.0)
    }
}

impl SessionKey {
    /// The value of the `mac` TLV: the first 8 bytes of HMAC-SHA256 over header and payload before it.
    pub fn mac(&self, covered: &[u8]) -> [u8; 8] {
        let whole: [u8; 32] = hmac(&self.0).chain_update(covered).finalize().into_bytes().into();
        let mut mac = [0; 8];
        mac.copy_from_slice(&whole[..8]);
        mac
    }

    /// Whether `mac` is this key's for these bytes. Constant time.
    pub fn mac_fits(&self, covered: &[u8], mac: &[u8; 8]) -> bool {
        self.mac(covered).ct_eq(mac).into()
    }
}

fn hmac(key: &[u8; 32]) -> HmacSha256 {
    // HMAC itself fills a short key with zeros to its block; done here, no length can be wrong.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    HmacSha256::new(&block.into())
}

/// HKDF with one 32-byte output, which is always within its limits.
fn expand(salt: Option<&[u8]>, secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    let expanded = Hkdf::<Sha256>::new(salt, secret).expand_multi_info(info, &mut key);
    debug_assert!(expanded.is_ok(), "32 bytes are below HKDF's limit of 8160");
    key
}
