//! The files that people bring along: plain, or a ZIP archive of many. Commands and pages read them here, with bounded memory
//! and without writing anything by the names in them.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ErrorKind, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive};

use crate::domain::memories::{FoundRow, ImportProblem, Reading, ReadingError};

/// What a file may at most amount to.
#[derive(Clone, Copy, Debug)]
pub struct FileLimits {
    /// How many bytes the files of an archive may unpack to, altogether.
    pub unpacked: u64,
    /// How many files an archive may have.
    pub files: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { unpacked: 1 << 30, files: 100_000 }
    }
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FileError<E: std::fmt::Debug> {
    /// It is no archive, although it begins like one.
    #[error("the ZIP archive is damaged or not complete")]
    Archive(#[source] rawzip::Error),
    /// An archive of too much.
    #[error("the ZIP archive unpacks to more than {} MiB", .0 >> 20)]
    Unpacked(u64),
    /// An archive of too many files.
    #[error("the ZIP archive has more than {0} files")]
    TooManyFiles(u64),
    /// The file.
    #[error("the file cannot be read")]
    File(#[from] io::Error),
    /// Whoever takes the rows.
    #[error("the rows of the file cannot be taken")]
    Taker(E),
}

/// Reads a file that is called `name`.
///
/// In an archive, what is encrypted, damaged, an archive itself, or has a name that leads out of the archive, is left out and
/// named; what holds no memories is skipped.
///
/// # Errors
/// [`FileError`]. What was taken until then is not all.
pub fn read<E: std::fmt::Debug>(
    mut file: File,
    name: &str,
    limits: FileLimits,
    reading: &mut Reading,
    take: &mut dyn FnMut(FoundRow) -> Result<(), E>,
) -> Result<(), FileError<E>> {
    if is_archive(&mut file)? {
        return read_archive(file, limits, reading, take);
    }
    reading.read(name, &mut file, take).map_err(|error| match error {
        ReadingError::File(error) => FileError::File(error),
        ReadingError::Taker(error) => FileError::Taker(error),
    })
}

/// Whether a file begins as ZIP archives do.
///
/// # Errors
/// [`io::Error`].
pub fn is_archive(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == b"PK\x03\x04" || start == b"PK\x05\x06")
}

fn read_archive<E: std::fmt::Debug>(
    file: File,
    limits: FileLimits,
    reading: &mut Reading,
    take: &mut dyn FnMut(FoundRow) -> Result<(), E>,
) -> Result<(), FileError<E>> {
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let unpacked = AtomicU64::new(0);
    let mut entries = archive.entries(&mut buffer);
    let mut number = 0;
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        number += 1;
        if number > limits.files {
            return Err(FileError::TooManyFiles(limits.files));
        }
        if entry.is_dir() {
            continue;
        }
        let path = entry.file_path();
        let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let is_archive = name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("zip"));
        if is_archive {
            reading.leave_out_file(&name, number, ImportProblem::NestedArchive);
            continue;
        }
        if !Reading::may_hold_memories(&name) {
            reading.skip();
            continue;
        }
        if leads_out(&name) {
            reading.leave_out_file(&name, number, ImportProblem::LeadsOut);
            continue;
        }
        if entry.flags().is_encrypted() {
            reading.leave_out_file(&name, number, ImportProblem::Encrypted);
            continue;
        }
        // An honest bomb says how large it is.
        if unpacked.load(Ordering::Relaxed).saturating_add(entry.uncompressed_size_hint()) > limits.unpacked {
            return Err(FileError::Unpacked(limits.unpacked));
        }
        let method = entry.compression_method();
        let Ok(entry) = archive.get_entry(entry.wayfinder()) else {
            reading.leave_out_file(&name, number, ImportProblem::Damaged);
            continue;
        };
        let packed = entry.reader();
        let inner: Box<dyn Read + '_> = match method {
            CompressionMethod::STORE => Box::new(packed),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(packed)),
            _ => {
                reading.leave_out_file(&name, number, ImportProblem::UnknownCompression);
                continue;
            }
        };
        // Counted before it is compared with what the archive says: what is not as it says counts, too.
        let mut input = entry.verifying_reader(Unpacking { inner, unpacked: &unpacked, limit: limits.unpacked });
        match reading.read_in_archive(&name, number, &mut input, take) {
            Ok(()) => {}
            Err(ReadingError::Taker(error)) => return Err(FileError::Taker(error)),
            Err(ReadingError::File(_)) if unpacked.load(Ordering::Relaxed) > limits.unpacked => {
                return Err(FileError::Unpacked(limits.unpacked));
            }
            Err(ReadingError::File(_)) => {
                reading.leave_out_file(&name, number, ImportProblem::DamagedAtTheEnd);
            }
        }
    }
    Ok(())
}

