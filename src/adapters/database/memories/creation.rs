//! Creates memories, with a few statements for all of a batch: most of the time that a statement takes does not depend on the
//! number of its rows.

use std::collections::HashMap;

use memgate_domain::applications::CategoryAccess;
use memgate_domain::memories::{HistoryEntry, Memory};
use memgate_domain::system::Timestamp;
use sea_orm::ConnectionTrait;

use super::counts::CountChanges;
use super::failure::MemoryStoreError;
use super::history;
use super::index::{INDEX_VERSION, Listing, list};
use super::operations::{Change, Prepared, WriteOp, WriteOutcome};
use super::row::{COLUMNS, categories_json, memory_of, metadata_json};
use super::sql::{Sql, parts};
use super::stored::supersede;
use crate::adapters::database::row::json_array;

/// A memory to create in a scope.
pub(super) struct Creation<'a> {
    scope_id: i64,
    access: &'a CategoryAccess,
    prepared: &'a Prepared,
}

impl<'a> Creation<'a> {
    /// `None` if the operation is another one.
    pub(super) fn of(op: &'a WriteOp, scopes: &HashMap<String, i64>) -> Option<Self> {
        let Change::Create(prepared) = &op.change else { return None };
        Some(Self { scope_id: *scopes.get(&op.tenant)?, access: &op.access, prepared })
    }

    fn as_stored(&self) -> Box<Memory> {
        Box::new(self.prepared.memory.clone().into_memory())
    }
}

/// Creates memories. Those whose ID is known are left as they are.
pub(super) async fn create(
    transaction: &impl ConnectionTrait,
    creations: &[Creation<'_>],
    counts: &mut CountChanges,
) -> Result<Vec<Result<WriteOutcome, MemoryStoreError>>, MemoryStoreError> {
    let mut seqs: HashMap<(i64, String), i64> = HashMap::with_capacity(creations.len());
    for part in parts(creations) {
        for row in insertion(transaction, part).all(transaction).await? {
            seqs.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), row.try_get_by_index(2)?);
        }
    }
    let (mut stored, mut known) = (Vec::with_capacity(seqs.len()), HashMap::<i64, Vec<&str>>::new());
    for creation in creations {
        let id = creation.prepared.memory.id.as_str();
        let seq = seqs.remove(&(creation.scope_id, id.to_owned()));
        if seq.is_none() {
            known.entry(creation.scope_id).or_default().push(id);
        }
        stored.push(seq);
    }
    index(transaction, &stored, creations, counts).await?;
    for (seq, creation) in stored.iter().zip(creations) {
        if let Some(seq) = seq {
            complete(transaction, *seq, creation, counts).await?;
        }
    }
    let mut found = HashMap::new();
    for (scope_id, ids) in known {
        found.extend(find(transaction, scope_id, ids).await?.into_iter().map(|(id, memory)| ((scope_id, id), memory)));
    }
    let outcomes = creations.iter().zip(stored).map(|(creation, seq)| {
        if seq.is_some() {
            return Ok(WriteOutcome::Stored(creation.as_stored()));
        }
        let key = (creation.scope_id, creation.prepared.memory.id.as_str().to_owned());
        let memory = found.get(&key).cloned().transpose()?;
        // If it is no longer visible, it is returned as this write created it.
        let seen = memory.filter(|memory| creation.access.allows(&memory.categories));
        Ok(WriteOutcome::Found(seen.map_or_else(|| creation.as_stored(), Box::new)))
    });
    Ok(outcomes.collect())
}

