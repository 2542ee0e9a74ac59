//! The file behind the outbox: appended to, cut when it is empty, written anew when most of it is past.
//!
//! Nothing is synced. What was written is the kernel's, so it outlives this process however that ends; a host that loses its
//! power loses the last seconds, and the coordinator counts those attempts as LOST. One fsync a report would cost more than
//! all the rest of a short job.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::{self, Record};

/// What the file begins with; another format has another number.
const MAGIC: &[u8; 8] = b"wl-out1\n";
/// A smaller file is not worth being written anew.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// Room that a disk must have again before it counts as recovered: the reports of a few hundred short jobs.
const ROOM_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Everything before it is whole records; what lies beyond is written over.
    end: u64,
    /// Not to be tried below this size again.
    compact_above: u64,
}

impl Journal {
    /// Opens the file, making it where it is missing, and gives its records with their lengths.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<(Record, usize)>)> {
        // What a compaction that was cut short left, and its room.
        let _ = fs::remove_file(draft(path));
        let mut content = match fs::read(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        if !content.starts_with(MAGIC) {
            if !MAGIC.starts_with(&content) {
                set_aside(path)?;
            }
            content.clear();
        }
        let records = read_all(&content);
        let end = records.iter().map(|(_, length)| *length).sum::<usize>();
        let end = if end == 0 { 0 } else { (MAGIC.len() + end) as u64 };
        let torn = content.len() as u64 - end;
        if content.len() > MAGIC.len() && torn > 0 {
            tracing::warn!(path = %path.display(), torn, "the end of the reports' file is no whole record: cut off");
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(end)?;
        Ok((Self { path: path.to_owned(), file, end, compact_above: COMPACT_BYTES_MIN }, records))
    }

    /// Appends whole records, all of them or nothing.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let begun = if self.end == 0 { [MAGIC, records].concat() } else { Vec::new() };
        let bytes = if begun.is_empty() { records } else { &begun };
        self.file.write_all_at(bytes, self.end).inspect_err(|_| self.cut())?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Whether there is room for more than the next record.
    pub(super) fn has_room(&self) -> bool {
        let fits = self.file.write_all_at(&[0; ROOM_BYTES], self.end).is_ok();
        self.cut();
        fits
    }

    /// Nothing in it matters any more.
    pub(super) fn clear(&mut self) {
        self.end = 0;
        self.compact_above = COMPACT_BYTES_MIN;
        self.cut();
    }

    // Where it fails, the next append writes over what stays, and a reader stops at what that leaves of it.
    fn cut(&self) {
        let _ = self.file.set_len(self.end);
    }

    /// Whether to write it anew, of which `live` bytes would stay.
    pub(super) fn is_wasteful(&self, live: u64) -> bool {
        self.end > self.compact_above && live < self.end / 2
    }

    /// Writes it anew with these records. Where that fails it stays as it is, and grows further before the next try.
    pub(super) fn compact(&mut self, records: &[u8]) {
        match self.write_anew(records) {
            Ok(()) => self.compact_above = COMPACT_BYTES_MIN,
            Err(error) => {
                tracing::debug!(%error, "the reports' file cannot be written anew");
                let _ = fs::remove_file(draft(&self.path));
                self.compact_above = self.end.saturating_mul(2);
            }
        }
    }

    fn write_anew(&mut self, records: &[u8]) -> io::Result<()> {
        let draft = draft(&self.path);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let content = [MAGIC, records].concat();
        file.write_all_at(&content, 0)?;
        fs::rename(&draft, &self.path)?;
        (self.file, self.end) = (file, content.len() as u64);
        Ok(())
    }
}

fn read_all(content: &[u8]) -> Vec<(Record, usize)> {
    let mut rest = content.get(MAGIC.len()..).unwrap_or_default();
    std::iter::from_fn(|| {
        let (record, length) = record::take(rest)?;
        rest = &rest[length..];
        Some((record, length))
    })
    .collect()
}

/// Kept for a person to look at, and not for the agent: results are worth a file, but not an agent that will not start.
fn set_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("unreadable");
    fs::rename(path, &aside)?;
    tracing::error!(path = %aside.display(), "these reports of a former agent cannot be read, and are not told");
    Ok(())
}

fn draft(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::super::tests::ended;
    use super::*;
    use crate::logs::Offsets;

    fn numbers(records: &[(Record, usize)]) -> Vec<u64> {
        let number = |(record, _): &(Record, usize)| match record {
            Record::News { number, .. } | Record::Acked { number } | Record::Shipped { number, .. } => *number,
        };
        records.iter().map(number).collect()
    }

    fn news(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        record::write_news(&mut out, number, Offsets::ALL, &ended(number, 0));
        out
    }

    #[test]
    fn records_outlive_the_process_and_a_torn_tail_costs_nothing_but_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox");
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records, []);
        journal.append(&news(1)).unwrap();
        journal.append(&news(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, records) = Journal::open(&path).unwrap();
            let left = numbers(&records);
            assert_eq!(left, (1..=2).take(left.len()).collect::<Vec<_>>());
            journal.append(&news(3)).unwrap();
            let again = numbers(&Journal::open(&path).unwrap().1);
            assert_eq!(again, [left, vec![3]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox");
        fs::write(&path, b"wl-out9\nsomething newer").unwrap();
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records, []);
        journal.append(&news(1)).unwrap();
        assert_eq!(numbers(&Journal::open(&path).unwrap().1), [1]);
        assert_eq!(fs::read(dir.path().join("outbox.unreadable")).unwrap(), b"wl-out9\nsomething newer");
    }

    #[test]
    fn written_anew_or_cleared_it_has_what_was_asked_for_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox");
        let (mut journal, _) = Journal::open(&path).unwrap();
        for number in 1..=9 {
            journal.append(&news(number)).unwrap();
        }
        journal.compact(&news(9));
        journal.append(&news(10)).unwrap();
        assert_eq!(numbers(&Journal::open(&path).unwrap().1), [9, 10]);
        assert!(journal.has_room());
        journal.clear();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        journal.append(&news(11)).unwrap();
        assert_eq!(numbers(&Journal::open(&path).unwrap().1), [11]);
    }
}
