use std::net::{IpAddr, Ipv4Addr};

use futures_util::future::join_all;

use super::*;
use crate::limits::{AttemptCounts, FailurePolicy};
use crate::people::EmailDomain;
use crate::testing::{
    FakeIdentityProvider, FakePasswordHasher, FixedClock, InMemoryAuditLog, InMemoryPersonRepository,
    InMemorySessionStore, Outage, SeededEntropy, external_person, now, person,
};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const TTL: Duration = Duration::from_hours(12);

struct Harness {
    clock: FixedClock,
    people: Arc<InMemoryPersonRepository>,
    sessions: Arc<InMemorySessionStore>,
    hasher: Arc<FakePasswordHasher>,
    provider: Arc<FakeIdentityProvider>,
    audit: Arc<InMemoryAuditLog>,
    throttle: Arc<FailureThrottle>,
    service: SignInService,
    person: Person,
}

impl Harness {
    fn new() -> Self {
        Self::holding(person())
    }

    fn holding(person: Person) -> Self {
        let clock = FixedClock::default();
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
        let sessions = Arc::new(InMemorySessionStore::of(&people));
        let hasher = Arc::new(FakePasswordHasher::default());
        let provider = Arc::new(FakeIdentityProvider::default());
        let audit = Arc::new(InMemoryAuditLog::default());
        let ports = SignInPorts {
            people: people.clone(),
            sessions: sessions.clone(),
            hasher: hasher.clone(),
            audit: audit.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::default()),
        };
        let domains = ["example.com".parse::<EmailDomain>().unwrap()].into();
        let admission = Admission { domains, ..Admission::default() };
        let external = ExternalSignIn { provider: provider.clone(), admission };
        let throttle = Arc::new(FailureThrottle::new(FailurePolicy::default()));
        let service = SignInService::new(ports, Arc::clone(&throttle), Some(external), TTL);
        Self { clock, people, sessions, hasher, provider, audit, throttle, service, person }
    }

    async fn sign_in(&self, password: &str) -> Result<SignedInUser, SignInError> {
        self.service.with_password(self.person.label(), password, HOME).await
    }

    /// Returns from the provider as `subject`.
    async fn return_as(&self, subject: &str) -> Result<SignedInUser, SignInError> {
        let attempt = self.service.begin();
        let state = Some(attempt.state().as_str().to_owned());
        let answer = ProviderAnswer { state, code: Some(subject.to_owned()), error: None };
        self.service.with_provider(&attempt, &answer, HOME).await
    }

    fn outages(&self) -> [Outage; 2] {
        [self.people.outage(), self.sessions.outage()]
    }
}

#[track_caller]
fn assert_wrong<T: std::fmt::Debug>(answer: &Result<T, SignInError>) {
    assert!(matches!(answer, Err(SignInError::WrongCredentials)), "{answer:?}");
}

