//! A relay in a process of its own, to be stopped and killed.

use std::{
    env,
    process::{Child, Command, Stdio},
};

use rdkafka::ClientConfig;

use crate::setup::{Relaying, Setup, until};

/// `application_name` of its session.
pub(crate) const NAME: &str = "child";

/// The process; killed when dropped.
pub(crate) struct Process(Child);

/// Not a test: the body of the child process, which relays until it is killed.
#[tokio::test]
#[ignore = "run by other tests, with these variables"]
async fn relays() {
    let mut kafka = ClientConfig::new();
    kafka
        .set("bootstrap.servers", env::var("CHILD_BROKERS").unwrap())
        .set("message.timeout.ms", "0");
    let relaying = Relaying::start(&env::var("CHILD_DATABASE").unwrap(), kafka);
    relaying.ended().await.unwrap();
}

impl Process {
    /// Starts it, and waits until it holds the lock.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let url = setup.test.url("orders");
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::relays", "--ignored"])
            .env("CHILD_DATABASE", format!("{url}?application_name={NAME}"))
            .env("CHILD_BROKERS", setup.cluster.bootstrap_servers())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self(child);
        process.until_it_relays(setup).await;
        process
    }

    pub(crate) async fn until_it_relays(&self, setup: &Setup) {
        until("the child holds the lock", async || {
            let holders = setup.lock_holders().await;
            holders.iter().any(|(_, application)| application == NAME)
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(signal, self.0.id().try_into().unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal such as `-STOP` to a process.
pub(crate) fn send_signal(signal: &str, pid: i32) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}
