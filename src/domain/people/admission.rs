//! Which accounts of an identity provider may sign in.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::model::{AccountLabel, ExternalIdentity, ProvenIdentity};
use crate::validation::InvalidValue;

/// The domain of an e-mail address, in lower case. International names are in DNS form (`xn--…`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailDomain(String);

impl EmailDomain {
    const MAX: usize = 253;
    const MAX_LABEL: usize = 63;
    /// RFC 5321 §4.5.3.1.1.
    const MAX_LOCAL_PART: usize = 64;

    /// The domain of a plain address such as `marta@example.com`; `None` for any other form (quotes, comments, names, several
    /// @), which two programs might interpret differently.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let (local, domain) = address.split_once('@')?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        let plain = local.len() <= Self::MAX_LOCAL_PART
            && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(allowed));
        if plain { domain.parse().ok() } else { None }
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailDomain {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=Self::MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.len() > Self::MAX || !text.contains('.') || !text.split('.').all(is_label) {
            return Err(InvalidValue::new(
                "domain",
                "must be the part of an e-mail address after the @, such as example.com (each subdomain is listed separately, \
                 and international names begin with xn--)",
            ));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The allow-list: people with a verified e-mail address in one of the domains, and those with one of the subjects. An empty
/// list admits nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Domains of e-mail addresses. `example.com` is not `mail.example.com`.
    pub domains: BTreeSet<EmailDomain>,
    /// Subjects of the provider (the claim `sub`), compared exactly.
    pub subjects: BTreeSet<String>,
}

impl Admission {
    /// Parses comma-separated domains.
    ///
    /// # Errors
    /// [`InvalidValue`] if there is none, or if one of them is invalid.
    pub fn parse_domains(text: &str) -> Result<BTreeSet<EmailDomain>, InvalidValue> {
        not_empty("domains", items(text).map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Parses comma-separated subjects.
    ///
    /// # Errors
    /// [`InvalidValue`] if there is none, or if one of them is invalid.
    pub fn parse_subjects(text: &str) -> Result<BTreeSet<String>, InvalidValue> {
        let subject = |text: &str| {
            let checked = ExternalIdentity::new("issuer", text)?;
            Ok::<_, InvalidValue>(checked.subject().to_owned())
        };
        not_empty("subjects", items(text).map(subject).collect::<Result<_, _>>()?)
    }

    /// Whether an account may sign in.
    #[must_use]
    pub fn admits(&self, proven: &ProvenIdentity) -> bool {
        let domain = proven.verified_email.as_deref().and_then(EmailDomain::of);
        domain.is_some_and(|domain| self.domains.contains(&domain)) || self.subjects.contains(proven.identity.subject())
    }
}

/// The label of an account: the verified e-mail address, or else the subject.
#[must_use]
pub fn label_of(proven: &ProvenIdentity) -> AccountLabel {
    let email = proven.verified_email.as_deref().and_then(|email| email.parse().ok());
    email.unwrap_or_else(|| AccountLabel::from(&proven.identity))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn not_empty<T>(field: &str, items: BTreeSet<T>) -> Result<BTreeSet<T>, InvalidValue> {
    if items.is_empty() { Err(InvalidValue::new(field, "must name at least one")) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(subject: &str, verified_email: Option<&str>) -> ProvenIdentity {
        let identity = ExternalIdentity::new("https://id.example", subject).unwrap();
        ProvenIdentity { identity, verified_email: verified_email.map(str::to_owned) }
    }

    fn admission(domains: &str, subjects: &str) -> Admission {
        Admission {
            domains: Admission::parse_domains(domains).unwrap_or_default(),
            subjects: Admission::parse_subjects(subjects).unwrap_or_default(),
        }
    }

    #[test]
    fn a_verified_address_in_a_listed_domain_is_admitted_whatever_its_case() {
        let admission = admission("Example.com, sub.example.org", "");
        for (address, admitted) in [
            ("marta@example.com", true),
            ("Marta@EXAMPLE.Com", true),
            ("o'neil+a=b/c_d.e@example.com", true),
            ("marta@sub.example.org", true),
            ("marta@example.org", false),
            ("marta@mail.example.com", false),
            ("marta@notexample.com", false),
            ("marta@example.com.evil.test", false),
            ("marta@example.co", false),
            ("example.com", false),
            ("", false),
        ] {
            assert_eq!(admission.admits(&proven("1", Some(address))), admitted, "{address}");
        }
    }

    #[test]
    fn an_address_in_an_odd_form_is_not_admitted_by_its_domain() {
        let admission = admission("example.com", "");
        for address in [
            "marta@evil.test@example.com",
            "marta@example.com@evil.test",
            "@example.com",
            "marta@",
            "marta@@example.com",
            "\"marta@evil.test\"@example.com",
            "Marta <marta@example.com>",
            "marta@example.com>",
            "marta @example.com",
            " marta@example.com",
            "marta@example.com ",
            "marta@example.com.",
            "marta@.example.com",
            "marta@example.com\n",
            "marta@evil.test,marta@example.com",
            "marta(x)@example.com",
            "ma..rta@example.com",
            ".marta@example.com",
            "marta.@example.com",
            "märta@example.com",
            "marta@exämple.com",
            "marta\0@example.com",
            &format!("{}@example.com", "x".repeat(65)),
        ] {
            assert!(!admission.admits(&proven("1", Some(address))), "{address:?}");
        }
    }

    #[test]
    fn a_listed_subject_is_admitted_without_an_address_and_to_the_letter() {
        let admission = admission("", "248289761001, Anna|42");
        for (subject, admitted) in
            [("248289761001", true), ("Anna|42", true), ("anna|42", false), ("24828976100", false), ("2", false)]
        {
            assert_eq!(admission.admits(&proven(subject, None)), admitted, "{subject}");
        }
    }

    #[test]
    fn an_address_is_not_a_subject_and_a_subject_is_not_an_address() {
        let by_subject = admission("", "marta@example.com");
        assert!(!by_subject.admits(&proven("1", Some("marta@example.com"))));
        let by_domain = admission("example.com", "");
        assert!(!by_domain.admits(&proven("marta@example.com", None)), "nobody has verified that address");
    }

    #[test]
    fn an_empty_rule_admits_nobody() {
        assert!(!Admission::default().admits(&proven("1", Some("marta@example.com"))));
    }

    #[test]
    fn lists_are_read_without_regard_to_white_space_and_empty_items() {
        let domains = Admission::parse_domains(" b.test,,A.test , a.test,").unwrap();
        assert_eq!(domains.iter().map(EmailDomain::as_str).collect::<Vec<_>>(), ["a.test", "b.test"]);
        let subjects = Admission::parse_subjects("x y, Z").unwrap();
        assert_eq!(subjects.into_iter().collect::<Vec<_>>(), ["Z", "x y"]);
    }

    #[test]
    fn a_list_with_a_mistake_is_refused_with_what_is_right() {
        let long = format!("{}.test", "x".repeat(64));
        for domains in [
            "@example.com",
            "*.example.com",
            ".example.com",
            "example.com.",
            "com",
            "exa mple.com",
            "exämple.com",
            "-x.test",
            "x-.test",
            "a.test,marta@b.test",
            &long,
        ] {
            let refusal = Admission::parse_domains(domains).unwrap_err();
            assert!(refusal.problem().to_string().contains("such as example.com"), "{domains}: {refusal}");
        }
        assert!(Admission::parse_domains(" , ").unwrap_err().problem().to_string().contains("at least one"));
        assert!(Admission::parse_subjects("").unwrap_err().problem().to_string().contains("at least one"));
        assert!(Admission::parse_subjects(&format!("a,{}", "x".repeat(256))).is_err());
    }

    #[test]
    fn a_person_is_shown_by_the_verified_address_or_else_by_the_subject() {
        let longest = "s".repeat(255);
        for (subject, email, label) in [
            ("1", Some("Marta@example.com"), "Marta@example.com"),
            ("1", None, "1"),
            ("1", Some(""), "1"),
            ("1", Some("a\nb@example.com"), "1"),
            ("1", Some("\u{202e}a@example.com"), "1"),
            ("1", Some("\u{200b}\u{feff}"), "1"),
            (&longest, None, &longest),
            ("1", Some(&"x".repeat(256)), "1"),
        ] {
            assert_eq!(label_of(&proven(subject, email)).as_str(), label);
        }
    }
}
