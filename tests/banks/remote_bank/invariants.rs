//! The invariants of `docs/memory-banks.md`, each against a bank behind a proxy that breaks. What needs no socket is tested
//! again, and more closely, with a paused clock: see the modules named after the mechanisms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memgate::adapters::remote_bank::{
    Access, BankKind, BreakerMode, BreakerState, Cause, Operation, RemoteBankConfig, RemoteMemoryBank,
};
use memgate::domain::memories::{MemoryBank, MemoryBankError, MemoryChanges, NewMemory};
use memgate_domain::testing::{content, new_memory, now, scope, update};
use memgate_test_kit::banks::mem0::{self, Mem0};
use memgate_test_kit::banks::{Bank, mcp_memory_service};
use memgate_test_kit::fault_proxy::{Fault, FaultProxy};
use memgate_test_kit::log::Log;

use super::support::{client, config, query, search, unavailable};

const GARBAGE: Fault = Fault::Answer { status: "200 OK", headers: "", body: b"{\"results\": [" };
const INVALID_UTF8: Fault = Fault::Answer { status: "200 OK", headers: "", body: b"{\"results\": [\"\xff\xfe\"]}" };
const HTML: Fault =
    Fault::Answer { status: "200 OK", headers: "content-type: text/html\r\n", body: b"<html>Sign in</html>" };
const NOT_HTTP: Fault = Fault::Answer { status: "\u{1}", headers: "\u{2}", body: b"\x00" };
const THROTTLED: Fault = Fault::Answer { status: "429 Too Many Requests", headers: "retry-after: 0\r\n", body: b"{}" };
const UNAVAILABLE: Fault =
    Fault::Answer { status: "503 Service Unavailable", headers: "retry-after: 0\r\n", body: b"" };

/// Everything that may help if it is done again.
const FAULTS: [Fault; 12] = [
    Fault::Reset,
    Fault::Cut,
    Fault::Lose,
    Fault::status("500 Internal Server Error"),
    Fault::status("502 Bad Gateway"),
    Fault::status("408 Request Timeout"),
    GARBAGE,
    INVALID_UTF8,
    HTML,
    NOT_HTTP,
    THROTTLED,
    UNAVAILABLE,
];

/// Waits that a test can afford.
fn quick(config: &mut RemoteBankConfig) {
    config.resilience.backoff_base = Duration::from_millis(1);
    config.resilience.backoff_max = Duration::from_millis(2);
}

async fn broken() -> (Bank<Mem0>, FaultProxy, Arc<RemoteMemoryBank>) {
    let bank = mem0::oss().await;
    let proxy = FaultProxy::before(&bank.url).await;
    let mut config = config(BankKind::Mem0Oss, &proxy.url);
    quick(&mut config);
    (bank, proxy, Arc::new(client(config)))
}

/// Searches until the breaker of reads is no longer closed. Every search fails, so that it takes no more than the calls that a
/// breaker counts.
async fn open_breaker_of_reads(client: &RemoteMemoryBank) {
    for number in 0.. {
        if client.breaker(Access::Read).0 != BreakerState::Closed {
            break;
        }
        assert!(number < 100, "a hundred searches failed, and the breaker is closed");
        unavailable(search(client).await);
    }
}

fn force_closed(client: &RemoteMemoryBank) {
    for access in Access::ALL {
        client.set_breaker_mode(access, BreakerMode::ForcedClosed);
    }
}

#[tokio::test]
async fn invariant_1_attempts_are_at_most_a_tenth_more_than_calls_and_a_floor_whatever_the_bank_does() {
    const CALLS: u64 = 60;
    for fault in FAULTS {
        let (_bank, proxy, client) = broken().await;
        // The breaker would keep most attempts away; the budget has to do without it.
        force_closed(&client);
        proxy.set(fault.clone());
        for number in 0..CALLS {
            let answer = if number % 2 == 0 {
                search(&client).await.map(|_| ())
            } else {
                client.create_first(&scope(), &new_memory("x")).await.map(|_| ())
            };
            assert!(answer.is_err(), "{fault:?}");
        }
        let allowed = CALLS + CALLS / 10 + 10;
        let attempts = client.metrics().attempts();
        assert!(attempts <= allowed && proxy.requests() <= allowed, "{fault:?}: {attempts} of {allowed}");
        assert!(attempts > CALLS, "{fault:?}: some calls were made again");
    }
    let (_bank, proxy, client) = broken().await;
    force_closed(&client);
    proxy.refuse(true).await;
    for _ in 0..CALLS {
        unavailable(search(&client).await);
    }
    assert!(client.metrics().attempts() <= CALLS + CALLS / 10 + 10);
}

