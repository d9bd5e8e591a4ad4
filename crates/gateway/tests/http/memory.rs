//! What strangers can make the gateway hold in memory: less than the 128 MB that its container has.
//!
//! Each test pushes one bound to its limit, against the real program, and then reads the most memory that the kernel has
//! ever seen it use. A health check is answered meanwhile.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use orderflow::testing::Program;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// What `docker-compose.yml` gives the gateway.
const CONTAINER: usize = 128 * 1024 * 1024;
/// As many connections as the gateway serves at once, and some more.
const CONNECTIONS: usize = 1_024 + 16;

/// Answers every list with the longest there is.
async fn start() -> Program {
    raise_file_limit();
    let list = "x".repeat(1_500_000);
    let orders = Router::new().route("/orders", get(async move || list.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, orders).await });
    let variables = [
        ("ORDERS_SERVICE_URL", url.as_str()),
        ("INVENTORY_SERVICE_URL", url.as_str()),
    ];
    let program = env!("CARGO_BIN_EXE_gateway");
    Program::start(program, &variables).await.unwrap()
}

/// Both ends of the connections need a file each, and the gateway's to the service behind it too.
fn raise_file_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// Fails instead of waiting for ever.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let waited = timeout(Duration::from_secs(60), what).await;
    waited.expect("it never happens")
}

/// Opens so many connections, sends this on each, and reads nothing.
async fn send_on(count: usize, address: SocketAddr, sent: &[u8]) -> Vec<TcpStream> {
    let send = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A connection that is refused is closed before all is sent.
        let _ = stream.write_all(sent).await;
        stream
    };
    soon(join_all((0..count).map(|_| send()))).await
}

async fn is_alive(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The highest resident memory so far, in bytes, once it grows no more.
async fn most_memory(gateway: &Program) -> usize {
    let mut most = vec![0];
    loop {
        let path = format!("/proc/{}/status", gateway.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        most.push(kib * 1024);
        if most.len() > 10
            && most[most.len() - 10..]
                .iter()
                .all(|value| *value == kib * 1024)
        {
            return kib * 1024;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn assert_fits(gateway: &Program) {
    is_alive(gateway.address()).await;
    let most = soon(most_memory(gateway)).await;
    println!("{} MiB", most / 1024 / 1024);
    assert!(most < CONTAINER, "{most} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_an_end() {
    let gateway = start().await;
    let request = format!("GET /orders HTTP/1.1\r\nx: {}", "x".repeat(15 * 1024));
    let _open = send_on(CONNECTIONS, gateway.address(), request.as_bytes()).await;
    assert_fits(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_an_end() {
    let gateway = start().await;
    let head =
        "POST /orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n";
    let request = format!("{head}{}", "x".repeat(0xffff));
    let _open = send_on(CONNECTIONS, gateway.address(), request.as_bytes()).await;
    assert_fits(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_that_nobody_reads() {
    let gateway = start().await;
    let request = b"GET /orders HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let _open = send_on(CONNECTIONS, gateway.address(), request).await;
    assert_fits(&gateway).await;
}
