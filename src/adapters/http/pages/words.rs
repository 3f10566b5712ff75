//! Texts for people instead of identifiers.

use std::time::Duration;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use url::Url;

use super::frame::Frame;
use super::texts::{Day, Filled, Language, Moment, Text, Texts};
use crate::domain::applications::{Application, Permission, Permissions};
use crate::domain::audit::{AuditEvent, AuditKind};
use crate::domain::memories::Source;
use crate::domain::system::Timestamp;

/// A permission as described to a person.
pub(crate) struct PermissionInWords {
    pub(crate) permission: Permission,
    pub(crate) title: Text,
    pub(crate) detail: Text,
}

impl PermissionInWords {
    fn of(permission: Permission, t: &Texts) -> Self {
        let (title, detail) = match permission {
            Permission::MemoryRead => (t.read_title, t.read_detail),
            Permission::MemoryWrite => (t.write_title, t.write_detail),
            Permission::MemoryDelete => (t.delete_title, t.delete_detail),
        };
        Self { permission, title, detail }
    }

    /// All permissions of a scope.
    pub(crate) fn all(scope: Permissions, t: &Texts) -> Vec<Self> {
        scope.iter().map(|permission| Self::of(permission, t)).collect()
    }
}

impl Day {
    /// The day of `at`.
    pub(crate) fn of(at: Timestamp, language: Language) -> Self {
        const MACHINE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
        let at = at.to_utc();
        Self { machine: at.format(MACHINE).unwrap_or_default(), words: language.day(at.date()) }
    }
}

impl Moment {
    /// The moment `at`.
    pub(crate) fn of(at: Timestamp, language: Language) -> Self {
        let utc = at.to_utc();
        let (day, hour, minute) = (language.day(utc.date()), utc.hour(), utc.minute());
        let between = if language == Language::Japanese { " " } else { ", " };
        Self { machine: at.to_string(), words: format!("{day}{between}{hour:02}:{minute:02} UTC") }
    }
}

/// What happened, as it is told to the person whom it concerns; `None` for what tells them nothing. `application` is the name of
/// the one that had a part in it, if that is still known.
pub(crate) fn event(event: &AuditEvent, application: Option<&str>, t: &Frame) -> Option<Filled> {
    let did = |text: Text| {
        let gone = t.application_gone.to_string();
        text.name(application.unwrap_or(&gone)).plain(t.number(event.times))
    };
    match event.kind {
        AuditKind::MemoryCreated => return Some(did(t.event_stored)),
        AuditKind::MemoryUpdated => return Some(did(t.event_changed)),
        AuditKind::MemoryDeleted => return Some(did(t.event_erased)),
        _ => {}
    }
    let text = match event.kind {
        AuditKind::PersonCreated => t.event_created,
        AuditKind::PersonEnabled => t.event_enabled,
        AuditKind::PersonDisabled => t.event_disabled,
        AuditKind::PasswordChanged => t.event_password,
        AuditKind::PasswordLinkCreated => t.event_link,
        AuditKind::PasskeyAdded => t.event_passkey_added,
        AuditKind::PasskeyRemoved => t.event_passkey_removed,
        AuditKind::PersonSignedIn => t.event_signed_in,
        AuditKind::PersonSignedInWithPasskey => t.event_passkey_used,
        AuditKind::SignInThrottled => t.event_throttled,
        AuditKind::MemoriesExported => t.event_exported,
        AuditKind::MemoriesImported => t.event_imported,
        AuditKind::AuthorizationGranted => t.event_granted,
        AuditKind::AuthorizationEnded => t.event_ended,
        AuditKind::AuthorizationCodeReused | AuditKind::RefreshTokenReused => t.event_reused,
        _ => return None,
    };
    Some(application.map_or_else(|| text.into(), |name| text.followed_by(name)))
}

/// The letter that represents a name.
pub(crate) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map_or_else(|| "·".to_owned(), |c| c.to_uppercase().collect())
}

/// What there is to say of an application that nobody verified.
pub(crate) struct Unverified {
    /// Who describes it.
    pub(crate) origin: String,
}

