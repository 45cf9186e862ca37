//! The broker and the reference as processes of their own, so that their memory and processor time are theirs alone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::server::Running;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::{broker, reference};

/// Which one.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Broker,
    Reference,
}

impl Kind {
    const fn flag(self) -> &'static str {
        match self {
            Self::Broker => "--serve-broker",
            Self::Reference => "--serve-reference",
        }
    }
}

/// A server in a child process. Ends with its standard input, and so with this value or with this process.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Where a broker tells its metrics.
    ops: Option<SocketAddr>,
}

impl Server {
    /// Serves what was laid out in `folder`.
    pub fn start(kind: Kind, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg(kind.flag())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let mut addresses = line.split_whitespace().map(|address| {
            address.parse::<SocketAddr>().unwrap_or_else(|_| panic!("{kind:?} did not start: {line}"))
        });
        let address = addresses.next().unwrap_or_else(|| panic!("{kind:?} did not start"));
        Self { child, address, ops: addresses.next() }
    }

    /// Lets a broker read its policies again; does not wait for it.
    pub fn reload(&self) {
        let mut input = self.child.stdin.as_ref().expect("its input");
        input.write_all(b"reload\n").expect("the broker listens");
    }

    /// The sum of a broker's counters of that name.
    pub async fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.ops.expect("a broker")).await.expect("connect");
        stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: bench\r\n\r\n").await.expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// From `/proc`: user and system time so far, in ticks of 10 ms.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// From `/proc`: what is in memory.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// In the child: serves until standard input ends. `false` when this is not a child.
pub async fn serve_if_asked() -> bool {
    let arguments: Vec<_> = std::env::args().collect();
    let folder = |kind: Kind| {
        let place = arguments.iter().position(|argument| argument == kind.flag())?;
        arguments.get(place + 1).map(std::path::PathBuf::from)
    };
    if let Some(folder) = folder(Kind::Broker) {
        let running = broker::serve(&folder).await;
        println!("{} {}", running.public_address(), running.ops_address());
        obey(&running).await;
        running.stop("the bench ended").await;
        return true;
    }
    let Some(folder) = folder(Kind::Reference) else { return false };
    println!("{}", reference::start(&folder));
    until_input_ends().await;
    true
}

/// Reads the policies again at each line of standard input, until it ends.
async fn obey(running: &Running) {
    let (said, mut heard) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = said.send(line);
        }
    });
    while heard.recv().await.is_some() {
        // What was said meanwhile is said with it.
        while heard.try_recv().is_ok() {}
        running.reload().await;
    }
}

async fn until_input_ends() {
    let wait = || std::io::stdin().lock().read_to_end(&mut Vec::new());
    let _ = tokio::task::spawn_blocking(wait).await;
}
