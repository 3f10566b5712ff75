//! The error of every parsed value.

/// A rejected value: which one, and what to do about it.
///
/// The text never repeats the value, because that may be a secret or a person's memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct InvalidValue {
    field: String,
    problem: ValueProblem,
}

/// What is wrong with a value. The text is a phrase that follows the field's name. What people are told of in their language
/// has a case of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// It is empty, or only white space.
    #[error("must not be empty")]
    Empty,
    /// It contains a NUL character.
    #[error("must not contain a NUL character")]
    Nul,
    /// It should be one line.
    #[error("must not contain control characters such as a line break")]
    ControlCharacters,
    /// It has too many characters.
    #[error("is {length} characters long; at most {max} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
        /// How many it may have.
        max: usize,
    },
    /// It has too many bytes.
    #[error("is {size} bytes long; at most {max} are allowed")]
    TooLarge {
        /// How many it has.
        size: usize,
        /// How many it may have.
        max: usize,
    },
    /// A list has more entries than this.
    #[error("must have at most {0} entries")]
    TooManyEntries(usize),
    /// An object has more members than this.
    #[error("must have at most {0} members")]
    TooManyMembers(usize),
    /// A member's name is empty, or has more characters than this.
    #[error("must have member names of 1 to {0} characters")]
    MemberNames(usize),
    /// It is nested deeper than this.
    #[error("must not be nested more than {0} levels deep")]
    TooDeep(usize),
    /// It is a name that memgate uses itself.
    #[error("is a reserved name")]
    Reserved,
    /// It holds an integer that a number of JSON cannot keep here.
    #[error("holds an integer of more than 64 bits, which would lose digits; write it as a string")]
    IntegerTooLarge,
    /// It is no time.
    #[error("must be a date and time in RFC 3339, such as 2026-05-08T13:56:00Z")]
    NotATime,
    /// It is no priority.
    #[error("must be low, normal or high")]
    NotAPriority,
    /// It is no ID of a memory.
    #[error("must be an id that a search, a list or a create has returned (1 to 128 of A-Z a-z 0-9 - _ . :)")]
    NotAMemoryId,
    /// It names nobody who could have stored a memory.
    #[error("must be the ID of an application, or `person`")]
    NotAnActor,
    /// It is no history of a memory as an export writes it, for this reason.
    #[error("{0}")]
    NotAHistory(&'static str),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<&str> for ValueProblem {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<String> for ValueProblem {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl InvalidValue {
    /// Rejects `field` (a dotted path such as `filters.date_range.end`) because of `problem`, a phrase that follows the field's
    /// name ("must not be empty").
    pub fn new(field: impl Into<String>, problem: impl Into<ValueProblem>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The path of the rejected value.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &ValueProblem {
        &self.problem
    }

    /// The same problem of another field.
    #[must_use]
    pub fn of(self, field: impl Into<String>) -> Self {
        Self { field: field.into(), problem: self.problem }
    }

    /// The same error with texts that `shorten` has shortened: a field's name may hold what a caller chose.
    #[must_use]
    pub fn shortened(self, shorten: impl Fn(&str) -> String) -> Self {
        let problem = match self.problem {
            ValueProblem::Other(text) => ValueProblem::Other(shorten(&text)),
            problem => problem,
        };
        Self { field: shorten(&self.field), problem }
    }

    /// The same error with the path seen from one level further out.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), problem: self.problem }
    }
}

/// Accepts text of 1 to `max` characters without NUL that is not only white space.
pub(crate) fn text(field: &str, value: String, max: usize) -> Result<String, InvalidValue> {
    if value.trim().is_empty() {
        return Err(InvalidValue::new(field, ValueProblem::Empty));
    }
    if value.contains('\0') {
        return Err(InvalidValue::new(field, ValueProblem::Nul));
    }
    let length = value.chars().count();
    if length > max {
        return Err(InvalidValue::new(field, ValueProblem::TooLong { length, max }));
    }
    Ok(value)
}

/// As [`text`], without control characters, for values displayed on one line.
pub(crate) fn line(field: &str, value: String, max: usize) -> Result<String, InvalidValue> {
    if value.chars().any(|c| c.is_control() && c != '\0') {
        return Err(InvalidValue::new(field, ValueProblem::ControlCharacters));
    }
    text(field, value, max)
}

/// As [`line()`], for a display name: it does not change the text direction, and has visible characters.
pub(crate) fn name(field: &str, value: String, max: usize) -> Result<String, InvalidValue> {
    if value.chars().any(is_bidi_control) {
        return Err(InvalidValue::new(field, "must not contain characters that change the direction of text"));
    }
    if !value.is_empty() && value.chars().all(is_invisible) {
        return Err(InvalidValue::new(field, "must contain at least one visible character"));
    }
    line(field, value, max)
}

/// Whether a character changes the text direction (Unicode `Bidi_Control`).
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is invisible: white space, control characters, Unicode `Default_Ignorable_Code_Point`, and characters
/// displayed as a blank.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || is_bidi_control(c)
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200d}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests;
