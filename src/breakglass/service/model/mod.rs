//! Random histories on a real SQLite file, each step held against a model that knows nothing of our machine.
//!
//! Which histories are made depends on the seed alone; a failure prints the shortest history that still fails.

mod history;
mod oracle;
mod record;
mod stage;
mod words;

use std::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use stage::Stage;

/// In each of the four tests below, which run beside each other: 10,000 together.
const HISTORIES: u32 = 2_500;

/// One database for all of them. A history that fails leaves nothing to the next one, which gets a new database.
fn run(seed: u8) {
    let config =
        Config { cases: HISTORIES, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left = RefCell::new(None);
    let outcome = runner.run(&history::histories(), |steps| {
        let stage: Option<Stage> = left.take();
        let done = runtime.block_on(async {
            let stage = match stage {
                Some(stage) => stage,
                None => Stage::new().await,
            };
            stage.play(&steps).await
        });
        left.replace(Some(done?));
        Ok(())
    });
    match outcome {
        Ok(()) => runtime.block_on(left.take().unwrap().close()),
        Err(TestError::Fail(why, steps)) => panic!("{why}\nin this history: {steps:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn no_history_breaks_a_promise_1() {
    run(1);
}

#[test]
fn no_history_breaks_a_promise_2() {
    run(2);
}

#[test]
fn no_history_breaks_a_promise_3() {
    run(3);
}

#[test]
fn no_history_breaks_a_promise_4() {
    run(4);
}
