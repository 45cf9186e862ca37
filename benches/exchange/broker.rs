//! The real broker in a temporary folder, durable audit on, single-use tokens.

use std::path::Path;

use tidegate::server::{self, Ports, Running};

use crate::tokens::Issuer;

const POLICY: &str = r#"
@id("billing")
permit (
  principal is Tidegate::Workload,
  action == Tidegate::Action::"issue",
  resource == Tidegate::Grant::"ledger-api"
) when { principal has kubernetes && principal.kubernetes.namespace == "billing" };
@id("ceiling")
forbid (principal, action == Tidegate::Action::"issue", resource) when { context.ttl > duration("1h") };
"#;

/// Lays its folder out, with `others` policies about other grants.
pub fn lay_out(folder: &Path, issuer: &Issuer, others: usize) {
    lay_out_on(folder, issuer, others, "sqlite:tidegate.db");
}

/// The same on another store.
pub fn lay_out_on(folder: &Path, issuer: &Issuer, others: usize, store: &str) {
    std::fs::create_dir_all(folder.join("policies/customer")).expect("a folder");
    write(folder, "policies/customer/main.cedar", POLICY);
    write(folder, "policies/customer/others.cedar", &policies_about_others(others));
    write(folder, "jwks.json", &issuer.jwks().to_string());
    write(folder, "tidegate.toml", &configuration(issuer, others, store));
    let kek = folder.join("kek");
    if !kek.exists() {
        tidegate::keys::Kek::create(&kek, &tidegate::entropy::SystemEntropy::new())
            .expect("a key-encryption key");
    }
}

/// Lets the same policies with another ceiling be tried out beside it.
pub fn try_out(folder: &Path) {
    std::fs::create_dir_all(folder.join("candidate/customer")).expect("a folder");
    write(folder, "candidate/customer/main.cedar", &POLICY.replace("\"1h\"", "\"4m\""));
    let text = std::fs::read_to_string(folder.join("tidegate.toml")).expect("a configuration");
    let text = text.replace("dir = \"policies\"", "dir = \"policies\"\nshadow_dir = \"candidate\"");
    write(folder, "tidegate.toml", &text);
}

/// Other policies that decide the same.
pub fn change(folder: &Path, version: u64) {
    write(folder, "policies/customer/main.cedar", &format!("// version {version}\n{POLICY}"));
}

/// Serves what was laid out.
pub async fn serve(folder: &Path) -> Running {
    let settings = tidegate::config::load(&folder.join("tidegate.toml")).expect("a configuration");
    server::start(settings, Ports::system()).await.expect("a broker")
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

fn policies_about_others(count: usize) -> String {
    let policy = |number: usize| {
        format!(
            "permit (principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", \
             resource == Tidegate::Grant::\"other-{number}\") when {{ principal has kubernetes && \
             principal.kubernetes.namespace == \"ns-{number}\" && context.ttl <= duration(\"30m\") }};\n"
        )
    };
    (0..count).map(policy).collect()
}

fn configuration(issuer: &Issuer, others: usize, store: &str) -> String {
    let mut text = format!(
        r#"[server]
issuer = "https://broker.example.com"
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"

[server.limits]
rate_per_ip = 0
rate_per_principal = 0

[log]
level = "warn"

[store]
url = "{store}"

[keys]
kek_file = "kek"

[policy]
dir = "policies"

[[issuers]]
name = "bench"
url = "https://bench.example.com"
profile = "kubernetes"
audiences = ["tidegate"]
algorithms = ["{algorithm}"]
jwks_file = "jwks.json"
replay = "single-use"
"#,
        algorithm = issuer.algorithm()
    );
    text.push_str(&grant("ledger-api"));
    for number in 0..others {
        text.push_str(&grant(&format!("other-{number}")));
    }
    text
}

fn grant(name: &str) -> String {
    format!(
        r#"
[[grants]]
name = "{name}"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read", "ledger.write"]
default_ttl = "5m"
max_ttl = "15m"
"#
    )
}
