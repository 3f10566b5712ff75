use std::collections::BTreeSet;

use super::*;
use crate::testing::{application, categories, now};

#[track_caller]
fn assert_refused<T: FromStr<Err = InvalidValue> + fmt::Debug>(texts: &[&str]) {
    for text in texts {
        assert!(text.parse::<T>().is_err(), "{text:?}");
    }
}

#[test]
fn a_name_is_one_trimmed_line_of_up_to_100_characters() {
    for (text, expected) in [("  Trip planner ", "Trip planner"), ("é", "é"), (&"🦊".repeat(100), &"🦊".repeat(100))]
    {
        assert_eq!(text.parse::<ApplicationName>().unwrap().to_string(), expected);
    }
    assert_refused::<ApplicationName>(&["", "   ", "two\nlines", "tab\there", "nul\0here", &"x".repeat(101)]);
}

#[test]
fn a_name_turns_no_text_around_and_can_be_seen() {
    assert_refused::<ApplicationName>(&[
        "\u{202e}evil",
        "a\u{2066}b",
        "a\u{200f}",
        "\u{61c}a",
        "\u{200b}",
        "\u{200d}\u{feff}\u{2060}",
        "\u{3164}",
        "\u{ad}\u{34f}",
        "\u{2800}",
        "\u{e0041}",
        "\u{200b} \u{200b}",
    ]);
    for name in ["👩\u{200d}🔬 lab", "می\u{200c}خواهم", "עוזר", "❤\u{fe0f}"] {
        assert_eq!(name.parse::<ApplicationName>().unwrap().as_str(), name);
    }
    let stored = ApplicationName::from_stored("\u{202e}evil").unwrap();
    assert_eq!(stored.as_str(), "\u{202e}evil", "what was registered before is still read");
    assert!(ApplicationName::from_stored("two\nlines").is_err());
}

#[test]
fn a_space_is_up_to_100_plain_characters() {
    for text in ["a", "0", "Team-1_x.y", &"x".repeat(100)] {
        assert_eq!(text.parse::<SpaceName>().unwrap().as_str(), text);
    }
    assert_refused::<SpaceName>(&[
        "",
        "-a",
        "_a",
        ".a",
        "..",
        "a b",
        "a/b",
        "a\\b",
        "é",
        "a\0",
        "a*",
        &"x".repeat(101),
    ]);
    let own = SpaceName::own(application().id);
    assert_eq!(own.to_string().parse(), Ok(own));
}

#[test]
fn redirect_uris_use_https_loopback_or_a_scheme_of_the_app() {
    for text in [
        "https://chatgpt.com/aip/g-123/oauth/callback",
        "https://claude.ai/api/mcp/auth_callback?a=b&c=%20",
        "https://EXAMPLE.org:8443/x",
        "http://127.0.0.1:5000/callback",
        "http://127.9.9.9/callback",
        "http://[::1]/callback",
        "http://localhost:3000/callback",
        "com.example.app:/callback",
        "com.example.app://callback",
    ] {
        assert_eq!(text.parse::<RedirectUri>().unwrap().as_str(), text, "kept to the letter");
    }
    let long = format!("https://a.example/{}", "x".repeat(2048));
    assert_refused::<RedirectUri>(&[
        "",
        "/callback",
        "chatgpt.com/callback",
        "https://",
        "http://example.org/callback",
        "http://localhost.example.org/",
        "http://127.0.0.1.example.org/",
        "http://10.0.0.1/",
        "http://[2001:db8::1]/",
        "https://a.example/callback#fragment",
        "https://a.example/callback#",
        "https://a.example/a b",
        "https://a.example/é",
        "https://a.example/\n",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp:/callback",
        "file:///etc/passwd",
        &long,
    ]);
}

#[test]
fn the_longest_redirect_uri_is_2048_characters() {
    let longest = format!("https://a.example/{}", "x".repeat(2048 - 18));
    assert_eq!(longest.parse::<RedirectUri>().unwrap().as_str().len(), 2048);
    assert!(format!("{longest}x").parse::<RedirectUri>().is_err());
}

