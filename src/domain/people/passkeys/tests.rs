use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::limits::{FailurePolicy, FailureThrottle};
use crate::people::{Password, PasswordHasher as _, SignInError, SignInPorts, SignInService, SignedInUser};
use crate::testing::{
    FakePasskeyVerifier, FakePasswordHasher, FakeResponse, FixedClock, InMemoryAuditLog, InMemoryPasskeyRepository,
    InMemoryPersonRepository, InMemorySessionStore, SeededEntropy, external_person, now, passkey, person,
};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Harness {
    clock: FixedClock,
    people: Arc<InMemoryPersonRepository>,
    passkeys: Arc<InMemoryPasskeyRepository>,
    audit: Arc<InMemoryAuditLog>,
    service: PasskeyService,
    sign_in: SignInService,
    person: Person,
}

impl Harness {
    fn new() -> Self {
        Self::holding(person(), Some(Arc::new(FakePasskeyVerifier)))
    }

    fn holding(person: Person, verifier: Option<Arc<dyn PasskeyVerifier>>) -> Self {
        let (clock, entropy) = (FixedClock::default(), Arc::new(SeededEntropy::default()));
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
        let passkeys = Arc::new(InMemoryPasskeyRepository::of(&people));
        let audit = Arc::new(InMemoryAuditLog::default());
        let ports = PasskeyPorts {
            passkeys: passkeys.clone(),
            verifier,
            people: people.clone(),
            audit: audit.clone(),
            clock: Arc::new(clock.clone()),
            entropy: entropy.clone(),
        };
        let service = PasskeyService::new(ports, ChallengeKey::new([7; 32]));
        let ports = SignInPorts {
            people: people.clone(),
            sessions: Arc::new(InMemorySessionStore::of(&people)),
            hasher: Arc::new(FakePasswordHasher::default()),
            audit: audit.clone(),
            clock: Arc::new(clock.clone()),
            entropy,
        };
        let throttle = Arc::new(FailureThrottle::new(FailurePolicy::default()));
        let sign_in = SignInService::new(ports, throttle, None, Duration::from_hours(12));
        let sign_in = sign_in.with_passkeys(service.clone());
        Self { clock, people, passkeys, audit, service, sign_in, person }
    }

    async fn signed_in(&self) -> SignedInUser {
        self.sign_in.with_password(self.person.label(), "correct horse", HOME).await.unwrap()
    }

    /// A passkey of the person, which is added.
    async fn added(&self) -> Passkey {
        let user = self.signed_in().await;
        let options = self.service.begin(&user.person, &user.token).await.unwrap();
        let response = FakeResponse { counter: 0, ..FakeResponse::to(&options, &passkey(&self.person)) };
        self.service.add(&user.person, &user.token, "Phone".parse().unwrap(), &response.text()).await.unwrap()
    }

    /// An attempt, and the genuine response of this passkey to it.
    fn asked(&self, passkey: &Passkey) -> (SignInAttempt, FakeResponse) {
        let attempt = self.sign_in.begin();
        let response = FakeResponse::to(&self.sign_in.passkey_options(&attempt).unwrap(), passkey);
        (attempt, response)
    }

    async fn enter(&self, attempt: &SignInAttempt, response: &FakeResponse) -> Result<SignedInUser, SignInError> {
        self.sign_in.with_passkey(attempt, &response.text(), HOME).await
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: &Result<T, SignInError>) {
    assert!(matches!(answer, Err(SignInError::PasskeyRefused)), "{answer:?}");
}

#[tokio::test]
async fn who_added_a_passkey_signs_in_with_it_and_the_history_says_so() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    harness.clock.advance(Duration::from_secs(7));
    let user = harness.enter(&attempt, &response).await.unwrap();
    assert_eq!(user.person, harness.person);
    let listed = harness.service.list(harness.person.id).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].created_at, listed[0].last_used_at), (now(), Some(now().plus(Duration::from_secs(7)))));
    assert!(harness.service.remove(harness.person.id, passkey.id).await.unwrap());
    assert!(!harness.service.remove(harness.person.id, passkey.id).await.unwrap());
    assert!(harness.sign_in.recognize(user.token.expose()).await.unwrap().is_some(), "the session goes on");
    assert_eq!(
        harness.audit.kinds(),
        [
            AuditKind::PersonSignedIn,
            AuditKind::PasskeyAdded,
            AuditKind::PersonSignedInWithPasskey,
            AuditKind::PasskeyRemoved
        ]
    );
}

