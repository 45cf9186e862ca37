//! What a bundle says about itself: the vendor's cases and invariants, read from the file in memory and tried out here.
//!
//! A case is about the vendor's part by itself, in the vendor's own world: what a customer adds must not make it fail. An
//! invariant is about what both permit together, here.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::place::Place;
use super::test::Filed;
use crate::cli::shown::Shown;
use crate::policy::bundle::{BrokerVersion, Bundle, Contents};
use crate::policy::cases;
use crate::policy::{Author, INVARIANTS_FILE, Invariant, PolicySets, World, WorldFile};

/// The vendor's cases.
#[derive(Debug)]
pub(super) struct OwnCases {
    /// What decides them.
    pub(super) sets: PolicySets,
    pub(super) cases: Vec<Filed>,
    /// How many expect something of a customer's part, and were left out.
    pub(super) left_out: usize,
}

/// The bundle of a place, where there is one, and its file.
fn bundle(place: &Place) -> anyhow::Result<Option<(Bundle, &Path)>> {
    let Some(pin) = &place.policy.vendor else { return Ok(None) };
    let opened = pin.open(BrokerVersion::ours());
    let bundle = opened.map_err(|why| anyhow::anyhow!("`{}` {why}", pin.file.display()))?;
    Ok(Some((bundle, pin.file.as_path())))
}

/// The cases of the place's bundle, about the bundle's own issuers and grants; about `world` where it has none.
pub(super) fn cases(place: &Place, world: &World) -> anyhow::Result<Result<Option<OwnCases>, Vec<Shown>>> {
    match bundle(place)? {
        Some((bundle, file)) => cases_in(bundle.contents(), file, Some(world)),
        None => Ok(Ok(None)),
    }
}

/// The same of what was read from `file`.
fn cases_in(
    contents: &Contents,
    file: &Path,
    world: Option<&World>,
) -> anyhow::Result<Result<Option<OwnCases>, Vec<Shown>>> {
    if contents.cases().next().is_none() {
        return Ok(Ok(None));
    }
    let of_world = file.join("tests/world.toml");
    let own = match contents.world().map(WorldFile::read).transpose() {
        Ok(own) => own.map(|own| own.world),
        Err(faults) => return Ok(Err(shown(&of_world, &faults))),
    };
    let Some(world) = own.as_ref().or(world) else {
        let missing = "is missing: nobody knows which issuers and grants the cases are about";
        return Ok(Err(vec![Shown::of_file(&of_world, missing.to_owned())]));
    };
    let (mut all, mut found, mut faults) = (0, Vec::new(), Vec::new());
    for (path, text) in contents.cases() {
        let path = file.join(path);
        match cases::read(text, world) {
            Ok(read) => {
                all += read.len();
                let about = read.into_iter().filter_map(|case| case.about(Author::Vendor));
                found.extend(about.map(|case| Filed { file: path.display().to_string(), case }));
            }
            Err(wrong) => faults.extend(shown(&path, &wrong)),
        }
    }
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let (sets, left_out) = (contents.sets()?, all - found.len());
    Ok(Ok(Some(OwnCases { sets, cases: found, left_out })))
}

/// Does it keep what it says about itself, as far as a vendor can know? What does not is not worth a signature: every customer
/// would find the same.
pub(super) fn check(contents: &Contents, dir: &Path) -> anyhow::Result<()> {
    if let Some(text) = contents.invariants() {
        Invariant::parse(INVARIANTS_FILE, text.to_owned())?;
    }
    let own = match cases_in(contents, dir, None)? {
        Ok(Some(own)) => own,
        Ok(None) => return Ok(()),
        Err(faults) => bail!("{}", faults.iter().map(Shown::render).collect::<Vec<_>>().join("\n")),
    };
    let report = cases::run(&own.sets, own.cases.iter().map(|filed| &filed.case));
    let failed = own.cases.iter().zip(&report.outcomes).filter(|(_, outcome)| !outcome.passed());
    let told = failed.map(|(Filed { file, case }, outcome)| {
        format!("{file}:{}: {}: {}", case.line, case.name, outcome.failures.join("; "))
    });
    let told: Vec<_> = told.collect();
    ensure!(told.is_empty(), "the vendor's policies alone do not answer these cases:\n{}", told.join("\n"));
    Ok(())
}

fn shown(file: &Path, faults: &crate::document::Faults) -> Vec<Shown> {
    faults.iter().map(|fault| Shown::of_document(file, fault)).collect()
}

/// What must hold: what the file says that is named; else what the folder says, and what the vendor says of their bundle, under
/// the bundle's name. Empty when nobody says anything.
pub(super) fn invariants(place: &Place, named: Option<&PathBuf>) -> anyhow::Result<Vec<Invariant>> {
    if let Some(file) = named {
        return Ok(Invariant::read(file)?);
    }
    let file = place.policy.dir.join(INVARIANTS_FILE);
    let mut all = if file.exists() { Invariant::read(&file)? } else { Vec::new() };
    if let Some((bundle, _)) = bundle(place)?
        && let Some(text) = bundle.contents().invariants()
    {
        let name = &bundle.statement().name;
        for mut invariant in Invariant::parse(INVARIANTS_FILE, text.to_owned())? {
            invariant.id = format!("{name}:{}", invariant.id);
            all.push(invariant);
        }
    }
    Ok(all)
}
