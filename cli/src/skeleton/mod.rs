//! `windlass init`: a worker to begin with, in a directory of its own, with the SDK beside it: nothing has to be installed.

use std::io::Write;
use std::path::Path;

use crate::failure::Failure;

/// Languages that there is an SDK for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    Python,
    /// TypeScript
    Node,
    Go,
    Rust,
    /// bash, with jq
    Sh,
}

/// A file of a skeleton: where it goes, and what it holds.
type File = (&'static str, &'static str);

/// Files of an SDK, by their path in `clients/`, for a place of theirs in the skeleton.
macro_rules! sdk {
    ($from:literal => $to:literal: $($file:literal),+ $(,)?) => {
        [$((concat!($to, "/", $file), include_str!(concat!("../../../clients/", $from, "/", $file)))),+]
    };
}

const PYTHON: &[File] = &sdk!("python/src/windlass_worker" => "windlass_worker":
    "__init__.py", "context.py", "frames.py", "pipe.py", "py.typed", "worker.py");
const NODE: &[File] = &sdk!("node/src" => "windlass-worker":
    "context.ts", "frames.ts", "index.ts", "pipe.ts", "worker.ts");
const GO: &[File] = &sdk!("go" => "windlass-worker":
    "errors.go", "fds_linux.go", "fds_other.go", "frames.go", "go.mod", "job.go", "pipe.go", "serve.go", "worker.go");
const RUST: &[File] = &sdk!("rust/src" => "windlass-worker/src":
    "context.rs", "desk.rs", "failure.rs", "frame.rs", "lib.rs", "local.rs", "payload.rs", "reader.rs", "run.rs",
    "serve.rs", "voice.rs", "worker.rs");

impl Language {
    fn files(self) -> Vec<File> {
        let (own, sdk): (&[File], &[File]) = match self {
            Self::Python => (&[("worker.py", include_str!("files/worker.py"))], PYTHON),
            Self::Go => {
                (&[("main.go", include_str!("files/main.go")), ("go.mod", include_str!("files/go.mod.txt"))], GO)
            }
            Self::Node => (
                &[
                    ("worker.ts", include_str!("files/worker.ts")),
                    ("package.json", include_str!("files/package.json")),
                    ("tsconfig.json", include_str!("files/tsconfig.json")),
                    ("windlass-worker/windlass-node", include_str!("../../../clients/node/bin/windlass-node")),
                ],
                NODE,
            ),
            Self::Sh => (&[("worker.sh", include_str!("../../../clients/sh/worker.sh"))], &[]),
            Self::Rust => (
                &[
                    ("Cargo.toml", include_str!("files/Cargo.toml.txt")),
                    ("src/main.rs", include_str!("files/main.rs.txt")),
                    ("windlass-worker/Cargo.toml", include_str!("files/Cargo.sdk.toml.txt")),
                ],
                RUST,
            ),
        };
        own.iter().chain(sdk).copied().collect()
    }

    /// What has to be run before the worker is; none where it runs as it is.
    fn build(self) -> Option<&'static str> {
        match self {
            Self::Python | Self::Sh => None,
            Self::Node => Some("npm install && npx tsc"),
            Self::Go => Some("go build -o worker ."),
            Self::Rust => Some("cargo build --release"),
        }
    }

    /// The worker's command, in its directory.
    fn command(self, home: &str) -> Vec<String> {
        match self {
            Self::Python => vec!["python3".into(), format!("{home}/worker.py")],
            Self::Node => ["sh", "windlass-worker/windlass-node", "dist/worker.js"]
                .into_iter()
                .map(|word| if word == "sh" { word.to_owned() } else { format!("{home}/{word}") })
                .collect(),
            Self::Go => vec![format!("{home}/worker")],
            Self::Sh => vec!["bash".into(), format!("{home}/worker.sh")],
            Self::Rust => vec![format!("{home}/target/release/hello-worker")],
        }
    }

    /// A handler of it, and an input that it takes.
    fn example(self) -> (&'static str, &'static str) {
        match self {
            Self::Sh => ("words", "\"one two\""),
            Self::Python | Self::Node | Self::Go | Self::Rust => ("hello", "{\"name\": \"Ada\"}"),
        }
    }
}

/// Writes the skeleton; what to do with it. Nothing that is there is written over.
pub(crate) fn write(language: Language, home: &Path) -> Result<String, Failure> {
    let failed =
        |what: &str, path: &Path, err: &std::io::Error| Failure::io(format_args!("{what} {}", path.display()), err);
    std::fs::create_dir_all(home).map_err(|err| failed("make", home, &err))?;
    let home = home.canonicalize().map_err(|err| failed("find", home, &err))?;
    let Some(place) = home.to_str() else {
        return Err(Failure::usage(
            "the path of the directory is not valid UTF-8, which no agent's configuration can name",
        ));
    };
    let command = language.command(place);
    let mut files: Vec<(&str, String)> =
        language.files().into_iter().map(|(path, text)| (path, text.to_owned())).collect();
    files.push(("agent.toml", configuration(&command)));
    if let Some((path, _)) = files.iter().find(|(path, _)| home.join(path).exists()) {
        return Err(Failure::usage(format!("{} is there already", home.join(path).display()))
            .remedy("name another directory: nothing is written over"));
    }
    for (path, text) in &files {
        let path = home.join(path);
        let parent = path.parent().unwrap_or(&home);
        std::fs::create_dir_all(parent).map_err(|err| failed("make", parent, &err))?;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|err| failed("write", &path, &err))?;
    }
    Ok(advice(language, place, &command))
}