/// What is asked of the port, whatever it is.
async fn everything(client: &RemoteMemoryBank) -> Vec<(&'static str, Duration)> {
    async fn timed<T>(name: &'static str, call: impl Future<Output = T>) -> (&'static str, Duration) {
        let began = Instant::now();
        call.await;
        (name, began.elapsed())
    }
    let (scope, id) = (scope(), "01937a5e-0000-7000-8000-000000000001".parse().unwrap());
    let (new, changes) = (new_memory("x"), MemoryChanges { content: Some(content("y")), ..MemoryChanges::default() });
    let page = memgate::domain::memories::ListQuery::new(10.try_into().unwrap(), now());
    vec![
        timed("create", client.create(&scope, &new)).await,
        timed("search", client.search(&scope, &query("x"))).await,
        timed("list", client.list(&scope, &page)).await,
        timed("get", client.get(&scope, &id, now())).await,
        timed("update", client.update(&scope, &id, &update(&changes, now()))).await,
        timed("delete", client.delete(&scope, &id)).await,
        timed("check_health", client.check_health()).await,
    ]
}

#[tokio::test]
async fn invariant_2_no_call_outlives_its_deadline() {
    for fault in [Fault::Stall, Fault::Drip, Fault::Lose, Fault::status("503 Service Unavailable")] {
        let bank = mem0::oss().await;
        let proxy = FaultProxy::before(&bank.url).await;
        let mut config = config(BankKind::Mem0Oss, &proxy.url);
        config.resilience.deadline = Duration::from_millis(250);
        config.resilience.attempt_timeout = Duration::from_millis(100);
        let client = client(config);
        force_closed(&client);
        proxy.set(fault.clone());
        for (call, took) in everything(&client).await {
            // The paused clock tells it to the millisecond; here the machine may be busy.
            assert!(took < Duration::from_millis(250 + 500), "{call} took {took:?} with {fault:?}");
        }
    }
}

#[tokio::test]
async fn invariant_3_what_the_bank_asks_for_is_obeyed_within_the_deadline_and_else_ends_the_call() {
    let (_bank, proxy, client) = broken().await;
    let wait = Fault::Answer { status: "429 Too Many Requests", headers: "retry-after: 1\r\n", body: b"{}" };
    proxy.script([wait]);
    let began = Instant::now();
    search(&client).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(proxy.requests(), 2);
    let wait = Fault::Answer { status: "503 Service Unavailable", headers: "retry-after: 3600\r\n", body: b"" };
    proxy.script([wait]);
    let began = Instant::now();
    assert_eq!(unavailable(search(&client).await), Some(Duration::from_hours(1)));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(proxy.requests(), 3);
}

#[tokio::test]
async fn invariant_4_a_create_that_may_have_arrived_is_never_sent_again_without_looking_for_it() {
    let arrives = [Fault::Cut, Fault::Lose];
    for fault in arrives {
        let (bank, proxy, client) = broken().await;
        proxy.script([fault.clone()]);
        let (owner, new) = (scope(), new_memory("The spare key is under the fern."));
        let memory = client.create_first(&owner, &new).await.unwrap();
        assert_eq!(bank.state().points.len(), 1, "{fault:?}");
        assert_eq!(memory, NewMemory { id: memory.id.clone(), ..new.clone() }.into_memory());
        let paths = bank.calls();
        assert_eq!(paths, ["/memories", "/search"], "{fault:?}: it was found, and not sent again");
    }
    for fault in [Fault::Reset, Fault::status("500 Internal Server Error"), HTML] {
        let (bank, proxy, client) = broken().await;
        proxy.script([fault.clone()]);
        client.create_first(&scope(), &new_memory("x")).await.unwrap();
        assert_eq!(bank.state().points.len(), 1, "{fault:?}");
        let paths = bank.calls();
        assert_eq!(paths, ["/search", "/memories"], "{fault:?}: it was looked for, and then sent again");
    }
}

#[tokio::test]
async fn invariant_4_a_create_whose_look_up_fails_is_not_sent_again() {
    let (bank, proxy, client) = broken().await;
    // Sent and lost, looked for in vain, and at last found.
    proxy.script([Fault::Lose, Fault::Reset, Fault::Pass]);
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    assert_eq!(bank.state().points.len(), 1);
    assert_eq!(bank.calls().len(), 2);
    // With nothing that answers any more, it is given up.
    proxy.set(Fault::Lose);
    unavailable(client.create_first(&scope(), &new_memory("y")).await);
    let creates = bank.calls().iter().filter(|call| *call == "/memories").count();
    assert_eq!((bank.state().points.len(), creates), (2, 2));
}

