//! Valid values, of which a test changes what it needs: `Application { enabled: false, ..application() }`.
#![expect(clippy::missing_panics_doc, reason = "a builder that was given nonsense fails the test that gave it")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::clock::now;
use super::entropy::{SeededEntropy, unique};
use super::fakes::{FakeIdentityProvider, FakePasswordHasher, FakeSecretHasher};
use crate::applications::{
    Application, Category, CategoryAccess, ClientKind, ClientSecret, GrantType, Permissions, PkceRule, RegisteredBy,
    Resource, SpaceName, StoredSecret,
};
use crate::audit::{Context, ContextId};
use crate::ids::{ApplicationId, ClientId, GrantId, MemoryId, PasskeyId, RequestId, SecretId, TokenId, UserId};
use crate::memories::{
    Actor, Admitted, Content, MemoryChanges, MemoryScope, MemoryUpdate, Metadata, NewMemory, Priority, QueuedWrite,
};
use crate::oauth::{
    Audience, Authorization, AuthorizationCode, Caller, Consumption, KeyAlgorithm, KeyPurpose, SealedKey, SigningKey,
    Subject,
};
use crate::people::{
    Account, ExternalIdentity, LinkPurpose, LinkToken, Passkey, Password, PasswordLink, Person, Session, SessionToken,
    SignInVersion, StoredCredential,
};
use crate::system::Timestamp;

/// An enabled, confidential application without secrets, with all permissions and a space of its own.
#[must_use]
pub fn application() -> Application {
    let id = ApplicationId::from_uuid(unique());
    Application {
        id,
        client_id: ClientId::from(id),
        name: "Trip planner".parse().expect("a valid name"),
        registered_by: RegisteredBy::Operator,
        kind: ClientKind::Confidential,
        permissions: Permissions::all(),
        grants: GrantType::ALL.into(),
        redirect_uris: vec!["https://client.example/callback".parse().expect("a valid redirect URI")],
        pkce: PkceRule::Required,
        default_resource: Resource::Api,
        space: SpaceName::own(id),
        categories: CategoryAccess::All,
        rate_limit: None,
        access_token_ttl: None,
        refresh_token_ttl: None,
        enabled: true,
        tokens_ended_at: None,
        secrets: Vec::new(),
        created_at: now(),
        updated_at: now(),
    }
}

/// An [`application`] with one secret, which the [`FakeSecretHasher`] accepts.
#[must_use]
pub fn application_with_secret() -> (Application, ClientSecret) {
    let (stored, secret) = stored_secret();
    (Application { secrets: vec![stored], ..application() }, secret)
}

/// A secret that does not expire, and its stored form by the [`FakeSecretHasher`].
#[must_use]
pub fn stored_secret() -> (StoredSecret, ClientSecret) {
    let secret = ClientSecret::generate(&SeededEntropy::new(unique().as_u64_pair().0));
    let stored = StoredSecret {
        id: SecretId::from_uuid(unique()),
        hint: secret.hint(),
        hash: FakeSecretHasher::hash_of(&secret),
        created_at: now(),
        expires_at: None,
        last_used_at: None,
    };
    (stored, secret)
}

/// A caller with a token of `application` and all its permissions.
#[must_use]
pub fn caller(application: &Application) -> Caller {
    caller_for(application, Subject::Application)
}

/// As [`caller`], on behalf of `subject`.
#[must_use]
pub fn caller_for(application: &Application, subject: Subject) -> Caller {
    Caller {
        application: Arc::new(application.clone()),
        subject,
        permissions: application.permissions,
        token_id: TokenId::from_uuid(unique()),
        expires_at: now().plus(Duration::from_hours(1)),
    }
}

/// The scope of an application's own memories, in a unique space.
#[must_use]
pub fn scope() -> Admitted {
    Admitted::unchecked(MemoryScope::of(&caller(&application())))
}

