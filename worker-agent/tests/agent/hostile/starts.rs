//! Programs that do not start, each for a reason of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::row::Row;

const EACCES: &str = ": Permission denied (EACCES)";

pub(super) fn rows() -> Vec<Row> {
    let program = |name, why| Row::command(name, &["DIR/program"]).does_not_start(why);
    vec![
        Row::command("execs_a_directory", &["DIR"]).does_not_start(EACCES),
        Row::command("execs_a_device", &["/dev/null"]).does_not_start(EACCES),
        Row::command("execs_what_is_not_there", &["/no/such/program"]).does_not_start("(ENOENT)"),
        Row::command("execs_a_file_as_if_it_were_a_directory", &["/bin/sh/x"]).does_not_start("(ENOTDIR)"),
        Row::command("execs_a_name_that_is_too_long", &[&"x".repeat(300)]).does_not_start("cannot run "),
        program("execs_a_pipe", EACCES).makes(|dir| {
            let path = dir.join("program");
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o700.into(), 0).unwrap();
        }),
        program("execs_what_is_not_executable", EACCES).makes(|dir| program_of(dir, "#!/bin/sh\n", 0o600)),
        program("execs_a_script_without_its_first_line", ": Exec format error (ENOEXEC)")
            .makes(|dir| program_of(dir, "exit 0\n", 0o700)),
        program("execs_a_script_of_a_program_that_is_not_there", "(ENOENT)")
            .makes(|dir| program_of(dir, "#!/no/such/interpreter\n", 0o700)),
        program("execs_an_empty_file", "(ENOEXEC)").makes(|dir| program_of(dir, "", 0o700)),
        program("execs_half_of_a_program", "cannot run ").makes(|dir| program_of(dir, "\x7fELF\x02\x01\x01", 0o700)),
        program("execs_a_link_to_itself", ": Too many levels of symbolic links (ELOOP)")
            .makes(|dir| symlink(dir.join("program"), dir.join("program")).unwrap()),
        Row::sh("runs_where_there_is_nothing", "true")
            .in_cwd("/no/such/directory")
            .does_not_start("cannot enter /no/such/directory: No such file"),
        Row::sh("runs_in_a_file", "true")
            .in_cwd("/etc/passwd")
            .does_not_start("cannot enter /etc/passwd: Not a directory"),
        // As many as the contract lets through, and more. More bytes than the kernel takes do not get as far as here.
        Row::command("has_as_many_arguments_as_it_may", &many_arguments("a")).looks(|_, outcome| {
            assert_eq!(outcome.stdout_bytes, 0);
        }),
        Row::command("has_more_arguments_than_it_may", &vec!["true"; 100_000])
            .does_not_start("spec.exec.argv")
            .ends(windlass_shared::domain::AttemptState::Rejected, windlass_shared::domain::Reason::Rejected),
    ]
}

fn program_of(dir: &Path, content: &str, mode: u32) {
    let path = dir.join("program");
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn many_arguments(one: &str) -> Vec<&str> {
    let rest = vec![one; windlass_shared::limits::ARGV_ITEMS_MAX - 1];
    [vec!["true"], rest].concat()
}
