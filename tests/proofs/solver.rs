//! A solver that is missing, is something else, dies or thinks too long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::proof::{Answer, Question, Solver, prove};

use crate::place::{Folder, invariants, now, world};

fn program(folder: &tempfile::TempDir, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join("solver");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const SAYS_CVC5: &str = "[ \"$1\" = --version ] && echo 'This is cvc5 version 0.0' && exit";

async fn first_answer(program: &Path, limit: Duration) -> Answer {
    let (sets, world, invariants) = (Folder::shipped().sets(), world(), invariants());
    let mut solver = Solver::start(program, limit).await.unwrap();
    let question = Question {
        sets: &sets,
        invariants: &invariants[1..2],
        no_wider_than: None,
        world: &world,
        now: now(),
    };
    prove(question, &mut solver, &mut |_| {}).await.verdicts.remove(0).answer
}

#[tokio::test]
async fn without_a_solver_there_is_an_error_that_says_how_to_get_one() {
    let told =
        Solver::start(Path::new("/nowhere/cvc5"), Duration::from_secs(1)).await.unwrap_err().to_string();
    for part in ["`/nowhere/cvc5`", "apt-get install cvc5", "pip install cvc5", "--solver", "CVC5"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_program_that_is_something_else_is_no_solver() {
    assert!(Solver::start(Path::new("/bin/true"), Duration::from_secs(1)).await.is_err());
}

#[tokio::test]
async fn a_solver_that_dies_or_talks_nonsense_leaves_the_answer_unknown() {
    let folder = tempfile::tempdir().unwrap();
    for rest in ["exit 3", "read line; echo nonsense; cat >/dev/null", "echo unknown; cat >/dev/null"] {
        let program = program(&folder, &format!("{SAYS_CVC5}\n{rest}"));
        let answer = first_answer(&program, Duration::from_secs(5)).await;
        assert!(matches!(answer, Answer::Unknown { .. }), "{rest}: {answer:?}");
    }
}

#[tokio::test]
async fn a_solver_that_always_sees_an_example_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(&folder, &format!("{SAYS_CVC5}\necho sat; echo '('; echo ')'; cat >/dev/null"));
    let answer = first_answer(&program, Duration::from_secs(5)).await;
    assert!(matches!(answer, Answer::Unknown { .. }), "{answer:?}");
}