/// The scope of another person in the space of `scope`.
#[must_use]
pub fn scope_of_person(scope: &MemoryScope) -> Admitted {
    let application = Application { space: scope.space().clone(), ..application() };
    Admitted::unchecked(MemoryScope::of(&caller_for(&application, Subject::Person(UserId::from_uuid(unique())))))
}

/// The same scope for an application that may only see `names`.
#[must_use]
pub fn scope_limited_to(scope: &MemoryScope, names: &[&str]) -> Admitted {
    let categories = CategoryAccess::Only(BTreeSet::from_iter(categories(names)));
    let application = Application { space: scope.space().clone(), categories, ..application() };
    let subject = scope.person().map_or(Subject::Application, Subject::Person);
    Admitted::unchecked(MemoryScope::of(&caller_for(&application, subject)))
}

/// A space of that name.
#[must_use]
pub fn space(name: &str) -> SpaceName {
    name.parse().expect("a valid name of a space")
}

/// A category of that name.
#[must_use]
pub fn category(name: &str) -> Category {
    name.parse().expect("a valid category")
}

/// Categories of these names.
#[must_use]
pub fn categories(names: &[&str]) -> Vec<Category> {
    names.iter().copied().map(category).collect()
}

/// The text of a memory.
#[must_use]
pub fn content(text: &str) -> Content {
    text.to_owned().try_into().expect("valid content")
}

/// Metadata as a caller sends it.
#[must_use]
pub fn metadata(object: Value) -> Metadata {
    let Value::Object(object) = object else { panic!("metadata is an object") };
    Metadata::from_caller(object).expect("valid metadata")
}

/// A request from this GPT in this conversation.
#[must_use]
pub fn context(custom_gpt_id: &str, conversation_id: &str) -> Context {
    Context {
        custom_gpt_id: Some(ContextId::parse("custom_gpt_id", custom_gpt_id).expect("a valid id")),
        conversation_id: Some(ContextId::parse("conversation_id", conversation_id).expect("a valid id")),
    }
}

/// A memory of normal priority that says `text`, created [`now`].
#[must_use]
pub fn new_memory(text: &str) -> NewMemory {
    NewMemory {
        id: MemoryId::for_request(RequestId::from_uuid(unique())),
        content: content(text),
        categories: Vec::new(),
        metadata: Metadata::default(),
        priority: Priority::Normal,
        created_at: now(),
        occurred_at: None,
        updated_at: None,
        expires_at: None,
        created_by: None,
        supersedes: None,
        history: Vec::new(),
    }
}

/// An update by an application, which is always the same, without a condition.
#[must_use]
pub fn update(changes: &MemoryChanges, at: Timestamp) -> MemoryUpdate {
    let by = Actor::Application(ApplicationId::from_uuid(Uuid::max()));
    MemoryUpdate { changes: changes.clone(), by, at, if_updated_at: None }
}

/// An accepted write of a [`new_memory`] without an idempotency key.
#[must_use]
pub fn queued_write() -> QueuedWrite {
    let request_id = RequestId::from_uuid(unique());
    let application_id = ApplicationId::from_uuid(unique());
    QueuedWrite {
        request_id,
        application_id,
        scope: scope().into_scope(),
        idempotency_key: None,
        fingerprint: [7; 32],
        memory: NewMemory {
            id: MemoryId::for_request(request_id),
            created_by: Some(Actor::Application(application_id)),
            ..new_memory("The spare key is under the fern.")
        },
        accepted_at: now(),
        keep_until: now().plus(Duration::from_hours(24)),
    }
}

/// A first use, now, of a token that expires in a day.
#[must_use]
pub fn consumption() -> Consumption {
    Consumption {
        token_id: TokenId::from_uuid(unique()),
        grant_id: GrantId::from_uuid(unique()),
        successor_id: TokenId::from_uuid(unique()),
        at: now(),
        keep_until: now().plus(Duration::from_hours(24)),
    }
}

