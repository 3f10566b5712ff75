//! An identity provider that believes everybody.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use url::Url;

use crate::people::{ExternalIdentity, IdentityError, IdentityProvider, ProvenIdentity, SignInAttempt};
use crate::testing::in_memory::lock;

/// A provider whose codes are the subjects of those who sign in, **for tests only**. It knows nobody until it is told.
#[derive(Debug, Default)]
pub struct FakeIdentityProvider {
    people: Mutex<HashMap<String, ProvenIdentity>>,
    unavailable: AtomicBool,
    asked: AtomicUsize,
}

impl FakeIdentityProvider {
    /// The issuer of its identities.
    pub const ISSUER: &'static str = "https://id.example";

    /// Lets the account `subject` sign in, with an e-mail address that is verified, or without one. Its code is the
    /// subject.
    ///
    /// # Panics
    /// If that cannot be a subject.
    pub fn know(&self, subject: &str, verified_email: Option<&str>) -> ProvenIdentity {
        let proven = ProvenIdentity {
            identity: ExternalIdentity::new(Self::ISSUER, subject).expect("a valid subject"),
            verified_email: verified_email.map(str::to_owned),
        };
        lock(&self.people).insert(subject.to_owned(), proven.clone());
        proven
    }

    /// How often it was asked who came with a code.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Makes it unreachable, or reachable again.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<(), IdentityError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(IdentityError::Unavailable("the provider is unavailable, for this test".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl IdentityProvider for FakeIdentityProvider {
    fn name(&self) -> &'static str {
        "Example ID"
    }

    async fn authorization_url(&self, attempt: &SignInAttempt) -> Result<Url, IdentityError> {
        self.reach()?;
        let state = attempt.state();
        Url::parse_with_params(&format!("{}/authorize", Self::ISSUER), [("state", state.as_str())])
            .map_err(|error| IdentityError::Rejected(error.into()))
    }

    async fn identify(&self, _: &SignInAttempt, code: &str) -> Result<ProvenIdentity, IdentityError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.reach()?;
        let unknown = || IdentityError::Rejected("the code is not one of this provider".into());
        lock(&self.people).get(code).cloned().ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[tokio::test]
    async fn it_knows_whom_it_was_told_of_and_nobody_else_and_nobody_while_it_is_unavailable() {
        let (provider, attempt) = (FakeIdentityProvider::default(), SignInAttempt::begin(&SeededEntropy::default()));
        let marta = provider.know("248289761001", Some("marta@example.com"));
        assert_eq!(provider.identify(&attempt, "248289761001").await.unwrap(), marta);
        assert!(matches!(provider.identify(&attempt, "somebody else").await, Err(IdentityError::Rejected(_))));
        let url = provider.authorization_url(&attempt).await.unwrap();
        assert_eq!(url.query_pairs().next().unwrap(), ("state".into(), attempt.state().as_str().into()));
        provider.set_unavailable(true);
        assert!(matches!(provider.identify(&attempt, "248289761001").await, Err(IdentityError::Unavailable(_))));
        assert!(matches!(provider.authorization_url(&attempt).await, Err(IdentityError::Unavailable(_))));
        provider.set_unavailable(false);
        assert!(provider.authorization_url(&attempt).await.is_ok());
    }
}
