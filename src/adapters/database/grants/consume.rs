//! Records uses of refresh tokens in batches.
//!
//! One statement inserts those whose grant is not revoked and whose token has no row yet, and returns which they were. The
//! primary key decides between processes: the second one waits until the first has committed, and inserts nothing.
//!
//! A revocation that has returned is committed, and the statement of a later caller begins after that, so it sees the
//! revocation, even at READ COMMITTED. For callers concurrent with a revocation either order is correct: their tokens are
//! revoked with the grant.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::domain::ids::TokenId;
use crate::domain::oauth::{Consumed, Consumption};
use crate::domain::system::StorageError;
use async_trait::async_trait;
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement, Value};

use crate::adapters::database::batch::{BatchExecutor, MAX_BATCH};
use crate::adapters::database::entities::{consumed_refresh_token, revocation};
use crate::adapters::database::error::storage_error;
use crate::adapters::database::handle::Database;
use crate::adapters::database::row::Row;

/// Names of tables and values, as they are stored.
pub(super) const USES: &str = "consumed_refresh_tokens";
pub(super) const REVOCATIONS: &str = "revocations";
/// The values of the column `kind`.
pub(super) const GRANT: &str = "grant";
pub(super) const TOKEN: &str = "token";

/// How often a use is retried whose row existed when it was to be inserted, and was gone when it was to be read: it was swept
/// in between, or its transaction was rolled back.
const ATTEMPTS: usize = 3;

/// Records uses.
pub(super) struct Consumptions {
    database: Database,
}

impl Consumptions {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl BatchExecutor for Consumptions {
    type Op = Consumption;
    type Output = Consumed;

    async fn run(&self, ops: &[Consumption]) -> Result<Vec<Consumed>, StorageError> {
        let mut answers: Vec<Option<Consumed>> = vec![None; ops.len()];
        for _ in 0..ATTEMPTS {
            let open: Vec<usize> = (0..ops.len()).filter(|index| answers[*index].is_none()).collect();
            if open.is_empty() {
                break;
            }
            self.attempt(ops, &open, &mut answers).await?;
        }
        let vanished = || StorageError::Unavailable("the uses of refresh tokens change too fast to be read".into());
        answers.into_iter().map(|answer| answer.ok_or_else(vanished)).collect()
    }
}

impl Consumptions {
    /// Executes the operations with the indices `open`, as far as possible.
    async fn attempt(
        &self,
        ops: &[Consumption],
        open: &[usize],
        answers: &mut [Option<Consumed>],
    ) -> Result<(), StorageError> {
        // Of several uses of one token only the first of the batch is sent to the database, and the others learn from it.
        // Sorted by ID, to avoid deadlocks between processes.
        let mut firsts: HashMap<TokenId, usize> = HashMap::with_capacity(open.len());
        for index in open {
            firsts.entry(ops[*index].token_id).or_insert(*index);
        }
        let mut firsts: Vec<usize> = firsts.into_values().collect();
        firsts.sort_unstable_by_key(|index| ops[*index].token_id);
        let uses: Vec<&Consumption> = firsts.iter().map(|index| &ops[*index]).collect();
        let inserted = self.insert(&uses).await.map_err(storage_error(USES))?;
        for index in firsts {
            if inserted.contains(&ops[index].token_id.as_uuid()) {
                answers[index] = Some(Consumed::First);
            }
        }

        let late: Vec<usize> = open.iter().copied().filter(|index| answers[*index].is_none()).collect();
        if late.is_empty() {
            return Ok(());
        }
        let revoked = self.revoked_grants(late.iter().map(|index| ops[*index].grant_id.as_uuid())).await?;
        let before = self.earlier_uses(late.iter().map(|index| ops[*index].token_id.as_uuid())).await?;
        for index in late {
            let op = &ops[index];
            answers[index] = if revoked.contains(&op.grant_id.as_uuid()) {
                Some(Consumed::GrantRevoked)
            } else {
                before.get(&op.token_id.as_uuid()).cloned()
            };
        }
        Ok(())
    }