/// A person with a unique login and the password `correct horse`, hashed by the [`FakePasswordHasher`].
#[must_use]
pub fn person() -> Person {
    let id = UserId::from_uuid(unique());
    let login = format!("marta-{}", id.as_uuid().simple()).parse().expect("a valid login");
    let password = FakePasswordHasher::hash_of(&Password::choose("correct horse").expect("a valid password"));
    Person {
        id,
        account: Account::Local { login, password },
        enabled: true,
        sign_in_version: SignInVersion::default(),
        created_at: now(),
        updated_at: now(),
    }
}

/// A person who signs in through the [`FakeIdentityProvider`], with a unique subject.
#[must_use]
pub fn external_person() -> Person {
    let subject = unique().simple().to_string();
    let identity = ExternalIdentity::new(FakeIdentityProvider::ISSUER, &subject).expect("a valid identity");
    let label = "marta@example.com".parse().expect("a valid label");
    Person { account: Account::External { identity, label }, ..person() }
}

/// A session of `person` that began now and is valid for twelve hours, and its token.
#[must_use]
pub fn session(person: &Person) -> (Session, SessionToken) {
    let token = SessionToken::generate(&SeededEntropy::new(unique().as_u64_pair().0));
    let expires_at = now().plus(Duration::from_hours(12));
    (Session { id: token.id(), person: person.id, signed_in_at: now(), expires_at }, token)
}

/// A reset link of `person` that was made now and works for an hour, and its token.
#[must_use]
pub fn password_link(person: &Person) -> (PasswordLink, LinkToken) {
    let token = LinkToken::generate(person.id, &SeededEntropy::new(unique().as_u64_pair().0));
    let link = PasswordLink {
        person: person.id,
        digest: token.digest(),
        purpose: LinkPurpose::Reset,
        sign_in_version: person.sign_in_version,
        created_at: now(),
        expires_at: now().plus(Duration::from_hours(1)),
    };
    (link, token)
}

/// A passkey of `person` that was not used yet, as the [`FakePasskeyVerifier`](super::FakePasskeyVerifier) accepts it.
#[must_use]
pub fn passkey(person: &Person) -> Passkey {
    let id = unique();
    Passkey {
        id: PasskeyId::from_uuid(id),
        person: person.id,
        credential_id: id.as_bytes().to_vec().try_into().expect("a valid credential ID"),
        name: "Phone".parse().expect("a valid name"),
        credential: StoredCredential::new("0".to_owned()).expect("a valid credential"),
        created_at: now(),
        last_used_at: None,
    }
}

/// An authorization of `application` by `person`, with all permissions. The code was not exchanged yet, and has no challenge.
#[must_use]
pub fn authorization(application: &Application, person: UserId) -> (Authorization, AuthorizationCode) {
    let code = AuthorizationCode::generate(&SeededEntropy::new(unique().as_u64_pair().0));
    let authorization = Authorization {
        grant_id: GrantId::from_uuid(unique()),
        application_id: application.id,
        person,
        scope: application.permissions,
        audience: Audience::Both,
        redirect_uri: "https://chatgpt.com/aip/g-1/oauth/callback".to_owned(),
        challenge: None,
        code: code.digest(),
        created_at: now(),
        code_expires_at: now().plus(AuthorizationCode::LIFETIME),
        redeemed_at: None,
        keep_until: now().plus(AuthorizationCode::KEPT_FOR),
    };
    (authorization, code)
}

/// A key that signs from now on.
#[must_use]
pub fn signing_key(purpose: KeyPurpose, generation: u32) -> SigningKey {
    SigningKey {
        id: unique().simple().to_string().parse().expect("a valid key id"),
        purpose,
        algorithm: KeyAlgorithm::EdDsa,
        generation,
        sealed: SealedKey::from_stored(unique().into_bytes().into()),
        created_at: now(),
        activates_at: now(),
        retired_at: None,
    }
}
