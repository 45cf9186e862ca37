//! The demo's world: a temporary folder with a real configuration, two stand-ins, and the broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::idp::Idp;
use super::sts::{self, Sts};
use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, SystemEntropy, bytes};
use crate::keys::Kek;
use crate::server::{self, AwsIdentity, Ports, Running};

const CUSTOMER_POLICY: &str = r#"// Written by the customer: who may have what, at most.
@id("billing-reads-the-ledger")
permit (
  principal is Tidegate::Workload,
  action == Tidegate::Action::"issue",
  resource == Tidegate::Grant::"ledger-api"
) when {
  principal has kubernetes && principal.kubernetes.namespace == "billing"
};

@id("billing-reads-its-orders")
permit (
  principal is Tidegate::Workload,
  action == Tidegate::Action::"issue",
  resource == Tidegate::Grant::"orders-read"
) when {
  principal has kubernetes && principal.kubernetes.namespace == "billing"
};

@id("the-vendors-oncall-may-ask")
permit (
  principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action == Tidegate::Action::"request",
  resource == Tidegate::Grant::"ledger-repair"
) when { context.duration <= duration("4h") };

@id("our-leads-decide")
permit (
  principal is Tidegate::Person in Tidegate::Group::"customer/leads",
  action in [Tidegate::Action::"approve", Tidegate::Action::"revoke", Tidegate::Action::"view"],
  resource is Tidegate::Elevation
);

@id("two-of-us-open-the-window")
permit (
  principal is Tidegate::Person,
  action == Tidegate::Action::"activate",
  resource == Tidegate::Grant::"ledger-repair"
) when { context.approvals.count >= 2 };

@id("while-it-is-open")
permit (
  principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action == Tidegate::Action::"issue",
  resource == Tidegate::Grant::"ledger-repair"
) when { context has elevation && context.elevation.approvals >= 2 };

@id("who-asks-may-look")
permit (
  principal is Tidegate::Person,
  action == Tidegate::Action::"view",
  resource is Tidegate::Elevation
) when { resource.requester == principal };

// So that a colleague's approval is refused and not merely unseen.
@id("colleagues-may-look")
permit (
  principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action in [Tidegate::Action::"view", Tidegate::Action::"approve"],
  resource is Tidegate::Elevation
);

@id("nothing-lives-longer-than-an-hour")
forbid (principal, action == Tidegate::Action::"issue", resource)
when { context.ttl > duration("1h") };
"#;

const SESSION_POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::orders/{principal.namespace}/*"
  }]
}
"#;

/// Everything that runs while the story is told.
pub(super) struct World {
    pub(super) idp: Idp,
    /// Where the customer's people sign in.
    pub(super) customer: Idp,
    /// Where the vendor's people sign in.
    pub(super) vendor: Idp,
    pub(super) sts: Sts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) folder: Folder,
    broker: Running,
}

impl World {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let folder = Folder::create(&*entropy)?;
        let (idp, sts) = (Idp::start().await?, Sts::start(Arc::clone(&clock)).await?);
        let (customer, vendor) = (Idp::start().await?, Idp::start().await?);
        folder.write("policies/customer/demo.cedar", CUSTOMER_POLICY)?;
        folder.write("orders-read.json", SESSION_POLICY)?;
        let configuration = configuration(&idp.url, &sts.url) + &break_glass(&customer.url, &vendor.url);
        folder.write("tidegate.toml", &configuration)?;
        Kek::create(&folder.path("kek"), &*entropy).context("the demo's key-encryption key")?;
        let settings = crate::config::load(&folder.path("tidegate.toml"))?;
        let aws_identity = AwsIdentity::Fixed(Box::new(sts::credentials()));
        let broker =
            server::start(settings, Ports { clock: Arc::clone(&clock), entropy, aws_identity }).await?;
        Ok(Self { idp, customer, vendor, sts, clock, folder, broker })
    }

    /// The broker's public listener.
    pub(super) fn broker_url(&self) -> String {
        format!("http://{}", self.broker.public_address())
    }

    pub(super) fn ops_url(&self) -> String {
        format!("http://{}", self.broker.ops_address())
    }

    pub(super) fn verifier_key(&self) -> String {
        self.broker.verifier_key()
    }

    pub(super) async fn stop(self) {
        self.broker.stop("the demo ended").await;
    }
}

fn configuration(idp: &str, sts: &str) -> String {
    format!(
        r#"[server]
issuer = "http://127.0.0.1"
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"

[store]
url = "sqlite:tidegate.db"

[keys]
kek_file = "kek"

[audit]
origin = "demo.tidegate.example/log"

[policy]
dir = "policies"

[aws]
region = "eu-central-1"
sts_endpoint = "{sts}"

[[issuers]]
name = "demo-cluster"
url = "{idp}"
profile = "kubernetes"
audiences = ["tidegate"]
algorithms = ["ES256"]
allow_private_network = true
replay = "single-use"

[[grants]]
name = "ledger-api"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read", "ledger.write"]
default_ttl = "5m"
max_ttl = "15m"

[[grants]]
name = "orders-read"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/orders-read"
default_ttl = "10m"
max_ttl = "1h"
session_policy_file = "orders-read.json"
session_tags = {{ namespace = "{{principal.namespace}}" }}
"#
    )
}

/// Two companies' people, and what one of them may do only while the other lets it.
fn break_glass(customer: &str, vendor: &str) -> String {
    format!(
        r#"
[[issuers]]
name = "customer"
url = "{customer}"
profile = "person"
audiences = ["tidegate"]
algorithms = ["ES256"]
allow_private_network = true

[[issuers]]
name = "vendor"
url = "{vendor}"
profile = "person"
audiences = ["tidegate"]
algorithms = ["ES256"]
allow_private_network = true
may_approve = false

[[grants]]
name = "ledger-repair"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.admin"]
default_ttl = "5m"
max_ttl = "15m"
break_glass = true
max_duration = "4h"
"#
    )
}

/// A private folder that goes when this is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    fn create(entropy: &dyn Entropy) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let suffix = u64::from_be_bytes(bytes::<8>(entropy)?);
        let path = std::env::temp_dir().join(format!("tidegate-demo-{suffix:016x}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path).context("a temporary folder")?;
        Ok(Self(path))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| format!("writing `{}`", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder is in the system's temporary place; when it cannot go now it goes there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
