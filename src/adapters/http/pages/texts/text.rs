//! One text, and what is filled in.

use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};

/// A text, in which `{0}` and `{1}` stand for what is filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text(pub(in super::super) &'static str);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A text with the markup of what was filled in, in the order of the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    text: &'static str,
    parts: Vec<String>,
    after: String,
}

impl From<Text> for Filled {
    fn from(text: Text) -> Self {
        text.empty()
    }
}

impl Text {
    fn empty(self) -> Filled {
        Filled { text: self.0, parts: Vec::new(), after: String::new() }
    }

    /// Fills in a name that stands out.
    pub(crate) fn strong(self, name: impl fmt::Display) -> Filled {
        self.empty().strong(name)
    }

    /// Fills in a name, whose direction is its own.
    pub(crate) fn name(self, name: impl fmt::Display) -> Filled {
        self.empty().name(name)
    }

    /// Fills in a text or a number.
    pub(crate) fn plain(self, text: impl fmt::Display) -> Filled {
        self.empty().plain(text)
    }

    /// Fills in a day.
    pub(crate) fn day(self, day: &Day) -> Filled {
        self.empty().day(day)
    }

    /// Fills in a moment.
    pub(crate) fn moment(self, moment: &Moment) -> Filled {
        self.empty().moment(moment)
    }

    /// Fills in a link.
    pub(crate) fn link(self, address: &str, text: impl fmt::Display) -> Filled {
        self.empty().link(address, text)
    }

    /// The text, and a name after it.
    pub(crate) fn followed_by(self, name: impl fmt::Display) -> Filled {
        let mut filled = self.empty();
        filled.after = format!(" <bdi>{}</bdi>", escaped(name));
        filled
    }

    /// Fills in a name for a title, where there is no markup: it is isolated by characters.
    pub(crate) fn isolated(self, name: &str) -> Filled {
        self.empty().plain(format!("\u{2068}{name}\u{2069}"))
    }

    /// Fills in a text, and is a text itself.
    pub(crate) fn in_text(self, text: &str) -> String {
        self.0.replace("{0}", text)
    }

    /// Fills in texts where there is no markup.
    pub(crate) fn filled<const N: usize>(self, parts: [&str; N]) -> String {
        let fill = |text: String, (number, part): (usize, &str)| text.replace(&format!("{{{number}}}"), part);
        parts.into_iter().enumerate().fold(self.0.to_owned(), fill)
    }

    /// Fills in an identifier.
    pub(crate) fn code(self, text: impl fmt::Display) -> Filled {
        self.empty().code(text)
    }
}

impl Filled {
    fn with(mut self, part: String) -> Self {
        self.parts.push(part);
        self
    }

    /// See [`Text::strong`].
    pub(crate) fn strong(self, name: impl fmt::Display) -> Self {
        self.with(format!("<strong><bdi>{}</bdi></strong>", escaped(name)))
    }

    /// See [`Text::name`].
    pub(crate) fn name(self, name: impl fmt::Display) -> Self {
        self.with(format!("<bdi>{}</bdi>", escaped(name)))
    }

    /// See [`Text::plain`].
    pub(crate) fn plain(self, text: impl fmt::Display) -> Self {
        self.with(escaped(text))
    }

    /// See [`Text::day`].
    pub(crate) fn day(self, day: &Day) -> Self {
        self.with(format!("<time datetime=\"{}\">{}</time>", escaped(&day.machine), escaped(&day.words)))
    }

    /// See [`Text::moment`].
    pub(crate) fn moment(self, moment: &Moment) -> Self {
        self.with(format!("<time datetime=\"{}\">{}</time>", escaped(&moment.machine), escaped(&moment.words)))
    }

    /// Fills in what is said in English in any language, such as the words of a parser.
    pub(crate) fn english(self, text: impl fmt::Display) -> Self {
        self.with(format!("<bdi lang=\"en\">{}</bdi>", escaped(text)))
    }

    /// Fills in another text, with what was filled into that.
    pub(crate) fn text(self, filled: &Filled) -> Self {
        self.with(filled.to_string())
    }

    /// See [`Text::code`].
    pub(crate) fn code(self, text: impl fmt::Display) -> Self {
        self.with(format!("<span class=\"mono\">{}</span>", escaped(text)))
    }

    /// See [`Text::link`].
    pub(crate) fn link(self, address: &str, text: impl fmt::Display) -> Self {
        self.with(format!("<a href=\"{}\">{}</a>", escaped(address), escaped(text)))
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(&escaped(before))?;
            let Some((number, after)) = after.split_once('}') else { break };
            let part = number.parse::<usize>().ok().and_then(|number| self.parts.get(number));
            debug_assert!(part.is_some(), "nothing is filled in for {{{number}}} of: {}", self.text);
            f.write_str(part.map_or("", String::as_str))?;
            rest = after;
        }
        f.write_str(&escaped(rest))?;
        f.write_str(&self.after)
    }
}

/// Its text is escaped, and so is what was filled in.
impl HtmlSafe for Filled {}

fn escaped(text: impl fmt::Display) -> String {
    escape(text, Html).map_or_else(|never| match never {}, |escaped| escaped.to_string())
}

/// A day, in UTC.
pub(crate) struct Day {
    /// In machine-readable form.
    pub(crate) machine: String,
    /// In readable form.
    pub(crate) words: String,
}

/// A moment, in UTC.
pub(crate) struct Moment {
    /// As programs read it.
    pub(crate) machine: String,
    /// As people do.
    pub(crate) words: String,
}
