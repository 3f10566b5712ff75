//! Applications (OAuth clients): who may request tokens, and for what.

mod category;
mod consistency;
mod limits;
mod model;
mod permissions;
mod ports;
mod redirect_uri;
mod resource;
mod secret;
mod service;

pub use category::{Category, CategoryAccess};
pub use limits::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, RequestsPerMinute, TokenLifetime};
pub use model::{
    Application, ApplicationChanges, ApplicationName, ClientKind, NewApplication, PkceRule, RegisteredBy, SpaceName,
};
pub use permissions::{GrantType, GrantTypes, Permission, Permissions};
#[cfg(feature = "testing")]
pub use ports::MockApplicationRepository;
pub use ports::{ApplicationRepository, ChangeApplicationError, CreateApplicationError, HasherError, SecretHasher};
pub use redirect_uri::RedirectUri;
pub use resource::Resource;
pub use secret::{ClientSecret, SecretHash, SecretHint, StoredSecret};
pub use service::{ApplicationError, ApplicationService, IssuedSecret, Registration};