#[tokio::test]
async fn invariant_4_a_later_call_finds_what_an_earlier_one_may_have_sent() {
    for kind in [BankKind::Mem0Oss, BankKind::Mem0Platform, BankKind::Mem0V1] {
        let bank = match kind {
            BankKind::Mem0Oss => mem0::oss().await,
            BankKind::Mem0Platform => mem0::platform().await,
            _ => mem0::v1().await,
        };
        let proxy = FaultProxy::before(&bank.url).await;
        let mut config = config(kind, &proxy.url);
        config.resilience.max_attempts = 1;
        let (owner, new) = (scope(), new_memory("The spare key is under the fern."));
        proxy.script([Fault::Lose]);
        unavailable(client(config.clone()).create_first(&owner, &new).await);
        // Another process goes on with it.
        client(config).create(&owner, &new).await.unwrap();
        assert_eq!(bank.state().points.len(), 1, "{kind}");
    }
    let bank = mcp_memory_service::mcp_memory_service().await;
    let proxy = FaultProxy::before(&bank.url).await;
    let config = config(BankKind::McpMemoryService, &proxy.url);
    let (owner, new) = (scope(), new_memory("The spare key is under the fern."));
    proxy.script([Fault::Lose, Fault::Reset]);
    let memory = client(config).create_first(&owner, &new).await.unwrap();
    assert_eq!(memory, NewMemory { id: memory.id.clone(), ..new }.into_memory());
    assert_eq!(bank.state().rows.len(), 1);
}

#[tokio::test]
async fn invariant_5_a_breaker_opens_for_one_kind_of_operation_alone() {
    let (_bank, proxy, client) = broken().await;
    proxy.set(Fault::status("500 Internal Server Error"));
    open_breaker_of_reads(&client).await;
    assert!(client.metrics().attempts() <= 20, "the last 20 are judged");
    assert_eq!(client.breaker(Access::Write), (BreakerState::Closed, BreakerMode::Automatic));
    proxy.set(Fault::Pass);
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    unavailable(search(&client).await);
}

#[tokio::test]
async fn invariant_6_an_open_breaker_answers_at_once_and_says_when_to_come_back() {
    let (_bank, proxy, client) = broken().await;
    client.set_breaker_mode(Access::Read, BreakerMode::ForcedOpen);
    let began = Instant::now();
    for _ in 0..1_000 {
        let wait = unavailable(search(&client).await).expect("it is known");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(10));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "a thousand took {:?}", began.elapsed());
    assert_eq!(proxy.requests(), 0);
}

#[tokio::test]
async fn invariant_7_a_bank_that_is_back_is_used_within_one_open_period_and_one_probe_without_a_stampede() {
    let bank = mem0::oss().await;
    let proxy = FaultProxy::before(&bank.url).await;
    let mut config = config(BankKind::Mem0Oss, &proxy.url);
    quick(&mut config);
    config.resilience.breaker.open_for = Duration::from_millis(300);
    let client = Arc::new(client(config));
    proxy.refuse(true).await;
    open_breaker_of_reads(&client).await;
    let opened = Instant::now();
    proxy.refuse(false).await;
    let before = client.metrics().attempts();
    let mut refused = 0;
    while let Err(error) = search(&client).await {
        unavailable::<()>(Err(error));
        refused += 1;
        assert!(opened.elapsed() < Duration::from_millis(300 + 500), "it takes more than {:?}", opened.elapsed());
        tokio::task::yield_now().await;
    }
    assert!(refused > 0, "it was not asked while the breaker was open");
    assert_eq!(client.metrics().attempts(), before + 1, "the first that got through came to something");
    assert!(opened.elapsed() < Duration::from_millis(300 + 500), "it took {:?}", opened.elapsed());
    assert_eq!(client.breaker(Access::Read).0, BreakerState::Closed);
}

#[tokio::test]
async fn invariant_8_what_is_not_the_banks_fault_is_neither_done_again_nor_counted() {
    for status in ["400 Bad Request", "409 Conflict", "413 Content Too Large", "422 Unprocessable Content"] {
        let (_bank, proxy, client) = broken().await;
        proxy.set(Fault::status(status));
        for _ in 0..30 {
            let answer = search(&client).await;
            assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why.contains("broken")), "{answer:?}");
        }
        assert_eq!(proxy.requests(), 30, "{status}");
        assert_eq!(client.breaker(Access::Read).0, BreakerState::Closed, "{status}");
    }
    for status in ["408 Request Timeout", "425 Too Early", "429 Too Many Requests"] {
        let (_bank, proxy, client) = broken().await;
        proxy.script([Fault::status(status)]);
        search(&client).await.unwrap();
        assert_eq!(proxy.requests(), 2, "{status} is done again");
        proxy.set(Fault::status(status));
        open_breaker_of_reads(&client).await;
    }
}