    /// Inserts the uses whose grant is not revoked. Returns the tokens that were new.
    async fn insert(&self, uses: &[&Consumption]) -> Result<HashSet<Uuid>, DbErr> {
        let rows = padded(uses);
        let values = rows.iter().flat_map(|row| {
            [
                Value::from(row.token_id.as_uuid()),
                Value::from(row.grant_id.as_uuid()),
                Value::from(row.successor_id.as_uuid()),
                Value::from(row.at.unix_millis()),
                Value::from(row.keep_until.unix_millis()),
            ]
        });
        let writer = self.database.writer();
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), insert_sql(rows.len()), values);
        // All rows of the result are read, because SQLite commits with the last one.
        let returned = writer.query_all_raw(statement).await?;
        returned.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    async fn revoked_grants(&self, grants: impl Iterator<Item = Uuid>) -> Result<HashSet<Uuid>, StorageError> {
        let grants: Vec<Uuid> = grants.collect();
        let rows = revocation::Entity::find()
            .filter(revocation::Column::Kind.eq(GRANT))
            .filter(revocation::Column::SubjectId.is_in(padded(&grants)))
            .all(self.database.reader())
            .await
            .map_err(storage_error(REVOCATIONS))?;
        Ok(rows.into_iter().map(|row| row.subject_id).collect())
    }

    /// The records of tokens that were used before.
    async fn earlier_uses(&self, tokens: impl Iterator<Item = Uuid>) -> Result<HashMap<Uuid, Consumed>, StorageError> {
        let tokens: Vec<Uuid> = tokens.collect();
        let reader = self.database.reader();
        let failed = storage_error(USES);
        let by_token = |tokens: Vec<Uuid>| {
            let is_one_of_them = consumed_refresh_token::Column::TokenId.is_in(padded(&tokens));
            consumed_refresh_token::Entity::find().filter(is_one_of_them)
        };
        let uses = by_token(tokens).all(reader).await.map_err(failed)?;
        if uses.is_empty() {
            return Ok(HashMap::new());
        }
        let used_successors: Vec<Uuid> = by_token(uses.iter().map(|row| row.successor_id).collect())
            .select_only()
            .column(consumed_refresh_token::Column::TokenId)
            .into_tuple()
            .all(reader)
            .await
            .map_err(failed)?;
        let used_successors: HashSet<Uuid> = used_successors.into_iter().collect();
        uses.into_iter()
            .map(|row| {
                let before = Consumed::Before {
                    successor_id: TokenId::from_uuid(row.successor_id),
                    at: Row::new(USES, row.token_id).timestamp("consumed_at", row.consumed_at)?,
                    successor_used: used_successors.contains(&row.successor_id),
                };
                Ok((row.token_id, before))
            })
            .collect()
    }
}

/// Repeats the last row until the number of rows is a power of two. A repeated row changes nothing, and the database sees
/// only a few distinct statements, which stay prepared.
fn padded<T: Clone>(rows: &[T]) -> Vec<T> {
    let mut padded = rows.to_vec();
    if let Some(last) = rows.last() {
        padded.resize(rows.len().next_power_of_two().min(MAX_BATCH.max(rows.len())), last.clone());
    }
    padded
}

fn insert_sql(rows: usize) -> String {
    let mut sql = format!(
        "INSERT INTO {USES} (token_id, grant_id, successor_id, consumed_at, keep_until) \
         SELECT v.column1, v.column2, v.column3, v.column4, v.column5 FROM (VALUES "
    );
    for row in 0..rows {
        let separator = if row == 0 { "" } else { ", " };
        let first = row * 5 + 1;
        // Writing into a `String` cannot fail.
        let _ = write!(sql, "{separator}(${first}, ${}, ${}, ${}, ${})", first + 1, first + 2, first + 3, first + 4);
    }
    sql.push_str(
        ") AS v WHERE NOT EXISTS (SELECT 1 FROM revocations r WHERE r.subject_id = v.column2 AND r.kind = 'grant') \
         ORDER BY v.column1 ON CONFLICT DO NOTHING RETURNING token_id",
    );
    sql
}