fn configuration(command: &[String]) -> String {
    // What JSON escapes, TOML escapes alike.
    let command = serde_json::Value::from(command);
    format!("[[pool]]\nname = \"hello\"\ncommand = {command}\nmax = 2\n")
}

fn advice(language: Language, place: &str, command: &[String]) -> String {
    let quoted: Vec<String> = command.iter().map(|word| quote(word)).collect();
    let (command, place) = (quoted.join(" "), quote(place));
    let mut steps = vec![format!("cd {place}")];
    steps.extend(language.build().map(str::to_owned));
    let (handler, input) = language.example();
    if language != Language::Sh {
        steps.push(format!("{command} --once {handler} '{input}'"));
    }
    steps.push(format!("windlass worker check --handler {handler} --input '{input}' -- {command}"));
    steps.push(format!("windlass-worker-agent --config {place}/agent.toml"));
    format!("a worker in {place}; next:\n  {}\n", steps.join("\n  "))
}

fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clap::ValueEnum;
    use toml::{Table, Value};

    use super::*;

    #[test]
    fn a_skeleton_is_written_whole_and_nothing_is_written_over() {
        for language in Language::value_variants() {
            let dir = tempfile::tempdir().expect("a directory");
            let home = dir.path().join("my worker");
            let said = write(*language, &home).expect("written");
            assert!(said.contains(&format!("'{}'", language.example().1)) && said.contains("my worker'"), "{said}");
            for (path, text) in language.files() {
                assert_eq!(std::fs::read_to_string(home.join(path)).expect("read"), text, "{path}");
            }
            let config = std::fs::read_to_string(home.join("agent.toml")).expect("read");
            assert!(config.contains("my worker") && config.contains("[[pool]]"), "{config}");
            std::fs::write(home.join("agent.toml"), "mine").expect("written");
            assert!(write(*language, &home).is_err());
            assert_eq!(std::fs::read_to_string(home.join("agent.toml")).expect("read"), "mine");
        }
    }

    /// What a manifest wants of a dependency.
    struct Wants {
        version: String,
        /// Features that it names itself.
        own: BTreeSet<String>,
        /// Those of the workspace too.
        all: BTreeSet<String>,
    }

    fn dependencies(manifest: &str, workspace: &str) -> BTreeMap<String, Wants> {
        let (manifest, workspace): (Table, Table) = (manifest.parse().unwrap(), workspace.parse().unwrap());
        let features = |of: &Value| -> BTreeSet<String> {
            let listed = of.get("features").and_then(Value::as_array).into_iter().flatten();
            listed.map(|feature| feature.as_str().unwrap().to_owned()).collect()
        };
        let wants = |name: &str, here: &Value| {
            let inherits = here.get("workspace").is_some();
            let there = if inherits { &workspace["workspace"]["dependencies"][name] } else { here };
            let version = there.as_str().or_else(|| there.get("version")?.as_str()).unwrap().to_owned();
            Wants { version, own: features(here), all: &features(here) | &features(there) }
        };
        let listed = manifest["dependencies"].as_table().unwrap().iter();
        listed.map(|(name, here)| (name.clone(), wants(name, here))).collect()
    }

    #[test]
    fn the_rust_skeleton_builds_the_sdk_with_what_the_sdk_is_built_with() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path| std::fs::read_to_string(root.join(path)).expect("read");
        let sdk = dependencies(&read("clients/rust/Cargo.toml"), &read("Cargo.toml"));
        let written = dependencies(include_str!("files/Cargo.sdk.toml.txt"), "");
        assert_eq!(written.keys().collect::<Vec<_>>(), sdk.keys().collect::<Vec<_>>());
        for (name, Wants { version, own, .. }) in written {
            let sdk = &sdk[&name];
            assert_eq!(version, sdk.version, "{name}");
            // Others of the workspace may want more of it than the SDK does.
            assert!(
                sdk.own.is_subset(&own) && own.is_subset(&sdk.all),
                "{name}: {own:?}, {:?}, {:?}",
                sdk.own,
                sdk.all
            );
        }
    }

    #[test]
    fn no_file_of_an_sdk_is_left_out() {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
        let there = |dir: &str, is: fn(&str) -> bool| {
            let names =
                std::fs::read_dir(clients.join(dir)).expect("read").map(|entry| entry.expect("read").file_name());
            let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).filter(|name| is(name)).collect();
            names.sort();
            names
        };
        let taken = |files: &[File]| {
            let mut names: Vec<_> =
                files.iter().map(|(path, _)| path.rsplit('/').next().expect("a name").to_owned()).collect();
            names.sort();
            names
        };
        let source = |name: &str| name.ends_with(".py") || name.ends_with(".typed");
        assert_eq!(taken(PYTHON), there("python/src/windlass_worker", source));
        let source = |name: &str| name == "go.mod" || (name.ends_with(".go") && !name.ends_with("_test.go"));
        assert_eq!(taken(GO), there("go", source));
        assert_eq!(taken(NODE), there("node/src", |_| true));
        assert_eq!(taken(RUST), there("rust/src", |_| true));
    }
}
