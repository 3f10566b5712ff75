//! The parameter `scope` (RFC 6749 §3.3).

use crate::applications::{Permission, Permissions};

/// The scope that requests a refresh token (OpenID Connect Core §11). Whether one is issued depends on the application's
/// grants, so it is accepted and ignored.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The scope that a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedScope {
    /// No scope was given: all permissions.
    All,
    /// Exactly these permissions.
    Exactly(Permissions),
    /// An unknown scope: always `invalid_scope`.
    Unknown,
}

impl RequestedScope {
    /// Parses the parameter. An absent, empty or blank one requests everything. Multiple spaces between tokens are accepted;
    /// other white space violates the grammar.
    #[must_use]
    pub fn parse(parameter: Option<&str>) -> Self {
        let tokens =
            parameter.unwrap_or_default().split(' ').filter(|token| !token.is_empty() && *token != OFFLINE_ACCESS);
        match tokens.map(str::parse::<Permission>).collect::<Result<Permissions, _>>() {
            Ok(permissions) if permissions.is_empty() => Self::All,
            Ok(permissions) => Self::Exactly(permissions),
            Err(_) => Self::Unknown,
        }
    }

    /// What is granted out of `held` to a client that nobody stands beside: never more, and never less than was explicitly
    /// requested. `None` is `invalid_scope`.
    #[must_use]
    pub fn within(self, held: Permissions) -> Option<Permissions> {
        match self {
            Self::All => Some(held),
            Self::Exactly(asked) if asked.is_subset_of(held) => Some(asked),
            Self::Exactly(_) | Self::Unknown => None,
        }
    }

    /// What a person is asked to grant out of `held`: what was requested, as far as it is held (RFC 6749 §3.3). The challenge
    /// of a resource names everything, whatever the application may do; the consent page and the token response say what is
    /// left. `None` is `invalid_scope`: an unknown scope, or nothing left.
    #[must_use]
    pub fn offered_out_of(self, held: Permissions) -> Option<Permissions> {
        match self {
            Self::All => Some(held),
            Self::Exactly(asked) => Some(asked.intersection(held)).filter(|left| !left.is_empty()),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_read_by_the_grammar() {
        let read = RequestedScope::Exactly([Permission::MemoryRead].into_iter().collect());
        let both = RequestedScope::Exactly([Permission::MemoryRead, Permission::MemoryWrite].into_iter().collect());
        for (parameter, expected) in [
            (None, RequestedScope::All),
            (Some(""), RequestedScope::All),
            (Some("   "), RequestedScope::All),
            (Some("memory:read"), read),
            (Some("  memory:read  "), read),
            (Some("memory:read memory:read"), read),
            (Some("memory:read offline_access"), read),
            (Some("offline_access"), RequestedScope::All),
            (Some("offline_accesses"), RequestedScope::Unknown),
            (Some("memory:write  memory:read"), both),
            (Some("memory:read\tmemory:write"), RequestedScope::Unknown),
            (Some("memory:read\nmemory:write"), RequestedScope::Unknown),
            (Some("memory:read\u{a0}memory:write"), RequestedScope::Unknown),
            (Some("MEMORY:READ"), RequestedScope::Unknown),
            (Some("memory:read admin"), RequestedScope::Unknown),
            (Some("memory:read\0"), RequestedScope::Unknown),
        ] {
            assert_eq!(RequestedScope::parse(parameter), expected, "{parameter:?}");
        }
    }

    #[test]
    fn a_scope_is_never_widened_and_is_narrowed_only_where_a_person_sees_it() {
        let all = Permissions::all();
        let read: Permissions = [Permission::MemoryRead].into_iter().collect();
        assert_eq!(RequestedScope::All.within(read), Some(read));
        assert_eq!(RequestedScope::Exactly(read).within(all), Some(read));
        assert_eq!(RequestedScope::Exactly(all).within(read), None);
        assert_eq!(RequestedScope::Unknown.within(all), None);

        assert_eq!(RequestedScope::All.offered_out_of(read), Some(read));
        assert_eq!(RequestedScope::Exactly(read).offered_out_of(all), Some(read));
        assert_eq!(RequestedScope::Exactly(all).offered_out_of(read), Some(read));
        let write = [Permission::MemoryWrite].into_iter().collect();
        assert_eq!(RequestedScope::Exactly(write).offered_out_of(read), None);
        assert_eq!(RequestedScope::Unknown.offered_out_of(all), None);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_no_more_is_granted_than_is_held(
            text in "((memory:(read|write|delete)|[a-z: \\t\\x00é]{0,6})[ ]{0,2}){0,6}",
            held in prop::sample::subsequence(Permission::ALL.to_vec(), 0..=Permission::ALL.len()),
        ) {
            let held: Permissions = held.into_iter().collect();
            let asked: Vec<&str> = text.split(' ').filter(|token| !token.is_empty()).collect();
            if let Some(granted) = RequestedScope::parse(Some(&text)).within(held) {
                prop_assert!(granted.is_subset_of(held));
                prop_assert!(asked.is_empty() || granted.iter().all(|one| asked.contains(&one.as_str())));
                prop_assert!(asked.iter().all(|one| granted.iter().any(|granted| granted.as_str() == *one)));
            }
        }
    }
}
