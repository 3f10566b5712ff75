//! Finding memories by what they mean: those whose vectors are the most similar to that of the query.
//!
//! The vectors of the scope are compared one by one, in memory. Where they do not fit, those of the memories are compared that
//! the words have found. What a search may not return is not compared either: not even what is usual may tell of it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memgate_domain::memories::{Embedder, Embedding, EmbeddingError, TextKind};
use sea_orm::ConnectionTrait;
use tokio::sync::{Notify, OnceCell};
use tokio::time::timeout;

use super::candidates::Reach;
use super::failure::MemoryStoreError;
use super::ranking::{NEAREST, UNRELATED, Usual};
use super::read::ScopeRow;
use super::vector_cache::{CurrentVectors, ScopeVectors, VectorCache};
use super::vector_rows::vectors_of;
use crate::adapters::database::connections::ConnectionPool;

/// Maximum time in which a query must have its vector.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of vectors after which other tasks may run.
const COMPARED_AT_A_TIME: usize = 16_384;

/// What a bank with an embedding model has besides.
pub(super) struct Meaning {
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) writer: ConnectionPool,
    /// Woken when memories have changed.
    pub(super) changed: Notify,
    vectors: VectorCache,
    background: OnceCell<Usual>,
}

impl Meaning {
    pub(super) fn new(embedder: Arc<dyn Embedder>, reader: ConnectionPool, writer: ConnectionPool) -> Self {
        let vectors = VectorCache::new(reader, embedder.model().clone());
        Self { embedder, writer, changed: Notify::new(), vectors, background: OnceCell::new() }
    }

    /// The vector of a query; `None` if it has none, or the model fails: then words alone have to do.
    pub(super) async fn ask(&self, text: &str) -> Option<AskedMeaning<'_>> {
        let asked = async {
            let background = *self.background.get_or_try_init(|| self.background()).await?;
            let vectors = self.embedder.embed(vec![text.to_owned()], TextKind::Query).await?;
            Ok::<_, EmbeddingError>(vectors.into_iter().next().flatten().map(|query| (query, background)))
        };
        let asked = timeout(ASK_TIMEOUT, asked).await;
        match asked.unwrap_or_else(|_| Err(EmbeddingError::Failed("it takes too long".into()))) {
            Ok(asked) => asked.map(|(query, background)| AskedMeaning { meaning: self, query, background }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to embed a query: memories are found by its words alone");
                None
            }
        }
    }

    /// Does what else the first query would wait for.
    pub(super) async fn prepare(&self) {
        if let Err(error) = self.background.get_or_try_init(|| self.background()).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "failed to embed the texts that show what is usual");
        }
    }

    async fn background(&self) -> Result<Usual, EmbeddingError> {
        let texts = UNRELATED.iter().map(|text| (*text).to_owned()).collect();
        let vectors: Vec<Embedding> =
            self.embedder.embed(texts, TextKind::Query).await?.into_iter().flatten().collect();
        let pairs = vectors.iter().enumerate().flat_map(|(place, a)| vectors[..place].iter().map(|b| a.similarity(b)));
        Ok(Usual::background(&pairs.collect::<Vec<_>>()))
    }
}

impl fmt::Debug for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meaning").field("model", self.embedder.model()).finish_non_exhaustive()
    }
}

/// A query and its vector.
pub(super) struct AskedMeaning<'a> {
    meaning: &'a Meaning,
    query: Embedding,
    background: Usual,
}

impl<'a> AskedMeaning<'a> {
    /// Compares the query with what a search may return. `limit` is that of the search.
    pub(super) async fn near(
        self,
        transaction: &impl ConnectionTrait,
        row: &ScopeRow,
        reach: &Reach<'_>,
        limit: usize,
    ) -> Result<Near<'a>, MemoryStoreError> {
        let Some(vectors) = self.meaning.vectors.current(transaction, row).await? else {
            return Ok(Near { asked: self, compared: None });
        };
        let mut similarities: Vec<(i32, i64)> = Vec::new();
        if reach.is_whole_scope() {
            let expired: HashSet<i64> = reach.expired(transaction).await?.into_iter().collect();
            for (number, (seq, similarity)) in vectors.similarities(&self.query).enumerate() {
                if expired.is_empty() || !expired.contains(&seq) {
                    similarities.push((similarity, seq));
                }
                if number % COMPARED_AT_A_TIME == COMPARED_AT_A_TIME - 1 {
                    tokio::task::yield_now().await;
                }
            }
        } else {
            let found = reach.passing(transaction).await?;
            similarities.extend(found.into_iter().filter_map(|seq| Some((vectors.similarity(&self.query, seq)?, seq))));
        }
        let usual = self.background.with(similarities.iter().map(|(similarity, _)| *similarity));
        similarities.retain(|(similarity, _)| usual.stands_out(*similarity));
        // Of equal ones the newer first.
        similarities.sort_unstable_by(|a, b| b.cmp(a));
        similarities.truncate(NEAREST.max(limit));
        let nearest = similarities.into_iter().map(|(_, seq)| seq).collect();
        Ok(Near { asked: self, compared: Some(Compared { vectors, usual, nearest }) })
    }
}

/// The memories whose meaning is near to that of a query.
pub(super) struct Near<'a> {
    asked: AskedMeaning<'a>,
    /// `None` if the vectors of the scope do not fit into memory.
    compared: Option<Compared>,
}

struct Compared {
    vectors: CurrentVectors,
    usual: Usual,
    nearest: Vec<i64>,
}

impl Near<'_> {
    /// The nearest, those that stand out.
    pub(super) fn nearest(&self) -> &[i64] {
        self.compared.as_ref().map_or(&[], |compared| &compared.nearest)
    }

    /// By how many standard deviations each of the memories `seqs` is more similar to the query than usual; 0 for one without a
    /// vector.
    pub(super) async fn deviations(
        &self,
        transaction: &impl ConnectionTrait,
        scope_id: i64,
        seqs: &[i64],
    ) -> Result<Vec<f64>, MemoryStoreError> {
        let deviations = |vectors: &ScopeVectors, usual: Usual| {
            let similarity = |seq: &i64| vectors.similarity(&self.asked.query, *seq);
            seqs.iter().map(|seq| similarity(seq).map_or(0.0, |similarity| usual.deviations(similarity))).collect()
        };
        if let Some(compared) = &self.compared {
            return Ok(deviations(&compared.vectors, compared.usual));
        }
        let AskedMeaning { meaning, query, background } = &self.asked;
        let model = meaning.embedder.model();
        let rows = vectors_of(transaction, &model.id, scope_id, seqs.iter().copied()).await?;
        let mut vectors = ScopeVectors::empty(model.dimensions);
        for row in &rows {
            vectors.insert_row(row)?;
        }
        let usual = background.with(vectors.similarities(query).map(|(_, similarity)| similarity));
        Ok(deviations(&vectors, usual))
    }
}
