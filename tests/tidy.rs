//! The house's own rules: what must hold all over the tree and no compiler checks. Each says where a thing is allowed and
//! why; the checkers, with the tests that show them fail, are in `tests/src/tidy/`.

use std::path::Path;

use windlass_tests::tidy::paths::{Room, Wall, is_in};
use windlass_tests::tidy::{Problem, docs, manifest, proto, rust, tree};

/// What the pure core may know, its tests included. `.ci/run` looks at what these bring along.
const CORE_KNOWS: [&str; 3] = ["windlass-shared", "fastrand", "thiserror"];

/// Where each thing that must not spread is named.
const ROOMS: [Room; 3] = [
    Room {
        paths: &["tonic", "prost", "windlass_shared::pb", "crate::pb", "pb"],
        inside: &[
            ("coordinator/src/store/sqlite/messages.rs", "rows on disk are protobuf too, of a contract of their own"),
            ("coordinator/src/store/sqlite/row", "writes and reads those rows"),
            ("shared/build.rs", "makes the generated code"),
            ("shared/src/pb", "is the generated code"),
            ("shared/src/convert", "wire ↔ domain"),
            ("shared/src/status", "errors ↔ Status"),
            ("coordinator/src/api", "the services"),
            ("coordinator/src/sessions", "the agents' streams"),
            ("coordinator/src/server", "puts the services on a socket"),
            ("worker-agent/src/dial", "the agent's connection"),
            ("worker-agent/src/session", "the agent's stream"),
            ("worker-agent/src/logs", "the agent's bulk stream"),
            ("cli/src", "a client like any other: it speaks the contract and nothing else"),
            ("coordinator/tests", "plays clients and agents"),
            ("worker-agent/tests", "plays the coordinator"),
            ("tests", "speaks to the binaries as a client does"),
        ],
    },
    Room {
        paths: &["backoff"],
        inside: &[(
            "shared/src/resilience/reconnect",
            "so that it can be swapped in an hour: docs/adr/0004-backoff.md",
        )],
    },
    Room {
        // Its words, such as `Refusal`, are for all of the coordinator.
        paths: &["windlass_core::Core", "windlass_core::Input", "windlass_core::Effect"],
        inside: &[
            ("coordinator/src/store/tests", "holds what stores bring back against a core that never stopped"),
            ("coordinator/src/driver", "owns the core"),
            ("coordinator/src/lib", "makes it, for the driver to own"),
            ("coordinator/core", "is the core"),
            ("tests", "runs the core in simulated worlds"),
        ],
    },
];

/// Which module does not know which.
const WALLS: [Wall; 8] = [
    Wall { around: "coordinator/src/api", paths: &["crate::store"], because: "the api never sees the store" },
    Wall {
        around: "coordinator/src/store",
        paths: &["crate::api", "crate::sessions"],
        because: "the store serves the driver alone",
    },
    Wall {
        around: "worker-agent/src/process",
        paths: &["windlass_shared::domain", "crate::executor"],
        because: "process knows no jobs",
    },
    Wall {
        around: "worker-agent/src/warden",
        paths: &["tokio", "windlass_shared::domain"],
        because: "the warden is small, has one thread and knows no jobs",
    },
    Wall {
        around: "worker-agent/src/containment",
        paths: &["windlass_shared::domain", "crate::executor", "crate::worker"],
        because: "containment knows trees, and neither jobs nor pools",
    },
    Wall {
        around: "worker-agent/src/executor",
        paths: &["tokio::net", "std::net", "crate::session"],
        because: "the executor knows no sockets",
    },
    Wall {
        around: "worker-agent/src/worker",
        paths: &["tonic", "windlass_shared::pb", "windlass_shared::convert", "crate::session", "crate::executor"],
        because: "pools know calls, and neither gRPC nor who orders them",
    },
    Wall {
        around: "coordinator/core/src",
        paths: &["std::fs", "std::net", "std::thread", "std::process", "std::env"],
        because: "the core touches nothing: what it needs comes in by argument",
    },
];

/// Who makes a `Status`.
const STATUS_MAKERS: [(&str, &str); 4] = [
    ("shared/src/status", "every error that a caller gets becomes one here"),
    ("cli/src", "no one's server: it makes one only for itself, where an answer lacks what it owes"),
    ("coordinator/tests", "plays clients and agents that see the stream break"),
    ("worker-agent/tests", "plays a coordinator that refuses"),
];

/// A page that a reader can still hold in mind; most are a third of it.
const FILE_LINES_MAX: usize = 500;
/// clippy warns at 60 lines of code; this one counts all lines, in tests too.
const FUNCTION_LINES_MAX: usize = 100;
/// The map must be readable in one sitting.
const MAP_LINES_MAX: usize = 250;

#[test]
fn grpc_backoff_and_the_core_stay_in_their_rooms() {
    for room in &ROOMS {
        check(".rs", |path, text| room.breaches(path, text));
    }
}

#[test]
fn no_module_reaches_through_a_wall() {
    for wall in &WALLS {
        check(".rs", |path, text| wall.breaches(path, text));
    }
}

