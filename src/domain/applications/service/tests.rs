use std::collections::BTreeSet;

use super::*;
use crate::applications::{
    CategoryAccess, GrantTypes, LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, Permission, Permissions,
    RegisteredBy, SpaceName, TokenLifetime,
};
use crate::applications::{GrantType, PkceRule, Resource};
use crate::ids::ClientId;
use crate::testing::{
    FakeSecretHasher, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, SeededEntropy, now, space, unique,
};

struct Harness {
    clock: FixedClock,
    repository: Arc<InMemoryApplicationRepository>,
    hasher: Arc<FakeSecretHasher>,
    audit: Arc<InMemoryAuditLog>,
    service: ApplicationService,
}

impl Harness {
    fn new() -> Self {
        let clock = FixedClock::default();
        let repository = Arc::new(InMemoryApplicationRepository::default());
        let hasher = Arc::new(FakeSecretHasher::default());
        let audit = Arc::new(InMemoryAuditLog::default());
        let service = ApplicationService::new(
            repository.clone(),
            hasher.clone(),
            audit.clone(),
            Arc::new(clock.clone()),
            Arc::new(SeededEntropy::new(5)),
        );
        Self { clock, repository, hasher, audit, service }
    }

    async fn registered(&self) -> Application {
        self.service.register(new_application()).await.unwrap().application
    }

    /// The events after the first `skipped`; each must concern the application.
    fn events(&self, application: &Application, skipped: usize) -> Vec<AuditKind> {
        let events = self.audit.recorded().split_off(skipped);
        assert!(
            events.iter().all(|event| event.application_id == Some(application.id) && event.at == self.clock.now())
        );
        events.iter().map(|event| event.kind).collect()
    }
}

fn new_application() -> NewApplication {
    NewApplication::new(
        "Trip planner".parse().unwrap(),
        ClientKind::Confidential,
        [GrantType::ClientCredentials, GrantType::RefreshToken].into(),
    )
}

fn new_public_application() -> NewApplication {
    NewApplication { kind: ClientKind::Public, grants: [GrantType::RefreshToken].into(), ..new_application() }
}

fn lifetime(duration: Duration) -> TokenLifetime {
    duration.try_into().unwrap()
}

/// The field that was rejected.
#[track_caller]
fn refused_field<T: std::fmt::Debug>(answer: Result<T, ApplicationError>) -> String {
    match answer {
        Err(ApplicationError::Invalid(error)) => error.field().to_owned(),
        other => panic!("not refused as invalid: {other:?}"),
    }
}

#[tokio::test]
async fn a_registered_application_has_all_it_was_given_and_a_first_secret() {
    let harness = Harness::new();
    let new = NewApplication {
        space: Some(space("shared")),
        redirect_uris: vec!["https://a.example/b".parse().unwrap()],
        pkce: PkceRule::Optional,
        default_resource: Resource::Mcp,
        categories: CategoryAccess::Only(BTreeSet::new()),
        rate_limit: Some(7.try_into().unwrap()),
        access_token_ttl: Some(lifetime(LONGEST_ACCESS_TOKEN_LIFETIME)),
        refresh_token_ttl: Some(lifetime(LONGEST_REFRESH_TOKEN_LIFETIME)),
        ..new_application()
    };
    let Registration { application, secret } = harness.service.register(new.clone()).await.unwrap();
    let secret = secret.expect("a confidential application has a secret");
    let expected = Application {
        id: application.id,
        client_id: ClientId::from(application.id),
        name: new.name,
        registered_by: RegisteredBy::Operator,
        kind: new.kind,
        permissions: new.permissions,
        grants: new.grants,
        redirect_uris: new.redirect_uris,
        pkce: PkceRule::Optional,
        default_resource: Resource::Mcp,
        space: space("shared"),
        categories: new.categories,
        rate_limit: new.rate_limit,
        access_token_ttl: new.access_token_ttl,
        refresh_token_ttl: new.refresh_token_ttl,
        enabled: true,
        tokens_ended_at: None,
        secrets: vec![StoredSecret {
            id: application.secrets[0].id,
            hint: secret.hint(),
            hash: FakeSecretHasher::hash_of(&secret),
            created_at: now(),
            expires_at: None,
            last_used_at: None,
        }],
        created_at: now(),
        updated_at: now(),
    };
    assert_eq!(application, expected);
    assert_eq!(*harness.service.get(application.id).await.unwrap(), expected);
    assert_eq!(harness.events(&application, 0), [AuditKind::ApplicationCreated]);
}

