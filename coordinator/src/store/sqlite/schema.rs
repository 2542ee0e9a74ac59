//! The tables. What is looked up or ordered by is a column; everything else is a blob that carries its own version and sum.
//!
//! ```text
//!   submit ──► live ──(every change rewrites head and attempt)──► history ──(TTL)──► gone
//!                └──► attempts: those that ended while their job went on  └──► results: large answers
//! ```
//!
//! `live` has no index beside its key: measured, one makes a state change several times dearer. `history` has one, by which it
//! is pruned, and which alone is read to sum up what is kept.

/// "Wndl": what `file(1)` and we know the file by.
pub(super) const APPLICATION_ID: i32 = 0x576E_646C;

/// Longest spec kept in its job's row. Rows stay on their page that way, and a change of state, which writes the row again,
/// does not write a large spec again with it: those have a table of their own, written once.
pub(super) const INLINE_SPEC_BYTES_MAX: usize = 512;

/// Version 2: what handlers answered, and what operators decided. `spec_bytes` of `history` is from here on the bytes of the spec
/// and of an answer in `results`.
pub(super) const V2: &str = "
-- Answers too large for the row of their attempt; id: the job's.
CREATE TABLE results(
  id     BLOB PRIMARY KEY,
  result BLOB NOT NULL
) WITHOUT ROWID;

-- Pauses, cordons and drains. key: 'queue/' and its name, or 'agent/' and its id.
CREATE TABLE marks(
  key  TEXT PRIMARY KEY,
  blob BLOB NOT NULL
) WITHOUT ROWID;
";

/// Version 1.
pub(super) const V1: &str = "
CREATE TABLE meta(
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- Jobs that are not final. attempt: the newest, as it is now. spec: null where `specs` has it.
CREATE TABLE live(
  id         BLOB PRIMARY KEY,
  head       BLOB NOT NULL,
  attempt    BLOB,
  spec_bytes INTEGER NOT NULL,
  spec       BLOB
) WITHOUT ROWID;

-- Jobs that are. ended_at: nanoseconds since 1970.
CREATE TABLE history(
  id         BLOB PRIMARY KEY,
  ended_at   INTEGER NOT NULL,
  head       BLOB NOT NULL,
  attempt    BLOB,
  spec_bytes INTEGER NOT NULL,
  spec       BLOB
) WITHOUT ROWID;
CREATE INDEX history_by_end ON history(ended_at, spec_bytes);

CREATE TABLE specs(
  id   BLOB PRIMARY KEY,
  spec BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE attempts(
  job    BLOB NOT NULL,
  number INTEGER NOT NULL,
  blob   BLOB NOT NULL,
  PRIMARY KEY(job, number)
) WITHOUT ROWID;

-- The changes of one commit, under the revision of the last.
CREATE TABLE events(
  last INTEGER PRIMARY KEY,
  blob BLOB NOT NULL
);

-- seq: in order of age.
CREATE TABLE requests(
  seq  INTEGER PRIMARY KEY,
  id   TEXT NOT NULL UNIQUE,
  blob BLOB NOT NULL
);
";
