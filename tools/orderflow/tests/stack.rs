//! All of it at once: ready, after a crash of a part ready again, and gone in the end.

use std::{env, net::TcpStream};

use orderflow::{services::is_ready, stack::Stack};
use uuid::Uuid;

#[tokio::test]
async fn it_starts_comes_back_and_leaves_nothing() {
    let directory = env::temp_dir().join(format!("orderflow stack {}", Uuid::new_v4()));
    let mut stack = Stack::builder(&directory).start().await.unwrap();
    for service in ["gateway", "orders", "inventory", "worker", "email"] {
        assert!(is_ready(&stack.url(service)).await, "{service}");
    }

    let worker = stack.service("worker");
    worker.kill();
    assert!(!is_ready(&worker.url()).await);
    worker.start_again().await.unwrap();
    assert!(is_ready(&worker.url()).await);

    stack.add_replica("email", "email-2", &[]).await.unwrap();
    let (first, second) = (stack.url("email"), stack.url("email-2"));
    let replica = stack.service("email-2");
    replica.kill();
    assert!(is_ready(&first).await && !is_ready(&second).await);
    replica.start_again().await.unwrap();
    assert!(is_ready(&second).await, "on the same port as before");

    let gateway = stack.gateway_url();
    let http = [&gateway, &second].map(|url| url.trim_start_matches("http://").to_owned());
    let listeners = http
        .into_iter()
        .chain([stack.brokers()])
        .collect::<Vec<_>>();
    drop(stack);
    for address in listeners {
        assert!(TcpStream::connect(&address).is_err(), "{address} is free");
    }
    std::fs::remove_dir_all(directory).unwrap();
}
