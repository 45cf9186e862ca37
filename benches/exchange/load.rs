//! A small closed-loop load generator over keep-alive HTTP/1.1: as cheap as it can be, because it shares the cores with
//! what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Server;

/// What a run came to.
pub struct Outcome {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Processor time of the server for each exchange.
    pub cpu: Duration,
    pub refused: usize,
}

/// Requests that are sent once each, as raw HTTP.
pub struct Requests {
    bodies: Vec<Vec<u8>>,
    next: AtomicUsize,
}

impl Requests {
    pub fn new(host: SocketAddr, forms: impl IntoIterator<Item = String>) -> Self {
        let bodies = forms.into_iter().map(|form| {
            format!(
                "POST /oauth2/token HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 content-length: {}\r\n\r\n{form}",
                form.len()
            )
            .into_bytes()
        });
        Self { bodies: bodies.collect(), next: AtomicUsize::new(0) }
    }

    fn take(&self) -> Option<&[u8]> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.bodies.get(index).map(Vec::as_slice)
    }
}

/// Sends every request over `connections` connections; each waits `pause` between an answer and its next request.
pub async fn run(
    server: &Server,
    requests: Requests,
    connections: usize,
    interval: Option<Duration>,
) -> Outcome {
    let total = requests.bodies.len();
    let requests = Arc::new(requests);
    let (host, started, cpu) = (server.address, Instant::now(), server.processor_time());
    let workers: Vec<_> = (0..connections)
        .map(|number| {
            // Spread over the interval: connections that start together would come in bursts.
            let first = interval.map(|interval| interval.mul_f64(number as f64 / connections as f64));
            tokio::spawn(connection(host, Arc::clone(&requests), interval, first.unwrap_or_default()))
        })
        .collect();
    let mut latencies = Vec::with_capacity(total);
    let mut refused = 0;
    for worker in workers {
        let (took, bad) = worker.await.expect("a connection's task");
        latencies.extend(took);
        refused += bad;
    }
    let (elapsed, cpu) = (started.elapsed(), server.processor_time().saturating_sub(cpu) / total as u32);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Outcome { per_second: total as f64 / elapsed.as_secs_f64(), p50: at(0.5), p99: at(0.99), cpu, refused }
}

async fn connection(
    host: SocketAddr,
    requests: Arc<Requests>,
    interval: Option<Duration>,
    first: Duration,
) -> (Vec<Duration>, usize) {
    let mut stream = TcpStream::connect(host).await.expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    let (mut latencies, mut refused, mut buffer) = (Vec::new(), 0, vec![0; 16 * 1024]);
    let mut due = Instant::now() + first;
    while let Some(request) = requests.take() {
        if let Some(interval) = interval {
            tokio::time::sleep_until(due.into()).await;
            due += interval;
        }
        let sent = Instant::now();
        stream.write_all(request).await.expect("write");
        refused += usize::from(!answer(&mut stream, &mut buffer).await);
        latencies.push(sent.elapsed());
    }
    (latencies, refused)
}

/// Reads one answer with a content-length; was it 200?
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("read");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if filled >= head + 4 + content_length(&text[..head]) {
            return text.starts_with(b"HTTP/1.1 200");
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).expect("ASCII head");
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-length:"))
        .expect("content-length");
    line["content-length:".len()..].trim().parse().expect("a number")
}