/// Inserts rows that are not there yet, and returns their scopes, IDs and row numbers.
fn insertion(connection: &impl ConnectionTrait, creations: &[Creation<'_>]) -> Sql {
    let mut sql = Sql::new(connection, "INSERT INTO memories (scope_id, id, conversation_id, created_at, updated_at, ")
        .then("expires_at, priority, categories, length, question, attributes, terms, metadata, content, ")
        .then("index_version, occurred_at, created_by) VALUES ");
    for (number, Creation { scope_id, prepared, .. }) in creations.iter().enumerate() {
        let Prepared { memory, question, words, .. } = *prepared;
        sql = sql
            .then(if number == 0 { "(" } else { ", (" })
            .value(*scope_id)
            .then(", ")
            .value(memory.id.as_str())
            .then(", ")
            .value(memory.metadata.conversation_id().map(ToOwned::to_owned))
            .then(", ")
            .value(memory.created_at.unix_millis())
            .then(", ")
            .value(memory.updated().unix_millis())
            .then(", ")
            .value(memory.expires_at.map(Timestamp::unix_millis))
            .then(", ")
            .value(memory.priority.as_str())
            .then(", ")
            .value(categories_json(&memory.categories))
            .then(", ")
            .value(words.length())
            .then(", ")
            .value(*question)
            .then(", ")
            .value(words.attributes())
            .then(", ")
            .value(words.terms())
            .then(", ")
            .value(metadata_json(&memory.metadata))
            .then(", ")
            .value(memory.content.as_str())
            .then(", ")
            .value(INDEX_VERSION)
            .then(", ")
            .value(memory.occurred_at.map(Timestamp::unix_millis))
            .then(", ")
            .value(memory.created_by.map(|actor| actor.to_string()))
            .then(")");
    }
    sql.then(" ON CONFLICT (scope_id, id) DO NOTHING RETURNING scope_id, id, seq")
}

/// Puts the memories that were stored, those with a row number, into the index, the listings and the counts.
async fn index(
    transaction: &impl ConnectionTrait,
    seqs: &[Option<i64>],
    creations: &[Creation<'_>],
    counts: &mut CountChanges,
) -> Result<(), MemoryStoreError> {
    let stored: Vec<(i64, &Creation<'_>)> =
        seqs.iter().zip(creations).filter_map(|(seq, creation)| Some(((*seq)?, creation))).collect();
    for part in parts(&stored) {
        let entries = part.iter().map(|(seq, creation)| (*seq, creation.prepared.entries.in_scope(creation.scope_id)));
        Sql::index(transaction, entries).run(transaction).await?;
    }
    let mut listed = Vec::new();
    for &(seq, Creation { scope_id, prepared, .. }) in &stored {
        let Prepared { memory, listings, words, .. } = *prepared;
        let (scope_id, created_at, id) = (*scope_id, memory.created_at, &memory.id);
        listed.extend(listings.iter().map(|entry| Listing { scope_id, entry, created_at, id, seq }));
        counts.add(scope_id, seq, words);
    }
    list(transaction, &listed).await
}

/// Gives a memory that was just stored the history that it came with, and the place of the one that it supersedes.
async fn complete(
    transaction: &impl ConnectionTrait,
    seq: i64,
    creation: &Creation<'_>,
    counts: &mut CountChanges,
) -> Result<(), MemoryStoreError> {
    let Creation { scope_id, access, prepared } = *creation;
    let memory = &prepared.memory;
    if !memory.history.is_empty() {
        let kept = HistoryEntry::kept(memory.history.iter().map(|entry| entry.event.body().len()));
        let entries: Vec<_> = memory.history[..kept].iter().rev().map(|entry| (seq, entry)).collect();
        history::add(transaction, &entries).await?;
    }
    match &memory.supersedes {
        Some(older) => supersede(transaction, scope_id, access, (seq, memory), older, counts).await,
        None => Ok(()),
    }
}

/// The memories of a scope with these IDs; of an invalid row the error.
async fn find(
    transaction: &impl ConnectionTrait,
    scope_id: i64,
    ids: Vec<&str>,
) -> Result<Vec<(String, Result<Memory, MemoryStoreError>)>, MemoryStoreError> {
    let rows = Sql::new(transaction, &format!("SELECT {COLUMNS} FROM memories m WHERE m.scope_id = "))
        .value(scope_id)
        .then(" AND m.id IN (SELECT value FROM ")
        .elements(json_array(ids))
        .then(")")
        .all(transaction)
        .await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(1)?, memory_of(row).map(|(_, memory)| memory)))).collect()
}
