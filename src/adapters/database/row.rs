//! Converts rows to domain values: rows are not trusted.

use std::fmt::Display;
use std::str::FromStr;

use crate::domain::system::{StorageError, Timestamp};
use crate::domain::validation::InvalidValue;

/// A row that cannot have been written by memgate.
#[derive(Clone, Debug, thiserror::Error)]
#[error("invalid row `{key}` in `{table}`: {detail}")]
pub(super) struct InvalidRow {
    table: &'static str,
    key: String,
    detail: String,
}

impl From<InvalidRow> for StorageError {
    fn from(InvalidRow { table, key, detail }: InvalidRow) -> Self {
        Self::InconsistentRow { table, key, detail }
    }
}

/// A row that is being read, for the error that identifies an invalid one.
pub(super) struct Row {
    table: &'static str,
    key: String,
}

impl Row {
    pub(super) fn new(table: &'static str, key: impl Display) -> Self {
        Self { table, key: key.to_string() }
    }

    /// The error: `detail` names the column and the problem, and repeats no value.
    pub(super) fn inconsistent(&self, detail: impl Into<String>) -> InvalidRow {
        InvalidRow { table: self.table, key: self.key.clone(), detail: detail.into() }
    }

    /// The same for a value of `column` that the domain rejects.
    pub(super) fn rejected(&self, column: &str) -> impl Fn(InvalidValue) -> InvalidRow {
        move |error| self.inconsistent(format!("column {column} {}", error.problem()))
    }

    /// A text column that holds a domain value.
    pub(super) fn parse<T>(&self, column: &str, text: &str) -> Result<T, InvalidRow>
    where
        T: FromStr<Err = InvalidValue>,
    {
        text.parse().map_err(self.rejected(column))
    }

    /// As [`parse`](Self::parse), for values whose parser accepts more than their canonical form.
    pub(super) fn parse_exactly<T>(&self, column: &str, text: &str) -> Result<T, InvalidRow>
    where
        T: FromStr<Err = InvalidValue> + Display,
    {
        let value: T = self.parse(column, text)?;
        if value.to_string() == text {
            Ok(value)
        } else {
            Err(self.inconsistent(format!("column {column} is not written as memgate writes it")))
        }
    }

    /// A column that holds a JSON array, with a parser for its elements.
    pub(super) fn parse_list<T, C>(
        &self,
        column: &str,
        json: &str,
        parse: impl Fn(&Self, &str, &str) -> Result<T, InvalidRow>,
    ) -> Result<C, InvalidRow>
    where
        C: FromIterator<T>,
    {
        self.texts(column, json)?.iter().map(|text| parse(self, column, text)).collect()
    }

    /// A column that holds a JSON array of strings.
    pub(super) fn texts(&self, column: &str, json: &str) -> Result<Vec<String>, InvalidRow> {
        serde_json::from_str(json)
            .map_err(|_| self.inconsistent(format!("column {column} is not a JSON array of strings")))
    }

    /// A column that holds a digest.
    pub(super) fn digest(&self, column: &str, bytes: &[u8]) -> Result<[u8; 32], InvalidRow> {
        bytes.try_into().map_err(|_| self.inconsistent(format!("column {column} is not 32 bytes long")))
    }

    /// A column of milliseconds since the Unix epoch.
    pub(super) fn timestamp(&self, column: &str, millis: i64) -> Result<Timestamp, InvalidRow> {
        let at = Timestamp::from_unix_millis(millis);
        if at.unix_millis() == millis {
            Ok(at)
        } else {
            Err(self.inconsistent(format!("column {column} is outside of the years 1 to 9999")))
        }
    }

    /// A nullable column of milliseconds.
    pub(super) fn optional_timestamp(
        &self,
        column: &str,
        millis: Option<i64>,
    ) -> Result<Option<Timestamp>, InvalidRow> {
        millis.map(|millis| self.timestamp(column, millis)).transpose()
    }
}

/// Bytes as an SQL literal, for a key that an operator can look for.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A JSON array of texts or numbers.
pub(super) fn json_array<T: Into<serde_json::Value>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().collect::<serde_json::Value>().to_string()
}
