use std::time::Duration;

use super::*;
use crate::applications::ApplicationRepository as _;
use crate::ids::TokenId;
use crate::oauth::{
    AuthorizationPorts, AuthorizationService, AuthorizationStore, Consent, GrantStore, Redeemed, Redemption, Resources,
    TokenPolicy,
};
use crate::testing::{
    FakePasswordHasher, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, InMemoryAuthorizationStore,
    InMemoryGrantStore, InMemoryPasswordLinkStore, InMemoryPersonRepository, InMemorySessionStore, SeededEntropy,
    application, authorization, external_person, now, person, session, unique,
};

struct Harness {
    clock: FixedClock,
    people: Arc<InMemoryPersonRepository>,
    sessions: Arc<InMemorySessionStore>,
    grants: Arc<InMemoryGrantStore>,
    applications: Arc<InMemoryApplicationRepository>,
    authorizations: Arc<InMemoryAuthorizationStore>,
    audit: Arc<InMemoryAuditLog>,
    hasher: Arc<FakePasswordHasher>,
    service: PeopleService,
}

impl Harness {
    fn new() -> Self {
        let clock = FixedClock::default();
        let people = Arc::new(InMemoryPersonRepository::default());
        let sessions = Arc::new(InMemorySessionStore::of(&people));
        let grants = Arc::new(InMemoryGrantStore::default());
        let audit = Arc::new(InMemoryAuditLog::default());
        let hasher = Arc::new(FakePasswordHasher::default());
        let applications = Arc::new(InMemoryApplicationRepository::default());
        let authorizations = Arc::new(InMemoryAuthorizationStore::of(Arc::clone(&people), Arc::clone(&applications)));
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::default());
        let authorization_ports = AuthorizationPorts {
            documents: None,
            applications: applications.clone(),
            authorizations: authorizations.clone(),
            grants: grants.clone(),
            audit: audit.clone(),
            clock: Arc::clone(&shared_clock),
            entropy: Arc::clone(&entropy),
        };
        let day = Duration::from_hours(24);
        let policy = TokenPolicy {
            resources: Resources {
                issuer: "https://memory.example".to_owned(),
                api: "https://memory.example".to_owned(),
            },
            access_token_ttl: day,
            refresh_token_ttl: day,
            grant_ttl: day,
            retry_window: Duration::ZERO,
            public_retry_window: Duration::ZERO,
            leeway: Duration::ZERO,
        };
        let service = PeopleService::new(PeoplePorts {
            people: people.clone(),
            sessions: sessions.clone(),
            links: Arc::new(InMemoryPasswordLinkStore::of(&people)),
            hasher: hasher.clone(),
            authorizations: Arc::new(AuthorizationService::new(authorization_ports, Arc::new(policy))),
            audit: audit.clone(),
            clock: shared_clock,
            entropy,
        });
        Self { clock, people, sessions, grants, applications, authorizations, audit, hasher, service }
    }

    /// A signed-in person with a connected application: the session and the grant.
    async fn connected(&self, person: &Person) -> (crate::people::SessionId, crate::ids::GrantId) {
        self.people.create(person).await.unwrap();
        let (session, _) = session(person);
        assert!(self.sessions.create(&session, person.sign_in_version).await.unwrap());
        let grant_id = self.approved(person).await;
        let redemption = Redemption { grant_id, at: now(), keep_until: now().plus(Duration::from_hours(24)) };
        assert_eq!(self.authorizations.redeem(&redemption).await.unwrap(), Redeemed::First);
        (session.id, grant_id)
    }

    /// A grant whose code was not exchanged yet.
    async fn approved(&self, person: &Person) -> crate::ids::GrantId {
        let application = application();
        self.applications.create(&application).await.unwrap();
        let (authorization, _) = authorization(&application, person.id);
        let stored = self.authorizations.create(&authorization, person.sign_in_version).await.unwrap();
        assert_eq!(stored, Consent::Stored);
        authorization.grant_id
    }

    async fn is_signed_in(&self, session: &crate::people::SessionId) -> bool {
        self.sessions.find(session, now()).await.unwrap().is_some()
    }

    async fn is_revoked(&self, grant: crate::ids::GrantId) -> bool {
        self.grants.is_revoked(grant, TokenId::from_uuid(unique())).await.unwrap()
    }
}

fn password(text: &str) -> Password {
    Password::choose(text).unwrap()
}

