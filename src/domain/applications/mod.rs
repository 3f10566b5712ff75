//! Applications (OAuth clients): who may request tokens, and for what.

mod consistency;
mod model;
mod permissions;
mod ports;
mod redirect_uri;
mod secret;
mod service;

pub use model::{
    Application, ApplicationChanges, ApplicationName, CategoryAccess, ClientKind, NewApplication, PkceRule,
    RegisteredBy, RequestsPerMinute, SpaceName, TokenLifetime,
};
pub use permissions::{GrantType, GrantTypes, Permission, Permissions};
pub use ports::{ApplicationRepository, ChangeApplicationError, CreateApplicationError, HasherError, SecretHasher};
#[cfg(feature = "testing")]
pub use ports::{MockApplicationRepository, MockSecretHasher};
pub use redirect_uri::RedirectUri;
pub use secret::{ClientSecret, SecretHash, SecretHint, StoredSecret};
pub use service::{ApplicationError, ApplicationService, IssuedSecret, Registration};
