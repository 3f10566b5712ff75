use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::memories::{Memory, MemoryBankDecorator};
use crate::testing::{InMemoryMemoryBank, InMemoryTenantRegistry, now, scope, scope_limited_to};

fn import(bank: &Arc<InMemoryMemoryBank>) -> Import {
    Import::new(
        Arc::clone(bank) as _,
        Arc::new(InMemoryTenantRegistry::open()),
        streaming_reader(scope().into_scope(), now()),
    )
}

fn row(number: u64) -> String {
    format!("{{\"content\": \"memory {number}\"}}")
}

#[tokio::test]
async fn every_row_is_accounted_for_and_a_second_import_creates_nothing() {
    let scope = scope().into_scope();
    let bank = Arc::new(InMemoryMemoryBank::default());
    let load = async || {
        let reader = streaming_reader(scope.clone(), now());
        let mut import = Import::new(Arc::clone(&bank) as _, Arc::new(InMemoryTenantRegistry::open()), reader);
        for number in 1..=600 {
            import.add(Place::line(number), &row(number)).await.unwrap();
        }
        for (number, row) in
            [(601, &*row(5)), (602, " "), (603, "{"), (604, r#"{"content": "", "expires_at": "2000-01-01"}"#)]
        {
            import.add(Place::line(number), row).await.unwrap();
        }
        import.add(Place::line(605), r#"{"content": "x", "expires_at": "2000-01-01"}"#).await.unwrap();
        import.leave_out(Place::line(606), ImportProblem::NotUtf8);
        import.finish().await.unwrap()
    };
    let first = load().await;
    assert_eq!((first.rows, first.created, first.duplicates, first.expired, first.left_out), (605, 600, 1, 1, 3));
    let places: Vec<String> = first.reasons.iter().map(|left_out| left_out.place.to_string()).collect();
    assert_eq!(places, ["line 603", "line 604", "line 606"]);
    let second = load().await;
    assert_eq!((second.created, second.duplicates), (0, 601));
    assert_eq!(bank.len(), 600);
}

#[tokio::test]
async fn a_preview_says_what_an_import_would_do_and_does_nothing() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let scope = scope().into_scope();
    let reader = || streaming_reader(scope.clone(), now());
    let mut stored = Import::new(Arc::clone(&bank) as _, Arc::new(InMemoryTenantRegistry::open()), reader());
    stored.add(Place::line(1), &row(1)).await.unwrap();
    stored.finish().await.unwrap();
    let mut preview =
        Import::new(Arc::clone(&bank) as _, Arc::new(InMemoryTenantRegistry::open()), reader()).only_looking();
    for number in 1..=3 {
        preview.add(Place::line(number), &row(number)).await.unwrap();
    }
    let report = preview.finish().await.unwrap();
    assert_eq!((report.created, report.duplicates, bank.len()), (2, 1, 1));
}

#[tokio::test]
async fn of_a_flood_of_bad_rows_all_are_counted_and_some_are_named() {
    let mut import = import(&Arc::default());
    for number in 1..=1_000 {
        import.add(Place::line(number), "[]").await.unwrap();
    }
    let report = import.finish().await.unwrap();
    assert_eq!((report.left_out, report.reasons.len()), (1_000, ImportReport::NAMED));
}

#[tokio::test]
async fn what_a_reason_repeats_of_a_row_is_short_in_every_form_of_it() {
    let mut import = import(&Arc::default());
    let long = "x".repeat(500_000);
    for (number, row) in [
        (1, format!("{{\"{long}\": 1}}")),
        (2, format!("{{\"content\": \"a\", \"metadata\": {{\"memgate_{long}\": 1}}}}")),
    ] {
        import.add(Place::line(number), &row).await.unwrap();
    }
    let report = import.finish().await.unwrap();
    for left_out in &report.reasons {
        assert_eq!(left_out.reason().chars().count(), ImportReport::LONGEST_REASON + 1);
        assert!(left_out.problem.to_string().len() < 2 * ImportReport::LONGEST_REASON, "{left_out:?}");
    }
    assert!(report.reasons[0].reason().starts_with("is not a row: unknown field `xxx"));
    assert!(report.reasons[1].reason().starts_with("`metadata.memgate_xxx"));
}

#[tokio::test]
async fn a_bank_that_goes_away_stops_it_and_what_is_known_is_told() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let mut import = import(&bank);
    for number in 1..=300 {
        import.add(Place::line(number), &row(number)).await.unwrap();
    }
    bank.outage().begin();
    let stopped = import.finish().await.unwrap_err();
    assert!(stopped.reason.is_retryable());
    assert_eq!((stopped.report.rows, stopped.report.created), (256, 256));
    assert_eq!(stopped.place, Place::line(257));
}

/// Keeps what it is given at once, and refuses what it is told to.
#[derive(Default)]
struct Strict {
    inner: InMemoryMemoryBank,
    given: Mutex<Vec<Vec<MemoryId>>>,
    refused: Vec<&'static str>,
}

#[async_trait]
impl MemoryBankDecorator for Strict {
    fn inner(&self) -> &dyn MemoryBank {
        &self.inner
    }

    async fn create_all(&self, scope: &Admitted, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        self.given.lock().unwrap().push(memories.iter().map(|memory| memory.id.clone()).collect());
        let mut outcomes = Vec::new();
        for memory in memories {
            // Parts that are under way at once take turns.
            tokio::task::yield_now().await;
            outcomes.push(self.create_one(scope, &memory).await.map(|_| true));
        }
        Ok(outcomes)
    }
}

impl Strict {
    async fn create_one(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        if self.refused.contains(&memory.content.as_str()) {
            return Err(MemoryBankError::Rejected("no".to_owned()));
        }
        self.inner.create(scope, memory).await
    }
}

fn import_in_large_parts(bank: &Arc<Strict>) -> Import {
    let reader = ImportReader::new(scope().into_scope(), now());
    Import::new(Arc::clone(bank) as _, Arc::new(InMemoryTenantRegistry::open()), reader).in_large_parts()
}

fn named_row(id: u64) -> String {
    format!("{{\"memory_id\": \"m-{id}\", \"content\": \"memory {id}\"}}")
}

#[tokio::test]
async fn large_parts_are_as_large_as_the_bank_takes_and_no_memory_is_under_way_twice() {
    let bank = Arc::new(Strict::default());
    let mut import = import_in_large_parts(&bank);
    let rows = 3 * MAX_AT_ONCE as u64;
    for number in 1..=rows {
        import.add(Place::line(number), &named_row(number)).await.unwrap();
    }
    assert!(import.settled() < rows, "the bank is not waited for while it can be given more");
    // It is in the part before, which is under way, and then in this one.
    for number in [rows, 1_000_000, 1_000_000] {
        import.add(Place::line(rows + 1), &named_row(number)).await.unwrap();
    }
    let report = import.finish().await.unwrap();
    assert_eq!((report.rows, report.created, report.duplicates), (rows + 3, rows + 1, 2));
    let given = bank.given.lock().unwrap();
    assert_eq!(given.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_AT_ONCE, MAX_AT_ONCE, MAX_AT_ONCE, 1]);
    assert_eq!(given.iter().flatten().collect::<HashSet<_>>().len(), bank.inner.len());
}