#[tokio::test]
async fn an_application_gets_a_space_of_its_own_unless_it_is_given_one() {
    let harness = Harness::new();
    let (one, other) = (harness.registered().await, harness.registered().await);
    assert_eq!(one.space, SpaceName::own(one.id));
    assert_ne!(one.space, other.space);
}

#[tokio::test]
async fn a_public_application_has_no_secret() {
    let harness = Harness::new();
    let new =
        NewApplication { kind: ClientKind::Public, grants: [GrantType::RefreshToken].into(), ..new_application() };
    let registration = harness.service.register(new).await.unwrap();
    assert!(registration.secret.is_none() && registration.application.secrets.is_empty());
    let refused = harness.service.add_secret(registration.application.id, None).await;
    assert_eq!(refused_field(refused), "kind");
}

#[tokio::test]
async fn parts_that_do_not_fit_together_are_refused_and_nothing_is_stored() {
    let harness = Harness::new();
    let day = Duration::from_hours(24);
    for (field, new) in [
        ("permissions", NewApplication { permissions: Permissions::default(), ..new_application() }),
        ("grants", NewApplication { grants: GrantTypes::new(), ..new_application() }),
        ("grants", NewApplication { kind: ClientKind::Public, ..new_application() }),
        (
            "access_token_ttl",
            NewApplication { access_token_ttl: Some(lifetime(day + Duration::from_secs(1))), ..new_application() },
        ),
        (
            "refresh_token_ttl",
            NewApplication {
                refresh_token_ttl: Some(lifetime(day * 366 + Duration::from_secs(1))),
                ..new_application()
            },
        ),
        ("redirect_uris", NewApplication { grants: [GrantType::AuthorizationCode].into(), ..new_application() }),
        (
            "redirect_uris",
            NewApplication { redirect_uris: vec!["gpt-callback".parse().unwrap()], ..new_public_application() },
        ),
        ("pkce", NewApplication { pkce: PkceRule::Optional, ..new_public_application() }),
        (
            "redirect_uris",
            NewApplication { redirect_uris: vec!["https://a.example".parse().unwrap(); 21], ..new_application() },
        ),
    ] {
        assert_eq!(refused_field(harness.service.register(new).await), field);
    }
    let twenty = NewApplication { redirect_uris: vec!["https://a.example".parse().unwrap(); 20], ..new_application() };
    let application = harness.service.register(twenty).await.unwrap().application;
    assert_eq!(harness.service.list(None, 100).await.unwrap(), [Arc::new(application)]);
    assert_eq!(harness.audit.kinds(), [AuditKind::ApplicationCreated]);
}

#[tokio::test]
async fn a_change_is_checked_against_what_is_there() {
    let harness = Harness::new();
    let application = harness.registered().await;
    let none = ApplicationChanges::default;
    for (field, changes) in [
        ("changes", none()),
        ("permissions", ApplicationChanges { permissions: Some(Permissions::default()), ..none() }),
        ("grants", ApplicationChanges { grants: Some(GrantTypes::new()), ..none() }),
        (
            "access_token_ttl",
            ApplicationChanges { access_token_ttl: Some(Some(lifetime(Duration::from_hours(25)))), ..none() },
        ),
    ] {
        assert_eq!(refused_field(harness.service.update(application.id, &changes).await), field);
    }
    assert_eq!(*harness.service.get(application.id).await.unwrap(), application);
    assert_eq!(harness.audit.kinds(), [AuditKind::ApplicationCreated]);
}

