//! The drill of `just breaker-drill`, whose transcript is in docs/operations.md, with a breaker that is open for a short time.

use std::time::Duration;

use memgate_test_kit::breaker_drill::{Stage, play};
use memgate_test_kit::process::program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breaker_opens_when_the_bank_breaks_and_closes_when_it_is_healed() {
    let stage = Stage::set(&program(), Duration::from_secs(10)).await.unwrap();
    let mut transcript = Vec::new();
    let played = play(&stage, &mut |line| transcript.push(line.to_owned())).await;
    let transcript = transcript.join("\n");
    assert_eq!(played, Ok(()), "{transcript}");
    let mut rest = transcript.as_str();
    for piece in [
        "# 1. All is well.",
        "store:  201",
        "search: 200",
        "breakers: read closed, write closed",
        "# 2. The bank is broken",
        "search: 503",
        "breakers: read open",
        "store:  202",
        "memgate_bank_breaker_transitions_total{breaker=\"read\",to=\"open\"} 1",
        "memgate_queue_pending 1",
        "# 3. While it is open",
        "100 searches: 503",
        "# 4. The bank is healed.",
        "search: 200",
        ": stored",
        "first \"The spare key is under the fern.\"",
        "breakers: read closed, write closed",
        "# 5. What memgate logged",
        "cause=not_connected",
        "the breaker of the memory bank opened: breaker=read from=closed to=open",
        "breaker=read from=open to=half_open",
        "breaker=read from=half_open to=closed",
    ] {
        let at =
            rest.find(piece).unwrap_or_else(|| panic!("`{piece}` is missing, or is not in its place:\n{transcript}"));
        rest = &rest[at + piece.len()..];
    }
}