#[tokio::test]
async fn a_new_person_has_a_login_of_its_own_and_a_hashed_password() {
    let harness = Harness::new();
    let login: Login = "marta".parse().unwrap();
    let person = harness.service.create(login.clone(), &password("correct horse")).await.unwrap();
    let hash = FakePasswordHasher::hash_of(&password("correct horse"));
    let expected = Person {
        id: person.id,
        account: Account::Local { login: login.clone(), password: hash },
        enabled: true,
        sign_in_version: SignInVersion::default(),
        created_at: now(),
        updated_at: now(),
    };
    assert_eq!(person, expected);
    assert_eq!(harness.service.get(person.id).await.unwrap(), person);
    assert_eq!(harness.service.get_by_login(&login).await.unwrap(), person);
    assert_eq!(harness.service.list(None, 10).await.unwrap(), std::slice::from_ref(&person));
    let again = harness.service.create(login, &password("another horse")).await;
    assert!(matches!(again, Err(PeopleError::Exists)), "{again:?}");
    let [event] = harness.audit.recorded().try_into().unwrap();
    assert_eq!((event.kind, event.person_id), (AuditKind::PersonCreated, Some(person.id)));
}

#[tokio::test]
async fn disabling_ends_sessions_and_connections_and_enabling_brings_neither_back() {
    let harness = Harness::new();
    let person = person();
    let (session, grant) = harness.connected(&person).await;
    harness.clock.advance(Duration::from_secs(1));
    assert!(!harness.service.disable(person.id).await.unwrap().enabled);
    assert!(!harness.is_signed_in(&session).await);
    assert!(harness.is_revoked(grant).await);
    let enabled = harness.service.enable(person.id).await.unwrap();
    let sign_in_version = person.sign_in_version.next();
    assert_eq!(enabled, Person { sign_in_version, updated_at: now().plus(Duration::from_secs(1)), ..person.clone() });
    assert!(!harness.is_signed_in(&session).await);
    assert!(harness.is_revoked(grant).await);
    assert_eq!(
        harness.audit.kinds(),
        [AuditKind::AuthorizationEnded, AuditKind::PersonDisabled, AuditKind::PersonEnabled]
    );
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_leaves_connections() {
    let harness = Harness::new();
    let person = person();
    let (session, grant) = harness.connected(&person).await;
    let on_its_way = harness.approved(&person).await;
    harness.service.set_password(person.id, &password("a new password")).await.unwrap();
    let Account::Local { password: hash, .. } = harness.service.get(person.id).await.unwrap().account else {
        panic!("a local account")
    };
    assert_eq!(hash, FakePasswordHasher::hash_of(&password("a new password")));
    assert!(!harness.is_signed_in(&session).await);
    assert!(!harness.is_revoked(grant).await);
    assert!(harness.is_revoked(on_its_way).await, "whoever had the old password may have got that code");
    assert_eq!(harness.audit.kinds(), [AuditKind::AuthorizationEnded, AuditKind::PasswordChanged]);
}

#[tokio::test]
async fn an_account_of_the_identity_provider_has_no_password_to_set() {
    let harness = Harness::new();
    let person = external_person();
    harness.people.create(&person).await.unwrap();
    let answer = harness.service.set_password(person.id, &password("a new password")).await;
    assert!(matches!(answer, Err(PeopleError::NoPassword)), "{answer:?}");
}

#[tokio::test]
async fn deleting_takes_sessions_and_connections_along() {
    let harness = Harness::new();
    let person = person();
    let (session, grant) = harness.connected(&person).await;
    harness.service.delete(person.id).await.unwrap();
    assert!(!harness.is_signed_in(&session).await);
    assert!(harness.is_revoked(grant).await);
    assert_eq!(harness.people.find(person.id).await.unwrap(), None);
    assert_eq!(harness.audit.kinds(), [AuditKind::AuthorizationEnded, AuditKind::PersonDeleted]);
}

#[tokio::test]
async fn whoever_is_not_there_is_not_found() {
    let harness = Harness::new();
    let nobody = UserId::from_uuid(unique());
    let service = &harness.service;
    assert!(matches!(service.get(nobody).await, Err(PeopleError::NotFound)));
    assert!(matches!(service.get_by_login(&"nobody".parse().unwrap()).await, Err(PeopleError::NotFound)));
    assert!(matches!(service.enable(nobody).await, Err(PeopleError::NotFound)));
    assert!(matches!(service.disable(nobody).await, Err(PeopleError::NotFound)));
    assert!(matches!(service.delete(nobody).await, Err(PeopleError::NotFound)));
    let set = service.set_password(nobody, &password("a new password")).await;
    assert!(matches!(set, Err(PeopleError::NotFound)), "{set:?}");
    assert_eq!(harness.audit.kinds(), []);
}

#[tokio::test]
async fn what_is_unavailable_is_an_error_and_can_be_repeated() {
    let harness = Harness::new();
    let person = person();
    let (_, grant) = harness.connected(&person).await;
    harness.authorizations.outage().begin();
    assert!(matches!(harness.service.disable(person.id).await, Err(PeopleError::Storage(_))));
    harness.authorizations.outage().end();
    harness.service.disable(person.id).await.unwrap();
    assert!(harness.is_revoked(grant).await);
    harness.hasher.set_overloaded(true);
    let answer = harness.service.create("anna".parse().unwrap(), &password("correct horse")).await;
    assert!(matches!(answer, Err(PeopleError::Hasher(_))), "{answer:?}");
    harness.people.outage().begin();
    harness.hasher.set_overloaded(false);
    let answer = harness.service.create("anna".parse().unwrap(), &password("correct horse")).await;
    assert!(matches!(answer, Err(PeopleError::Storage(_))), "{answer:?}");
}

fn lifetime(minutes: u64) -> LinkLifetime {
    Duration::from_mins(minutes).try_into().unwrap()
}

#[tokio::test]
async fn somebody_who_is_invited_has_no_password_until_the_link_sets_one_and_it_works_once() {
    let harness = Harness::new();
    let service = &harness.service;
    let link = service.invite("marta".parse().unwrap(), lifetime(60)).await.unwrap();
    assert_eq!((link.purpose, link.expires_at), (LinkPurpose::Invitation, now().plus(Duration::from_hours(1))));
    let Account::Local { password: before, .. } = &link.person.account else { panic!("it is a local account") };
    assert_eq!(*before, harness.hasher.decoy(), "no password matches it");
    for _ in 0..2 {
        let (opened, person) = service.open_link(&link.token).await.unwrap();
        assert_eq!((opened.purpose, person), (LinkPurpose::Invitation, link.person.clone()), "to look uses nothing up");
    }
    let person = service.use_link(&link.token, &password("correct horse")).await.unwrap();
    let stored = service.get(link.person.id).await.unwrap();
    let hash = FakePasswordHasher::hash_of(&password("correct horse"));
    assert!(matches!(&stored.account, Account::Local { password, .. } if *password == hash));
    assert_eq!(person.sign_in_version, stored.sign_in_version);
    let (session, _) = session(&person);
    assert!(harness.sessions.create(&session, person.sign_in_version).await.unwrap(), "it signs in");
    let again = service.use_link(&link.token, &password("another horse")).await;
    assert!(matches!(again, Err(LinkError::Invalid)), "{again:?}");
    let kinds = [AuditKind::PersonCreated, AuditKind::PasswordLinkCreated, AuditKind::PasswordChanged];
    assert_eq!(harness.audit.kinds(), kinds);
    let taken = service.invite("marta".parse().unwrap(), lifetime(60)).await;
    assert!(matches!(taken, Err(PeopleError::Exists)), "{taken:?}");
}

#[tokio::test]
async fn a_reset_ends_sessions_and_codes_as_a_new_password_does() {
    let harness = Harness::new();
    let person = person();
    let (session, grant) = harness.connected(&person).await;
    let on_its_way = harness.approved(&person).await;
    let link = harness.service.make_reset_link(person.id, lifetime(60)).await.unwrap();
    assert!(harness.is_signed_in(&session).await, "until it is used nothing ends");
    harness.service.use_link(&link.token, &password("a new password")).await.unwrap();
    assert!(!harness.is_signed_in(&session).await);
    assert!(!harness.is_revoked(grant).await);
    assert!(harness.is_revoked(on_its_way).await);
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_with_whatever_else_sets_a_password_or_disables() {
    let harness = Harness::new();
    let service = &harness.service;
    let person = person();
    harness.people.create(&person).await.unwrap();
    let invalid = async |link: &NewLink| {
        assert!(matches!(service.open_link(&link.token).await, Err(LinkError::Invalid)));
        let used = service.use_link(&link.token, &password("a new password")).await;
        assert!(matches!(used, Err(LinkError::Invalid)), "{used:?}");
    };
    let make = async || service.make_reset_link(person.id, lifetime(1)).await.unwrap();
    let first = make().await;
    let second = make().await;
    invalid(&first).await;
    service.set_password(person.id, &password("another horse")).await.unwrap();
    invalid(&second).await;
    let third = make().await;
    service.disable(person.id).await.unwrap();
    invalid(&third).await;
    let refused = service.make_reset_link(person.id, lifetime(1)).await;
    assert!(matches!(refused, Err(PeopleError::Disabled)), "{refused:?}");
    service.enable(person.id).await.unwrap();
    invalid(&third).await;
    let fourth = make().await;
    harness.clock.advance(Duration::from_mins(1));
    invalid(&fourth).await;
    let forged = NewLink { token: LinkToken::generate(person.id, &SeededEntropy::new(7)), ..make().await };
    invalid(&forged).await;
}

#[tokio::test]
async fn somebody_of_the_identity_provider_gets_no_link() {
    let harness = Harness::new();
    let person = external_person();
    harness.people.create(&person).await.unwrap();
    let refused = harness.service.make_reset_link(person.id, lifetime(1)).await;
    assert!(matches!(refused, Err(PeopleError::NoPassword)), "{refused:?}");
    let nobody = harness.service.make_reset_link(UserId::from_uuid(unique()), lifetime(1)).await;
    assert!(matches!(nobody, Err(PeopleError::NotFound)), "{nobody:?}");
}
