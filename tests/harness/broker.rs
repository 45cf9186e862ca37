//! The broker itself: a folder with its configuration, its policies and its data, and the `tidegate` process.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Answer};
use super::issuer::SUBJECT;
use super::postgres::Postgres;
use super::process::Running;

/// A free port is only probably free a moment later: another process may have been given it.
const TRIES: usize = 5;

/// Where a broker keeps its state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreKind {
    /// In its folder.
    Sqlite,
    /// In a server of its own, which syncs what it commits.
    Postgres,
}

impl StoreKind {
    /// `TIDEGATE_TEST_STORE=postgres` runs every journey that does not say where it belongs on PostgreSQL.
    fn asked_for() -> Self {
        match std::env::var("TIDEGATE_TEST_STORE").as_deref() {
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("TIDEGATE_TEST_STORE is `{other}`: it can be `postgres`"),
            Err(_) => Self::Sqlite,
        }
    }
}

/// Tests of the same journey on both stores: `on_both_stores! { one, another }`, each an `async fn(StoreKind)`.
macro_rules! on_both_stores {
    ($($journey:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $journey() {
                super::$journey($crate::harness::StoreKind::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $journey() {
                super::$journey($crate::harness::StoreKind::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;

/// What the broker will be started with.
pub(crate) struct Setup {
    store: StoreKind,
    tables: String,
    limits: String,
    log_level: &'static str,
    policy: String,
    files: Vec<(String, String)>,
    env: Vec<(String, String)>,
    scheme: &'static str,
    tls: &'static str,
    shared: Option<String>,
    name: Option<&'static str>,
    keys: String,
}

impl Setup {
    /// No issuer, no grant; the policy lets the harness's workload have every grant.
    pub(crate) fn new() -> Self {
        let permit =
            r#"permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)"#;
        Self {
            store: StoreKind::asked_for(),
            tables: String::new(),
            limits: "rate_per_ip = 100000\nburst_per_ip = 100000\n".to_owned(),
            log_level: "info",
            policy: format!("@id(\"worker\")\n{permit}\nwhen {{ principal.subject == \"{SUBJECT}\" }};\n"),
            files: Vec::new(),
            env: Vec::new(),
            scheme: "http",
            tls: "",
            shared: None,
            name: None,
            keys: "kek_file = \"kek\"".to_owned(),
        }
    }

    /// Where it keeps its state; SQLite when nothing is said, here or in `TIDEGATE_TEST_STORE`.
    pub(crate) fn store(mut self, store: StoreKind) -> Self {
        self.store = store;
        self
    }

    /// Trusts the issuer at `url` for the audience `tidegate`; `more` are further lines of its table.
    pub(crate) fn issuer(mut self, name: &str, url: &str, more: &str) -> Self {
        let fixed = "profile = \"generic\"\naudiences = [\"tidegate\"]\nallow_private_network = true";
        let algorithms = "algorithms = [\"ES256\", \"RS256\", \"EdDSA\"]";
        let _ = writeln!(
            self.tables,
            "[[issuers]]\nname = \"{name}\"\nurl = \"{url}\"\n{fixed}\n{algorithms}\n{more}"
        );
        self
    }

    /// Trusts a company's people.
    pub(crate) fn people(mut self, name: &str, url: &str, more: &str) -> Self {
        let fixed = "profile = \"person\"\naudiences = [\"tidegate\"]\nallow_private_network = true\nalgorithms = [\"ES256\"]";
        let _ = writeln!(self.tables, "[[issuers]]\nname = \"{name}\"\nurl = \"{url}\"\n{fixed}\n{more}");
        self
    }

    /// A break-glass grant of kind `jwt` with the scopes `{name}.read` and `{name}.write`.
    pub(crate) fn break_glass_jwt(self, name: &str) -> Self {
        let mut setup = self.jwt_grant(name);
        setup.tables.push_str("break_glass = true\nmax_duration = \"4h\"\n");
        setup
    }

    /// A break-glass grant of kind `aws`: like [`Self::aws_grant`], for as long as the window is open.
    pub(crate) fn break_glass_aws(self, name: &str, role_arn: &str, bucket: &str) -> Self {
        let mut setup = self.aws_grant(name, role_arn, bucket, "1h");
        setup.tables.push_str("break_glass = true\nmax_duration = \"4h\"\n");
        setup
    }

    /// Any further tables.
    pub(crate) fn tables(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self.tables.push('\n');
        self
    }

    /// How talkative the broker is.
    pub(crate) fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// A grant of kind `jwt` with the scopes `{name}.read` and `{name}.write`, for the audience `https://{name}.internal`.
    pub(crate) fn jwt_grant(mut self, name: &str) -> Self {
        let scopes =
            format!("audience = \"https://{name}.internal\"\nscopes = [\"{name}.read\", \"{name}.write\"]");
        let times = "default_ttl = \"5m\"\nmax_ttl = \"15m\"";
        let _ = writeln!(self.tables, "[[grants]]\nname = \"{name}\"\nkind = \"jwt\"\n{scopes}\n{times}");
        self
    }

    /// A grant of kind `aws` for the role, whose session policy lets it read objects of one bucket.
    pub(crate) fn aws_grant(mut self, name: &str, role_arn: &str, bucket: &str, default_ttl: &str) -> Self {
        let resource = format!("arn:aws:s3:::{bucket}/*");
        let statement =
            serde_json::json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": resource });
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [statement] });
        self.files.push((format!("{name}.json"), policy.to_string()));
        let scoping = format!("role_arn = \"{role_arn}\"\nsession_policy_file = \"{name}.json\"");
        let times = format!("default_ttl = \"{default_ttl}\"\nmax_ttl = \"1h\"");
        let _ = writeln!(self.tables, "[[grants]]\nname = \"{name}\"\nkind = \"aws\"\n{scoping}\n{times}");
        self
    }

    /// Where STS is, and who the broker is there.
    pub(crate) fn sts(self, endpoint: &str, identity: [(&'static str, String); 2]) -> Self {
        self.sts_as(endpoint, identity, "mode = \"assume_role\"")
    }

    /// The same with any identity; `more` are further lines of the table.
    pub(crate) fn sts_as(
        mut self,
        endpoint: &str,
        identity: impl IntoIterator<Item = (&'static str, String)>,
        more: &str,
    ) -> Self {
        let fixed = "region = \"eu-central-1\"";
        let _ = writeln!(self.tables, "[aws]\n{fixed}\nsts_endpoint = \"{endpoint}\"\n{more}");
        self.env.extend(identity.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// TLS with a certificate of its own authority (`ca.crt` in its folder), and clients' certificates of that authority
    /// (`client.crt`, `client.key`) where they are shown.
    pub(crate) fn tls(mut self) -> Self {
        self.files.extend(super::certificates::of_one_authority());
        self.scheme = "https";
        self.tls = "tls = { cert_file = \"tls.crt\", key_file = \"tls.key\", client_ca_file = \"ca.crt\" }";
        self
    }

    /// Replaces `[keys]`, and says who the broker is at AWS.
    pub(crate) fn kek(mut self, lines: &str, identity: [(&'static str, String); 2]) -> Self {
        lines.clone_into(&mut self.keys);
        self.env.extend(identity.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Replaces `[server.limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.limits);
        self
    }

    /// Replaces the customer's policy.
    pub(crate) fn policy(mut self, cedar: &str) -> Self {
        cedar.clone_into(&mut self.policy);
        self
    }

    /// A file beside the configuration.
    pub(crate) fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// The store that it shares with others.
    pub(crate) fn shared(mut self, url: &str) -> Self {
        self.shared = Some(url.to_owned());
        self
    }

    /// What it calls itself, instead of where it listens: what replicas have in common.
    pub(crate) fn named(mut self, issuer: &'static str) -> Self {
        self.name = Some(issuer);
        self
    }

    /// Starts the broker and waits until it says that it is ready.
    pub(crate) fn start(self) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        self.lay_out(folder.path());
        let (server, store) = match self.store {
            _ if self.shared.is_some() => (None, self.shared.clone().unwrap_or_default()),
            StoreKind::Sqlite => (None, "sqlite:tidegate.db".to_owned()),
            StoreKind::Postgres => {
                let server = Postgres::builder().durable().start();
                let url = server.url(&server.database());
                (Some(Arc::new(server)), url)
            }
        };
        let mut complaint = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            fs::write(folder.path().join("tidegate.toml"), self.config(port, &store)).unwrap();
            match serve(folder.path(), &self.env) {
                Ok((process, ops)) => {
                    let url = format!("{}://127.0.0.1:{port}", self.scheme);
                    return Broker { process: Some(process), url, ops, env: self.env, folder, server };
                }
                Err(why) if why.to_lowercase().contains("in use") => complaint = why,
                Err(why) => panic!("{why}"),
            }
        }
        panic!("no port was free: {complaint}");
    }

    fn lay_out(&self, folder: &Path) {
        fs::create_dir_all(folder.join("policies/customer")).unwrap();
        fs::write(folder.join("policies/customer/workloads.cedar"), &self.policy).unwrap();
        for (name, content) in &self.files {
            fs::write(folder.join(name), content).unwrap();
        }
        let kek = folder.join("kek");
        fs::write(&kek, "dGlkZWdhdGUtdGVzdHMtb25seS1rZXktZW5jcnlwdG8=").unwrap();
        fs::set_permissions(&kek, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The public port is known before the start because it is part of the issuer's name.
    fn config(&self, port: u16, store: &str) -> String {
        let Self { limits, tables, log_level, scheme, tls, keys, name, .. } = self;
        let issuer = name.map_or_else(|| format!("{scheme}://127.0.0.1:{port}"), str::to_owned);
        format!(
            r#"[server]
issuer = "{issuer}"
listen = "127.0.0.1:{port}"
ops_listen = "127.0.0.1:0"
{tls}

[server.limits]
{limits}
[log]
format = "json"
level = "{log_level}"

[store]
url = "{store}"

[keys]
{keys}

[audit]
origin = "broker.test/tidegate"

[policy]
dir = "policies"

{tables}"#
        )
    }
}

/// A running broker. Dropping it kills it and removes its folder.
pub(crate) struct Broker {
    process: Option<Running>,
    url: String,
    ops: String,
    env: Vec<(String, String)>,
    folder: TempDir,
    /// Ends after the broker.
    server: Option<Arc<Postgres>>,
}

impl Broker {
    /// The public listener, which is also the issuer.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The ops listener's address.
    pub(crate) fn ops_address(&self) -> &str {
        &self.ops
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its PostgreSQL, if it has one.
    pub(crate) fn postgres(&self) -> Option<&Arc<Postgres>> {
        self.server.as_ref()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Its logs so far, since the last start: a line that it just wrote may be missing.
    pub(crate) fn output(&self) -> String {
        self.process().output()
    }

    /// The first line of its logs, past and future, that holds `words`.
    pub(crate) fn hear(&self, words: &str) -> String {
        self.process().hear(|line| line.contains(words).then(|| line.to_owned())).unwrap()
    }

    /// SIGTERM; panics when it does not drain and end well. All of its logs since the last start.
    pub(crate) fn stop(&mut self) -> String {
        let (status, logs) = self.process.take().unwrap().stop_and_tell();
        assert!(status.success(), "the broker ended with {status}");
        logs
    }

    /// SIGKILL.
    pub(crate) fn kill_9(&mut self) {
        self.process.take().unwrap().kill_now();
    }

    /// Starts it again in the same folder, on the same public port.
    pub(crate) fn start_again(&mut self) {
        let (process, ops) = serve(self.folder.path(), &self.env).unwrap_or_else(|why| panic!("{why}"));
        (self.process, self.ops) = (Some(process), ops);
    }

    /// Why it does not start again in the same folder.
    pub(crate) fn does_not_start(&self) -> String {
        match serve(self.folder.path(), &self.env) {
            Ok(_) => panic!("it started"),
            Err(why) => why,
        }
    }

    /// Replaces a part of the configuration file, which must be there; in force at the next start.
    pub(crate) fn reconfigure(&self, old: &str, new: &str) {
        let path = self.folder().join("tidegate.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old:?} is not in\n{text}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
    }

    /// SIGHUP and the like.
    pub(crate) fn signal(&self, signal: &str) {
        self.process().signal(signal);
    }

    /// One exchange of a JWT for `grant`; `more` are further parameters.
    pub(crate) async fn try_exchange(
        &self,
        client: &reqwest::Client,
        grant: &str,
        token: &str,
        more: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let fixed = [
            ("grant_type", http::TOKEN_EXCHANGE),
            ("subject_token_type", http::JWT_TYPE),
            ("subject_token", token),
            ("audience", grant),
        ];
        let form: Vec<_> = fixed.iter().chain(more).collect();
        Answer::to(client.post(format!("{}/oauth2/token", self.url)).form(&form)).await
    }

    /// Like [`Self::try_exchange`], when an answer is a matter of course.
    pub(crate) async fn exchange(&self, grant: &str, token: &str) -> Answer {
        self.try_exchange(&http::client(), grant, token, &[]).await.unwrap()
    }

    /// A call of the API by the person whose token it is; no body when `body` is null.
    pub(crate) async fn api(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.try_api(method, path, token, body).await.unwrap()
    }

    pub(crate) async fn try_api(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> reqwest::Result<Answer> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http::client().request(method, format!("{}{path}", self.url)).bearer_auth(token);
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        Answer::to(request).await
    }

    /// `GET` on the public listener.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(http::client().get(format!("{}{path}", self.url))).await.unwrap()
    }

    /// `GET` on the ops listener.
    pub(crate) async fn ops(&self, path: &str) -> Answer {
        Answer::to(http::client().get(format!("http://{}{path}", self.ops))).await.unwrap()
    }

    /// Waits until `GET {path}` on the ops listener answers `status`.
    pub(crate) async fn ops_becomes(&self, path: &str, status: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.ops(path).await;
            if answer.status == status {
                return;
            }
            assert!(Instant::now() < deadline, "{path} still answers {answer:?}\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `tidegate …` with this broker's folder as its working directory.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same, to be run; with the broker's own AWS identity.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tidegate(self.folder.path());
        command.args(arguments).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The log verifies from the outside, with the verifier key alone.
    pub(crate) async fn verify_log(&self) {
        let key = self.get("/log/key").await.granted();
        let key = key.body.as_str().unwrap().trim().to_owned();
        let checked = self.cli(&["audit", "verify", &format!("{}/log", self.url), "--key", &key]);
        let [said, complained] =
            [&checked.stdout, &checked.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(checked.status.success(), "audit verify: {}\n{said}{complained}", checked.status);
    }

    fn process(&self) -> &Running {
        self.process.as_ref().expect("the broker is stopped")
    }
}

/// Starts `tidegate serve` and waits for its line `ready`: the process and the ops address.
fn serve(folder: &Path, env: &[(String, String)]) -> Result<(Running, String), String> {
    // A file-size limit (the stand-in for a full disk) must fail the write, not end the process by SIGXFSZ. The
    // shell's `exec` hands the ignored signal on, and keeps the process id.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidegate")]);
    command.args(["serve", "--config", "tidegate.toml"]);
    scrub(&mut command, folder).envs(env.iter().map(|(name, value)| (name, value)));
    let process = Running::start("tidegate", &mut command);
    let ops = process.hear(ready)?;
    Ok((process, ops))
}

/// The ops address in the log line `ready`.
fn ready(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let is_ready = fields.get("message").and_then(Value::as_str) == Some("ready");
    fields.get("ops.address").and_then(Value::as_str).filter(|_| is_ready).map(str::to_owned)
}

/// The program, with nothing of the developer's machine but the path.
pub(crate) fn tidegate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    scrub(&mut command, folder);
    command
}

/// Nothing of the developer's machine but the path: no cloud account, no proxy, no settings.
fn scrub<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // The credential chain must not look for an instance's metadata service.
    command.env("HOME", folder).env("AWS_EC2_METADATA_DISABLED", "true").current_dir(folder)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
