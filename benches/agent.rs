//! What a program waits for: `tidegate token` and `exec` from their start to the first byte, and the agent's answers from
//! memory. A token endpoint on loopback answers over TLS at once, so that only our own work is left.
//!
//! `cargo bench --bench agent`. The median of 21 starts and of 2,000 answers; machines are noisy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tidegate::clock::{Clock as _, SystemClock};
use tidegate::config::TlsSettings;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const STARTS: usize = 21;
const ANSWERS: usize = 2_000;

const CREDENTIALS: &str = r#"{"access_token":"SESSION","token_type":"N_A","expires_in":3600,"aws":{"AccessKeyId":"ASIA",
"SecretAccessKey":"x","SessionToken":"SESSION","Expiration":"2099-11-22T16:03:12Z"}}"#;

/// A token endpoint behind TLS, and its files.
fn endpoint(folder: &Path) -> Outcome<String> {
    tidegate::server::install_crypto_provider();
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    std::fs::write(folder.join("ca.crt"), authority.pem())?;
    std::fs::write(folder.join("tls.crt"), leaf.pem())?;
    std::fs::write(folder.join("tls.key"), key.serialize_pem())?;
    std::fs::write(folder.join("subject"), "a.b.c")?;
    let (cert_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    let settings = TlsSettings { cert_file, key_file, clients: None };
    let config = RustlsConfig::from_config(tidegate::server::server_config(&settings)?);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("https://localhost:{}", listener.local_addr()?.port());
    let router = Router::new().route("/oauth2/token", post(|| async { CREDENTIALS }));
    let server = axum_server::from_tcp_rustls(listener, config)?;
    tokio::spawn(server.serve(router.into_make_service()));
    Ok(url)
}

fn tidegate(folder: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped());
    command.env("TIDEGATE_URL", url).env("TIDEGATE_SUBJECT_TOKEN_FILE", "subject");
    command
}

/// From the start to the first byte, and to the end of the process. In milliseconds.
fn first_byte(clock: &SystemClock, command: &mut Command) -> Outcome<f64> {
    let start = clock.uptime();
    let mut child = command.spawn()?;
    let mut output = child.stdout.take().ok_or("no output")?;
    output.read_exact(&mut [0])?;
    let took = clock.uptime().saturating_sub(start);
    output.read_to_end(&mut Vec::new())?;
    if child.wait()?.success() { Ok(took.as_secs_f64() * 1e3) } else { Err("it failed".into()) }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn starts(clock: &SystemClock, name: &str, command: &mut Command) -> Outcome<String> {
    let took = (0..STARTS).map(|_| first_byte(clock, command)).collect::<Outcome<Vec<_>>>()?;
    Ok(format!("{name:<44} {:>7.1} ms to the first byte", median(took).ok_or("no start")?))
}

/// A running agent, ended with its guard.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers(clock: &SystemClock, folder: &Path, url: &str) -> Outcome<String> {
    let arguments = ["agent", "--ca-file", "ca.crt", "--token-file", "bearer", "--output", "json"];
    let mut agent = Agent(tidegate(folder, url, &arguments).spawn()?);
    let mut line = String::new();
    BufReader::new(agent.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let facts: serde_json::Value = serde_json::from_str(&line)?;
    let address = facts.get("address").and_then(|address| address.as_str()).ok_or("no address")?;
    let bearer = std::fs::read_to_string(folder.join("bearer"))?;
    let request = format!(
        "GET /aws/credentials/orders-read HTTP/1.1\r\nHost: {address}\r\nAuthorization: {bearer}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut took = Vec::with_capacity(ANSWERS);
    for _ in 0..ANSWERS {
        took.push(ask(clock, &mut stream, &request)?.as_secs_f64() * 1e6);
    }
    Ok(format!("{:<44} {:>7.0} us for an answer", "agent, from memory", median(took).ok_or("no answer")?))
}

fn ask(clock: &SystemClock, stream: &mut TcpStream, request: &str) -> Outcome<Duration> {
    let start = clock.uptime();
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    // The answer ends with its JSON.
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut piece)?;
        answer.extend_from_slice(piece.get(..read).filter(|piece| !piece.is_empty()).ok_or("cut off")?);
    }
    let took = clock.uptime().saturating_sub(start);
    if answer.starts_with(b"HTTP/1.1 200") { Ok(took) } else { Err("refused".into()) }
}

#[expect(clippy::print_stdout, reason = "a bench tells its numbers")]
fn main() -> Outcome<()> {
    let (clock, folder) = (SystemClock::start(), tempfile::tempdir()?);
    let runtime = tokio::runtime::Runtime::new()?;
    // The endpoint is a task of the runtime.
    let _inside = runtime.enter();
    let url = endpoint(folder.path())?;
    let token = ["token", "--grant", "g", "--format", "credential-process"];
    let mut own = tidegate(folder.path(), &url, &token);
    own.env("TIDEGATE_CA_FILE", "ca.crt");
    println!("{}", starts(&clock, "token, with --ca-file", &mut own)?);
    // The system's authorities and, so that the endpoint is believed, ours.
    let mut system = tidegate(folder.path(), &url, &token);
    system.env("SSL_CERT_FILE", "ca.crt");
    println!("{}", starts(&clock, "token, with the system's authorities", &mut system)?);
    let exec = ["exec", "--grant", "g", "--ca-file", "ca.crt", "--", "/bin/echo", "x"];
    println!(
        "{}",
        starts(&clock, "exec of /bin/echo, with --ca-file", &mut tidegate(folder.path(), &url, &exec))?
    );
    println!("{}", answers(&clock, folder.path(), &url)?);
    Ok(())
}
