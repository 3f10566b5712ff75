//! Makes vectors of memories in the background, a few at a time.

use std::time::Duration;

use memgate_domain::memories::{Embedder, EmbeddingError, TextKind};
use tokio::time::Instant;

use super::failure::MemoryStoreError;
use super::vector_rows::{DueScope, Embedded, Unembedded, Unread, check_off, due_scopes, is_adopted, store};
use crate::adapters::database::connections::ConnectionPool;

/// Number of memories per transaction, and how many the model gets at a time.
const BATCH: usize = 256;
const TEXTS: usize = 32;
/// Number of scopes that are looked up at a time.
const SCOPES: i64 = 64;
/// Interval of progress reports in the log.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Makes vectors.
pub(super) struct EmbeddingRun<'a> {
    pub(super) embedder: &'a dyn Embedder,
    pub(super) reader: &'a ConnectionPool,
    pub(super) writer: &'a ConnectionPool,
}

/// What one run has done.
#[derive(Debug, Default)]
struct Progress {
    embedded: u64,
    failed: u64,
    reported: Option<Instant>,
}

impl EmbeddingRun<'_> {
    /// Makes the vectors of all memories that have none of this model, unless vectors are made with another. Returns of how many.
    pub(super) async fn run(&self) -> Result<u64, MemoryStoreError> {
        let (mut after, mut progress) = (0, Progress::default());
        loop {
            let mut scopes = due_scopes(self.reader, &self.embedder.model().id, after, SCOPES).await?;
            let Some(last) = scopes.last() else { break };
            after = last.row.id;
            for scope in &mut scopes {
                let is_adopted = is_adopted(self.reader, &self.embedder.model().id).await?;
                if !is_adopted || !self.embed_scope(scope, &mut progress).await? {
                    return Ok(progress.embedded);
                }
            }
        }
        if progress.failed > 0 {
            tracing::warn!(
                failed = progress.failed,
                "the embedding model failed on some memories, which are found by their words"
            );
        }
        if progress.reported.is_some() {
            tracing::info!(embedded = progress.embedded, "embedded all memories");
        }
        Ok(progress.embedded)
    }

    /// Returns `false` if vectors are made with another model by now.
    async fn embed_scope(&self, scope: &mut DueScope, progress: &mut Progress) -> Result<bool, MemoryStoreError> {
        let model = &self.embedder.model().id;
        let mut unread = Unread::of(self.reader, model, scope).await?;
        let mut is_complete = true;
        loop {
            let batch = unread.next(self.reader, BATCH).await?;
            if batch.is_empty() {
                break;
            }
            let embedded = self.embed(batch, progress).await?;
            let Some(stored) = store(self.writer, model, scope, &embedded).await? else { return Ok(false) };
            // Whatever was left out is deleted, being changed, or stored by another run; otherwise the next run finds it again.
            is_complete &= stored == embedded.len() as u64;
            progress.embedded += stored;
            progress.report();
        }
        if is_complete {
            check_off(self.writer, model, scope).await?;
        }
        Ok(true)
    }

    async fn embed(
        &self,
        mut batch: Vec<Unembedded>,
        progress: &mut Progress,
    ) -> Result<Vec<Embedded>, MemoryStoreError> {
        let mut embedded = Vec::with_capacity(batch.len());
        while !batch.is_empty() {
            let rest = batch.split_off(TEXTS.min(batch.len()));
            embedded.extend(self.embed_some(batch, progress).await?);
            batch = rest;
        }
        Ok(embedded)
    }

    async fn embed_some(
        &self,
        batch: Vec<Unembedded>,
        progress: &mut Progress,
    ) -> Result<Vec<Embedded>, MemoryStoreError> {
        let texts = batch.iter().map(|memory| memory.content.clone()).collect();
        if let Ok(vectors) = self.embedder.embed(texts, TextKind::Memory).await {
            return Ok(batch.into_iter().zip(vectors).map(|(memory, vector)| Embedded { memory, vector }).collect());
        }
        // One text can be the reason, and must not keep all others waiting.
        let mut embedded = Vec::with_capacity(batch.len());
        for memory in batch {
            let vector = match self.embedder.embed(vec![memory.content.clone()], TextKind::Memory).await {
                Ok(vectors) => vectors.into_iter().next().flatten(),
                Err(error) => {
                    self.check(error).await?;
                    progress.failed += 1;
                    None
                }
            };
            embedded.push(Embedded { memory, vector });
        }
        Ok(embedded)
    }

    /// Fails if the model fails on any text, rather than on that which it has failed on with `error`.
    async fn check(&self, error: EmbeddingError) -> Result<(), MemoryStoreError> {
        match self.embedder.embed(vec!["memory".to_owned()], TextKind::Memory).await {
            Ok(_) => Ok(()),
            Err(_) => Err(MemoryStoreError::Model(error.into())),
        }
    }
}

impl Progress {
    fn report(&mut self) {
        let now = Instant::now();
        let reported = *self.reported.get_or_insert(now);
        if now.duration_since(reported) >= REPORT_EVERY {
            self.reported = Some(now);
            tracing::info!(embedded = self.embedded, "embedding memories");
        }
    }
}
