//! No header that was not made by the issuer is taken for an access token.

#![no_main]

use std::sync::{Arc, LazyLock};

use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use memgate::adapters::jwt::{JwtTokenIssuer, SealingKeyVault};
use memgate_domain::oauth::{
    KeyAlgorithm, KeyPurpose, KeyVault as _, MasterKey, NewSigningKey, TokenIssuer as _, bearer_token,
};
use memgate_domain::system::{Entropy, Timestamp};
use memgate_domain::testing::SeededEntropy;

static ISSUER: LazyLock<JwtTokenIssuer> = LazyLock::new(|| {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::default());
    let vault = Arc::new(SealingKeyVault::new(MasterKey::generate(&*entropy), entropy));
    let keys = [(KeyPurpose::AccessToken, KeyAlgorithm::EdDsa), (KeyPurpose::RefreshToken, KeyAlgorithm::Hs256)];
    let at = Timestamp::from_unix_seconds(0);
    let keys = keys.map(|(purpose, algorithm)| {
        let new = NewSigningKey { purpose, algorithm, generation: 1, created_at: at, activates_at: at };
        vault.generate(&new).now_or_never().expect("only an RSA key takes time").expect("a key is made")
    });
    JwtTokenIssuer::new(vault, keys.to_vec()).expect("the keys open")
});

fuzz_target!(|header: &[u8]| {
    let Some(token) = bearer_token(header) else { return };
    assert!(ISSUER.verify_access_token(token).is_err());
    assert!(ISSUER.verify_refresh_token(token).is_err());
});
