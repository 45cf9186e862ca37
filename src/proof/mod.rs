//! What can never happen, and what a change would do: policies as formulas, put to a solver that is a program of its own.
//!
//! Knows policies, and the issuers and grants that they are about; refuses to know where they come from. Promises that
//! "proved" and "equal" are said of every request that a broker could get, and that every example was decided again by the
//! rule of the live engine. What is neither is *unknown*, with the reason. See `docs/decisions/0041` and `0042`.

mod assume;
mod diff;
mod formula;
mod literals;
mod plausible;
mod prove;
mod realize;
mod report;
mod search;
mod shape;
mod simplest;
mod solver;
mod surroundings;
mod teams;
mod versus;
mod words;
mod worlds;

pub use diff::{Comparison, diff};
pub use formula::Whose;
pub use prove::{Question, assumptions, prove};
pub use report::{Answer, Change, Difference, Direction, HeldBy, Open, Refutation, Report, Verdict, told};
pub use shape::Shape;
pub use solver::{Solver, SolverMissing};
