//! A process to start, as the bytes of a sealed memory file: written by the agent, read by the keeper.
//!
//! ```text
//! argc u32 │ envc u32 │ confinement │ cwd ∅ │ argv[0] ∅ … │ NAME=value ∅ …          (∅ = NUL, numbers little-endian)
//! ```
//! Strings end with NUL as execve wants them, so the keeper points into the buffer and copies nothing.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

use super::confine;
use crate::process::{Confinement, SpawnSpec};

/// Largest spec. The kernel takes a quarter of the stack limit (usually 2 MiB) in argv and env; beyond that is only waste.
const SPEC_BYTES_MAX: usize = 16 << 20;

/// Where execvp looks when there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Encodes `spec`; the error is an errno, as for the kernel's own refusals.
pub(crate) fn encode(spec: &SpawnSpec) -> Result<Vec<u8>, i32> {
    // Relative to what? The warden's own directory means nothing to the caller.
    if spec.argv.is_empty() || !spec.cwd.is_absolute() {
        return Err(libc::EINVAL);
    }
    let mut bytes = Vec::with_capacity(1024);
    for count in [spec.argv.len(), spec.env.len()] {
        bytes.extend(u32::try_from(count).map_err(|_| libc::E2BIG)?.to_le_bytes());
    }
    confine::encode(&spec.confinement, &mut bytes)?;
    string(&mut bytes, &[spec.cwd.as_os_str().as_bytes()])?;
    for arg in &spec.argv {
        string(&mut bytes, &[arg])?;
    }
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(&b'=') {
            return Err(libc::EINVAL);
        }
        string(&mut bytes, &[name, b"=", value])?;
    }
    if bytes.len() > SPEC_BYTES_MAX { Err(libc::E2BIG) } else { Ok(bytes) }
}

fn string(bytes: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), i32> {
    for part in parts {
        if part.contains(&0) {
            return Err(libc::EINVAL);
        }
        bytes.extend_from_slice(part);
    }
    bytes.push(0);
    Ok(())
}

/// A spec, its strings pointing into its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub(crate) confinement: Confinement,
    pub(crate) cwd: &'a CStr,
    pub(crate) argv: Vec<&'a CStr>,
    pub(crate) env: Vec<&'a CStr>,
}

/// None for bytes that [`encode`] cannot have made.
pub(crate) fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let (argc, rest) = bytes.split_first_chunk::<4>()?;
    let (envc, rest) = rest.split_first_chunk::<4>()?;
    let (confinement, mut rest) = confine::decode(rest)?;
    let mut next = || {
        let string = CStr::from_bytes_until_nul(rest).ok()?;
        rest = &rest[string.count_bytes() + 1..];
        Some(string)
    };
    let cwd = next()?;
    let argv = (0..u32::from_le_bytes(*argc)).map(|_| next()).collect::<Option<Vec<_>>>()?;
    let env = (0..u32::from_le_bytes(*envc)).map(|_| next()).collect::<Option<Vec<_>>>()?;
    (rest.is_empty() && !argv.is_empty()).then_some(Decoded { confinement, cwd, argv, env })
}

impl Decoded<'_> {
    /// The paths to try, in order: the program as it is when it holds a slash, else each directory of the *job's* PATH. An
    /// empty directory means the working directory, as for execvp.
    pub(crate) fn candidates(&self) -> Vec<CString> {
        let program = self.argv[0].to_bytes();
        if program.is_empty() {
            return Vec::new();
        }
        if program.contains(&b'/') {
            return vec![self.argv[0].to_owned()];
        }
        let path = self.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        path.unwrap_or(DEFAULT_PATH)
            .split(|byte| *byte == b':')
            .filter_map(|directory| {
                let directory = if directory.is_empty() { b"." } else { directory };
                CString::new([directory, b"/", program].concat()).ok()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(argv: &[&str], env: &[(&str, &str)]) -> SpawnSpec {
        SpawnSpec {
            argv: argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            env: env.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
            cwd: "/tmp".into(),
            ..SpawnSpec::default()
        }
    }

    fn candidates(argv: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        let bytes = encode(&spec(argv, env)).unwrap();
        let decoded = decode(&bytes).unwrap();
        decoded.candidates().into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let bytes = encode(&spec(&["sh", "", "-c"], &[("A", "1=2"), ("B", "")])).unwrap();
        let confinement = Confinement::default();
        let decoded = Decoded { confinement, cwd: c"/tmp", argv: vec![c"sh", c"", c"-c"], env: vec![c"A=1=2", c"B="] };
        assert_eq!(decode(&bytes), Some(decoded));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_exec_could_not_take_is_refused_before_anything_starts() {
        assert_eq!(encode(&spec(&[], &[])), Err(libc::EINVAL));
        assert_eq!(encode(&spec(&["a\0b"], &[])), Err(libc::EINVAL));
        assert_eq!(encode(&spec(&["a"], &[("A=B", "1")])), Err(libc::EINVAL));
        assert_eq!(encode(&spec(&["a"], &[("", "1")])), Err(libc::EINVAL));
        assert_eq!(encode(&spec(&["a"], &[("A", "1\0")])), Err(libc::EINVAL));
        assert_eq!(encode(&SpawnSpec { cwd: "tmp".into(), ..spec(&["a"], &[]) }), Err(libc::EINVAL));
        let big = "x".repeat(SPEC_BYTES_MAX);
        assert_eq!(encode(&spec(&["a", &big], &[])), Err(libc::E2BIG));
    }

    #[test]
    fn a_bare_name_is_looked_up_on_the_jobs_path_and_a_path_is_taken_as_it_is() {
        assert_eq!(candidates(&["x"], &[("PATH", "/a::/b")]), ["/a/x", "./x", "/b/x"]);
        assert_eq!(candidates(&["x"], &[]), ["/bin/x", "/usr/bin/x"]);
        assert_eq!(candidates(&["./x"], &[("PATH", "/a")]), ["./x"]);
        assert_eq!(candidates(&[""], &[("PATH", "/a")]), [""; 0]);
    }
}