impl Unverified {
    /// `None` for an application that the operator registered.
    pub(crate) fn of(application: &Application, t: &Texts) -> Option<Self> {
        let origin = || application.document_host().unwrap_or_else(|| t.registered_itself.to_string());
        application.registered_by.is_unverified().then(|| Self { origin: origin() })
    }
}

/// Whether a redirect stays on the device of the person: on loopback, or with an app's own scheme.
pub(crate) fn stays_on_device(redirect_uri: &Url) -> bool {
    is_loopback(redirect_uri) || !matches!(redirect_uri.scheme(), "https" | "http")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The target of a redirect, in plain language.
pub(crate) fn destination(redirect_uri: &Url, t: &Texts) -> String {
    let loopback = is_loopback(redirect_uri);
    match (redirect_uri.scheme(), redirect_uri.host_str(), redirect_uri.port()) {
        _ if loopback => t.program_on_device.to_string(),
        ("https" | "http", Some(host), None) => host.to_owned(),
        ("https" | "http", Some(host), Some(port)) => format!("{host}:{port}"),
        (scheme, ..) => t.app_on_device.in_text(scheme),
    }
}

/// That somebody has to wait: a duration, rounded up, so that waiting that long is sufficient.
pub(crate) fn wait(wait: Duration, t: &Texts) -> Filled {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    match seconds.max(1) {
        1 => t.wait_a_second.into(),
        seconds @ ..=120 => t.wait_seconds.plain(seconds),
        seconds => t.wait_minutes.plain(seconds.div_ceil(60)),
    }
}

pub(crate) fn source_name(source: Option<&Source>, space: &str, t: &Texts) -> String {
    match source {
        Some(Source { application: Some(name), .. }) => name.to_string(),
        Some(Source { space, .. }) if space.owner().is_none() => space.to_string(),
        _ if space.starts_with("app-") => t.application_gone.to_string(),
        _ => space.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_words_of_its_own() {
        let t = Language::English.texts();
        let words = PermissionInWords::all(Permissions::all(), t);
        assert_eq!(words.len(), Permission::ALL.len());
        for (words, permission) in words.iter().zip(Permission::ALL) {
            assert_eq!(words.permission, permission);
            assert!(!words.title.to_string().contains(':') && words.detail.to_string().ends_with('.'));
        }
        assert!(PermissionInWords::all(Permissions::default(), t).is_empty());
    }

    #[test]
    fn a_destination_is_the_host_or_this_device() {
        for (uri, expected) in [
            ("https://chatgpt.com/aip/g-1/oauth/callback?x=y", "chatgpt.com"),
            ("https://chatgpt.com:8443/", "chatgpt.com:8443"),
            ("https://user@evil.example/", "evil.example"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example"),
            ("http://127.0.0.1:4711/cb", "a program on this device"),
            ("http://[::1]:4711/cb", "a program on this device"),
            ("http://localhost/cb", "a program on this device"),
            ("com.example.app:/cb", "the app com.example.app on this device"),
        ] {
            assert_eq!(destination(&uri.parse().unwrap(), Language::English.texts()), expected, "{uri}");
        }
    }

    #[test]
    fn a_day_is_written_for_people_and_for_programs() {
        let at = Timestamp::parse("at", "2026-05-08T23:59:59Z").unwrap();
        let day = Day::of(at, Language::English);
        assert_eq!((day.machine.as_str(), day.words.as_str()), ("2026-05-08", "8 May 2026"));
        assert_eq!(Moment::of(at, Language::German).words, "8. Mai 2026, 23:59 UTC");
    }

    #[test]
    fn the_initial_is_the_first_letter_or_digit() {
        for (name, expected) in [("test GPT", "T"), ("\"4\"", "4"), ("  ß", "SS"), ("!?", "·"), ("", "·")] {
            assert_eq!(initial(name), expected, "{name}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (millis, expected) in [
            (1, "1 second,"),
            (1_000, "1 second,"),
            (1_001, "2 seconds,"),
            (120_000, "120 seconds,"),
            (120_001, "3 minutes,"),
            (900_000, "15 minutes,"),
        ] {
            let said = wait(Duration::from_millis(millis), Language::English.texts()).to_string();
            assert!(said.contains(&format!("Wait {expected}")), "{millis}: {said}");
        }
    }
}
