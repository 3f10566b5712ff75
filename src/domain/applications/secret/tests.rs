use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{SeededEntropy, now, stored_secret};

fn secret(seed: u64) -> ClientSecret {
    ClientSecret::generate(&SeededEntropy::new(seed))
}

#[test]
fn a_secret_has_a_prefix_256_random_bits_and_a_checksum() {
    let secret = secret(1);
    let text = secret.expose();
    assert_eq!(text.len(), 53, "shorter than the 72 bytes that bcrypt reads");
    assert!(text.starts_with("mgs_"));
    assert!(text[4..].bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{text}");
    assert_eq!(URL_SAFE_NO_PAD.decode(&text[4..47]).unwrap().len(), 32);
    assert_eq!(ClientSecret::parse(text).unwrap().expose(), text);
}

#[test]
fn the_form_of_a_secret_is_fixed_since_secrets_outlive_versions() {
    let known = "mgs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let sum = checksum(&known[4..]);
    assert_eq!(sum, "Wpo5Jz");
    assert!(ClientSecret::parse(&format!("{known}{sum}")).is_some());
}

#[test]
fn every_single_mistyped_character_is_noticed() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ .é\0";
    let secret = secret(2);
    let text = secret.expose();
    for position in 0..text.len() {
        for replacement in ALPHABET.chars().filter(|c| !text[position..].starts_with(*c)) {
            let mistyped = format!("{}{replacement}{}", &text[..position], &text[position + 1..]);
            assert!(ClientSecret::parse(&mistyped).is_none(), "{replacement:?} at {position}");
        }
    }
}

#[test]
fn swapped_missing_and_added_characters_are_noticed() {
    let secret = secret(3);
    let text = secret.expose();
    for position in 0..text.len() - 1 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.swap(position, position + 1);
        let swapped = String::from_utf8(bytes).unwrap();
        assert!(swapped == text || ClientSecret::parse(&swapped).is_none(), "swapped at {position}");
        let missing = format!("{}{}", &text[..position], &text[position + 1..]);
        assert!(ClientSecret::parse(&missing).is_none(), "missing at {position}");
        let doubled = format!("{}{}", &text[..=position], &text[position..]);
        assert!(ClientSecret::parse(&doubled).is_none(), "doubled at {position}");
    }
    for odd in
        [format!(" {text}"), format!("{text}\n"), text.to_uppercase(), text[4..].to_owned(), format!("{text}{text}")]
    {
        assert!(ClientSecret::parse(&odd).is_none());
    }
}

#[test]
fn the_hint_is_the_beginning_after_the_prefix() {
    let secret = secret(4);
    let hint = secret.hint();
    assert_eq!(hint.as_str(), &secret.expose()[4..10]);
    assert_eq!(hint.to_string(), format!("mgs_{}…", hint.as_str()));
    assert_eq!(SecretHint::from_stored(hint.as_str().to_owned()), hint);
}

#[test]
fn debug_forms_show_neither_secret_nor_hash() {
    let (stored, secret) = stored_secret();
    assert_eq!(format!("{secret:?}"), "ClientSecret(…)");
    assert_eq!(format!("{:?}", stored.hash), "SecretHash(…)");
    assert!(!format!("{stored:?}").contains(stored.hash.as_str()));
}

#[test]
fn a_secret_is_valid_before_its_expiry() {
    let (stored, _) = stored_secret();
    assert!(stored.is_valid_at(now().plus(Duration::from_hours(1_000_000))));
    let expiring = StoredSecret { expires_at: Some(now()), ..stored };
    assert!(expiring.is_valid_at(now().minus(Duration::from_millis(1))));
    assert!(!expiring.is_valid_at(now()));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), body in "mgs_\\PC{40,60}") {
        let _ = ClientSecret::parse(&text);
        let _ = ClientSecret::parse(&body);
    }

    #[test]
    fn every_secret_that_was_made_is_read_again(seed in any::<u64>()) {
        let secret = secret(seed);
        let read = ClientSecret::parse(secret.expose());
        prop_assert_eq!(read.map(|read| read.expose().to_owned()), Some(secret.expose().to_owned()));
    }
}
