//! `tidegate demo`: everything on loopback and in one temporary folder, told in plain words.
//!
//! The broker is the real one, started the way `serve` starts it. The identity providers and AWS STS are stand-ins,
//! and the story says so.

mod breakglass;
mod idp;
mod story;
mod sts;
mod world;

use std::process::ExitCode;

use super::Output;
use story::Story;
use world::World;

/// Arguments of `tidegate demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is installed and nothing is left behind: the folder goes when the demo ends."
)]
pub(super) struct Args {
    /// Keep everything up afterwards and print `curl` commands to try.
    #[arg(long)]
    stay: bool,
}

pub(super) async fn run(args: Args, output: &Output) -> anyhow::Result<ExitCode> {
    let world = Box::pin(World::start()).await?;
    let mut story = Story::new(&world, output)?;
    let told = story.tell().await;
    if told.is_ok() && args.stay {
        story.stay().await?;
    }
    world.stop().await;
    told?;
    Ok(ExitCode::SUCCESS)
}
