//! The key schedule: the standards' own vectors for the primitives, ours for what we feed them.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use protocol::crypto::{HelloHash, LinkMode, MasterKey, SessionKey, StationKey, Transcript};
use protocol::types::{Epoch, StationId};
use sha2::Sha256;

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// RFC 4231, test case 2; RFC 5869, appendix A.1 and A.3.
#[test]
fn the_primitives_are_the_standards() {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
    mac.update(b"what do ya want for nothing?");
    assert_eq!(
        hex::encode(mac.finalize().into_bytes()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    let salt = bytes("000102030405060708090a0b0c");
    for (salt, info, expected) in [
        (
            Some(&salt[..]),
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (None, "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ] {
        let mut key = [0; 42];
        Hkdf::<Sha256>::new(salt, &[0x0B; 22]).expand(&bytes(info), &mut key).unwrap();
        assert_eq!(hex::encode(key), expected);
    }
}

/// Made once by an independent program (Python's hmac and hashlib), so that no change here goes unseen.
#[test]
fn the_schedule_is_the_one_that_the_specification_fixes() {
    let station = StationId(*b"station-id-bytes");
    let key = MasterKey::from_bytes([0x0B; 32]).station_key(station, 7);
    assert_eq!(hex::encode(key.expose()), STATION_KEY);
    let hello = HelloHash::of(b"hello payload");
    let transcript = Transcript::new(LinkMode::Clear, &hello, b"challenge head", b"");
    assert_eq!(hex::encode(key.gateway_proof(&transcript)), GATEWAY_PROOF);
    assert_eq!(hex::encode(key.station_proof(&transcript)), STATION_PROOF);
    let keys = key.session_keys(b"nonce-of-station", b"nonce-of-gateway", Epoch(0x0007_0000_0100_0002));
    assert_eq!(hex::encode(keys.to_gateway.expose()), TO_GATEWAY);
    assert_eq!(hex::encode(keys.to_station.expose()), TO_STATION);
    assert_eq!(hex::encode(keys.to_gateway.mac(b"header and payload")), MAC);
}

const STATION_KEY: &str = "4ca6e997ca86495d927b699ad56a7e448cfb63f24940d7221caf5b662336e089";
const GATEWAY_PROOF: &str = "549b4a03d07ba51ee92b4fac21a7535b621136135e639cbef29faee0aea475df";
const STATION_PROOF: &str = "177233b2ea22dfadc052a2ed0ebe9e50240e6f024f818ba22b534638114244ab";
const TO_GATEWAY: &str = "39141e0810ad33d4f7ebfb0132adab0357aee2ead3ce5e444ddf69bd1d60f3c9";
const TO_STATION: &str = "e11c1f07f226d1eef91d7771118ec0374a7afbece8ce5b3165dcfc04df551267";
const MAC: &str = "fbf11c82235079b2";

#[test]
fn every_input_changes_the_key() {
    let master = MasterKey::from_bytes([1; 32]);
    let station = StationId([2; 16]);
    let key = master.station_key(station, 1);
    assert_ne!(key, MasterKey::from_bytes([3; 32]).station_key(station, 1));
    assert_ne!(key, master.station_key(StationId([3; 16]), 1));
    assert_ne!(key, master.station_key(station, 2));
    let keys = key.session_keys(&[4; 16], &[5; 16], Epoch(6));
    assert_ne!(keys.to_gateway, keys.to_station);
    for other in [
        key.session_keys(&[9; 16], &[5; 16], Epoch(6)),
        key.session_keys(&[4; 16], &[9; 16], Epoch(6)),
        key.session_keys(&[4; 16], &[5; 16], Epoch(9)),
        key.session_keys(&[5; 16], &[4; 16], Epoch(6)),
    ] {
        assert_ne!(keys, other);
    }
    let hello = HelloHash::of(b"hello");
    let transcript = Transcript::new(LinkMode::Clear, &hello, b"head", b"");
    for other in [
        Transcript::new(LinkMode::Tls, &hello, b"head", b""),
        Transcript::new(LinkMode::Clear, &HelloHash::of(b"hell"), b"head", b""),
        Transcript::new(LinkMode::Clear, &hello, b"hea", b""),
        Transcript::new(LinkMode::Clear, &hello, b"head", b"exporter"),
    ] {
        assert_ne!(key.gateway_proof(&transcript), key.gateway_proof(&other));
    }
}

#[test]
fn a_proof_fits_only_its_own_side_and_transcript() {
    let key = StationKey::from_bytes([7; 32]);
    let hello = HelloHash::of(b"hello");
    let transcript = Transcript::new(LinkMode::Clear, &hello, b"head", b"");
    let (gateway, station) = (key.gateway_proof(&transcript), key.station_proof(&transcript));
    assert!(key.gateway_proof_fits(&transcript, &gateway) && key.station_proof_fits(&transcript, &station));
    assert!(!key.gateway_proof_fits(&transcript, &station) && !key.station_proof_fits(&transcript, &gateway));
    let mut wrong = station;
    wrong[31] ^= 1;
    assert!(!key.station_proof_fits(&transcript, &wrong));
}

#[test]
fn keys_do_not_show_themselves() {
    let key = SessionKey::from_bytes([0xAB; 32]);
    assert_eq!(format!("{key:?}"), "SessionKey(***)");
    let keys = StationKey::from_bytes([0xAB; 32]).session_keys(&[0; 16], &[0; 16], Epoch(0));
    assert!(!format!("{keys:?}").contains("ab"), "{keys:?}");
}