#[test]
fn limited_access_needs_a_category_and_allows_no_other() {
    let all = CategoryAccess::All;
    let some = CategoryAccess::Only(categories(&["food", "travel"]).into_iter().collect());
    let none = CategoryAccess::Only(BTreeSet::new());
    for (names, by_all, by_some) in [
        (&[][..], true, false),
        (&["food"], true, true),
        (&["travel", "food"], true, true),
        (&["food", "secret"], true, false),
        (&["secret"], true, false),
    ] {
        let names = categories(names);
        assert_eq!(
            (all.allows(&names), some.allows(&names), none.allows(&names)),
            (by_all, by_some, false),
            "{names:?}"
        );
    }
}

#[test]
fn numbers_have_bounds() {
    for (number, valid) in [(0, false), (1, true), (1_000_000, true), (1_000_001, false), (u32::MAX, false)] {
        assert_eq!(RequestsPerMinute::try_from(number).map(RequestsPerMinute::get).ok(), valid.then_some(number));
    }
    let ten_years = 10 * 366 * 24 * 3600;
    for (duration, valid) in [
        (Duration::ZERO, false),
        (Duration::from_millis(999), false),
        (Duration::from_secs(1), true),
        (Duration::from_millis(1_500), false),
        (Duration::from_secs(ten_years), true),
        (Duration::from_secs(ten_years + 1), false),
        (Duration::MAX, false),
    ] {
        let lifetime = TokenLifetime::try_from(duration);
        assert_eq!(
            lifetime.as_ref().map(|lifetime| lifetime.as_duration()).ok(),
            valid.then_some(duration),
            "{duration:?}"
        );
    }
    assert_eq!(TokenLifetime::try_from(Duration::from_mins(1)).unwrap().as_seconds(), 60);
}

#[test]
fn kinds_are_read_as_they_are_written() {
    for (kind, name) in [(ClientKind::Confidential, "confidential"), (ClientKind::Public, "public")] {
        assert_eq!((kind.as_str(), name.parse()), (name, Ok(kind)));
    }
    assert_refused::<ClientKind>(&["", "Public", "secret"]);
}

#[test]
fn changes_change_what_they_name_and_the_date() {
    let before = application();
    assert!(ApplicationChanges::default().is_empty());
    let mut after = before.clone();
    let later = now().plus(Duration::from_secs(1));
    ApplicationChanges::default().apply_to(&mut after, later);
    assert_eq!(after, Application { updated_at: later, ..before.clone() });
    let changes = ApplicationChanges { rate_limit: Some(None), ..ApplicationChanges::default() };
    assert!(!changes.is_empty(), "taking something away is a change");
}

#[test]
fn what_is_usual_for_a_gpt_and_for_a_client_of_mcp() {
    let name: ApplicationName = "Trip planner".parse().unwrap();
    let for_people: GrantTypes = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
    let gpt = NewApplication::for_gpt(name.clone());
    assert_eq!(
        (gpt.kind, gpt.pkce, gpt.default_resource),
        (ClientKind::Confidential, PkceRule::Optional, Resource::Api)
    );
    assert_eq!((gpt.grants, gpt.permissions, gpt.space), (for_people.clone(), Permissions::all(), None));
    assert!(matches!(gpt.redirect_uris.as_slice(), [uri] if uri.is_gpt_callback()));

    let uris = vec!["http://127.0.0.1/".parse().unwrap()];
    let mcp = NewApplication::for_mcp_client(name, uris.clone());
    assert_eq!((mcp.kind, mcp.pkce, mcp.default_resource), (ClientKind::Public, PkceRule::Required, Resource::Mcp));
    assert_eq!((mcp.grants.clone(), mcp.redirect_uris.clone()), (for_people, uris));
    assert_eq!(mcp.clone().permitting(&[]).permissions, Permissions::all());
    assert_eq!(mcp.permitting(&[Permission::MemoryRead]).permissions, [Permission::MemoryRead].into_iter().collect());
}