fn broken<E: std::fmt::Debug>(error: rawzip::Error) -> FileError<E> {
    match error.into_kind() {
        ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => FileError::File(error),
        kind => FileError::Archive(kind.into()),
    }
}

/// Whether somebody who unpacked it would write elsewhere. Here nothing is written, but such an archive is not to be trusted.
fn leads_out(name: &str) -> bool {
    name.starts_with(['/', '\\']) || name.contains(':') || name.split(['/', '\\']).any(|part| part == "..")
}

/// Counts what an archive unpacks to, whatever it says of itself, and unpacks no more than one byte beyond the limit.
struct Unpacking<'a> {
    inner: Box<dyn Read + 'a>,
    unpacked: &'a AtomicU64,
    limit: u64,
}

impl Read for Unpacking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.limit.saturating_sub(self.unpacked.load(Ordering::Relaxed)).saturating_add(1);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.inner.read(&mut buffer[..most])?;
        let unpacked = self.unpacked.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
        if unpacked > self.limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(length) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write as _;

    use memgate_test_kit::archive::zip;

    use super::*;
    use crate::domain::memories::LeftOut;

    const LINE: &str = "{\"content\": \"tea\"}\n";

    fn read_bytes(bytes: &[u8], limits: FileLimits) -> (Result<(), FileError<Infallible>>, Reading, Vec<FoundRow>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let (mut reading, mut rows) = (Reading::new(None), Vec::new());
        let mut take = |row| {
            rows.push(row);
            Ok(())
        };
        let read = read(file, "upload", limits, &mut reading, &mut take);
        (read, reading, rows)
    }

    fn reasons(reading: &Reading) -> Vec<String> {
        reading.left_out.reasons.iter().map(LeftOut::reason).collect()
    }

    #[test]
    fn of_an_archive_everything_that_holds_memories_is_read() {
        let bytes = zip(&[
            ("export/memories.jsonl", LINE.as_bytes()),
            ("export/account.json", b"{\"account\": \"marta\"}"),
            ("notes/tea.md", b"# Tea\n\nGreen."),
            ("image.png", b"PNG"),
        ]);
        let (read, reading, rows) = read_bytes(&bytes, FileLimits::default());
        read.unwrap();
        assert_eq!((rows.len(), reading.skipped, reading.left_out.left_out), (2, 2, 0));
    }

    #[test]
    fn names_that_lead_out_and_archives_in_archives_are_left_out_and_named() {
        let files: Vec<(&str, &[u8])> = ["../a.jsonl", "/etc/b.jsonl", "c:\\d.jsonl", "a/../../e.jsonl", "more.ZIP"]
            .into_iter()
            .map(|name| (name, LINE.as_bytes()))
            .collect();
        let (read, reading, rows) = read_bytes(&zip(&files), FileLimits::default());
        read.unwrap();
        assert_eq!((rows.len(), reading.left_out.left_out), (0, 5));
        assert!(reasons(&reading)[0].starts_with("../a.jsonl: has a name that leads out"), "{:?}", reasons(&reading));
        assert!(reasons(&reading)[4].contains("is an archive in the archive"));
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_says() {
        let bytes = zip(&[("a.jsonl", &vec![b'\n'; 300_000])]);
        let limits = FileLimits { unpacked: 200_000, ..FileLimits::default() };
        assert!(matches!(read_bytes(&bytes, limits).0, Err(FileError::Unpacked(200_000))));
        let many: Vec<(&str, &[u8])> = vec![("x.png", b""); 12];
        let limits = FileLimits { files: 10, ..FileLimits::default() };
        assert!(matches!(read_bytes(&zip(&many), limits).0, Err(FileError::TooManyFiles(10))));
    }

    #[test]
    fn what_the_files_of_an_archive_unpack_to_is_added_up_whatever_they_say() {
        let lines = LINE.repeat(60_000 / LINE.len());
        let honest = zip(&[("a.jsonl", lines.as_bytes()); 10]);
        // The central directory says of each that it has ten bytes.
        let mut lying = honest.clone();
        for at in 0..lying.len() - 28 {
            if lying[at..].starts_with(b"PK\x01\x02") {
                lying[at + 24..at + 28].copy_from_slice(&10_u32.to_le_bytes());
            }
        }
        let limits = FileLimits { unpacked: 200_000, ..FileLimits::default() };
        let (read, reading, rows) = read_bytes(&honest, limits);
        assert!(matches!(read, Err(FileError::Unpacked(200_000))), "{read:?}");
        assert_eq!((rows.len() * LINE.len(), reading.left_out.left_out), (3 * lines.len(), 0));
        let (read, reading, rows) = read_bytes(&lying, limits);
        assert!(matches!(read, Err(FileError::Unpacked(200_000))), "{read:?}");
        assert!(rows.is_empty() && reading.left_out.left_out < 10, "{reading:?}");
        let (read, reading, _) = read_bytes(&lying, FileLimits::default());
        read.unwrap();
        assert_eq!(reading.left_out.left_out, 10);
        assert!(reasons(&reading)[0].contains("is damaged"), "{:?}", reasons(&reading));
    }

    #[test]
    fn no_more_than_the_limit_is_unpacked() {
        for (limit, expected) in [(100_000, 100_000), (u64::MAX, 500_000)] {
            let (unpacked, inner) = (AtomicU64::new(0), Box::new(io::repeat(b'x').take(500_000)));
            let mut read = Vec::new();
            let ended = Unpacking { inner, unpacked: &unpacked, limit }.read_to_end(&mut read);
            assert_eq!(ended.is_err(), limit == 100_000);
            let all = unpacked.load(Ordering::Relaxed);
            assert!(read.len() <= expected && all <= limit.saturating_add(1) && all >= expected as u64, "{all}");
        }
    }

    #[test]
    fn what_is_encrypted_or_damaged_is_named_and_the_rest_is_read() {
        let bytes = zip(&[("secret.jsonl", LINE.as_bytes()), ("open.jsonl", LINE.as_bytes())]);
        let mut encrypted = bytes.clone();
        let central = encrypted.windows(4).position(|window| window == *b"PK\x01\x02").unwrap();
        encrypted[central + 8] |= 1;
        let (read, reading, rows) = read_bytes(&encrypted, FileLimits::default());
        read.unwrap();
        assert_eq!((rows.len(), reasons(&reading).len()), (1, 1));
        assert!(reasons(&reading)[0].starts_with("secret.jsonl: is encrypted"));

        let mut damaged = bytes.clone();
        let data = 30 + "secret.jsonl".len();
        damaged[data] = 0xff;
        let (read, reading, rows) = read_bytes(&damaged, FileLimits::default());
        read.unwrap();
        assert_eq!((rows.len(), reasons(&reading).len()), (1, 1));
        assert!(reasons(&reading)[0].starts_with("secret.jsonl: is damaged"), "{:?}", reasons(&reading));

        for length in [10, bytes.len() - 30] {
            assert!(matches!(read_bytes(&bytes[..length], FileLimits::default()).0, Err(FileError::Archive(_))));
        }
    }
}
