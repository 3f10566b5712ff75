//! People: their accounts, their sign-in and their sessions.

mod admission;
mod mail;
mod model;
mod passkey;
mod passkeys;
mod password;
mod password_link;
mod ports;
mod service;
mod session;
mod sign_in;

pub use admission::{Admission, EmailDomain, label_of};
pub use mail::{Email, EmailAddress, MailError, Mailer};
pub use model::{Account, AccountLabel, ExternalIdentity, ExternalUser, Login, Person, ProvenIdentity, SignInVersion};
pub use passkey::{
    ChallengeKey, CredentialId, Passkey, PasskeyChallenge, PasskeyName, SpentChallenge, StoredCredential,
};
pub use passkeys::{PasskeyError, PasskeyPorts, PasskeyService};
pub use password::Password;
pub use password_link::{LinkDigest, LinkLifetime, LinkPurpose, LinkToken, PasswordLink};
pub use ports::{
    AddPasskeyError, CreatePersonError, IdentityError, IdentityProvider, NewCredential, PasskeyClaim,
    PasskeyRepository, PasskeyVerifier, PasskeyVerifierError, PasswordHasher, PasswordLinkStore, PersonAuthorizations,
    PersonRepository, SessionStore,
};
pub use service::{LinkError, NewLink, PeopleError, PeoplePorts, PeopleService};
pub use session::{FormToken, PasskeyCeremony, Session, SessionId, SessionToken, SignInAttempt};
pub use sign_in::{ExternalSignIn, ProviderAnswer, SignInError, SignInPorts, SignInService, SignedInUser};
