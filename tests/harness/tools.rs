//! Where the counterparts are. A missing one fails the test: a skipped proof looks like a proof.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The counterparts' sources.
pub(crate) fn counterparts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counterparts")
}

/// `python SCRIPT …` in the counterparts' virtual environment.
pub(crate) fn python(script: &str) -> Command {
    let mut command = in_venv("python");
    command.arg(counterparts().join(script));
    command
}

/// A program in that environment.
pub(crate) fn in_venv(program: &str) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin").join(program);
    present(&program);
    without_ambient_settings(Command::new(program))
}

/// `node SCRIPT …` beside the counterparts' modules.
pub(crate) fn node(script: &str) -> Command {
    present(&counterparts().join("node_modules/oidc-provider"));
    // Installed there when the machine's own is missing or too old.
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/node");
    let mut command = if bundled.exists() { Command::new(bundled) } else { Command::new("node") };
    command.arg(counterparts().join(script));
    without_ambient_settings(command)
}

/// Runs a program to its end with `input` on its standard input: its exit and what it wrote to standard output.
pub(crate) fn run(command: &mut Command, input: &str) -> (bool, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that refuses its arguments does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let (said, complained) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    if !output.status.success() {
        println!("{command:?}: {}\n{said}{complained}", output.status);
    }
    (output.status.success(), said)
}

/// Runs a program that answers with one JSON line.
pub(crate) fn ask(command: &mut Command, input: &str) -> (bool, serde_json::Value) {
    let (good, said) = run(command, input);
    (
        good,
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{command:?} answered {said:?}: {error}")),
    )
}

/// Panics when the counterpart is not there.
pub(crate) fn present(path: &Path) {
    assert!(
        path.exists(),
        "`{}` is missing: run the tests with ./scripts/test, which installs it",
        path.display()
    );
}

/// The developer's own cloud account and proxies are no part of a test.
fn without_ambient_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("AWS_") || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
    command
}
