//! The lines of a file, of any size and number.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};

use crate::cli::CliError;
use crate::domain::memories::{ImportProblem, ImportReader, Line, Lines};

/// How much of a file is read at a time.
const PIECE: usize = 64 * 1024;

/// The lines of a file that are not blank, with their numbers from 1. Holds a piece of the file and a line that is not complete.
pub(super) struct FileLines<R> {
    file: R,
    name: String,
    /// The lines of the file that are still read; `None` at its end.
    lines: Option<Lines>,
    ready: VecDeque<Line>,
    piece: Vec<u8>,
}

impl<R: Read> FileLines<R> {
    /// Those of a file that errors call `name`.
    pub(super) fn new(file: R, name: String) -> Self {
        let (lines, piece) = (Some(Lines::default()), vec![0; PIECE]);
        Self { file, name, lines, ready: VecDeque::new(), piece }
    }

    /// Reads until there is a line or the file ends.
    fn fill(&mut self) -> Result<(), CliError> {
        while self.ready.is_empty()
            && let Some(lines) = &mut self.lines
        {
            match self.file.read(&mut self.piece) {
                Ok(0) => self.ready.extend(self.lines.take().and_then(Lines::end)),
                Ok(length) => self.ready.extend(lines.push(&self.piece[..length])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lines = None;
                    return Err(CliError::failed(format!("{} cannot be read: {error}", self.name)));
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Iterator for FileLines<R> {
    /// The number of a line, and the line, or why it is none.
    type Item = Result<(u64, Result<String, ImportProblem>), CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Err(error) = self.fill() {
                return Some(Err(error));
            }
            match self.ready.pop_front()? {
                (_, Ok(line)) if ImportReader::trim(&line).is_empty() => {}
                (place, line) => return Some(Ok((place.number, line))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn read(file: impl Read) -> Vec<(u64, Result<String, ImportProblem>)> {
        FileLines::new(file, "a".to_owned()).map(Result::unwrap).collect()
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_are_skipped() {
        let text = format!("\u{feff}eins\r\n\n{}zwei\n \ndrei", "\n".repeat(PIECE));
        let after = 3 + PIECE as u64;
        let expected = [(1, "\u{feff}eins\r"), (after, "zwei"), (after + 2, "drei")];
        assert_eq!(read(text.as_bytes()), expected.map(|(number, line)| (number, Ok(line.to_owned()))));
        assert_eq!(read(&b""[..]), []);
    }

    #[test]
    fn what_is_no_line_is_told_and_does_not_hide_the_others() {
        let long = io::repeat(b'x').take(4 << 20);
        let lines = read(long.chain(&b"\n\xff\n{}\n"[..]));
        let expected = [Err(ImportProblem::TooLong(1 << 20)), Err(ImportProblem::NotUtf8), Ok("{}".to_owned())];
        assert_eq!(lines, [1, 2, 3].into_iter().zip(expected).collect::<Vec<_>>());
    }
}
