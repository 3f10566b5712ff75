//! The import of any number of rows, with bounded memory and an account of what became of each.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesOrdered};
use futures_util::{FutureExt as _, StreamExt as _};

use super::bank::{IsNew, MAX_AT_ONCE, MemoryBank, MemoryBankError};
use super::import::{ImportReader, ImportRow};
use super::import_problem::ImportProblem;
use super::model::MemoryScope;
use super::new_memory::NewMemory;
use super::tenants::{Admitted, TenantRegistry};
use crate::ids::MemoryId;
use crate::system::Timestamp;

/// The parts in which the bank is given the rows.
#[derive(Clone, Copy, Debug)]
struct PartSize {
    /// How many rows a part has at most.
    rows: usize,
    /// How many bytes its rows have at most, but for the last of them.
    bytes: usize,
    /// How many parts may be under way while the next one is read.
    ahead: usize,
}

impl PartSize {
    /// Requests of others wait for one part.
    const SMALL: Self = Self { rows: 256, bytes: usize::MAX, ahead: 0 };
    /// While the bank stores one part, the next is prepared.
    const LARGE: Self = Self { rows: MAX_AT_ONCE, bytes: 4 * 1024 * 1024, ahead: 2 };
}

/// How many rows of a preview are looked up concurrently.
const CONCURRENT: usize = 16;

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
    /// Where the first row stood of which nothing is known.
    pub place: Place,
    /// Why it stopped.
    #[source]
    pub reason: MemoryBankError,
}

/// Rows that the bank is given at once.
#[derive(Default)]
struct ImportPart {
    memories: Vec<NewMemory>,
    /// The size of their rows.
    bytes: usize,
    rows: PartRows,
}

/// What is known of the rows of a part.
#[derive(Default)]
struct PartRows {
    /// Where they stood.
    places: Vec<Place>,
    ids: HashSet<MemoryId>,
}

/// An import under way. It holds a few hundred rows at a time, or, [in large parts](Self::in_large_parts), a few thousand.
pub struct Import {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
    reader: ImportReader,
    stores: bool,
    size: PartSize,
    /// The rows that the bank is given next.
    next: ImportPart,
    /// What the bank says of the parts that it was given, in their order.
    answers: FuturesOrdered<BoxFuture<'static, Result<Vec<IsNew>, MemoryBankError>>>,
    /// The rows of these parts.
    under_way: VecDeque<PartRows>,
    report: ImportReport,
}

impl Import {
    /// Imports into the scope of `reader`, as long as `tenants` admits it.
    #[must_use]
    pub fn new(bank: Arc<dyn MemoryBank>, tenants: Arc<dyn TenantRegistry>, reader: ImportReader) -> Self {
        Self {
            bank,
            tenants,
            reader,
            stores: true,
            size: PartSize::SMALL,
            next: ImportPart::default(),
            answers: FuturesOrdered::new(),
            under_way: VecDeque::new(),
            report: ImportReport::default(),
        }
    }

    /// From now on the bank is given as many rows at once as it takes, and the next ones are read meanwhile: for an operator,
    /// who may let requests wait.
    #[must_use]
    pub fn in_large_parts(self) -> Self {
        Self { size: PartSize::LARGE, ..self }
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
            Ok(ImportRow::Memory(memory)) => self.take(place, *memory, row.len()).await?,
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
        self.report.rows.saturating_sub(u64::try_from(self.undecided()).unwrap_or(u64::MAX))
    }

    /// Counts a row without a readable text, such as a line that is not UTF-8.
    pub fn leave_out(&mut self, place: Place, problem: ImportProblem) {
        self.report.leave_out(place, None, problem);
    }

    /// Forgets the rows that are not decided yet: nothing more is stored, but what the bank was given already.
    pub fn abandon(&mut self) {
        self.report.rows = self.settled();
        self.next = ImportPart::default();
        self.answers.clear();
        self.under_way.clear();
    }

