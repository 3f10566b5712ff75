//! What the tests of this binary share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memgate::adapters::remote_bank::{
    BankFailure, BankKind, Cause, Operation, RawResponse, RemoteBankConfig, RemoteMemoryBank, Request, Transport,
};
use memgate::domain::memories::{Limit, MemoryBank, MemoryBankError, MemoryFilter, MemoryQuery, SearchResults};
use memgate_domain::testing::{FixedClock, SeededEntropy, now, scope};
use memgate_test_kit::banks::KEY;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;

/// The configuration for a double.
pub fn config(kind: BankKind, url: &Url) -> RemoteBankConfig {
    RemoteBankConfig { api_key: Some(KEY.into()), ..RemoteBankConfig::new(kind, url.clone()) }
}

/// A client with a clock that stands still.
pub fn client(config: RemoteBankConfig) -> RemoteMemoryBank {
    RemoteMemoryBank::new(config, Arc::new(FixedClock::default()), Arc::new(SeededEntropy::new(7))).unwrap()
}

/// A search of the usual kind.
pub fn query(text: &str) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: Limit::default(),
        threshold: None,
        filter: MemoryFilter::default(),
        now: now(),
    }
}

/// A search of a scope that nobody else has.
pub async fn search(bank: &RemoteMemoryBank) -> Result<SearchResults, MemoryBankError> {
    bank.search(&scope(), &query("Where is the key?")).await
}

/// What a request comes to, in a bank that is only played.
#[derive(Clone, Debug)]
pub enum Step {
    /// That status, with a body that fits.
    Status(u16),
    /// That status, with a header `Retry-After`.
    RetryAfter(u16, &'static str),
    /// That failure of the transport.
    Fails(Cause),
    /// Nothing, ever.
    Stalls,
    /// That body, after so long.
    After(Duration, Value),
}

/// A transport that plays a bank. It needs no socket, so it can be used while the clock is paused.
pub struct Played {
    next: Mutex<VecDeque<Step>>,
    usual: Mutex<Step>,
    sent: Mutex<Vec<(Operation, Instant)>>,
}

impl Played {
    pub fn new(usual: Step) -> Arc<Self> {
        Arc::new(Self { next: Mutex::default(), usual: Mutex::new(usual), sent: Mutex::default() })
    }

    /// What the next requests come to, one after the other.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.next.lock().unwrap().extend(steps);
    }

    /// What every other request comes to from now on.
    pub fn set(&self, usual: Step) {
        *self.usual.lock().unwrap() = usual;
    }

    /// What was sent, and when.
    pub fn sent(&self) -> Vec<(Operation, Instant)> {
        self.sent.lock().unwrap().clone()
    }

    /// Forgets what was sent so far.
    pub fn forget(&self) {
        self.sent.lock().unwrap().clear();
    }

    /// The operations that were sent.
    pub fn operations(&self) -> Vec<Operation> {
        self.sent().into_iter().map(|(operation, _)| operation).collect()
    }

    /// How many requests were sent.
    pub fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

#[async_trait]
impl Transport for Played {
    async fn send(&self, request: &Request) -> Result<RawResponse, BankFailure> {
        self.sent.lock().unwrap().push((request.operation, Instant::now()));
        let step = self.next.lock().unwrap().pop_front().unwrap_or_else(|| self.usual.lock().unwrap().clone());
        let answer =
            |status: u16, body: Value| RawResponse { status, body: body.to_string().into(), ..RawResponse::default() };
        match step {
            Step::Status(status) => Ok(answer(status, body_of(request.operation, status))),
            Step::RetryAfter(status, wait) => {
                Ok(RawResponse { retry_after: Some(wait.to_owned()), ..answer(status, json!({"detail": "wait"})) })
            }
            Step::Fails(cause) => Err(BankFailure::new(cause)),
            Step::Stalls => std::future::pending().await,
            Step::After(time, body) => {
                sleep(time).await;
                Ok(answer(200, body))
            }
        }
    }
}

/// What a self-hosted mem0 says when all is well and nothing is there.
fn body_of(operation: Operation, status: u16) -> Value {
    match (operation, status) {
        (Operation::Create, 200) => json!({"results": [{"id": "01937a5e-0000-7000-8000-000000000001"}]}),
        (Operation::Get, 200) => Value::Null,
        (_, 200) => json!({"results": []}),
        _ => json!({"detail": "no"}),
    }
}

/// A client of a bank that is only played, with what `change` does to the defaults.
pub fn played(transport: &Arc<Played>, change: impl FnOnce(&mut RemoteBankConfig)) -> Arc<RemoteMemoryBank> {
    let mut config = config(BankKind::Mem0Oss, &"http://bank.invalid".parse().unwrap());
    change(&mut config);
    let transport = Arc::clone(transport) as Arc<dyn Transport>;
    let (clock, entropy) = (Arc::new(FixedClock::default()), Arc::new(SeededEntropy::new(7)));
    Arc::new(RemoteMemoryBank::with_transport(config, transport, clock, entropy).unwrap())
}

/// How long to wait, if the bank is not available.
#[track_caller]
pub fn unavailable<T: std::fmt::Debug>(answer: Result<T, MemoryBankError>) -> Option<Duration> {
    match answer {
        Err(MemoryBankError::Unavailable { retry_after, .. }) => retry_after,
        answer => panic!("the bank is unavailable, and not {answer:?}"),
    }
}
