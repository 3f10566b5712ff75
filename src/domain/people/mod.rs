//! People: their accounts, their sign-in and their sessions.

mod admission;
mod mail;
mod model;
mod password;
mod password_link;
mod ports;
mod service;
mod session;
mod sign_in;

pub use admission::{Admission, EmailDomain, label_of};
pub use mail::{Email, EmailAddress, MailError, Mailer};
pub use model::{Account, AccountLabel, ExternalIdentity, ExternalUser, Login, Person, ProvenIdentity, SignInVersion};
pub use password::Password;
pub use password_link::{LinkDigest, LinkLifetime, LinkPurpose, LinkToken, PasswordLink};
pub use ports::{
    CreatePersonError, IdentityError, IdentityProvider, PasswordHasher, PasswordLinkStore, PersonAuthorizations,
    PersonRepository, SessionStore,
};
#[cfg(feature = "testing")]
pub use ports::{
    MockIdentityProvider, MockPasswordHasher, MockPasswordLinkStore, MockPersonRepository, MockSessionStore,
};
pub use service::{LinkError, NewLink, PeopleError, PeoplePorts, PeopleService};
pub use session::{FormToken, Session, SessionId, SessionToken, SignInAttempt};
pub use sign_in::{ExternalSignIn, ProviderAnswer, SignInError, SignInPorts, SignInService, SignedInUser};
