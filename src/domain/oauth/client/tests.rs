use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::*;
use crate::applications::{ApplicationChanges, GrantType, MockApplicationRepository, Permissions};
use crate::limits::FailurePolicy;
use crate::oauth::Unavailable;
use crate::oauth::harness::{HOME, Harness};
use crate::testing::{FakeSecretHasher, now, stored_secret};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

fn presented(client_id: &str, secret: Option<&str>) -> PresentedCredentials {
    PresentedCredentials { client_id: client_id.to_string(), secret: secret.map(str::to_owned) }
}

impl Harness {
    async fn authenticate(&self, secret: &str) -> Result<Arc<Application>, OAuthError> {
        self.authenticate_from(secret, HOME).await
    }

    async fn authenticate_from(&self, secret: &str, address: IpAddr) -> Result<Arc<Application>, OAuthError> {
        self.clients.authenticate(&presented(self.application.client_id.as_str(), Some(secret)), address).await
    }

    /// Presents all of the secrets before the first is verified.
    async fn authenticate_together(&self, secrets: &[ClientSecret]) -> Vec<Result<Arc<Application>, OAuthError>> {
        self.hasher.hold();
        let all = join_all(secrets.iter().map(|secret| self.authenticate(secret.expose())));
        let release = async {
            for _ in 0..10 * secrets.len() {
                tokio::task::yield_now().await;
            }
            self.hasher.release();
        };
        join(all, release).await.0
    }

    async fn present(&self, presented: &PresentedCredentials) -> Result<Arc<Application>, OAuthError> {
        self.clients.authenticate(presented, HOME).await
    }
}

/// A well-formed secret of nobody.
fn wrong() -> ClientSecret {
    stored_secret().1
}

#[tokio::test]
async fn the_right_secret_authenticates_and_its_use_is_noted() {
    let harness = Harness::new();
    let application = harness.authenticate(harness.secret.expose()).await.unwrap();
    let mut expected = harness.application.clone();
    expected.secrets[0].last_used_at = Some(now());
    assert_eq!(*application, expected);
    let stored = harness.applications.find(application.id).await.unwrap().unwrap();
    assert_eq!(stored.secrets[0].last_used_at, Some(now()));
}

#[tokio::test]
async fn every_failure_is_the_same_error_and_takes_one_hash() {
    let disabled = Harness::with_application(|application| application.enabled = false);
    let public = Harness::with_application(|application| {
        application.kind = ClientKind::Public;
        application.secrets.clear();
    });
    let expired = Harness::with_application(|application| application.secrets[0].expires_at = Some(now()));
    let usual = Harness::new();
    let (wrong_secret, unknown_client) = (wrong(), wrong());
    let decoy = usual.hasher.decoy();
    let answers = [
        ("wrong secret", &usual, usual.authenticate(wrong_secret.expose()).await, &decoy),
        ("unknown client", &usual, usual.present(&presented("unknown", Some(unknown_client.expose()))).await, &decoy),
        ("expired", &expired, expired.authenticate(expired.secret.expose()).await, &decoy),
        ("public", &public, public.authenticate(public.secret.expose()).await, &decoy),
        (
            "disabled",
            &disabled,
            disabled.authenticate(disabled.secret.expose()).await,
            &disabled.application.secrets[0].hash,
        ),
    ];
    let mut texts = Vec::new();
    for (case, harness, answer, hash) in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, OAuthError::InvalidClient), "{case}: {error:?}");
        texts.push(error.to_string());
        assert!(harness.hasher.verified().contains(hash), "{case}: no hash was computed");
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(usual.hasher.verified().len(), 2, "one hash a failure");
}

