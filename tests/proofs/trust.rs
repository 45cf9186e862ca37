//! What a proof must not rest on: a solver that agrees to everything, and entities that a request does not have.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::policy::Invariant;
use tidegate::proof::{Answer, Question, Solver, prove};

use crate::place::{Folder, invariants, now, solver, world};

async fn answer(folder: &Folder, invariants: &[Invariant], solver: &mut Solver) -> Answer {
    let (sets, world) = (folder.sets(), world());
    let question = Question { sets: &sets, invariants, no_wider_than: None, world: &world, now: now() };
    prove(question, solver, &mut |_| {}).await.verdicts.remove(0).answer
}

fn agreeing(folder: &Path) -> PathBuf {
    let path = folder.join("solver");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'This is cvc5 version 0.0' && exit\n\
                  while read -r line; do case \"$line\" in *check-sat*) echo unsat;; esac; done\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_solver_that_never_sees_an_example_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut solver = Solver::start(&agreeing(folder.path()), Duration::from_secs(5)).await.unwrap();
    let answer = answer(&Folder::shipped(), &invariants()[1..2], &mut solver).await;
    assert!(matches!(&answer, Answer::Unknown { why } if why.contains("broken")), "{answer:?}");
}

/// The request has no such person, so the policy fails and the broker denies; the solver would think that they are there.
#[tokio::test]
async fn a_policy_that_finds_its_way_to_an_entity_of_its_own_leaves_the_answer_unknown() {
    let subject = "(if resource.break_glass then Tidegate::Person::\"staff|zoe\" else principal).subject";
    let scope = "principal is Tidegate::Person, action == Tidegate::Action::\"lock\", resource";
    let folder =
        Folder::of(&format!("permit ({scope}); forbid ({scope}) when {{ {subject} != {subject} }};"), "");
    let always = format!("@id(\"all-lock\") @doc(\"Everybody may lock\") permit ({scope});");
    let always = Invariant::parse("i.cedar", always).unwrap_or_else(|error| panic!("{error}"));
    let answer = answer(&folder, &always, &mut solver().await).await;
    assert!(matches!(&answer, Answer::Unknown { why } if why.contains("names itself")), "{answer:?}");
}
