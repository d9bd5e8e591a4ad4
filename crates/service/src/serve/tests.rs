//! The bounds that no caller can set; the rest is tested from outside.

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

use super::*;

const FOR_EVER: Duration = Duration::from_secs(1_000_000);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Long enough for anything that happens at all, and shorter than hyper's own bound on the headers.
const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

async fn start(bounds: Bounds) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let hello = || get(async || "hello");
    let app = Router::new().route("/", hello()).route("/healthz", hello());
    let served = tokio::spawn(serve_within(bounds, listener, app, shutdown.clone()));
    Running {
        address,
        shutdown,
        served,
    }
}

async fn ask(connection: &mut TcpStream) {
    connection.write_all(REQUEST).await.unwrap();
}

async fn is_answered(connection: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0);
    }
}

async fn is_closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    let closed = timeout(LIMIT, connection.read_to_end(&mut rest)).await;
    closed.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn a_client_that_never_says_what_it_wants_is_let_go() {
    let bounds = Bounds {
        headers: Duration::from_millis(50),
        ..BOUNDS
    };
    let server = start(bounds).await;
    for said in [&b""[..], b"GET / HT", REQUEST] {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        connection.write_all(said).await.unwrap();
        is_closed(&mut connection).await;
    }
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let bounds = Bounds {
        connections: 1,
        reserved: 0,
        ..BOUNDS
    };
    let server = start(bounds).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    ask(&mut first).await;
    is_answered(&mut first).await;

    let mut second = TcpStream::connect(server.address).await.unwrap();
    ask(&mut second).await;
    let early = timeout(Duration::from_millis(100), is_answered(&mut second)).await;
    assert!(early.is_err(), "it did not wait");

    drop(first);
    timeout(LIMIT, is_answered(&mut second)).await.unwrap();
}

#[tokio::test]
async fn without_a_place_only_a_health_check_is_answered() {
    let bounds = Bounds {
        connections: 1,
        reserved: 1,
        ..BOUNDS
    };
    let server = start(bounds).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    ask(&mut first).await;
    is_answered(&mut first).await;

    for (path, status) in [("/", "503"), ("/healthz", "200"), ("/orders", "503")] {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        // One answer, and the connection is closed.
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        timeout(LIMIT, read).await.unwrap().unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
    }
    ask(&mut first).await;
    is_answered(&mut first).await;
}

#[tokio::test]
async fn headers_have_sixteen_kibibytes_at_most() {
    let server = start(BOUNDS).await;
    for (length, status) in [(15 * 1024, "200"), (17 * 1024, "431")] {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let filler = "x".repeat(length);
        let request = format!("GET / HTTP/1.1\r\nconnection: close\r\nx: {filler}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        timeout(LIMIT, connection.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{length}");
    }
}

#[tokio::test]
async fn a_full_server_ends_when_it_is_asked_to() {
    let bounds = Bounds {
        connections: 1,
        reserved: 0,
        drain: FOR_EVER,
        ..BOUNDS
    };
    let server = start(bounds).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    ask(&mut idle).await;
    is_answered(&mut idle).await;

    server.shutdown.cancel();
    timeout(LIMIT, server.served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    is_closed(&mut idle).await;
}

/// The bound keeps it from being taken; by closing the listener it would be cut off.
#[tokio::test]
async fn a_connection_that_was_not_taken_yet_is_answered_at_the_end() {
    let bounds = Bounds {
        connections: 1,
        reserved: 0,
        grace: FOR_EVER,
        ..BOUNDS
    };
    let server = start(bounds).await;
    let mut taken = TcpStream::connect(server.address).await.unwrap();
    ask(&mut taken).await;
    is_answered(&mut taken).await;
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    ask(&mut waiting).await;

    server.shutdown.cancel();
    timeout(LIMIT, is_answered(&mut waiting)).await.unwrap();
}

/// A request that the server learns of too late to see it before it is asked to end.
#[tokio::test]
async fn a_request_on_its_way_is_answered_at_the_end() {
    let bounds = Bounds {
        grace: FOR_EVER,
        ..BOUNDS
    };
    let server = start(bounds).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    ask(&mut connection).await;
    is_answered(&mut connection).await;

    server.shutdown.cancel();
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(LIMIT, refused).await.unwrap();
    ask(&mut connection).await;
    timeout(LIMIT, is_answered(&mut connection)).await.unwrap();
}
