//! No header that was not made by the issuer is taken for an access token.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use memgate::adapters::jwt::{JwtTokenIssuer, SealingKeyVault};
use memgate_domain::oauth::{KeyAlgorithm, KeyPurpose, KeyVault as _, MasterKey, SigningKey, TokenIssuer as _, bearer_token};
use memgate_domain::system::{Entropy, Timestamp};
use memgate_domain::testing::SeededEntropy;

static ISSUER: LazyLock<JwtTokenIssuer> = LazyLock::new(|| {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::default());
    let vault = Arc::new(SealingKeyVault::new(MasterKey::generate(&*entropy), entropy));
    let keys = [(KeyPurpose::AccessToken, KeyAlgorithm::EdDsa), (KeyPurpose::RefreshToken, KeyAlgorithm::Hs256)];
    let at = Timestamp::from_unix_seconds(0);
    let keys = keys.map(|(purpose, algorithm)| {
        let (id, sealed) = vault.generate(purpose, algorithm).expect("a key is made");
        SigningKey { id, purpose, algorithm, generation: 1, sealed, created_at: at, activates_at: at, retired_at: None }
    });
    JwtTokenIssuer::new(vault, keys.to_vec()).expect("the keys open")
});

fuzz_target!(|header: &[u8]| {
    let Some(token) = bearer_token(header) else { return };
    assert!(ISSUER.verify_access_token(token).is_err());
    assert!(ISSUER.verify_refresh_token(token).is_err());
});
