//! How assistants are registered.

use crate::domain::applications::{ApplicationName, ClientKind, GrantType, NewApplication, Permission};

/// An application for people who authorize it, with the permissions that are named, or all if none is.
pub(super) fn for_people(name: ApplicationName, kind: ClientKind, permissions: &[Permission]) -> NewApplication {
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
    let usual = NewApplication::new(name, kind, grants);
    match permissions {
        [] => usual,
        given => NewApplication { permissions: given.iter().copied().collect(), ..usual },
    }
}
