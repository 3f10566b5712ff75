//! The error of every parsed value.

use std::fmt;

/// A rejected value: which one, and what to do about it.
///
/// The text never repeats the value, because that may be a secret or a person's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    field: String,
    problem: String,
}

impl InvalidValue {
    /// Rejects `field` (a dotted path such as `filters.date_range.end`) because of `problem`, a phrase that follows the field's
    /// name ("must not be empty").
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The path of the rejected value.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The same error with the path seen from one level further out.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), problem: self.problem }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.problem)
    }
}

impl std::error::Error for InvalidValue {}

/// Accepts text of 1 to `max` characters without NUL that is not only white space.
pub(crate) fn text(field: &str, value: String, max: usize) -> Result<String, InvalidValue> {
    if value.trim().is_empty() {
        return Err(InvalidValue::new(field, "must not be empty"));
    }
    if value.contains('\0') {
        return Err(InvalidValue::new(field, "must not contain a NUL character"));
    }
    let length = value.chars().count();
    if length > max {
        return Err(InvalidValue::new(field, format!("is {length} characters long; at most {max} are allowed")));
    }
    Ok(value)
}

/// As [`text`], without control characters, for values displayed on one line.
pub(crate) fn line(field: &str, value: String, max: usize) -> Result<String, InvalidValue> {
    if value.chars().any(|c| c.is_control() && c != '\0') {
        return Err(InvalidValue::new(field, "must not contain control characters such as a line break"));
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
