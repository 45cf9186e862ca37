//! Sockets: bind, accept a capped number with time-outs and without Nagle, drain.

use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Address, Handle, Server};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::patient::Patient;

/// A client that does not finish its headers in this time is cut: slow headers must not hold a connection.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// A client that takes nothing of its answers for this long is cut: what waits for it is memory.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// What one stream of HTTP/2 may have waiting beside its answer.
const STREAM_BUFFER: usize = 64 * 1024;
/// Header bytes of one request at most; the largest honest header is a bearer token.
const MAX_HEADER_BYTES: u16 = 32 * 1024;
const MAX_STREAMS: u32 = 128;

/// One listener that serves.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

impl Listener {
    /// Binds `address` (port 0: any) and serves `router`, over TLS when there is a configuration for it.
    pub(crate) fn start(
        address: SocketAddr,
        tls: Option<RustlsConfig>,
        max_connections: u32,
        router: Router,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let handle = Handle::new();
        let gate =
            Gate { handle: handle.clone(), most: usize::try_from(max_connections).unwrap_or(usize::MAX) };
        let mut server =
            axum_server::from_tcp(socket)?.first_request_timeout(HEADER_PATIENCE).handle(handle.clone());
        tune(&mut server);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = match tls {
            Some(config) => {
                let tls = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_PATIENCE).acceptor(gate);
                let server = server.acceptor(tls).accept_error_handler(
                    |peer, cause| tracing::debug!(?peer, %cause, "a connection was not accepted"),
                );
                tokio::spawn(server.serve(service))
            }
            None => tokio::spawn(server.acceptor(gate).serve(service)),
        };
        Ok(Self { address, handle, task })
    }

    /// Takes no new connection, lets requests in flight finish within `patience`, then cuts.
    pub(crate) async fn drain(self, patience: Duration) {
        self.handle.graceful_shutdown(Some(patience));
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::warn!(%cause, "a listener ended with an error"),
            Err(cause) => tracing::warn!(%cause, "a listener's task ended badly"),
        }
    }
}

fn tune<A: Address, Acc>(server: &mut Server<A, Acc>) {
    let builder = server.http_builder();
    builder.http1().header_read_timeout(HEADER_PATIENCE).max_buf_size(usize::from(MAX_HEADER_BYTES));
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(STREAM_BUFFER)
        .max_header_list_size(u32::from(MAX_HEADER_BYTES))
        .keep_alive_interval(Some(Duration::from_secs(20)));
}

/// Refuses connections over the cap, turns Nagle's delay off (an answer must not wait for an acknowledgement), and gives each
/// connection its patience.
#[derive(Clone)]
struct Gate {
    handle: Handle<SocketAddr>,
    most: usize,
}

impl<S> Accept<TcpStream, S> for Gate {
    type Stream = Patient<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        if self.handle.connection_count() > self.most {
            metrics::counter!("tidegate_connections_refused_total").increment(1);
            return ready(Err(io::Error::other("too many connections")));
        }
        ready(stream.set_nodelay(true).map(|()| (Patient::new(stream, ANSWER_PATIENCE), service)))
    }
}
