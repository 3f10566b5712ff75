//! The languages of the pages, and which of them a browser asks for.

use time::{Date, Month};

use super::catalog::Texts;
use super::{de, en, es, fr, ja, pt};

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    German,
    Spanish,
    French,
    Portuguese,
    Japanese,
}

impl Language {
    /// Every language.
    pub(crate) const ALL: [Self; 6] =
        [Self::English, Self::German, Self::Spanish, Self::French, Self::Portuguese, Self::Japanese];
    /// Maximum length of an `Accept-Language` that is read.
    const MAX_HEADER: usize = 1_000;

    /// The language of an `Accept-Language` (RFC 9110 §12.5.4): the first among those of the highest weight. A range matches a
    /// language with the same primary subtag; English if none does.
    pub(crate) fn accepted(header: &str) -> Self {
        if header.len() > Self::MAX_HEADER {
            return Self::default();
        }
        let mut best = (0, Self::default());
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| weight(value.trim()))
            });
            let Some(weight) = weight.unwrap_or(Some(1_000)) else { continue };
            let language = if tag == "*" { Some(Self::default()) } else { Self::from_tag(tag) };
            if let Some(language) = language
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The language of a tag such as `pt-BR`.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The tag of the language.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::Portuguese => "pt",
            Self::Japanese => "ja",
        }
    }

    /// Its name, in the language itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
            Self::French => "Français",
            Self::Portuguese => "Português",
            Self::Japanese => "日本語",
        }
    }

    /// Its texts.
    pub(crate) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::German => &de::TEXTS,
            Self::Spanish => &es::TEXTS,
            Self::French => &fr::TEXTS,
            Self::Portuguese => &pt::TEXTS,
            Self::Japanese => &ja::TEXTS,
        }
    }

    /// A day as it is written in a sentence.
    pub(crate) fn day(self, date: Date) -> String {
        let (year, month, day) = (date.year(), date.month(), date.day());
        let name = self.month(month);
        match self {
            Self::German => format!("{day}. {name} {year}"),
            Self::Spanish | Self::Portuguese => format!("{day} de {name} de {year}"),
            Self::French if day == 1 => format!("1er {name} {year}"),
            Self::English | Self::French => format!("{day} {name} {year}"),
            Self::Japanese => format!("{year}年{}月{day}日", u8::from(month)),
        }
    }

    /// A number as it is written.
    pub(crate) fn number(self, number: u64) -> String {
        let separator = match self {
            Self::English | Self::Japanese => ",",
            Self::German | Self::Portuguese => ".",
            // Up to four digits stand together.
            Self::Spanish if number < 10_000 => "",
            Self::Spanish => "\u{a0}",
            Self::French => "\u{202f}",
        };
        let digits = number.to_string();
        let mut written = String::with_capacity(digits.len() * 2);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                written.push_str(separator);
            }
            written.push(digit);
        }
        written
    }

    fn month(self, month: Month) -> &'static str {
        let names: [&'static str; 12] = match self {
            Self::English | Self::Japanese => [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ],
            Self::German => [
                "Januar",
                "Februar",
                "März",
                "April",
                "Mai",
                "Juni",
                "Juli",
                "August",
                "September",
                "Oktober",
                "November",
                "Dezember",
            ],
            Self::Spanish => [
                "enero",
                "febrero",
                "marzo",
                "abril",
                "mayo",
                "junio",
                "julio",
                "agosto",
                "septiembre",
                "octubre",
                "noviembre",
                "diciembre",
            ],
            Self::French => [
                "janvier",
                "février",
                "mars",
                "avril",
                "mai",
                "juin",
                "juillet",
                "août",
                "septembre",
                "octobre",
                "novembre",
                "décembre",
            ],
            Self::Portuguese => [
                "janeiro",
                "fevereiro",
                "março",
                "abril",
                "maio",
                "junho",
                "julho",
                "agosto",
                "setembro",
                "outubro",
                "novembro",
                "dezembro",
            ],
        };
        names[usize::from(u8::from(month)) - 1]
    }
}

/// A weight in thousandths (RFC 9110 §12.4.2); `None` if it is none.
fn weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most_among_those_that_are_there() {
        for (header, expected) in [
            ("", Language::English),
            ("de", Language::German),
            ("DE-at, en;q=0.9", Language::German),
            ("it, nl;q=0.9, fr;q=0.5, en;q=0.4", Language::French),
            ("en;q=0.8, pt-BR", Language::Portuguese),
            ("es;q=0.5,ja;q=0.501", Language::Japanese),
            ("fr;q=0, *;q=0.1", Language::English),
            ("*, de;q=0.9", Language::English),
            ("de ; q=0.7 , es ; Q=0.8", Language::Spanish),
            ("de;q=2, es;q=0.1", Language::Spanish),
            ("de;q=1.001, es;q=0.1", Language::Spanish),
            ("de;q=0.1234, es;q=0.1", Language::Spanish),
            ("de;q=-1, es;q=x, fr;q=0.001", Language::French),
            ("de;q=, ;q=1, ,,", Language::English),
            ("dex, deutsch, d", Language::English),
            ("de, ja", Language::German),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
        assert_eq!(Language::accepted(&"de,".repeat(1_000)), Language::English, "too long to be read");
    }

    #[test]
    fn days_and_numbers_are_written_as_the_language_writes_them() {
        let date = Date::from_calendar_date(2026, Month::March, 1).unwrap();
        let days = Language::ALL.map(|language| language.day(date));
        let expected = [
            "1 March 2026",
            "1. März 2026",
            "1 de marzo de 2026",
            "1er mars 2026",
            "1 de março de 2026",
            "2026年3月1日",
        ];
        assert_eq!(days, expected);
        for (number, expected) in [
            (0, ["0", "0", "0", "0", "0", "0"]),
            (4_210, ["4,210", "4.210", "4210", "4\u{202f}210", "4.210", "4,210"]),
            (
                1_234_567,
                ["1,234,567", "1.234.567", "1\u{a0}234\u{a0}567", "1\u{202f}234\u{202f}567", "1.234.567", "1,234,567"],
            ),
        ] {
            assert_eq!(Language::ALL.map(|language| language.number(number)), expected);
        }
    }

    #[test]
    fn a_tag_leads_to_its_language_alone() {
        for language in Language::ALL {
            assert_eq!(Language::from_tag(language.tag()), Some(language));
        }
        assert_eq!(Language::from_tag("xx"), None);
        assert_eq!(Language::from_tag(""), None);
    }
}
