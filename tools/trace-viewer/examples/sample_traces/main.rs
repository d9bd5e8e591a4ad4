//! Sends one trace of each kind to a viewer, to look at the page without the system behind it:
//! `cargo run -p trace-viewer --example sample_traces [http://127.0.0.1:4318]`.

mod samples;

use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://127.0.0.1:4318".to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let client = reqwest::Client::new();
    for sample in samples::all(u64::try_from(now)?) {
        for (signal, request) in [("traces", &sample.traces), ("logs", &sample.logs)] {
            let request = client.post(format!("{address}/v1/{signal}")).json(request);
            request.send().await?.error_for_status()?;
        }
        println!(
            "{:<22} trace {} order {}",
            sample.name, sample.trace, sample.order
        );
    }
    Ok(())
}
