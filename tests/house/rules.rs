//! How a file looks, beside whom it knows.

use super::sources::Source;

/// A file that needs more is two concepts.
const MOST_LINES: usize = 500;

/// Lists of refusals are long, and read in one go.
const MOST_TEST_LINES: usize = 800;

/// `src/a/b/c/file.rs`.
const MOST_FOLDERS: usize = 3;

/// The breaches in one file.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    let most = if source.is_test { MOST_TEST_LINES } else { MOST_LINES };
    if lines > most {
        faults.push(format!("src/{}: {lines} lines, at most {most}", source.path));
    }
    if source.path.matches('/').count() > MOST_FOLDERS {
        faults.push(format!("src/{}: nested deeper than {MOST_FOLDERS} folders", source.path));
    }
    faults.extend(source.tokens.windows(3).filter_map(|window| {
        let [first, second, third] = window else { return None };
        let why = match first.word() {
            Some("unsafe") => "no `unsafe`",
            Some("println" | "eprintln" | "print" | "eprint" | "dbg") if second.is('!') => {
                "print through `cli::Output`"
            }
            Some("process") if second.is_path_sep() && third.is_word("exit") => {
                "return an `ExitCode`: guards must drop"
            }
            None if first.is('[') && second.is_word("allow") && third.is('(') => {
                "`expect` with a reason, not `allow`"
            }
            _ => return None,
        };
        Some(format!("src/{}:{}: {why}", source.path, first.line))
    }));
    faults
}

/// A room whose `mod.rs` does not begin with what it knows.
pub(crate) fn silent_room(source: &Source) -> Option<String> {
    let speaks = source
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
        .is_some_and(|text| text.len() > 10);
    let is_room = source.path.ends_with("mod.rs") && !source.is_test;
    (is_room && !speaks)
        .then(|| format!("src/{}: the first line must say what the room knows (`//! …`)", source.path))
}