#[tokio::test]
async fn a_response_works_once_in_its_browser_and_for_five_minutes() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    assert_refused(&harness.enter(&harness.sign_in.begin(), &response).await);
    harness.enter(&attempt, &response).await.unwrap();
    assert_refused(&harness.enter(&attempt, &FakeResponse { counter: 2, ..response }).await);
    let (attempt, response) = harness.asked(&passkey);
    let response = FakeResponse { counter: 3, ..response };
    harness.clock.advance(PasskeyChallenge::LIFETIME);
    assert_refused(&harness.enter(&attempt, &response).await);
}

#[tokio::test]
async fn of_many_who_send_one_response_at_the_same_time_one_signs_in() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    let outcomes = join_all((0..8).map(|_| harness.enter(&attempt, &response))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_response_is_refused_in_the_same_way() {
    let harness = Harness::new();
    let other = person();
    harness.people.create(&other).await.unwrap();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    for wrong in [
        FakeResponse { is_genuine: false, ..response.clone() },
        FakeResponse { counter: 0, ..response.clone() },
        FakeResponse { person: None, ..response.clone() },
        FakeResponse { person: Some(other.id.as_uuid()), ..response.clone() },
        FakeResponse { credential_id: vec![1], ..response.clone() },
        FakeResponse { credential_id: vec![], ..response.clone() },
        FakeResponse { challenge: "AAAA".to_owned(), ..response.clone() },
    ] {
        assert_refused(&harness.enter(&attempt, &wrong).await);
    }
    assert_refused(&harness.sign_in.with_passkey(&attempt, "{}", HOME).await);
    let user = harness.enter(&attempt, &response).await;
    assert!(user.is_ok(), "what was refused used nothing up: {user:?}");
}

#[tokio::test]
async fn a_removed_passkey_and_one_of_a_disabled_person_sign_nobody_in() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    harness.people.set_enabled(harness.person.id, false, now()).await.unwrap();
    assert_refused(&harness.enter(&attempt, &response).await);
    harness.people.set_enabled(harness.person.id, true, now()).await.unwrap();
    let (attempt, response) = harness.asked(&passkey);
    harness.enter(&attempt, &response).await.unwrap();
    let (attempt, response) = harness.asked(&passkey);
    harness.service.remove(harness.person.id, passkey.id).await.unwrap();
    assert_refused(&harness.enter(&attempt, &FakeResponse { counter: 9, ..response }).await);
}

#[tokio::test]
async fn a_new_password_keeps_the_passkeys() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let hash = FakePasswordHasher::default().hash(&Password::choose("another battery").unwrap()).await.unwrap();
    harness.people.set_password(harness.person.id, &hash, now()).await.unwrap();
    let (attempt, response) = harness.asked(&passkey);
    harness.enter(&attempt, &response).await.unwrap();
}

#[tokio::test]
async fn a_registration_works_once_in_its_session_and_for_five_minutes() {
    let harness = Harness::new();
    let (user, other) = (harness.signed_in().await, harness.signed_in().await);
    let name: PasskeyName = "Phone".parse().unwrap();
    let options = harness.service.begin(&user.person, &user.token).await.unwrap();
    let response = FakeResponse::to(&options, &passkey(&harness.person)).text();
    let refused = harness.service.add(&other.person, &other.token, name.clone(), &response).await;
    assert!(matches!(refused, Err(PasskeyError::Refused)), "{refused:?}");
    let added = harness.service.add(&user.person, &user.token, name.clone(), &response).await.unwrap();
    // After it was removed, the same response does not bring it back.
    harness.service.remove(harness.person.id, added.id).await.unwrap();
    let refused = harness.service.add(&user.person, &user.token, name.clone(), &response).await;
    assert!(matches!(refused, Err(PasskeyError::Refused)), "{refused:?}");
    let options = harness.service.begin(&user.person, &user.token).await.unwrap();
    let response = FakeResponse::to(&options, &passkey(&harness.person)).text();
    harness.clock.advance(PasskeyChallenge::LIFETIME);
    let refused = harness.service.add(&user.person, &user.token, name, &response).await;
    assert!(matches!(refused, Err(PasskeyError::Refused)), "{refused:?}");
}

