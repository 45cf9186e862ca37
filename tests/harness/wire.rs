//! The network between brokers and their database: it leads to one server or another, it is cut, or it goes silent.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They lead to this port. Those that led to another one are cut.
    To(u16),
    /// Every one is closed, and every new one.
    Cut,
    /// They stay open, and nothing passes.
    Silent,
}

/// A port on loopback, for the life of the test's runtime.
pub(crate) struct Wire {
    port: u16,
    way: watch::Sender<Way>,
}

impl Wire {
    /// Leads to `port`.
    pub(crate) async fn to(port: u16) -> Self {
        let (way, told) = watch::channel(Way::To(port));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, told.clone()));
            }
        });
        Self { port, way }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on to that port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.way.send_replace(Way::To(port));
    }

    pub(crate) fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    pub(crate) fn go_silent(&self) {
        self.way.send_replace(Way::Silent);
    }
}

async fn carry(client: TcpStream, mut way: watch::Receiver<Way>) {
    let port = loop {
        match *way.borrow_and_update() {
            Way::To(port) => break port,
            Way::Cut => return,
            Way::Silent => {}
        }
        if way.changed().await.is_err() {
            return;
        }
    };
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, way.clone()) => {}
        () = pump(from_server, to_client, way.clone()) => {}
        () = leads_elsewhere(way, port) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if way.wait_for(|way| *way != Way::Silent).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn leads_elsewhere(mut way: watch::Receiver<Way>, port: u16) {
    let _ = way.wait_for(|way| !matches!(way, Way::To(now) if *now == port) && *way != Way::Silent).await;
}