#[tokio::test]
async fn invariant_8_a_refused_key_is_the_operators_fault_and_an_error_in_the_log() {
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "307 Temporary Redirect"] {
        let (_bank, proxy, client) = broken().await;
        proxy.set(Fault::status(status));
        let log = Log::start();
        let answer = search(&client).await;
        assert!(matches!(answer, Err(MemoryBankError::Misconfigured(_))), "{status}: {answer:?}");
        let errors = log.of_level("ERROR");
        assert_eq!(errors.len(), 1, "{status}: {errors:?}");
        assert_eq!(errors[0]["status"], status[..3].parse::<u16>().unwrap());
        assert_eq!(proxy.requests(), 1);
        assert_eq!(client.breaker(Access::Read).0, BreakerState::Closed);
    }
}

#[tokio::test]
async fn invariant_9_each_failed_call_leaves_one_line_that_holds_nothing_secret() {
    let (_bank, proxy, client) = broken().await;
    let failure = Fault::Answer {
        status: "502 Bad Gateway",
        headers: "x-request-id: req-42\r\n",
        body: b"{\"detail\":\"embedding of 'under the fern' failed\",\"code\":\"provider_timeout\"}",
    };
    proxy.script([failure.clone(), failure, Fault::Pass, Fault::Reset]);
    let log = Log::start();
    let owner = scope();
    client.search(&owner, &query("What is under the fern?")).await.unwrap();
    client.create_first(&owner, &new_memory("The spare key is under the fern.")).await.unwrap();
    let lines = log.of_level("WARN");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, (operation, attempt, cause)) in
        lines.iter().zip([("search", 1, "server_error"), ("search", 2, "server_error"), ("create", 1, "broken")])
    {
        assert_eq!(line["operation"], operation, "{line}");
        assert_eq!(line["attempt"], attempt, "{line}");
        assert_eq!(line["cause"], cause, "{line}");
        assert_eq!(line["breaker"], "closed", "{line}");
        assert!(line["duration_ms"].is_u64(), "{line}");
    }
    assert_eq!((&lines[0]["status"], &lines[0]["bank_request_id"]), (&502.into(), &"req-42".into()));
    let text = log.text();
    for secret in ["fern", memgate_test_kit::banks::KEY, "Where is", owner.space().as_str()] {
        assert!(!text.contains(secret), "the log holds {secret:?}:\n{text}");
    }
}

#[tokio::test]
async fn invariant_9_everything_that_happens_is_counted() {
    let (_bank, proxy, client) = broken().await;
    let metrics = client.metrics();
    proxy.script([Fault::Reset]);
    search(&client).await.unwrap();
    assert_eq!(metrics.attempts_of(Operation::Search, Some(Cause::ConnectionLost)), 1);
    assert_eq!(metrics.attempts_of(Operation::Search, None), 1);
    assert_eq!(metrics.retries(), 1);
    assert_eq!(metrics.budget_left(), 9);
    client.set_breaker_mode(Access::Write, BreakerMode::ForcedOpen);
    assert_eq!(client.breaker(Access::Write), (BreakerState::Open, BreakerMode::ForcedOpen));
    unavailable(client.create_first(&scope(), &new_memory("x")).await);
    client.set_breaker_mode(Access::Write, BreakerMode::Automatic);
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    let text = metrics.to_prometheus();
    for line in [
        "memgate_bank_attempts_total{operation=\"search\",outcome=\"broken\"} 1",
        "memgate_bank_attempts_total{operation=\"create\",outcome=\"ok\"} 1",
        "memgate_bank_retries_total{operation=\"search\"} 1",
        "memgate_bank_retry_budget 9",
        "memgate_bank_refusals_total{reason=\"breaker_open\"} 1",
        "memgate_bank_breaker_state{breaker=\"write\"} 0",
        "memgate_bank_breaker_transitions_total{breaker=\"write\",to=\"closed\"} 1",
        "memgate_bank_attempt_seconds_count{operation=\"search\"} 2",
        "memgate_bank_attempt_seconds_bucket{operation=\"search\",le=\"+Inf\"} 2",
        "# TYPE memgate_bank_attempt_seconds histogram",
    ] {
        assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
    }
}