#[tokio::test]
async fn the_right_password_opens_a_session_that_is_recognized_until_it_ends() {
    let harness = Harness::new();
    let user = harness.sign_in("correct horse").await.unwrap();
    assert_eq!(user.person, harness.person);
    let session =
        Session { id: user.token.id(), person: harness.person.id, signed_in_at: now(), expires_at: now().plus(TTL) };
    assert_eq!(user.session, session);
    harness.clock.advance(TTL.saturating_sub(Duration::from_millis(1)));
    let again = harness.service.recognize(user.token.expose()).await.unwrap().unwrap();
    assert_eq!((again.person, again.session), (harness.person.clone(), session));
    harness.clock.advance(Duration::from_millis(1));
    assert!(harness.service.recognize(user.token.expose()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_hash_from_before_passwords_were_normalized_is_still_good() {
    let typed = "cafe\u{301} au lait";
    let as_typed = Password::parse(typed).unwrap().as_typed().unwrap();
    let account = Account::Local { login: "marta".parse().unwrap(), password: FakePasswordHasher::hash_of(&as_typed) };
    let harness = Harness::holding(Person { account, ..person() });
    harness.sign_in(typed).await.unwrap();
    assert_wrong(&harness.sign_in("cafe au lait").await);
}

#[tokio::test]
async fn who_returns_from_the_provider_without_end_has_to_wait() {
    let harness = Harness::new();
    harness.provider.know("1", Some("marta@example.com"));
    for _ in 0..100 {
        harness.return_as("1").await.unwrap();
    }
    let refused = harness.return_as("1").await;
    assert!(matches!(refused, Err(SignInError::TooManyFailures { .. })), "{refused:?}");
}

#[tokio::test]
async fn who_signs_in_without_end_has_to_wait() {
    let harness = Harness::new();
    for _ in 0..100 {
        harness.sign_in("correct horse").await.unwrap();
    }
    let events = harness.audit.kinds().len();
    let refused = harness.sign_in("correct horse").await;
    assert!(matches!(refused, Err(SignInError::TooManyFailures { .. })), "{refused:?}");
    assert_eq!(harness.audit.kinds().len(), events, "nothing is left behind");
    harness.clock.advance(Duration::from_mins(1));
    harness.sign_in("correct horse").await.unwrap();
}

#[tokio::test]
async fn a_login_is_typed_in_any_case() {
    let harness = Harness::new();
    let login = format!("  {} ", harness.person.label().to_uppercase());
    assert!(harness.service.with_password(&login, "correct horse", HOME).await.is_ok());
}

#[tokio::test]
async fn every_sign_in_gets_a_token_of_its_own_and_signing_out_ends_that_one() {
    let harness = Harness::new();
    let [first, second] =
        [harness.sign_in("correct horse").await.unwrap(), harness.sign_in("correct horse").await.unwrap()];
    assert_ne!(first.token.expose(), second.token.expose());
    harness.service.sign_out(&first.token).await.unwrap();
    harness.service.sign_out(&first.token).await.unwrap();
    assert!(harness.service.recognize(first.token.expose()).await.unwrap().is_none());
    assert!(harness.service.recognize(second.token.expose()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wrong_password_an_unknown_login_and_a_disabled_account_are_the_same_and_cost_one_hash_each() {
    let harness = Harness::new();
    let disabled = Person { enabled: false, ..person() };
    harness.people.create(&disabled).await.unwrap();
    let elsewhere = external_person();
    harness.people.create(&elsewhere).await.unwrap();
    for (login, password) in [
        (harness.person.label(), "wrong horse"),
        ("nobody", "correct horse"),
        (disabled.label(), "correct horse"),
        (elsewhere.label(), "correct horse"),
    ] {
        let before = harness.hasher.verified().len();
        assert_wrong(&harness.service.with_password(login, password, HOME).await);
        assert_eq!(harness.hasher.verified().len(), before + 1, "{login}");
    }
}

#[tokio::test]
async fn what_no_account_can_have_costs_nothing_and_is_not_counted() {
    let harness = Harness::new();
    let login = harness.person.label();
    for _ in 0..100 {
        for (login, password) in [(login, ""), (login, &*"x".repeat(300)), (login, "a\nb"), ("no login at all!", "x")] {
            assert_wrong(&harness.service.with_password(login, password, HOME).await);
        }
    }
    assert_eq!(harness.hasher.verified(), []);
    assert_eq!(harness.throttle.counts(), AttemptCounts::default());
    assert!(harness.sign_in("correct horse").await.is_ok());
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_hashed_than_one_after_the_other() {
    let harness = Harness::new();
    let guesses: Vec<String> = (0..60).map(|number| format!("wrong horse {number}")).collect();
    let answers = join_all(guesses.iter().map(|guess| harness.sign_in(guess))).await;
    let judged = answers.iter().filter(|answer| matches!(answer, Err(SignInError::WrongCredentials))).count();
    assert_eq!((judged, harness.hasher.verified().len()), (6, 6));
}

#[tokio::test]
async fn a_flood_of_logins_from_one_address_waits_and_other_addresses_do_not() {
    let harness = Harness::new();
    for number in 0..200 {
        let _refused = harness.service.with_password(&format!("nobody{number}"), "wrong horse", HOME).await;
    }
    assert_eq!(harness.hasher.verified().len(), 60);
    let answer = harness.sign_in("correct horse").await;
    assert!(matches!(answer, Err(SignInError::TooManyFailures { .. })), "{answer:?}");
    assert!(harness.service.with_password(harness.person.label(), "correct horse", ELSEWHERE).await.is_ok());
    harness.clock.advance(Duration::from_secs(1));
    assert!(harness.sign_in("correct horse").await.is_ok(), "one more attempt a second");
}

#[tokio::test]
async fn somebody_who_begins_to_wait_is_one_audit_event() {
    let harness = Harness::new();
    for _ in 0..20 {
        let _refused = harness.sign_in("wrong horse").await;
        let _refused = harness.service.with_password("nobody", "wrong horse", HOME).await;
    }
    let events = harness.audit.recorded();
    let throttled = events.iter().filter(|event| event.kind == AuditKind::SignInThrottled);
    assert_eq!(throttled.map(|event| event.person_id).collect::<Vec<_>>(), [Some(harness.person.id), None]);
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_at_the_next_success_and_not_at_a_failure() {
    let Person { account: Account::Local { login, .. }, .. } = person() else { panic!("a local account") };
    let password = FakePasswordHasher::outdated_hash_of(&Password::parse("correct horse").unwrap());
    let harness =
        Harness::holding(Person { account: Account::Local { login, password: password.clone() }, ..person() });
    let stored = async || match harness.people.find(harness.person.id).await.unwrap().unwrap().account {
        Account::Local { password, .. } => password,
        Account::External { .. } => panic!("a local account"),
    };
    assert_wrong(&harness.sign_in("wrong horse").await);
    assert_eq!(stored().await, password);
    let user = harness.sign_in("correct horse").await.unwrap();
    assert_eq!(stored().await, FakePasswordHasher::hash_of(&Password::parse("correct horse").unwrap()));
    assert!(harness.service.recognize(user.token.expose()).await.unwrap().is_some(), "the session lives on");
    assert!(harness.sign_in("correct horse").await.is_ok());
}

#[tokio::test]
async fn made_up_answers_of_the_provider_are_counted_by_address_before_it_is_asked() {
    let harness = Harness::new();
    harness.provider.know("248289", Some("marta@example.com"));
    let mut waits = 0;
    for _ in 0..200 {
        match harness.return_as("made up").await {
            Err(SignInError::Provider(IdentityError::Rejected(_))) => {}
            Err(SignInError::TooManyFailures { .. }) => waits += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((waits, harness.provider.asked()), (140, 60));
    assert!(matches!(harness.return_as("248289").await, Err(SignInError::TooManyFailures { .. })));
    harness.clock.advance(Duration::from_secs(1));
    for _ in 0..100 {
        harness.return_as("248289").await.unwrap();
    }
    harness.provider.set_unavailable(true);
    for _ in 0..100 {
        assert!(matches!(harness.return_as("248289").await, Err(SignInError::Provider(_))), "nobody's fault");
    }
    let throttled = harness.audit.recorded().into_iter().filter(|event| event.kind == AuditKind::SignInThrottled);
    assert_eq!(throttled.count(), 1);
}

#[tokio::test]
async fn a_proof_that_was_overtaken_while_it_was_verified_opens_no_session() {
    let harness = Harness::new();
    let verified = harness.people.find(harness.person.id).await.unwrap().unwrap();
    let hash = FakePasswordHasher::hash_of(&Password::choose("another horse").unwrap());
    harness.people.set_password(harness.person.id, &hash, now()).await.unwrap();
    assert!(harness.service.open_session(verified, AuditKind::PersonSignedIn).await.unwrap().is_none());
    assert_eq!(harness.audit.kinds(), [], "nobody signed in");
}

#[tokio::test]
async fn whoever_fails_too_often_waits_and_nobody_else_does() {
    let harness = Harness::new();
    for _ in 0..6 {
        assert_wrong(&harness.sign_in("wrong horse").await);
    }
    // In upper case it is still the same login.
    let login = harness.person.label().to_uppercase();
    let hashes = harness.hasher.verified().len();
    match harness.service.with_password(&login, "correct horse", HOME).await {
        Err(SignInError::TooManyFailures { retry_after }) => assert_eq!(retry_after, Duration::from_secs(1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(harness.hasher.verified().len(), hashes, "whoever has to wait costs no hash");
    let elsewhere = harness.service.with_password(&login, "correct horse", ELSEWHERE).await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
    harness.clock.advance(Duration::from_secs(1));
    assert!(harness.sign_in("correct horse").await.is_ok());
    assert_wrong(&harness.sign_in("wrong horse").await);
    assert!(harness.sign_in("correct horse").await.is_ok(), "a success forgives the failures before");
}

#[tokio::test]
async fn a_person_who_is_disabled_or_gone_is_not_recognized_any_more() {
    let harness = Harness::new();
    let user = harness.sign_in("correct horse").await.unwrap();
    harness.people.set_enabled(harness.person.id, false, now()).await.unwrap();
    assert!(harness.service.recognize(user.token.expose()).await.unwrap().is_none());
    harness.people.delete(harness.person.id).await.unwrap();
    assert!(harness.service.recognize(user.token.expose()).await.unwrap().is_none());
}

#[tokio::test]
async fn garbage_in_a_cookie_is_nobody() {
    let harness = Harness::new();
    for garbage in ["", "x", &"a".repeat(43), &"é".repeat(43)] {
        assert!(harness.service.recognize(garbage).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_identity_that_is_let_in_is_a_person_of_its_own_and_the_same_next_time() {
    let harness = Harness::new();
    harness.provider.know("248289", Some("marta@example.com"));
    let first = harness.return_as("248289").await.unwrap();
    assert_eq!(first.person.label(), "marta@example.com");
    harness.provider.know("248289", Some("marta.new@example.com"));
    let second = harness.return_as("248289").await.unwrap();
    assert_eq!((second.person.id, second.person.label()), (first.person.id, "marta.new@example.com"));
    // Another account with the same address at the provider is another person.
    harness.provider.know("999", Some("marta@example.com"));
    assert_ne!(harness.return_as("999").await.unwrap().person.id, first.person.id);
    assert!(harness.service.recognize(second.token.expose()).await.unwrap().is_some());
    let of_first = harness.audit.recorded().into_iter().filter(|event| event.person_id == Some(first.person.id));
    assert_eq!(
        of_first.map(|event| event.kind).collect::<Vec<_>>(),
        [AuditKind::PersonCreated, AuditKind::PersonSignedIn, AuditKind::PersonSignedIn]
    );
}

#[tokio::test]
async fn an_identity_with_the_address_of_a_local_account_is_not_that_account() {
    let login = "marta@example.com".parse().unwrap();
    let Person { account: Account::Local { password, .. }, .. } = person() else { panic!("a local account") };
    let harness = Harness::holding(Person { account: Account::Local { login, password }, ..person() });
    harness.provider.know("248289", Some("marta@example.com"));
    assert_ne!(harness.return_as("248289").await.unwrap().person.id, harness.person.id);
}

#[tokio::test]
async fn whoever_is_not_on_the_list_or_was_shut_out_is_not_let_in_and_not_stored() {
    let harness = Harness::new();
    harness.provider.know("mallory", Some("mallory@evil.example"));
    harness.provider.know("unverified", None);
    for subject in ["mallory", "unverified"] {
        let answer = harness.return_as(subject).await;
        assert!(matches!(answer, Err(SignInError::NotAdmitted)), "{answer:?}");
    }
    assert_eq!(harness.people.list(None, 10).await.unwrap(), std::slice::from_ref(&harness.person));
    harness.provider.know("248289", Some("marta@example.com"));
    let person = harness.return_as("248289").await.unwrap().person;
    harness.people.set_enabled(person.id, false, now()).await.unwrap();
    assert!(matches!(harness.return_as("248289").await, Err(SignInError::NotAdmitted)));
}

#[tokio::test]
async fn an_answer_that_belongs_to_another_browser_is_refused_before_the_provider_is_asked() {
    let harness = Harness::new();
    harness.provider.know("248289", Some("marta@example.com"));
    let [own, other] = [harness.service.begin(), harness.service.begin()];
    for state in [None, Some(String::new()), Some(other.state().as_str().to_owned())] {
        let answer = ProviderAnswer { state, code: Some("248289".to_owned()), error: None };
        let answer = harness.service.with_provider(&own, &answer, HOME).await;
        assert!(matches!(answer, Err(SignInError::ForeignAnswer)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_declines_or_sends_no_code_signs_nobody_in() {
    let harness = Harness::new();
    let attempt = harness.service.begin();
    let state = Some(attempt.state().as_str().to_owned());
    for (code, error) in [(None, None), (None, Some("access_denied")), (Some("248289"), Some("server_error"))] {
        let (code, error) = (code.map(str::to_owned), error.map(str::to_owned));
        let answer = ProviderAnswer { state: state.clone(), code, error };
        let answer = harness.service.with_provider(&attempt, &answer, HOME).await;
        assert!(matches!(answer, Err(SignInError::Declined)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_unavailable_is_said_to_be_and_one_that_is_not_there_is_not_asked() {
    let harness = Harness::new();
    let attempt = harness.service.begin();
    assert_eq!(harness.service.provider_name(), Some("Example ID"));
    let url = harness.service.provider_url(&attempt).await.unwrap();
    assert!(url.as_str().contains(attempt.state().as_str()));
    harness.provider.set_unavailable(true);
    assert!(matches!(harness.service.provider_url(&attempt).await, Err(SignInError::Provider(_))));
    assert!(matches!(harness.return_as("248289").await, Err(SignInError::Provider(_))));

    let service = SignInService { external: None, ..harness.service.clone() };
    assert_eq!(service.provider_name(), None);
    assert!(matches!(service.provider_url(&attempt).await, Err(SignInError::NoProvider)));
    let answer = service.with_provider(&attempt, &ProviderAnswer::default(), HOME).await;
    assert!(matches!(answer, Err(SignInError::NoProvider)), "{answer:?}");
}

#[tokio::test]
async fn a_database_that_is_unavailable_is_never_a_wrong_password_or_a_stranger() {
    let harness = Harness::new();
    harness.provider.know("248289", Some("marta@example.com"));
    let user = harness.sign_in("correct horse").await.unwrap();
    for outage in harness.outages() {
        outage.begin();
        let is_unavailable = |error: Option<SignInError>| matches!(error, Some(SignInError::TemporarilyUnavailable(_)));
        assert!(is_unavailable(harness.sign_in("correct horse").await.err()));
        assert!(is_unavailable(harness.return_as("248289").await.err()));
        assert!(is_unavailable(harness.service.recognize(user.token.expose()).await.err()));
        outage.end();
    }
    harness.sessions.outage().begin();
    assert!(harness.service.sign_out(&user.token).await.is_err());
    harness.sessions.outage().end();
    harness.hasher.set_overloaded(true);
    assert!(matches!(harness.sign_in("correct horse").await, Err(SignInError::TemporarilyUnavailable(_))));
}

#[test]
fn what_is_broken_is_an_internal_error() {
    let inconsistent = StorageError::InconsistentRow { table: "people", key: "1".to_owned(), detail: "x".to_owned() };
    assert!(matches!(SignInError::from(inconsistent), SignInError::Internal(_)));
    assert!(matches!(SignInError::from(HasherError::Failed("x".into())), SignInError::Internal(_)));
}