#[test]
fn every_room_of_the_lists_is_there() {
    let files = tree::files_ending(".rs");
    let rooms = ROOMS.iter().flat_map(|room| room.inside).map(|(place, _)| *place);
    let makers = STATUS_MAKERS.iter().map(|(place, _)| *place);
    for place in rooms.chain(makers).chain(WALLS.iter().map(|wall| wall.around)) {
        assert!(
            files.iter().any(|file| is_in(&file.path, place)),
            "{place} is on a list of tests/tidy.rs and not there"
        );
    }
}

#[test]
fn the_core_knows_only_what_is_pure() {
    check("coordinator/core/Cargo.toml", |_, text| manifest::foreign_dependencies(text, &CORE_KNOWS));
}

#[test]
fn every_package_keeps_the_lints_of_the_workspace() {
    // But for the fuzz targets, whose workspace is their own: the macros of libFuzzer need `unsafe`.
    check("/Cargo.toml", |path, text| {
        if path == "shared/fuzz/Cargo.toml" || manifest::takes_lints(text) {
            Vec::new()
        } else {
            vec![Problem::on(1, "lacks `[lints] workspace = true`")]
        }
    });
}

#[test]
fn the_core_bans_all_that_the_workspace_bans() {
    let core =
        std::fs::read_to_string(tree::root().join("coordinator/core/clippy.toml")).expect("the core has its own");
    check("clippy.toml", |path, text| {
        let dropped = if path == "clippy.toml" { manifest::dropped_bans(text, &core) } else { Vec::new() };
        [dropped, manifest::silent_bans(text)].concat()
    });
}

#[test]
fn no_banned_crate_is_locked_and_no_exception_outlives_its_crate() {
    let lock = std::fs::read_to_string(tree::root().join("Cargo.lock")).expect("Cargo.lock is committed");
    check("deny.toml", |_, text| manifest::denied(text, &lock));
}

#[test]
fn unsafe_code_is_in_the_sys_module_alone() {
    check(".rs", |path, text| if is_in(path, "worker-agent/src/sys") { Vec::new() } else { rust::unsafe_code(text) });
}

#[test]
fn one_module_makes_statuses() {
    let allowed = |path: &str| STATUS_MAKERS.iter().any(|(place, _)| is_in(path, place));
    check(".rs", |path, text| if allowed(path) { Vec::new() } else { rust::made_statuses(text) });
}

#[test]
fn every_task_has_an_owner() {
    check(".rs", |_, text| rust::detached_spawns(text));
}

#[test]
fn files_and_functions_fit_in_a_readers_head() {
    check(".rs", |_, text| rust::too_long(text, FILE_LINES_MAX, FUNCTION_LINES_MAX));
}

#[test]
fn no_lint_is_switched_off_in_silence() {
    check(".rs", |_, text| rust::silent_allows(text));
}

#[test]
fn everything_in_the_contract_is_explained() {
    check(".proto", |path, text| if path.starts_with("proto/google/") { Vec::new() } else { proto::uncommented(text) });
}

#[test]
fn decision_records_are_numbered_and_whole() {
    check("docs/adr/*.md", |_, text| docs::missing_sections(text));
    let files = tree::files_ending(".md");
    let names: Vec<&str> = files.iter().filter_map(|file| file.path.strip_prefix("docs/adr/")).collect();
    assert_eq!(docs::first_gap(&names), None);
}

#[test]
fn the_map_fits_one_sitting() {
    check("ARCHITECTURE.md", |_, text| rust::too_long(text, MAP_LINES_MAX, usize::MAX));
}

#[test]
fn every_link_leads_somewhere() {
    check(".md", |path, text| {
        let folder = tree::root().join(Path::new(path).parent().unwrap_or(Path::new("")));
        let broken = docs::file_links(text).into_iter().filter(|(_, target)| !folder.join(target).exists());
        broken.map(|(line, target)| Problem::on(line, format!("{target} is not there"))).collect()
    });
}

#[test]
fn the_map_and_the_lists_name_only_what_is_there() {
    for file in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        check(file, |_, text| {
            let gone = docs::named_paths(text).into_iter().filter(|(_, path)| !tree::root().join(path).exists());
            gone.map(|(line, path)| Problem::on(line, format!("`{path}` is not there"))).collect()
        });
    }
}

#[test]
fn nothing_is_unfinished_or_tied_to_one_machine() {
    check("", |_, text| docs::out_of_place(text));
}

/// Runs a checker over every file whose path ends so (`folder/*.ending`: over those of one folder), and shows all that is
/// wrong at once.
fn check(files: &str, checker: impl Fn(&str, &str) -> Vec<Problem>) {
    let (folder, ending) = files.split_once('*').unwrap_or(("", files));
    let found = tree::files_ending(ending).into_iter().filter(|file| file.path.starts_with(folder));
    let (mut seen, mut shown) = (0, String::new());
    for file in found {
        seen += 1;
        for Problem { line, text } in checker(&file.path, &file.text) {
            shown += &format!("{}:{line}: {text}\n", file.path);
        }
    }
    assert!(seen > 0, "no file of {files:?} was found: the check checks nothing");
    assert!(shown.is_empty(), "\n{shown}");
}
