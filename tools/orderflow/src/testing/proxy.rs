//! A TCP proxy that can freeze: what a client sees of a server that was stopped with SIGSTOP, or cut off.
//!
//! Connections stay open, new ones are accepted (by the kernel, as with a stopped server), and nothing is answered.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A proxy in front of one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    _stop: DropGuard,
}

#[derive(Debug, Clone, Default)]
struct State {
    frozen: bool,
    /// Freeze once a client has sent this: the server gets it, the client gets no answer.
    freeze_at: Option<&'static str>,
    /// How often a client has sent something while frozen.
    unanswered: usize,
}

impl Proxy {
    /// A proxy before the server at this address.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, stop) = (watch::Sender::default(), CancellationToken::new());
        let serve = serve(listener, server, state.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve));
        Ok(Self {
            address,
            state,
            _stop: stop.drop_guard(),
        })
    }

    /// Where the proxy listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers nothing from now on.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.frozen = true);
    }

    /// Freezes as soon as a client has sent this text, after passing it on.
    pub fn freeze_at(&self, text: &'static str) {
        self.state.send_modify(|state| state.freeze_at = Some(text));
    }

    /// Passes everything on again, what was held back first.
    pub fn thaw(&self) {
        self.state.send_replace(State::default());
    }

    /// Waits until a client has sent something that is not answered.
    pub async fn until_unanswered(&self) {
        let mut state = self.state.subscribe();
        // It ends with the proxy, which outlives this borrow.
        let _ = state.wait_for(|state| state.unanswered > 0).await;
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, state: watch::Sender<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, server, state.clone()));
    }
}

async fn connect(
    client: TcpStream,
    server: SocketAddr,
    state: watch::Sender<State>,
) -> io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(server).await?.into_split();
    // Whichever side ends, both connections do.
    tokio::select! {
        ended = requests(from_client, to_server, &state) => ended,
        ended = answers(from_server, to_client, &state) => ended,
    }
}

async fn requests(
    mut client: tcp::OwnedReadHalf,
    mut server: tcp::OwnedWriteHalf,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        state.send_modify(|state| {
            let sent = String::from_utf8_lossy(&buffer[..count]);
            let at = state.freeze_at.filter(|text| sent.contains(text));
            if state.frozen || at.is_some() {
                state.unanswered += 1;
            }
            if at.is_none() {
                return;
            }
            state.frozen = true;
        });
        let only_answers_are_held = state.borrow().freeze_at.is_some();
        if !only_answers_are_held {
            thawed(state).await;
        }
        server.write_all(&buffer[..count]).await?;
    }
}

async fn answers(
    mut server: tcp::OwnedReadHalf,
    mut client: tcp::OwnedWriteHalf,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = server.read(&mut buffer).await?;
        thawed(state).await;
        if count == 0 {
            return Ok(());
        }
        client.write_all(&buffer[..count]).await?;
    }
}

async fn thawed(state: &watch::Sender<State>) {
    // It ends with the proxy, and this with it.
    let _ = state.subscribe().wait_for(|state| !state.frozen).await;
}