#[tokio::test]
async fn a_challenge_for_signing_in_adds_no_passkey_and_the_other_way_round() {
    let harness = Harness::new();
    let known = harness.added().await;
    let user = harness.signed_in().await;
    let (_, response) = harness.asked(&passkey(&harness.person));
    let refused = harness.service.add(&user.person, &user.token, "Phone".parse().unwrap(), &response.text()).await;
    assert!(matches!(refused, Err(PasskeyError::Refused)), "{refused:?}");
    let attempt = SignInAttempt::parse(user.token.expose()).unwrap();
    let response = FakeResponse::to(&harness.service.begin(&user.person, &user.token).await.unwrap(), &known);
    assert_refused(&harness.enter(&attempt, &response).await);
}

#[tokio::test]
async fn a_person_has_at_most_ten_passkeys_and_a_credential_one_person() {
    let harness = Harness::new();
    let first = harness.added().await;
    for _ in 1..10 {
        harness.added().await;
    }
    let user = harness.signed_in().await;
    assert!(matches!(harness.service.begin(&user.person, &user.token).await, Err(PasskeyError::TooMany)));
    let other = person();
    harness.people.create(&other).await.unwrap();
    let user = harness.sign_in.with_password(other.label(), "correct horse", HOME).await.unwrap();
    let response = FakeResponse::to(&harness.service.begin(&user.person, &user.token).await.unwrap(), &first);
    let refused = harness.service.add(&user.person, &user.token, "Phone".parse().unwrap(), &response.text()).await;
    assert!(matches!(refused, Err(PasskeyError::Exists)), "{refused:?}");
}

#[tokio::test]
async fn an_account_of_the_identity_provider_and_a_service_without_passkeys_have_none() {
    let harness = Harness::holding(external_person(), Some(Arc::new(FakePasskeyVerifier)));
    assert!(harness.service.is_offered() && !harness.service.is_offered_to(&harness.person));
    let of_external = passkey(&harness.person);
    harness.passkeys.add(&of_external).await.unwrap();
    let (attempt, response) = harness.asked(&of_external);
    assert_refused(&harness.enter(&attempt, &response).await);

    let harness = Harness::holding(person(), None);
    assert!(!harness.service.is_offered() && !harness.sign_in.has_passkeys());
    let user = harness.signed_in().await;
    assert!(matches!(harness.service.begin(&user.person, &user.token).await, Err(PasskeyError::NotOffered)));
    let refused = harness.sign_in.with_passkey(&harness.sign_in.begin(), "{}", HOME).await;
    assert!(matches!(refused, Err(SignInError::NoPasskeys)), "{refused:?}");
}

#[tokio::test]
async fn failures_are_throttled_by_address_and_an_outage_is_none() {
    let harness = Harness::new();
    let passkey = harness.added().await;
    let (attempt, response) = harness.asked(&passkey);
    harness.passkeys.outage().begin();
    for _ in 0..100 {
        let failed = harness.enter(&attempt, &response).await;
        assert!(matches!(failed, Err(SignInError::TemporarilyUnavailable(_))), "{failed:?}");
    }
    harness.passkeys.outage().end();
    for _ in 0..60 {
        assert_refused(&harness.sign_in.with_passkey(&attempt, "{}", HOME).await);
    }
    let throttled = harness.enter(&attempt, &response).await;
    assert!(matches!(throttled, Err(SignInError::TooManyFailures { .. })), "{throttled:?}");
    assert_eq!(harness.audit.kinds().last(), Some(&AuditKind::SignInThrottled));
    harness.clock.advance(Duration::from_secs(1));
    harness.enter(&attempt, &response).await.unwrap();
}
