//! `tidegate check`: every fault of a configuration at once, in the file and in what it names.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::Output;
use super::shown::{Shown, count};
use crate::clock::SystemClock;
use crate::config::{LoadError, Settings};
use crate::entropy::SystemEntropy;
use crate::federation::Federation;
use crate::grants::Catalog;
use crate::policy::PolicyEngine;

/// Arguments of `tidegate check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads the file, the session policies, key sets and policies that it names, and starts nothing.\n\
                        Exit codes: 0 no fault, 1 at least one."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
}

impl Args {
    /// Checks, prints, and answers whether all is well.
    pub fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let settings = match crate::config::load(&self.config) {
            Ok(settings) => settings,
            Err(error) => {
                print_faults(&error, output)?;
                return Ok(super::failed());
            }
        };
        let summary = summary(&self.config, &settings);
        let faults = faults_around(&self.config, settings.clone());
        print(&faults, output)?;
        if !faults.is_empty() {
            return Ok(super::failed());
        }
        if let Some(hint) = super::policy::check::hint(&self.config, settings) {
            output.note(hint);
        }
        output.line(summary)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows why a configuration was not loaded.
pub fn print_faults(error: &LoadError, output: &Output) -> anyhow::Result<()> {
    print(&shown(error), output)
}

fn print(faults: &[Shown], output: &Output) -> anyhow::Result<()> {
    for fault in faults {
        output.line(fault.render())?;
    }
    if !faults.is_empty() {
        output.line(count(faults.len(), "fault"))?;
    }
    output.json(&faults)
}

fn shown(error: &LoadError) -> Vec<Shown> {
    match error {
        LoadError::Unreadable { path, source } => {
            vec![Shown::of_file(path, format!("cannot be read: {source}"))]
        }
        LoadError::Faulty { path, faults } => {
            faults.iter().map(|fault| Shown::of_document(path, fault)).collect()
        }
    }
}

/// What only the other rooms can tell: is the key a key, are the key sets usable, do the policies hold?
fn faults_around(config: &Path, settings: Settings) -> Vec<Shown> {
    let mut faults = Vec::new();
    for source in std::iter::once(&settings.keys.kek.wanted).chain(&settings.keys.kek.previous) {
        if let Err(error) = source.read() {
            faults.push(Shown::of_file(config, error.to_string()));
        }
    }
    let (clock, entropy) = (Arc::new(SystemClock::start()), Arc::new(SystemEntropy::new()));
    if let Err(error) = Federation::new(settings.issuers, clock, entropy) {
        faults.push(Shown::of_file(config, error.to_string()));
    }
    let shadow = settings.shadow.map(|shadow| crate::policy::Settings { dir: shadow.dir });
    for policy in std::iter::once(&settings.policy).chain(&shadow) {
        faults.extend(faults_of_policies(policy, &settings.grants));
    }
    faults
}

fn faults_of_policies(policy: &crate::policy::Settings, grants: &Catalog) -> Vec<Shown> {
    let Err(error) = PolicyEngine::load(policy, grants) else { return Vec::new() };
    error.faults.iter().map(|fault| Shown::of_policies(&policy.dir, fault)).collect()
}

fn summary(config: &Path, settings: &Settings) -> String {
    let issuers = count(settings.issuers.len(), "issuer");
    let grants = count(settings.grants.iter().count(), "grant");
    let digest: String = settings.digest.to_string().chars().take(16).collect();
    format!("{}: {issuers}, {grants}, policies loaded, no fault (digest {digest}…)", config.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::OutputFormat;

    const GOOD: &str = r#"[server]
issuer = "https://broker.example.com"
listen = "127.0.0.1:8443"

[keys]
kek_file = "kek"

[[issuers]]
name = "ci"
url = "https://idp.example.com"
profile = "generic"
audiences = ["tidegate"]
"#;

    fn folder(config: &str, cedar: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("policies/customer")).unwrap();
        fs::write(folder.path().join("policies/customer/all.cedar"), cedar).unwrap();
        fs::write(folder.path().join("kek"), [7; 32]).unwrap();
        fs::set_permissions(folder.path().join("kek"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(folder.path().join("tidegate.toml"), config).unwrap();
        folder
    }

    fn check(config: &str, cedar: &str) -> (ExitCode, Vec<String>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = folder(config, cedar);
        let path = folder.path().join("tidegate.toml");
        let faults = match crate::config::load(&path) {
            Ok(settings) => faults_around(&path, settings),
            Err(error) => shown(&error),
        };
        let prefix = format!("{}/", folder.path().display());
        let rendered = faults.iter().map(|fault| fault.render().replace(&prefix, "")).collect();
        let code = Args { config: path }.run(&Output::new(OutputFormat::Text)).unwrap();
        (code, rendered)
    }

    const PERMIT: &str = "permit (principal, action == Tidegate::Action::\"issue\", resource);";

    #[test]
    fn a_fault_is_shown_with_its_line_a_caret_and_help() {
        let (code, faults) = check(&GOOD.replace("\"generic\"", "\"genric\""), PERMIT);
        assert_eq!(code, super::super::failed());
        insta::assert_snapshot!(faults.join("\n"), @r#"
        tidegate.toml:11:11: issuers[0].profile: unknown profile `genric`
            11 | profile = "genric"
               |           ^
          help: did you mean `generic`?
        "#);
    }

    #[test]
    fn faults_of_the_policies_are_found_too() {
        let (code, faults) =
            check(GOOD, "permit (principal, action, resource) when { context.nothing == 1 };");
        assert_eq!(code, super::super::failed());
        assert!(faults.iter().any(|fault| fault.starts_with("policies/customer/all.cedar:1:")), "{faults:?}");
    }

    #[test]
    fn faults_of_the_policies_on_trial_are_found_too() {
        let config = format!("{GOOD}\n[policy]\nshadow_dir = \"next\"\n");
        let (code, faults) = check(&config, PERMIT);
        assert_eq!(code, super::super::failed());
        assert!(faults.len() == 1 && faults[0].starts_with("next"), "{faults:?}");
    }

    #[test]
    fn a_key_that_others_can_read_is_a_fault() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder(GOOD, PERMIT);
        fs::set_permissions(folder.path().join("kek"), fs::Permissions::from_mode(0o644)).unwrap();
        let config = folder.path().join("tidegate.toml");
        let settings = crate::config::load(&config).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let faults = faults_around(&config, settings);
        assert!(faults.iter().any(|fault| fault.message.contains("0644")), "{faults:?}");
    }

    #[test]
    fn a_configuration_without_fault_is_summed_up() {
        let (code, faults) = check(GOOD, PERMIT);
        assert_eq!((code, faults), (ExitCode::SUCCESS, Vec::new()));
        let folder = folder(GOOD, PERMIT);
        let path = folder.path().join("tidegate.toml");
        let summary = summary(&path, &crate::config::load(&path).unwrap());
        assert!(
            summary.contains("tidegate.toml: 1 issuer, 0 grants, policies loaded, no fault (digest "),
            "{summary}"
        );
    }
}
