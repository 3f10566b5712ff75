use proptest::prelude::*;

use super::*;

fn set(permissions: &[Permission]) -> Permissions {
    permissions.iter().copied().collect()
}

#[test]
fn sets_are_written_as_scopes_in_a_fixed_order() {
    use Permission::{MemoryDelete, MemoryRead, MemoryWrite};
    for (permissions, text) in [
        (&[][..], ""),
        (&[MemoryWrite], "memory:write"),
        (&[MemoryDelete, MemoryRead], "memory:read memory:delete"),
        (&[MemoryDelete, MemoryWrite, MemoryRead, MemoryRead], "memory:read memory:write memory:delete"),
    ] {
        assert_eq!(set(permissions).to_string(), text);
        assert_eq!(text.parse(), Ok(set(permissions)));
    }
    assert_eq!(format!("{:?}", set(&[MemoryRead])), "Permissions(memory:read)");
}

#[test]
fn what_is_no_permission_is_refused() {
    for text in [
        "memory",
        "memory:Read",
        " ",
        "memory:read ",
        " memory:read",
        "memory:read  memory:write",
        "memory:read,memory:write",
        "*",
    ] {
        let error = text.parse::<Permissions>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`permission` must be one of memory:read, memory:write, memory:delete",
            "{text:?}"
        );
    }
}

#[test]
fn grant_types_are_read_as_they_are_written() {
    assert_eq!("client_credentials".parse(), Ok(GrantType::ClientCredentials));
    assert_eq!("authorization_code".parse(), Ok(GrantType::AuthorizationCode));
    assert_eq!("refresh_token".parse(), Ok(GrantType::RefreshToken));
    for grant in GrantType::ALL {
        assert_eq!(grant.to_string().parse(), Ok(grant));
    }
    for unknown in ["", "password", "implicit", "authorization-code", "Refresh_Token"] {
        assert!(unknown.parse::<GrantType>().is_err(), "{unknown}");
    }
}

fn any_set() -> impl Strategy<Value = Vec<Permission>> {
    prop::collection::vec(prop::sample::select(Permission::ALL.to_vec()), 0..5)
}

proptest! {
    #[test]
    fn sets_behave_as_sets(one in any_set(), other in any_set()) {
        let (a, b) = (set(&one), set(&other));
        for permission in Permission::ALL {
            prop_assert_eq!(a.contains(permission), one.contains(&permission));
            prop_assert_eq!(
                a.intersection(b).contains(permission),
                one.contains(&permission) && other.contains(&permission)
            );
        }
        prop_assert_eq!(a.is_subset_of(b), one.iter().all(|permission| other.contains(permission)));
        prop_assert_eq!(a.is_empty(), one.is_empty());
        prop_assert_eq!(a.iter().collect::<Permissions>(), a);
        prop_assert!(a.is_subset_of(Permissions::all()));
        prop_assert_eq!(a.to_string().parse(), Ok(a));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z: ]{0,40}|\\PC{0,20}") {
        if let Ok(permissions) = text.parse::<Permissions>() {
            prop_assert_eq!(permissions.to_string().parse(), Ok(permissions));
        }
    }
}
