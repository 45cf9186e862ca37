//! `tidegate policy diff`: which requests does a change decide otherwise?

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::{Output, failed};
use super::place::{HALF, PlaceArgs};
use super::solver::{SolverArgs, world};
use super::version::{Age, bundle_of, check_comparable};
use crate::clock::{Clock as _, SystemClock};
use crate::proof::{Change, Comparison, Difference, Whose, diff};

/// Arguments of `tidegate policy diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A version is a policy folder, or a vendor's bundle, which is compared beside the customer's folder (--policies, or\n\
                        the configuration's). A bundle is verified with the configured key or --vendor-key, and the newer one may not\n\
                        be older than the one that is pinned. Teams and owners are those of each version.\n\n\
                        Exit code 0: compared; with --exit-code 1 when they differ. Always 1 when something could not \
                        be found out, or there is no solver.\n\n\
                        Examples:\n  \
                        tidegate policy diff --config tidegate.toml policies.before policies\n  \
                        tidegate policy diff --config tidegate.toml acme-7.bundle acme-8.bundle\n  \
                        tidegate policy diff --of vendor --vendor-key vendor.vkey acme-7.bundle acme-8.bundle"
)]
pub(in crate::cli) struct Args {
    /// The older version: a policy folder, or a vendor's bundle
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The newer version: a policy folder, or a vendor's bundle
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// Whose policies to compare
    #[arg(long, value_enum, default_value_t, value_name = "WHOSE")]
    of: Of,
    /// Exit with 1 when they differ, as `git diff --exit-code` does
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    solver: SolverArgs,
}

/// Whose policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// Of both together: what a broker permits
    #[default]
    Effective,
    /// The customer's set alone
    Customer,
    /// The vendor's set alone
    Vendor,
    /// Each of these
    All,
}

impl Of {
    const fn whose(self) -> &'static [Whose] {
        match self {
            Self::Effective => &[Whose::Effective],
            Self::Customer => &[Whose::Customer],
            Self::Vendor => &[Whose::Vendor],
            Self::All => &[Whose::Effective, Whose::Customer, Whose::Vendor],
        }
    }
}

impl Args {
    /// Compares, and prints what differs.
    pub(in crate::cli) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let place = self.place.open()?;
        let world = world(&place)?;
        let old = place.version_or_half(&self.old, Age::Earlier)?;
        let new = place.version_or_half(&self.new, Age::Next)?;
        check_comparable(&old, &new)?;
        let mut solver = self.solver.start().await?;
        let comparison = Comparison {
            old: &old,
            new: &new,
            whose: self.of.whose(),
            world: &world,
            now: SystemClock::start().now(),
        };
        let difference = diff(comparison, &mut solver, &mut |part| output.progress(part)).await;
        output.progress("");
        self.print(&difference, [&old, &new].map(bundle_of), output)?;
        if new.is_half() {
            output.line(HALF)?;
        }
        let bad = !difference.unknown.is_empty() || (self.exit_code && !difference.equal);
        Ok(if bad { failed() } else { ExitCode::SUCCESS })
    }

    fn print(&self, difference: &Difference, bundles: [String; 2], output: &Output) -> anyhow::Result<()> {
        output.json(difference)?;
        for (number, change) in (1..).zip(&difference.changes) {
            let Change { whose, direction, shape, grant, example, before, after } = change;
            output.line(format!("{direction}  {whose}: {shape} on `{grant}`, such as"))?;
            self.solver.show(
                &format!("{number:03}-{whose}-{}-{grant}", shape.action.as_str()),
                example,
                output,
            )?;
            output.line(format!("    before: {before}"))?;
            output.line(format!("    after:  {after}"))?;
        }
        for open in &difference.unknown {
            let about = open.grant.as_ref().map_or(String::new(), |grant| format!(" on `{grant}`"));
            let (direction, whose, shape) = (open.direction, open.whose, open.shape);
            output.line(format!("UNKNOWN  whether {direction}, {whose}: {shape}{about}: {}", open.why))?;
        }
        if difference.equal {
            output.line("equal: proved that no request to this configuration is decided otherwise")?;
        }
        let ([old_bundle, new_bundle], Difference { old, new, solver, .. }) = (bundles, difference);
        output.line(format!("{old}{old_bundle} to {new}{new_bundle} by {solver}"))?;
        Ok(())
    }
}
