//! Many callers, one commit.
//!
//! A commit waits for the disk, and costs about the same for one memory as for many. So callers hand their wishes to a
//! task that takes all that are waiting and fulfils them together, while the next ones gather. A lone caller waits for
//! nobody.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sea_orm::{ConnectionTrait as _, DbBackend};
use tokio::sync::{mpsc, oneshot};

use super::changes::{Outcome, Wish, fulfil};
use super::failure::Failure;
use crate::adapters::database::connections::ConnectionPool;

/// The most wishes of one transaction. On SQLite everybody else who writes waits for it, tokens included.
const MAX_BATCH: usize = 64;
/// How many wishes may wait for a task; further callers wait for a place.
const MAX_WAITING: usize = 4 * MAX_BATCH;
/// How many tasks write to PostgreSQL. A scope always has the same one, so that its writers do not wait in the database.
const POSTGRES_LANES: u64 = 4;

pub(super) type Answer = Result<Outcome, Failure>;

struct Waiting {
    wish: Wish,
    answer: oneshot::Sender<Answer>,
}

/// Hands wishes to the tasks, which end with it.
#[derive(Debug)]
pub(super) struct Writer {
    lanes: Vec<mpsc::Sender<Waiting>>,
}

impl Writer {
    /// Starts the tasks, on the runtime of the caller.
    pub(super) fn start(connection: &ConnectionPool) -> Self {
        let count = match connection.get_database_backend() {
            DbBackend::Postgres => POSTGRES_LANES,
            _ => 1,
        };
        let start_lane = |_| {
            let (lane, waiting) = mpsc::channel(MAX_WAITING);
            tokio::spawn(serve(connection.clone(), waiting));
            lane
        };
        Self { lanes: (0..count).map(start_lane).collect() }
    }

    /// Has a wish fulfilled. It is on disk when this returns. A caller that goes away before its transaction has begun has
    /// not asked.
    pub(super) async fn submit(&self, wish: Wish) -> Answer {
        self.enqueue(wish).await?.await.map_err(|_| Failure::WriterEnded)?
    }

    /// Has many wishes fulfilled, in as few commits as may be.
    pub(super) async fn submit_all(&self, wishes: Vec<Wish>) -> Result<Vec<Outcome>, Failure> {
        self.submit_each(wishes).await?.into_iter().collect()
    }

    /// The same, with an answer to each.
    pub(super) async fn submit_each(&self, wishes: Vec<Wish>) -> Result<Vec<Answer>, Failure> {
        let mut waiting = Vec::with_capacity(wishes.len());
        for wish in wishes {
            waiting.push(self.enqueue(wish).await?);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            answers.push(answered.await.map_err(|_| Failure::WriterEnded)?);
        }
        Ok(answers)
    }

    async fn enqueue(&self, wish: Wish) -> Result<oneshot::Receiver<Answer>, Failure> {
        let mut hasher = DefaultHasher::new();
        wish.tenant.hash(&mut hasher);
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hasher.finish() % lanes).unwrap_or(0);
        let (answer, answered) = oneshot::channel();
        self.lanes[lane].send(Waiting { wish, answer }).await.map_err(|_| Failure::WriterEnded)?;
        Ok(answered)
    }
}

async fn serve(connection: ConnectionPool, mut waiting: mpsc::Receiver<Waiting>) {
    let mut gathered = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        let (wishes, callers): (Vec<_>, Vec<_>) = gathered
            .drain(..)
            .filter(|caller| !caller.answer.is_closed())
            .map(|caller| (caller.wish, caller.answer))
            .unzip();
        // In a task of its own, so that a bug that panics costs one batch its answers, and not every later caller.
        let connection = connection.clone();
        let answers = tokio::spawn(async move { fulfil_each(&connection, wishes).await }).await;
        for (caller, answer) in callers.into_iter().zip(answers.unwrap_or_default()) {
            // Who does not wait any more does not want to know.
            caller.send(answer).ok();
        }
    }
}

async fn fulfil_each(connection: &ConnectionPool, wishes: Vec<Wish>) -> Vec<Answer> {
    match fulfil(connection, &wishes).await {
        Ok(answers) => answers,
        // One that the database refuses must not take the others with it.
        Err(failure) if failure.is_refused_value() && wishes.len() > 1 => {
            let mut answers = Vec::with_capacity(wishes.len());
            for wish in &wishes {
                let alone = fulfil(connection, std::slice::from_ref(wish)).await;
                answers.push(alone.and_then(|mut answers| answers.pop().unwrap_or(Err(Failure::WriterEnded))));
            }
            answers
        }
        Err(failure) => vec![Err(failure); wishes.len()],
    }
}
