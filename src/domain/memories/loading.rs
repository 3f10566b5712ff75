//! The import of any number of rows, with bounded memory and an account of what became of each.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::bank::{IsNew, MemoryBank, MemoryBankError};
use super::import::{ImportReader, ImportRow};
use super::import_problem::ImportProblem;
use super::model::MemoryScope;
use super::new_memory::NewMemory;
use super::tenants::{Admitted, TenantRegistry};
use crate::ids::MemoryId;
use crate::system::Timestamp;

/// How many rows are given to the bank at once: requests of others wait meanwhile.
const ROWS_AT_ONCE: usize = 256;

/// How many rows of a preview are looked up concurrently.
const CONCURRENT: usize = 64;

/// What is counted of what was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceUnit {
    /// The lines of a text.
    Line,
    /// The items of a list.
    Item,
    /// The files of an archive.
    File,
}

impl PlaceUnit {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Item => "item",
            Self::File => "file",
        }
    }

    /// The unit of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Line, Self::Item, Self::File].into_iter().find(|unit| unit.as_str() == name)
    }
}

/// Where a row stood in what was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What is counted.
    pub unit: PlaceUnit,
    /// Its number, from 1.
    pub number: u64,
}

impl Place {
    /// A line of a text.
    #[must_use]
    pub fn line(number: u64) -> Self {
        Self { unit: PlaceUnit::Line, number }
    }

    /// An item of a list.
    #[must_use]
    pub fn item(number: u64) -> Self {
        Self { unit: PlaceUnit::Item, number }
    }

    /// A file of an archive.
    #[must_use]
    pub fn file(number: u64) -> Self {
        Self { unit: PlaceUnit::File, number }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit.as_str(), self.number)
    }
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it stood.
    pub place: Place,
    /// The name of the file that it stood in, if that is one of several.
    pub file: Option<String>,
    /// Why. What it repeats of a row is shortened.
    pub problem: ImportProblem,
}

impl LeftOut {
    /// Why, in English, in at most [`ImportReport::LONGEST_REASON`] characters.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.file {
            Some(file) => readable(&format!("{file}: {}", self.problem)),
            None => readable(&self.problem.to_string()),
        }
    }
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// How many rows there were.
    pub rows: u64,
    /// How many became new memories; in a preview, how many would.
    pub created: u64,
    /// How many were there already, or came before in the same import.
    pub duplicates: u64,
    /// How many had expired already.
    pub expired: u64,
    /// How many were left out because they are invalid, or because the bank refused them.
    pub left_out: u64,
    /// The first of those that were left out.
    pub reasons: Vec<LeftOut>,
}

impl ImportReport {
    /// How many of the rows that were left out are named.
    pub const NAMED: usize = 100;
    /// Maximum number of characters of a reason.
    pub const LONGEST_REASON: usize = 300;

    /// Counts a row that is left out, of a `file` that is one of several.
    pub fn leave_out(&mut self, place: Place, file: Option<&str>, problem: ImportProblem) {
        self.rows += 1;
        self.note(place, file, problem);
    }

    fn note(&mut self, place: Place, file: Option<&str>, problem: ImportProblem) {
        self.left_out += 1;
        if self.reasons.len() < Self::NAMED {
            let problem = problem.shortened(readable);
            self.reasons.push(LeftOut { place, file: file.map(readable), problem });
        }
    }
}