    fn undecided(&self) -> usize {
        let under_way = self.under_way.iter().map(|rows| rows.places.len()).sum::<usize>();
        under_way + self.next.memories.len()
    }

    async fn take(&mut self, place: Place, memory: NewMemory, bytes: usize) -> Result<(), ImportStopped> {
        self.report.rows += 1;
        // Two under way would not find each other in the bank.
        if self.under_way.iter().any(|rows| rows.ids.contains(&memory.id))
            || !self.next.rows.ids.insert(memory.id.clone())
        {
            self.report.duplicates += 1;
            return Ok(());
        }
        self.next.rows.places.push(place);
        self.next.memories.push(memory);
        self.next.bytes += bytes;
        let is_full = self.next.memories.len() >= self.size.rows || self.next.bytes >= self.size.bytes;
        if is_full { self.hand_over(self.size.ahead).await } else { Ok(()) }
    }

    /// Gives the next part to the bank, and waits until no more than `ahead` are under way.
    async fn hand_over(&mut self, ahead: usize) -> Result<(), ImportStopped> {
        let ImportPart { memories, rows, .. } = std::mem::take(&mut self.next);
        if !memories.is_empty() {
            self.answers.push_back(self.answer(memories));
            self.under_way.push_back(rows);
        }
        while self.under_way.len() > ahead {
            self.settle().await?;
        }
        Ok(())
    }

    /// What the bank does with these memories.
    fn answer(&self, memories: Vec<NewMemory>) -> BoxFuture<'static, Result<Vec<IsNew>, MemoryBankError>> {
        let (bank, tenants) = (Arc::clone(&self.bank), Arc::clone(&self.tenants));
        let scope = self.reader.scope().clone();
        if self.stores {
            let store = async move { bank.create_all(&Admitted::by(&*tenants, &scope).await?, memories).await };
            return store.boxed();
        }
        async move { Ok(look_up(&*bank, &scope, memories).await) }.boxed()
    }

    /// Waits for what became of the part that the bank was given first.
    async fn settle(&mut self) -> Result<(), ImportStopped> {
        let Some(answer) = self.answers.next().await else { return Ok(()) };
        let places = self.under_way.pop_front().unwrap_or_default().places;
        let (outcomes, mut stopped) = match answer {
            Ok(outcomes) => (outcomes, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let (mut outcomes, mut unknown) = (outcomes.into_iter(), Vec::new());
        for place in places {
            match outcomes.next() {
                Some(Ok(true)) => self.report.created += 1,
                Some(Ok(false)) => self.report.duplicates += 1,
                // One refused memory must not stop the others.
                Some(Err(error @ (MemoryBankError::Rejected(_) | MemoryBankError::Unsupported(_)))) => {
                    self.report.note(place, None, ImportProblem::Refused(error.to_string()));
                }
                Some(Err(error)) => {
                    unknown.push(place);
                    stopped.get_or_insert(error);
                }
                None => unknown.push(place),
            }
        }
        self.report.rows -= unknown.len() as u64;
        match (stopped, unknown.first()) {
            (Some(reason), Some(place)) => {
                self.abandon();
                Err(ImportStopped { report: Box::new(self.report.clone()), place: *place, reason })
            }
            _ => Ok(()),
        }
    }

    /// Imports what is left, and returns what became of all rows.
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn finish(mut self) -> Result<ImportReport, ImportStopped> {
        self.hand_over(0).await?;
        Ok(self.report)
    }
}

/// Which of these memories the scope does not have yet.
async fn look_up(bank: &dyn MemoryBank, scope: &MemoryScope, memories: Vec<NewMemory>) -> Vec<IsNew> {
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

/// A reader for rows of which nobody knows how many there are.
#[must_use]
pub fn streaming_reader(scope: MemoryScope, now: Timestamp) -> ImportReader {
    ImportReader::new(scope, now).expecting(IN_ORDER)
}