#[tokio::test]
async fn a_large_part_ends_where_it_has_enough_bytes() {
    let bank = Arc::new(Strict::default());
    let mut import = import_in_large_parts(&bank);
    for number in 1..=9 {
        let row = format!("{{\"content\": \"{number}\"{}}}", " ".repeat(1 << 20));
        import.add(Place::line(number), &row).await.unwrap();
    }
    import.finish().await.unwrap();
    assert_eq!(bank.given.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
}

#[tokio::test]
async fn what_the_bank_refuses_of_several_parts_is_named_in_the_order_of_the_rows() {
    let refused = vec!["memory 3", "memory 2050", "memory 5000"];
    let bank = Arc::new(Strict { refused, ..Strict::default() });
    let mut import = import_in_large_parts(&bank);
    for number in 1..=5_000 {
        import.add(Place::line(number), &named_row(number)).await.unwrap();
    }
    let report = import.finish().await.unwrap();
    assert_eq!((report.rows, report.created, report.left_out), (5_000, 4_997, 3));
    let lines: Vec<u64> = report.reasons.iter().map(|left_out| left_out.place.number).collect();
    assert_eq!(lines, [3, 2_050, 5_000]);
    assert!(report.reasons[0].reason().contains("no"));
}

#[tokio::test]
async fn parts_that_are_under_way_when_the_bank_goes_away_are_not_counted() {
    let bank = Arc::new(Strict::default());
    let mut import = import_in_large_parts(&bank);
    let rows = 2 * MAX_AT_ONCE as u64 + 10;
    for number in 1..=rows {
        import.add(Place::line(number), &named_row(number)).await.unwrap();
    }
    bank.inner.outage().begin();
    let stopped = import.finish().await.unwrap_err();
    assert_eq!((stopped.report.rows, stopped.report.created, stopped.place), (0, 0, Place::line(1)));
}

#[tokio::test]
async fn what_a_caller_may_not_write_is_left_out() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let reader = streaming_reader(scope_limited_to(&scope(), &["travel"]).into_scope(), now());
    let mut import = Import::new(Arc::clone(&bank) as _, Arc::new(InMemoryTenantRegistry::open()), reader);
    import.add(Place::line(1), r#"{"content": "a", "categories": ["health"]}"#).await.unwrap();
    let report = import.finish().await.unwrap();
    assert_eq!((report.left_out, bank.len()), (1, 0));
}

#[test]
fn lines_are_cut_wherever_the_pieces_end() {
    let text = "\u{feff}eins\r\nzwei ä\n\nfour";
    for size in 1..text.len() {
        let mut lines = Lines::default();
        let mut read: Vec<Line> = text.as_bytes().chunks(size).flat_map(|piece| lines.push(piece)).collect();
        read.extend(lines.end());
        let read: Vec<(u64, String)> = read.into_iter().map(|(at, line)| (at.number, line.unwrap())).collect();
        let expected = [(1, "\u{feff}eins\r"), (2, "zwei ä"), (3, ""), (4, "four")];
        assert_eq!(read, expected.map(|(number, line)| (number, line.to_owned())), "{size}");
    }
    assert_eq!(Lines::default().end(), None);
}

#[test]
fn a_line_that_is_too_long_or_no_text_is_one_problem_and_the_next_is_read() {
    let mut lines = Lines::default();
    for _ in 0..=Lines::MAX / 1024 {
        assert_eq!(lines.push(&[b'x'; 1024]), []);
    }
    assert!(lines.line.capacity() <= Lines::MAX);
    assert_eq!(
        lines.push(b"x\n\xff\nok\n"),
        [
            (Place::line(1), Err(ImportProblem::TooLong(1 << 20))),
            (Place::line(2), Err(ImportProblem::NotUtf8)),
            (Place::line(3), Ok("ok".to_owned()))
        ]
    );
}