#[tokio::test]
async fn a_public_application_may_ask_people_and_a_confidential_one_may_be_a_gpt() {
    let harness = Harness::new();
    let grants = GrantTypes::from([GrantType::AuthorizationCode, GrantType::RefreshToken]);
    let public = NewApplication {
        redirect_uris: vec!["http://127.0.0.1/callback".parse().unwrap()],
        grants: grants.clone(),
        ..new_public_application()
    };
    assert!(harness.service.register(public).await.unwrap().secret.is_none());
    let gpt = NewApplication {
        redirect_uris: vec!["gpt-callback".parse().unwrap()],
        pkce: PkceRule::Optional,
        grants,
        ..new_application()
    };
    assert!(harness.service.register(gpt).await.unwrap().secret.is_some());
}

#[tokio::test]
async fn a_public_application_cannot_be_given_client_credentials() {
    let harness = Harness::new();
    let id = harness.service.register(new_public_application()).await.unwrap().application.id;
    let grants = Some([GrantType::ClientCredentials].into());
    let changes = ApplicationChanges { grants, ..ApplicationChanges::default() };
    assert_eq!(refused_field(harness.service.update(id, &changes).await), "grants");
}

#[tokio::test]
async fn a_change_is_stored_dated_and_recorded() {
    let harness = Harness::new();
    let application = harness.registered().await;
    harness.clock.advance(Duration::from_secs(1));
    let permissions: Permissions = [Permission::MemoryRead].into_iter().collect();
    let changes = ApplicationChanges { permissions: Some(permissions), ..ApplicationChanges::default() };
    let answer = harness.service.update(application.id, &changes).await.unwrap();
    let expected = Application { permissions, updated_at: harness.clock.now(), ..application.clone() };
    assert_eq!(*answer, expected);
    assert_eq!(harness.events(&application, 1), [AuditKind::ApplicationUpdated]);
}

#[tokio::test]
async fn disabling_and_enabling_are_events_of_their_own() {
    let harness = Harness::new();
    let application = harness.registered().await;
    assert!(!harness.service.set_enabled(application.id, false).await.unwrap().enabled);
    assert!(harness.service.set_enabled(application.id, true).await.unwrap().enabled);
    assert_eq!(harness.events(&application, 1), [AuditKind::ApplicationDisabled, AuditKind::ApplicationEnabled]);
}

#[tokio::test]
async fn a_deleted_application_is_gone() {
    let harness = Harness::new();
    let application = harness.registered().await;
    harness.service.delete(application.id).await.unwrap();
    assert!(matches!(harness.service.get(application.id).await, Err(ApplicationError::NotFound)));
    assert!(matches!(harness.service.delete(application.id).await, Err(ApplicationError::NotFound)));
    assert_eq!(harness.events(&application, 1), [AuditKind::ApplicationDeleted]);
}

#[tokio::test]
async fn applications_are_listed_in_pages() {
    let harness = Harness::new();
    let mut ids = [harness.registered().await.id, harness.registered().await.id, harness.registered().await.id];
    ids.sort();
    let page = harness.service.list(Some(ids[0]), 1).await.unwrap();
    assert_eq!(page.iter().map(|application| application.id).collect::<Vec<_>>(), ids[1..2]);
}

