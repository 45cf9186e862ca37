//! The SMT solver: a program of its own that is found, started, bounded and replaced when it fails. It is told formulas and
//! nothing else; what it answers is believed only where it says that there is no example, and of a process that found one where
//! one is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cedar_policy::{Effect, Policy, Schema};
use cedar_policy_core::ast;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledSchema, Env};
use tokio::process::Command;

use super::formula::{Doubt, parse};
use super::shape::Shape;
use crate::policy::facts::PrincipalKind;
use crate::policy::{Action, SCHEMA_TEXT};

/// A solver that does not even answer this fast is none.
const PROBE: Duration = Duration::from_secs(20);

/// What the process may take beyond its own limit before it is ended.
const GRACE: Duration = Duration::from_secs(10);

/// There is no solver: nothing was proved, and nothing is skipped.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run the solver `{program}`: {cause}\n\
     Proofs need cvc5, an SMT solver: `apt-get install cvc5` (Debian, Ubuntu), or `pip install cvc5` and \
     `scripts/cvc5-from-pypi`, or a release from https://cvc5.github.io.\n\
     Put it on the PATH, name it in CVC5, or pass `--solver PATH`"
)]
pub struct SolverMissing {
    program: String,
    cause: String,
}

/// A solver that was found and answered.
#[derive(Debug)]
pub struct Solver {
    program: PathBuf,
    version: String,
    limit: Duration,
    schema: CompiledSchema,
    session: Option<CedarSymCompiler<LocalSolver>>,
}

/// What the solver found.
#[derive(Debug)]
pub(super) enum Found {
    /// No request is like that.
    Nothing,
    /// A request that is, as the solver imagines it.
    Example(Box<Env>),
}

impl Solver {
    /// Starts `program` once to see that it is there. Each question may take it `limit`.
    ///
    /// # Errors
    /// There is none, with what to do about it.
    pub async fn start(program: &Path, limit: Duration) -> Result<Self, SolverMissing> {
        let missing = |cause: String| SolverMissing { program: program.display().to_string(), cause };
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA_TEXT).map_err(|e| missing(e.to_string()))?;
        let schema = CompiledSchema::new(&schema).map_err(|error| missing(error.to_string()))?;
        let version = version(program).await.map_err(missing)?;
        Ok(Self { program: program.to_owned(), version, limit, schema, session: None })
    }

    /// What it calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A request that meets both conditions.
    pub(super) async fn both(
        &mut self,
        shape: Shape,
        one: ast::Expr,
        other: ast::Expr,
    ) -> Result<Found, Doubt> {
        let (one, other) = (self.compiled(shape, one)?, self.compiled(shape, other)?);
        self.ask(async move |session| {
            session.check_matches_disjoint_with_counterexample_opt(&one, &other).await
        })
        .await
    }

    /// A request that meets the first condition and not the second: there it is false, or fails.
    pub(super) async fn only_first(
        &mut self,
        shape: Shape,
        one: ast::Expr,
        other: ast::Expr,
    ) -> Result<Found, Doubt> {
        let (one, other) = (self.compiled(shape, one)?, self.compiled(shape, other)?);
        self.ask(async move |session| {
            session.check_matches_implies_with_counterexample_opt(&one, &other).await
        })
        .await
    }

    /// A request on which the condition fails.
    pub(super) async fn failing(&mut self, shape: Shape, condition: ast::Expr) -> Result<Found, Doubt> {
        let compiled = self.compiled(shape, condition)?;
        self.ask(async move |session| session.check_never_errors_with_counterexample_opt(&compiled).await)
            .await
    }

    fn compiled(&self, shape: Shape, condition: ast::Expr) -> Result<CompiledPolicy, Doubt> {
        let id = ast::PolicyID::from_string("condition");
        let policy = ast::Policy::from_when_clause(Effect::Permit, condition, id, None);
        let env = shape.request_env()?;
        let symbols = self.schema.sym_env(&env).map_err(|error| doubt(&error))?;
        let (policy, schema) = (Policy::from(policy), self.schema.schema());
        CompiledPolicy::compile_with_custom_symenv(&policy, &env, schema, symbols)
            .map_err(|error| doubt(&error))
    }

    async fn ask(
        &mut self,
        put: impl AsyncFnOnce(&mut CedarSymCompiler<LocalSolver>) -> Result<Option<Env>, Error>,
    ) -> Result<Found, Doubt> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.tried().await?,
        };
        let answer = tokio::time::timeout(self.limit + GRACE, put(&mut session)).await;
        match answer {
            Ok(Ok(found)) => {
                // Only one that answered is asked again; another is dropped, which ends its process.
                self.session = Some(session);
                Ok(found.map_or(Found::Nothing, |env| Found::Example(Box::new(env))))
            }
            Ok(Err(Error::SolverUnknown)) => Err(Doubt(format!(
                "the solver gave up, perhaps after its {} s: allow more with `--timeout`",
                self.limit.as_secs()
            ))),
            Ok(Err(error)) => Err(doubt(&error)),
            Err(_) => Err(Doubt("the solver did not answer in time and was ended".to_owned())),
        }
    }

    /// A process that was started just now, after a question whose answer is known: one that finds no example for that would
    /// "prove" whatever it is asked about.
    async fn tried(&self) -> Result<CedarSymCompiler<LocalSolver>, Doubt> {
        let mut session = self.fresh()?;
        let shape = Shape { action: Action::Issue, principal: PrincipalKind::Workload };
        let condition = |text: &str| self.compiled(shape, parse(text)?);
        let one = condition("context.ttl == duration(\"61s\")")?;
        let other = condition("context.ttl >= duration(\"60s\")")?;
        let asked = session.check_matches_disjoint_with_counterexample_opt(&one, &other);
        match tokio::time::timeout(self.limit + GRACE, asked).await {
            Ok(Ok(Some(_))) => Ok(session),
            Ok(Ok(None)) => Err(Doubt(
                "the solver says that there is no example where there are some: it is broken".to_owned(),
            )),
            Ok(Err(error)) => Err(doubt(&error)),
            Err(_) => Err(Doubt("the solver did not answer in time and was ended".to_owned())),
        }
    }

    fn fresh(&self) -> Result<CedarSymCompiler<LocalSolver>, Doubt> {
        let mut command = Command::new(&self.program);
        command.args(["--lang", "smt"]).arg(format!("--tlimit-per={}", self.limit.as_millis()));
        let solver = LocalSolver::from_command(command.kill_on_drop(true)).map_err(Doubt::of)?;
        CedarSymCompiler::new(solver).map_err(|error| doubt(&error))
    }
}

/// The first line of what it says about itself.
async fn version(program: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROBE, command.output()).await;
    let output =
        output.map_err(|_| "it does not answer `--version`".to_owned())?.map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let first = said.lines().next().unwrap_or_default().trim();
    if first.contains("cvc5") {
        return Ok(first.chars().filter(|c| !c.is_control()).take(100).collect());
    }
    Err("its `--version` does not say that it is cvc5".to_owned())
}

fn doubt(error: &Error) -> Doubt {
    let mut told = error.to_string();
    if let Error::PolicyNotWellTyped { errs } = error {
        for error in errs {
            told = format!("{told}: {error}");
        }
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        told = format!("{told}: {inner}");
        cause = inner.source();
    }
    Doubt(format!("the solver could not be asked: {}", told.chars().take(500).collect::<String>()))
}