#[tokio::test]
async fn what_cannot_be_an_id_or_a_secret_costs_no_query() {
    let harness = Harness::new();
    // A mock that expects nothing: any query ends the test.
    let clients = ClientAuthenticator::new(
        Arc::new(MockApplicationRepository::new()),
        harness.hasher.clone(),
        Arc::new(FailureThrottle::new(FailurePolicy::default())),
        harness.audit.clone(),
        Arc::new(harness.clock.clone()),
    );
    let (client_id, secret) = (harness.application.client_id.as_str(), harness.secret.expose());
    for (client_id, secret) in [("a b\0", secret), ("", secret), (client_id, "x"), (client_id, &secret[1..])] {
        let refused = clients.authenticate(&presented(client_id, Some(secret)), HOME).await;
        assert!(matches!(refused, Err(OAuthError::InvalidClient)), "{client_id:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_mistyped_secret_is_refused_without_hashing() {
    let harness = Harness::new();
    let secret = harness.secret.expose();
    for mistyped in
        ["", "x", "mgs_", &secret[1..], &secret[..secret.len() - 1], &format!("{secret}x"), &"a".repeat(10_000)]
    {
        assert!(matches!(harness.authenticate(mistyped).await, Err(OAuthError::InvalidClient)), "{mistyped:.60}");
    }
    let refused = harness.present(&presented("a b\0", Some(secret))).await;
    assert!(matches!(refused, Err(OAuthError::InvalidClient)), "{refused:?}");
    assert_eq!(harness.hasher.verified(), []);
    harness.authenticate(secret).await.expect("nothing was counted");
}

#[tokio::test]
async fn simultaneous_first_uses_of_one_right_secret_are_one_hash_and_all_succeed() {
    let harness = Harness::new();
    let answers = harness.authenticate_together(&vec![harness.secret.clone(); 100]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(harness.hasher.verified().len(), 1);
}

#[tokio::test]
async fn simultaneous_wrong_secrets_are_counted_before_they_are_hashed_and_equal_ones_once() {
    let harness = Harness::new();
    let (equal, different): (_, Vec<_>) = (wrong(), (0..60).map(|_| wrong()).collect());
    let answers = harness.authenticate_together(&vec![equal; 60]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(OAuthError::InvalidClient))), "{answers:?}");
    assert_eq!(harness.hasher.verified().len(), 1);
    let answers = harness.authenticate_together(&different).await;
    let judged = answers.iter().filter(|answer| matches!(answer, Err(OAuthError::InvalidClient))).count();
    assert_eq!((judged, harness.hasher.verified().len()), (5, 6));
}

#[tokio::test]
async fn made_up_client_ids_from_one_address_are_bounded_and_other_addresses_are_not_concerned() {
    let harness = Harness::new();
    for number in 0..200 {
        let _refused = harness.present(&presented(&format!("made-up-{number}"), Some(wrong().expose()))).await;
    }
    assert_eq!(harness.hasher.verified().len(), 60);
    harness.authenticate_from(harness.secret.expose(), ELSEWHERE).await.unwrap();
    harness.authenticate(harness.secret.expose()).await.expect("and what is cached is not concerned either");
}

#[tokio::test]
async fn a_client_that_begins_to_wait_is_one_audit_event_and_a_flood_is_not_many() {
    let harness = Harness::new();
    for _ in 0..20 {
        let _refused = harness.authenticate(wrong().expose()).await;
    }
    let throttled = || harness.audit.recorded().into_iter().filter(|event| event.kind == AuditKind::ClientThrottled);
    assert_eq!(throttled().count(), 1);
    for number in 0..1000 {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        for _ in 0..6 {
            let _refused = harness.authenticate_from(wrong().expose(), address).await;
        }
    }
    assert_eq!(throttled().count(), 20);
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_at_the_next_success() {
    let harness = Harness::new();
    let (mut stored, secret) = stored_secret();
    stored.hash = FakeSecretHasher::outdated_hash_of(&secret);
    let (id, application) = (stored.id, harness.application.id);
    harness.applications.add_secret(application, &stored, now()).await.unwrap();
    harness.authenticate(wrong().expose()).await.unwrap_err();
    harness.authenticate(secret.expose()).await.unwrap();
    let application = harness.applications.find(application).await.unwrap().unwrap();
    let renewed = application.secrets.iter().find(|stored| stored.id == id).unwrap();
    assert_eq!(renewed.hash, FakeSecretHasher::hash_of(&secret));
    harness.authenticate(secret.expose()).await.unwrap();
}

#[tokio::test]
async fn the_use_of_a_cached_secret_is_noted_every_ten_minutes() {
    let harness = Harness::new();
    for _ in 0..3 {
        harness.authenticate(harness.secret.expose()).await.unwrap();
        harness.clock.advance(Duration::from_mins(6));
    }
    assert_eq!(harness.hasher.verified().len(), 1);
    let stored = harness.applications.find(harness.application.id).await.unwrap().unwrap();
    assert_eq!(stored.secrets[0].last_used_at, Some(now().plus(Duration::from_mins(12))));
}

#[tokio::test]
async fn a_secret_works_until_its_expiry() {
    let harness = Harness::with_application(|application| {
        application.secrets[0].expires_at = Some(now().plus(Duration::from_millis(1)));
    });
    harness.authenticate(harness.secret.expose()).await.unwrap();
    harness.clock.advance(Duration::from_millis(1));
    let refused = harness.authenticate(harness.secret.expose()).await;
    assert!(matches!(refused, Err(OAuthError::InvalidClient)), "cached or not: {refused:?}");
}

#[tokio::test]
async fn each_of_several_secrets_works_until_it_is_removed() {
    let (second, second_secret) = stored_secret();
    let id = second.id;
    let harness = Harness::with_application(|application| application.secrets.push(second));
    for _ in 0..2 {
        harness.authenticate(harness.secret.expose()).await.unwrap();
        harness.authenticate(second_secret.expose()).await.unwrap();
    }
    harness.applications.remove_secret(harness.application.id, id, now()).await.unwrap();
    harness.authenticate(harness.secret.expose()).await.unwrap();
    assert!(matches!(harness.authenticate(second_secret.expose()).await, Err(OAuthError::InvalidClient)));
}

#[tokio::test]
async fn what_is_removed_or_disabled_while_its_secret_is_verified_is_refused() {
    for disable in [false, true] {
        let harness = Harness::new();
        harness.hasher.hold();
        let meanwhile = async {
            let (id, secret) = (harness.application.id, harness.application.secrets[0].id);
            if disable {
                harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
            } else {
                assert!(harness.applications.remove_secret(id, secret, now()).await.unwrap());
            }
            harness.hasher.release();
        };
        let (answer, ()) = join(harness.authenticate(harness.secret.expose()), meanwhile).await;
        assert!(matches!(answer, Err(OAuthError::InvalidClient)), "{answer:?}");
        assert_eq!(harness.hasher.verified().len(), 1);
    }
}

#[tokio::test]
async fn a_secret_of_the_same_hint_but_another_hash_is_refused() {
    let harness = Harness::with_application(|application| {
        application.secrets[0].hash = FakeSecretHasher::hash_of(&stored_secret().1);
    });
    assert!(matches!(harness.authenticate(harness.secret.expose()).await, Err(OAuthError::InvalidClient)));
}

#[tokio::test]
async fn a_cached_secret_is_neither_hashed_again_nor_written_down() {
    let harness = Harness::new();
    harness.authenticate(harness.secret.expose()).await.unwrap();
    harness.clock.advance(Duration::from_secs(5));
    harness.authenticate(harness.secret.expose()).await.unwrap();
    assert_eq!(harness.hasher.verified().len(), 1);
    let stored = harness.applications.find(harness.application.id).await.unwrap().unwrap();
    assert_eq!(stored.secrets[0].last_used_at, Some(now()));
}

#[tokio::test]
async fn a_disabled_application_is_refused_even_if_its_secret_is_cached() {
    let harness = Harness::new();
    harness.authenticate(harness.secret.expose()).await.unwrap();
    harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
    assert!(matches!(harness.authenticate(harness.secret.expose()).await, Err(OAuthError::InvalidClient)));
    harness.change(ApplicationChanges { enabled: Some(true), ..ApplicationChanges::default() }).await;
    harness.authenticate(harness.secret.expose()).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_wrong_secrets_is_throttled_for_that_caller_alone() {
    let harness = Harness::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        match harness.authenticate(wrong().expose()).await {
            Err(OAuthError::InvalidClient) => waits.push(0),
            Err(OAuthError::TooManyFailures { retry_after }) => waits.push(retry_after.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 1], "five failures are free, and who waits is not hashed");
    assert_eq!(harness.hasher.verified().len(), 6);
    let right = harness.secret.expose();
    assert!(
        matches!(harness.authenticate(right).await, Err(OAuthError::TooManyFailures { .. })),
        "nor is the right one"
    );
    harness.authenticate_from(right, ELSEWHERE).await.unwrap();
    let (other, secret) = harness.register().await;
    harness.present(&presented(other.client_id.as_str(), Some(secret.expose()))).await.unwrap();
    harness.clock.advance(Duration::from_secs(1));
    harness.authenticate(right).await.unwrap();
}

#[tokio::test]
async fn a_cached_secret_passes_the_throttle() {
    let harness = Harness::new();
    harness.authenticate(harness.secret.expose()).await.unwrap();
    for _ in 0..20 {
        harness.authenticate(wrong().expose()).await.unwrap_err();
    }
    harness.authenticate(harness.secret.expose()).await.unwrap();
}

#[tokio::test]
async fn a_success_forgives_the_failures_before_it() {
    let harness = Harness::new();
    for _ in 0..3 {
        for _ in 0..5 {
            assert!(matches!(harness.authenticate(wrong().expose()).await, Err(OAuthError::InvalidClient)));
        }
        harness.hasher.forget();
        harness.authenticate(harness.secret.expose()).await.unwrap();
    }
}

#[tokio::test]
async fn a_public_application_is_known_by_its_id() {
    let harness = Harness::with_application(|application| {
        application.kind = ClientKind::Public;
        application.grants = [GrantType::RefreshToken].into();
        application.secrets.clear();
    });
    let id_alone = presented(harness.application.client_id.as_str(), None);
    assert_eq!(*harness.present(&id_alone).await.unwrap(), harness.application);
    harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
    assert!(matches!(harness.present(&id_alone).await, Err(OAuthError::InvalidClient)));
    assert!(matches!(harness.present(&presented("unknown", None)).await, Err(OAuthError::InvalidClient)));
}

#[tokio::test]
async fn a_confidential_application_needs_its_secret() {
    let harness = Harness::new();
    let refused = harness.present(&presented(harness.application.client_id.as_str(), None)).await;
    assert!(matches!(refused, Err(OAuthError::InvalidClient)), "{refused:?}");
}

#[tokio::test]
async fn what_is_unavailable_is_never_reported_as_an_invalid_client() {
    let harness = Harness::new();
    let outage = harness.applications.outage();
    outage.begin();
    let error = harness.authenticate(harness.secret.expose()).await.unwrap_err();
    assert!(matches!(error, OAuthError::TemporarilyUnavailable(Unavailable::Storage(_))), "{error:?}");
    outage.end();
    harness.hasher.set_overloaded(true);
    let error = harness.authenticate(harness.secret.expose()).await.unwrap_err();
    assert!(matches!(error, OAuthError::TemporarilyUnavailable(Unavailable::Hasher(_))), "{error:?}");
    harness.hasher.set_overloaded(false);
    let application = harness.authenticate(harness.secret.expose()).await.unwrap();
    assert_eq!(application.permissions, Permissions::all());
}
