//! The contract of [`PasswordHasher`].

use super::Fixture;
use crate::people::{Password, PasswordHasher};
use std::net::{IpAddr, Ipv4Addr};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! password_hasher_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            password_hasher,
            dyn $crate::people::PasswordHasher,
            $fixture,
            [
                the_right_password_is_verified_and_no_other,
                a_hash_does_not_hold_its_password,
                every_character_of_a_password_counts,
                the_longest_password_is_hashed_to_its_last_character,
                the_decoy_is_the_hash_of_no_password,
                concurrent_verifications_do_not_mix_up_their_passwords,
            ]
        );
    };
}

fn password(text: &str) -> Password {
    Password::choose(text).unwrap()
}

pub async fn the_right_password_is_verified_and_no_other(fixture: Fixture<dyn PasswordHasher>) {
    let (hasher, right, wrong) = (fixture.port(), password("correct horse"), password("battery staple"));
    let (hash, other) = (hasher.hash(&right).await.unwrap(), hasher.hash(&wrong).await.unwrap());
    assert!(hasher.verify(&right, &hash, HOME).await.unwrap());
    assert!(!hasher.verify(&wrong, &hash, HOME).await.unwrap());
    assert!(hasher.verify(&right, &hash, HOME).await.unwrap(), "once more, after a failure");
    assert!(!hasher.verify(&right, &other, HOME).await.unwrap());
    assert!(fixture.other_instance().verify(&right, &hash, HOME).await.unwrap());
}

pub async fn a_hash_does_not_hold_its_password(fixture: Fixture<dyn PasswordHasher>) {
    let hash = fixture.port().hash(&password("correct horse")).await.unwrap();
    assert!(!hash.as_str().contains("correct") && !hash.as_str().contains("horse"));
}

pub async fn every_character_of_a_password_counts(fixture: Fixture<dyn PasswordHasher>) {
    let right = "ein Zeißglas 🦊";
    let hash = fixture.port().hash(&password(right)).await.unwrap();
    for near in [
        "Ein Zeißglas 🦊",
        "ein Zeissglas 🦊",
        "ein Zeißglas 🐺",
        "ein Zeißglas 🦊 ",
        " ein Zeißglas 🦊",
        "ein Zeißglas ",
    ] {
        assert!(!fixture.port().verify(&password(near), &hash, HOME).await.unwrap(), "{near}");
    }
    assert!(fixture.port().verify(&password(right), &hash, HOME).await.unwrap());
}

pub async fn the_longest_password_is_hashed_to_its_last_character(fixture: Fixture<dyn PasswordHasher>) {
    let start = "🦊".repeat(Password::MAX - 1);
    let (right, wrong) = (password(&format!("{start}a")), password(&format!("{start}b")));
    let hash = fixture.port().hash(&right).await.unwrap();
    assert!(fixture.port().verify(&right, &hash, HOME).await.unwrap());
    assert!(!fixture.port().verify(&wrong, &hash, HOME).await.unwrap());
    assert!(!fixture.port().verify(&password(&start), &hash, HOME).await.unwrap());
}

pub async fn the_decoy_is_the_hash_of_no_password(fixture: Fixture<dyn PasswordHasher>) {
    let hasher = fixture.port();
    assert!(!hasher.verify(&password("correct horse"), &hasher.decoy(), HOME).await.unwrap());
}

pub async fn concurrent_verifications_do_not_mix_up_their_passwords(fixture: Fixture<dyn PasswordHasher>) {
    let passwords = [password("correct horse"), password("battery staple")];
    let hashes = [fixture.port().hash(&passwords[0]).await.unwrap(), fixture.port().hash(&passwords[1]).await.unwrap()];
    let answers = fixture
        .together(8, |number, hasher| {
            let (password, hash) = (passwords[number % 2].clone(), hashes[number / 2 % 2].clone());
            // One address gets a part of the places.
            let caller = Ipv4Addr::new(192, 0, 2, u8::try_from(number).unwrap()).into();
            async move { hasher.verify(&password, &hash, caller).await.unwrap() }
        })
        .await;
    assert_eq!(answers, [true, false, false, true, true, false, false, true]);
}
