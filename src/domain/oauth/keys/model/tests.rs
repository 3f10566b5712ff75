use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

use super::*;
use crate::testing::{SeededEntropy, now, signing_key};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(2_000_000_000 + seconds)
}

/// A key that signs from `activates` on, and is retired then.
fn key(generation: u32, activates: i64, retired: Option<i64>) -> SigningKey {
    SigningKey {
        created_at: at(activates - 10),
        activates_at: at(activates),
        retired_at: retired.map(at),
        ..signing_key(KeyPurpose::AccessToken, generation)
    }
}

const DAY: i64 = 24 * 3600;

#[test]
fn the_state_of_a_key_follows_from_the_clock_and_the_other_keys() {
    use KeyState::{Expired, Published, Retired, Signing, Verifying};
    let alone = vec![key(1, 0, None)];
    let two = vec![key(1, 0, None), key(2, 100, None)];
    let three = vec![key(1, 0, None), key(2, 100, None), key(3, 200, None)];
    let newest_retired = vec![key(1, 0, None), key(2, 100, Some(150))];
    let oldest_retired = vec![key(1, 0, Some(150)), key(2, 100, None)];
    for (name, keys, index, moments) in [
        ("alone", &alone, 0, &[(-1, Published), (0, Signing), (1000 * DAY, Signing)][..]),
        (
            "succeeded",
            &two,
            0,
            &[(99, Signing), (100, Verifying), (99 + DAY, Verifying), (100 + DAY, Expired), (101 + DAY, Expired)],
        ),
        ("successor", &two, 1, &[(99, Published), (100, Signing), (100 + DAY, Signing)]),
        ("succeeded twice", &three, 0, &[(199, Verifying), (200, Verifying), (100 + DAY, Expired)]),
        ("in the middle", &three, 1, &[(199, Signing), (200, Verifying), (200 + DAY, Expired)]),
        ("before a retired one", &newest_retired, 0, &[(99, Signing), (150, Signing), (100 + DAY, Signing)]),
        ("retired", &newest_retired, 1, &[(99, Published), (149, Signing), (150, Retired), (2 * DAY, Retired)]),
        ("retired after its successor", &oldest_retired, 0, &[(149, Verifying), (150, Retired), (5 * DAY, Retired)]),
        ("after a retired one", &oldest_retired, 1, &[(100, Signing), (150, Signing)]),
    ] {
        for (moment, expected) in moments {
            assert_eq!(state_of(&keys[index], keys, at(*moment)), *expected, "{name} at {moment}");
        }
    }
}

#[test]
fn a_key_of_refresh_tokens_is_kept_as_long_as_they_live() {
    let purpose = KeyPurpose::RefreshToken;
    let keys = [SigningKey { purpose, ..key(1, 0, None) }, SigningKey { purpose, ..key(2, 100, None) }];
    assert_eq!(state_of(&keys[0], &keys, at(99 + 366 * DAY)), KeyState::Verifying);
    assert_eq!(state_of(&keys[0], &keys, at(100 + 366 * DAY)), KeyState::Expired);
}

#[test]
fn a_key_of_the_other_purpose_is_no_successor() {
    let keys = [key(1, 0, None), SigningKey { purpose: KeyPurpose::RefreshToken, ..key(2, 100, None) }];
    assert_eq!(state_of(&keys[0], &keys, at(5 * DAY)), KeyState::Signing);
}

#[test]
fn only_keys_that_are_in_use_verify() {
    let verifying = [KeyState::Published, KeyState::Signing, KeyState::Verifying];
    for (state, name) in [
        (KeyState::Published, "published"),
        (KeyState::Signing, "signing"),
        (KeyState::Verifying, "verifying"),
        (KeyState::Expired, "expired"),
        (KeyState::Retired, "retired"),
    ] {
        assert_eq!(state.as_str(), name);
        assert_eq!(state.verifies(), verifying.contains(&state), "{name}");
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for (purpose, name) in [(KeyPurpose::AccessToken, "access_token"), (KeyPurpose::RefreshToken, "refresh_token")] {
        assert_eq!((purpose.as_str(), name.parse()), (name, Ok(purpose)));
    }
    for (algorithm, name) in [
        (KeyAlgorithm::EdDsa, "EdDSA"),
        (KeyAlgorithm::Es256, "ES256"),
        (KeyAlgorithm::Rs256, "RS256"),
        (KeyAlgorithm::Hs256, "HS256"),
    ] {
        assert_eq!((algorithm.as_str(), name.parse()), (name, Ok(algorithm)));
    }
    assert!("id_token".parse::<KeyPurpose>().is_err());
    for unknown in ["none", "eddsa", "RS512", ""] {
        assert!(unknown.parse::<KeyAlgorithm>().is_err(), "{unknown}");
    }
}

#[test]
fn a_key_id_is_1_to_64_plain_characters() {
    for id in ["a", "A-z_09", &"k".repeat(64)] {
        let read = id.parse::<KeyId>().unwrap();
        assert_eq!((read.as_str(), &*read.to_string()), (id, id));
    }
    for id in ["", &"k".repeat(65), "a/b", "../x", "a b", "a'b", "é", "a\0", "a.b"] {
        assert!(id.parse::<KeyId>().is_err(), "{id:?}");
    }
}

#[test]
fn a_master_key_is_32_bytes_in_any_base64() {
    let master = MasterKey::generate(&SeededEntropy::new(3));
    assert_eq!(master.expose().len(), 32);
    let standard = master.to_base64().expose_secret().to_owned();
    assert_eq!(standard, STANDARD.encode(master.expose()));
    let bytes = master.expose();
    for text in [
        standard.clone(),
        format!(" {standard}\n"),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
    ] {
        assert_eq!(MasterKey::parse("key", &text).unwrap().expose(), bytes, "{text}");
    }
    let both_alphabets = [0xfb, 0xef, 0xff].repeat(11);
    for text in [STANDARD.encode(&both_alphabets[..32]), URL_SAFE.encode(&both_alphabets[..32])] {
        assert_eq!(MasterKey::parse("key", &text).unwrap().expose(), &both_alphabets[..32], "{text}");
    }
}

#[test]
fn a_bad_master_key_is_refused_without_being_repeated() {
    for text in ["", "hush", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33]), &"!".repeat(44), &"ab".repeat(32)] {
        let error = MasterKey::parse("MEMGATE_MASTER_KEY", text).unwrap_err();
        assert_eq!(error.field(), "MEMGATE_MASTER_KEY");
        assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
    }
}

#[test]
fn debug_forms_show_no_keys() {
    assert_eq!(format!("{:?}", MasterKey::generate(&SeededEntropy::new(3))), "MasterKey(…)");
    assert_eq!(format!("{:?}", SealedKey::from_stored(vec![1])), "SealedKey(…)");
    assert_eq!(SealedKey::from_stored(vec![1, 2]).as_bytes(), [1, 2]);
    assert!(now() > at(0));
}
