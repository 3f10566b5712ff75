//! Builds statements, and hides the few differences between SQLite and PostgreSQL.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value};

/// A statement under construction. Values are only ever passed as parameters.
pub(super) struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(super) fn new(connection: &impl ConnectionTrait, text: &str) -> Self {
        Self { backend: connection.get_database_backend(), text: text.to_owned(), values: Vec::new() }
    }

    /// Appends `text`.
    pub(super) fn then(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Appends a parameter.
    pub(super) fn value(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        match self.backend {
            // Parameters with a name, and `$1` is one, are looked up in a list from its beginning, each of some thousand.
            DbBackend::Sqlite => self.text.push('?'),
            // Writing to a text cannot fail.
            _ => drop(write!(self.text, "${}", self.values.len())),
        }
        self
    }

    /// Appends a row for each element of the JSON array `json`, in the column `value`, as text.
    pub(super) fn elements(self, json: String) -> Self {
        match self.backend {
            DbBackend::Sqlite => self.then("json_each(").value(json).then(")"),
            _ => self.then("json_array_elements_text(").value(json).then("::json)"),
        }
    }

    /// The same for the column `column`.
    pub(super) fn elements_of(self, column: &str) -> Self {
        match self.backend {
            DbBackend::Sqlite => self.then(&format!("json_each({column})")),
            _ => self.then(&format!("json_array_elements_text({column}::json)")),
        }
    }

    /// Appends a row for each member of the JSON object `json`, in the columns `key` and `value`, as text.
    pub(super) fn members(self, json: String) -> Self {
        match self.backend {
            DbBackend::Sqlite => self.then("json_each(").value(json).then(")"),
            _ => self.then("json_each_text(").value(json).then("::json)"),
        }
    }

    /// Appends a table `hit` with the row numbers, as `seq`, of everything that matches `entries` in the index.
    pub(super) fn hits(self, entries: &Entries) -> Self {
        match self.backend {
            DbBackend::Sqlite => self
                .then("(SELECT rowid AS seq FROM memory_index WHERE memory_index MATCH ")
                .value(entries.render('"', " AND ", " OR "))
                .then(") hit"),
            // OFFSET 0 makes PostgreSQL use the index: it may estimate that reading all rows from the end finds the newest
            // memories faster.
            _ => self
                .then("(SELECT seq FROM memory_index WHERE terms @@ ")
                .value(entries.render('\'', " & ", " | "))
                .then("::tsquery OFFSET 0) hit"),
        }
    }

    /// The statement that puts memories, by their row numbers, into the index with these entries.
    pub(super) fn index(connection: &impl ConnectionTrait, memories: impl IntoIterator<Item = (i64, String)>) -> Self {
        let mut sql = Self::new(connection, "INSERT INTO memory_index ");
        let is_sqlite = sql.backend == DbBackend::Sqlite;
        sql = sql.then(if is_sqlite { "(rowid, terms) VALUES " } else { "(seq, terms) VALUES " });
        for (number, (seq, entries)) in memories.into_iter().enumerate() {
            sql = sql.then(if number == 0 { "(" } else { ", (" }).value(seq);
            sql = if is_sqlite {
                sql.then(", ").value(entries).then(")")
            } else {
                sql.then(", array_to_tsvector(string_to_array(").value(entries).then(", ' ')))")
            };
        }
        sql
    }

    /// The statement that takes the memory `seq` out of the index.
    pub(super) fn unindex(connection: &impl ConnectionTrait, seq: i64) -> Self {
        let sql = Self::new(connection, "DELETE FROM memory_index WHERE ");
        let key = if sql.backend == DbBackend::Sqlite { "rowid = " } else { "seq = " };
        sql.then(key).value(seq)
    }

    pub(super) fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }

    pub(super) async fn run(self, connection: &impl ConnectionTrait) -> Result<ExecResult, DbErr> {
        connection.execute_raw(self.statement()).await
    }

    pub(super) async fn one(self, connection: &impl ConnectionTrait) -> Result<Option<QueryResult>, DbErr> {
        connection.query_one_raw(self.statement()).await
    }

    pub(super) async fn all(self, connection: &impl ConnectionTrait) -> Result<Vec<QueryResult>, DbErr> {
        connection.query_all_raw(self.statement()).await
    }

    /// Reads the numbers of one column, returned as a single text: a row per number would take many times as long.
    pub(super) async fn numbers(self, connection: &impl ConnectionTrait) -> Result<Vec<i64>, DbErr> {
        let row = self.one(connection).await?;
        let text: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        parse_numbers(text.as_deref())
    }
}

/// Parses what `string_agg` made of numbers.
pub(super) fn parse_numbers(text: Option<&str>) -> Result<Vec<i64>, DbErr> {
    let numbers = text.into_iter().flat_map(|text| text.split(','));
    numbers.map(|number| number.parse().map_err(|_| DbErr::Type("not a list of numbers".to_owned()))).collect()
}

/// An index query: at least one entry of each group. An entry contains only letters, digits and `_` (see
/// [`index`](super::index)), so it is data in the query languages of both databases.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(Vec<Vec<String>>);

impl Entries {
    /// The same, and one of `group` too.
    pub(super) fn and_any(mut self, group: Vec<String>) -> Self {
        self.0.push(group);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a group of which no memory can have an entry.
    pub(super) fn match_nothing(&self) -> bool {
        self.0.iter().any(Vec::is_empty)
    }

    /// The same, and those of `other` too.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn render(&self, quote: char, and: &str, or: &str) -> String {
        let groups = self.0.iter().map(|group| {
            let entries: Vec<String> = group.iter().map(|entry| format!("{quote}{entry}{quote}")).collect();
            format!("({})", entries.join(or))
        });
        groups.collect::<Vec<_>>().join(and)
    }
}

/// The numbers of rows of a statement. They are few, because the driver remembers the prepared statement for each.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// Splits `items` into parts with one of the numbers of [`ROWS`].
pub(super) fn parts<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS.into_iter().find(|size| *size <= items.len())?;
        let (part, rest) = items.split_at(size);
        items = rest;
        Some(part)
    })
}