#[tokio::test]
async fn secrets_are_added_until_there_are_too_many() {
    let harness = Harness::new();
    let application = harness.registered().await;
    harness.clock.advance(Duration::from_secs(1));
    let lasting = harness.service.add_secret(application.id, None).await.unwrap();
    let expiring = harness.service.add_secret(application.id, Some(Duration::from_hours(1))).await.unwrap();
    assert_eq!((lasting.stored.created_at, lasting.stored.expires_at), (harness.clock.now(), None));
    assert_eq!(expiring.stored.expires_at, Some(harness.clock.now().plus(Duration::from_hours(1))));
    assert_eq!(expiring.stored.hint, expiring.secret.hint());
    assert_ne!(lasting.secret.expose(), expiring.secret.expose());
    let stored = harness.service.get(application.id).await.unwrap();
    assert_eq!(stored.secrets[1..], [lasting.stored, expiring.stored]);
    assert_eq!(stored.updated_at, harness.clock.now());
    assert_eq!(harness.events(&application, 1), [AuditKind::SecretAdded; 2]);
    for _ in 3..Application::MAX_SECRETS {
        harness.service.add_secret(application.id, None).await.unwrap();
    }
    let refused = harness.service.add_secret(application.id, None).await;
    assert!(matches!(refused, Err(ApplicationError::TooManySecrets)), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("5 secrets"));
    assert_eq!(harness.audit.recorded().len(), Application::MAX_SECRETS, "what failed is no event");
}

#[tokio::test]
async fn a_secret_without_any_lifetime_is_refused() {
    let harness = Harness::new();
    let id = harness.registered().await.id;
    assert_eq!(refused_field(harness.service.add_secret(id, Some(Duration::ZERO)).await), "expires_in");
}

#[tokio::test]
async fn a_secret_can_be_removed_once() {
    let harness = Harness::new();
    let application = harness.registered().await;
    let secret = application.secrets[0].id;
    harness.clock.advance(Duration::from_secs(1));
    harness.service.remove_secret(application.id, secret).await.unwrap();
    let refused = harness.service.remove_secret(application.id, secret).await;
    assert!(matches!(refused, Err(ApplicationError::SecretNotFound)), "{refused:?}");
    let stored = harness.service.get(application.id).await.unwrap();
    assert!(stored.secrets.is_empty());
    assert_eq!(stored.updated_at, harness.clock.now());
    assert_eq!(harness.events(&application, 1), [AuditKind::SecretRemoved]);
}

#[tokio::test]
async fn an_unknown_application_is_not_found_by_anything() {
    let harness = Harness::new();
    let (id, secret) = (ApplicationId::from_uuid(unique()), SecretId::from_uuid(unique()));
    assert!(matches!(harness.service.get(id).await, Err(ApplicationError::NotFound)));
    assert!(matches!(harness.service.set_enabled(id, true).await, Err(ApplicationError::NotFound)));
    assert!(matches!(harness.service.delete(id).await, Err(ApplicationError::NotFound)));
    assert!(matches!(harness.service.add_secret(id, None).await, Err(ApplicationError::NotFound)));
    assert!(matches!(harness.service.remove_secret(id, secret).await, Err(ApplicationError::NotFound)));
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused() {
    let harness = Harness::new();
    harness.registered().await;
    // A second service that draws the same IDs.
    let clock = Arc::new(harness.clock.clone());
    let twin = ApplicationService { entropy: Arc::new(SeededEntropy::new(5)), clock, ..harness.service.clone() };
    assert_eq!(refused_field(twin.register(new_application()).await), "client_id");
}

#[tokio::test]
async fn failures_of_ports_are_passed_on() {
    let harness = Harness::new();
    let application = harness.registered().await;
    harness.hasher.set_overloaded(true);
    let refused = harness.service.register(new_application()).await;
    assert!(matches!(refused, Err(ApplicationError::Hasher(HasherError::Overloaded))), "{refused:?}");
    harness.hasher.set_overloaded(false);
    harness.repository.outage().begin();
    let id = application.id;
    assert!(matches!(harness.service.register(new_application()).await, Err(ApplicationError::Storage(_))));
    assert!(matches!(harness.service.list(None, 1).await, Err(ApplicationError::Storage(_))));
    assert!(matches!(harness.service.set_enabled(id, true).await, Err(ApplicationError::Storage(_))));
    assert!(matches!(harness.service.add_secret(id, None).await, Err(ApplicationError::Storage(_))));
    assert!(matches!(harness.service.delete(id).await, Err(ApplicationError::Storage(_))));
    assert_eq!(harness.audit.recorded().len(), 1);
}