/// A reason may repeat what the row says, such as the name of a member.
fn readable(reason: &str) -> String {
    let mut characters = reason.chars().filter(|character| !character.is_control());
    let mut text: String = characters.by_ref().take(ImportReport::LONGEST_REASON).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

/// An import that could not go on. What it had created stays; importing the same again adds the rest.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped after {} rows", .report.rows)]
pub struct ImportStopped {
    /// What had become of the rows until then.
    pub report: Box<ImportReport>,
    /// Why it stopped.
    #[source]
    pub reason: MemoryBankError,
}

/// An import under way. It holds a few hundred rows at a time.
pub struct Import {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
    reader: ImportReader,
    stores: bool,
    batch: Vec<(Place, NewMemory)>,
    ids: HashSet<MemoryId>,
    report: ImportReport,
}

impl Import {
    /// Imports into the scope of `reader`, as long as `tenants` admits it.
    #[must_use]
    pub fn new(bank: Arc<dyn MemoryBank>, tenants: Arc<dyn TenantRegistry>, reader: ImportReader) -> Self {
        let (batch, ids) = (Vec::with_capacity(ROWS_AT_ONCE), HashSet::with_capacity(ROWS_AT_ONCE));
        Self { bank, tenants, reader, stores: true, batch, ids, report: ImportReport::default() }
    }

    /// Sets the number of rows, if it is known: see [`ImportReader::expecting`].
    #[must_use]
    pub fn expecting(self, rows: u64) -> Self {
        Self { reader: self.reader.expecting(rows), ..self }
    }

    /// From now on it only finds out what an import would do.
    #[must_use]
    pub fn only_looking(self) -> Self {
        Self { stores: false, ..self }
    }

    /// What has become of the rows so far; some of them are not decided yet.
    #[must_use]
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Where the memories go.
    #[must_use]
    pub fn scope(&self) -> &MemoryScope {
        self.reader.scope()
    }

    /// Takes the next row: a JSON object as an [`ImportReader`] reads it. A blank one is skipped.
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn add(&mut self, place: Place, row: &str) -> Result<(), ImportStopped> {
        if ImportReader::trim(row).is_empty() {
            return Ok(());
        }
        match self.reader.read(row) {
            Ok(ImportRow::Memory(memory)) => self.take(place, *memory).await?,
            Ok(ImportRow::Expired) => {
                self.report.rows += 1;
                self.report.expired += 1;
            }
            Err(problem) => self.leave_out(place, problem),
        }
        Ok(())
    }

    /// How many rows something has become of so far; the others wait to be stored together.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.report.rows.saturating_sub(u64::try_from(self.batch.len()).unwrap_or(u64::MAX))
    }

    /// Counts a row without a readable text, such as a line that is not UTF-8.
    pub fn leave_out(&mut self, place: Place, problem: ImportProblem) {
        self.report.leave_out(place, None, problem);
    }

    /// Forgets the rows that are not decided yet: nothing more is stored.
    pub fn abandon(&mut self) {
        self.report.rows -= self.batch.drain(..).count() as u64;
        self.ids.clear();
    }

    async fn take(&mut self, place: Place, memory: NewMemory) -> Result<(), ImportStopped> {
        self.report.rows += 1;
        // Two in one batch would not find each other in the bank.
        if !self.ids.insert(memory.id.clone()) {
            self.report.duplicates += 1;
            return Ok(());
        }
        self.batch.push((place, memory));
        if self.batch.len() >= ROWS_AT_ONCE { self.hand_over().await } else { Ok(()) }
    }

    async fn hand_over(&mut self) -> Result<(), ImportStopped> {
        self.ids.clear();
        let (places, memories): (Vec<Place>, Vec<NewMemory>) = self.batch.drain(..).unzip();
        if memories.is_empty() {
            return Ok(());
        }
        let (mut undecided, mut stopped) = (0, None);
        let outcomes = if self.stores {
            self.store(memories).await.unwrap_or_else(|error| {
                stopped = Some(error);
                Vec::new()
            })
        } else {
            look_up(&*self.bank, self.reader.scope(), memories).await
        };
        let mut outcomes = outcomes.into_iter();
        for place in places {
            match outcomes.next() {
                Some(Ok(true)) => self.report.created += 1,
                Some(Ok(false)) => self.report.duplicates += 1,
                // One refused memory must not stop the others.
                Some(Err(error @ (MemoryBankError::Rejected(_) | MemoryBankError::Unsupported(_)))) => {
                    self.report.note(place, None, ImportProblem::Refused(error.to_string()));
                }
                Some(Err(error)) => {
                    undecided += 1;
                    stopped.get_or_insert(error);
                }
                None => undecided += 1,
            }
        }
        self.report.rows -= undecided;
        match stopped {
            None => Ok(()),
            Some(reason) => Err(ImportStopped { report: Box::new(self.report.clone()), reason }),
        }
    }

    async fn store(&self, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        let scope = Admitted::by(&*self.tenants, self.reader.scope()).await?;
        self.bank.create_all(&scope, memories).await
    }

    /// Imports what is left, and returns what became of all rows.
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn finish(mut self) -> Result<ImportReport, ImportStopped> {
        self.hand_over().await?;
        Ok(self.report)
    }
}

/// Which of these memories the scope does not have yet.
async fn look_up(
    bank: &dyn MemoryBank,
    scope: &MemoryScope,
    memories: Vec<NewMemory>,
) -> Vec<Result<bool, MemoryBankError>> {
    let is_new = |memory: NewMemory| async move { Ok(bank.find_written(scope, &memory).await?.is_none()) };
    let lookups: Vec<_> = memories.into_iter().map(is_new).collect();
    stream::iter(lookups).buffered(CONCURRENT).collect().await
}

/// A line of a text that arrives in pieces, or why it is none.
pub type Line = (Place, Result<String, ImportProblem>);

/// Cuts a text that arrives in pieces into lines, and holds no more than one line.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    ended: u64,
    is_too_long: bool,
}

impl Lines {
    /// Maximum length of a line in bytes: the longest memory, however its JSON is escaped.
    pub const MAX: usize = 1 << 20;

    /// The lines that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.extend(piece);
            if pieces.peek().is_some() {
                lines.push(self.end_line());
            }
        }
        lines
    }

    /// The last line, if it was not ended by a line break.
    #[must_use]
    pub fn end(mut self) -> Option<Line> {
        (!self.line.is_empty() || self.is_too_long).then(|| self.end_line())
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.is_too_long || self.line.len() + piece.len() > Self::MAX {
            self.is_too_long = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self) -> Line {
        self.ended += 1;
        let place = Place::line(self.ended);
        if std::mem::take(&mut self.is_too_long) {
            return (place, Err(ImportProblem::TooLong(Self::MAX as u64)));
        }
        let line = String::from_utf8(std::mem::take(&mut self.line));
        (place, line.map_err(|_| ImportProblem::NotUtf8))
    }
}

/// Of so many rows without a creation time the order is kept if nobody says how many there are.
const IN_ORDER: u64 = 600_000;

/// A reader for rows of people and programs that may send the same again: equal rows are one memory.
#[must_use]
pub fn merging_reader(scope: MemoryScope, now: Timestamp) -> ImportReader {
    ImportReader::new(scope, now).merging_equal_rows().expecting(IN_ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{InMemoryMemoryBank, InMemoryTenantRegistry, now, scope, scope_limited_to};

    fn import(bank: &Arc<InMemoryMemoryBank>) -> Import {
        Import::new(
            Arc::clone(bank) as _,
            Arc::new(InMemoryTenantRegistry::open()),
            merging_reader(scope().into_scope(), now()),
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
            let reader = merging_reader(scope.clone(), now());
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
        let reader = || merging_reader(scope.clone(), now());
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
    }

    #[tokio::test]
    async fn what_a_caller_may_not_write_is_left_out() {
        let bank = Arc::new(InMemoryMemoryBank::default());
        let reader = merging_reader(scope_limited_to(&scope(), &["travel"]).into_scope(), now());
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
}
