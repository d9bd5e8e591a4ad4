//! What the stories are made of: the running system, its parts and its public door.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{
    faults::Faults,
    home::Home,
    journal::{Part, PartPhase, Phase, State},
    screen::say,
};

const TIMEOUT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A running system.
pub(super) struct Stage {
    home: Home,
    faults: Faults,
    client: reqwest::Client,
}

/// An order that was placed.
#[derive(Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) trace_id: Option<String>,
}

impl Stage {
    pub(super) fn enter(home: Home) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        let stage = Self {
            faults: Faults::of(&home),
            home,
            client: client.build()?,
        };
        let phase = stage.state()?.phase;
        ensure!(
            phase == Phase::Ready,
            "OrderFlow is just starting or ending."
        );
        Ok(stage)
    }

    /// What is known of a part now.
    pub(super) fn part(&self, name: &str) -> anyhow::Result<Part> {
        let mut parts = self.state()?.parts.into_iter();
        let part = parts.find(|part| part.name == name);
        part.with_context(|| format!("There is no {name} in what runs here."))
    }

    pub(super) fn trace_url(&self, trace_id: &str) -> anyhow::Result<String> {
        let viewer = self.part("viewer")?.address;
        let viewer = viewer.replace("127.0.0.1", "localhost");
        Ok(format!("{viewer}/trace/{trace_id}"))
    }

    /// Places an order, so many of each item.
    pub(super) async fn place(&self, items: &[(&str, u32)]) -> anyhow::Result<Order> {
        let item = |(id, quantity): &(&str, u32)| json!({"item_id": id, "quantity": quantity, "price": 1_000});
        let items: Vec<_> = items.iter().map(item).collect();
        let url = format!("{}/orders", self.part("gateway")?.address);
        let since = Instant::now();
        let request = self.client.post(url);
        let request = request.header("idempotency-key", format!("chaos-{}", Uuid::new_v4()));
        let body = json!({"customer_id": "chaos", "items": items});
        let answer = request.json(&body).send().await?.error_for_status()?;
        let took = since.elapsed().as_millis();
        let order: Order = answer.json().await?;
        say(format_args!("Order {} was placed, in {took} ms.", order.id));
        Ok(order)
    }

    /// Waits until the order has this status.
    pub(super) async fn becomes(&self, order: &Order, status: &str) -> anyhow::Result<()> {
        let url = format!("{}/orders/{}", self.part("gateway")?.address, order.id);
        let what = format!("order {} to be {status}", order.id);
        wait_until(
            &what,
            async || Ok(self.get(&url).await?["status"] == status),
        )
        .await?;
        say(format_args!("The order is {status}."));
        Ok(())
    }

    /// Waits until the order's trace shows that email has taken the mail.
    pub(super) async fn has_its_mail(&self, order: &Order) -> anyhow::Result<()> {
        let Some(trace_id) = &order.trace_id else {
            return Ok(());
        };
        let url = format!("{}/api/traces/{trace_id}", self.part("viewer")?.address);
        let what = format!("the mail of order {}", order.id);
        wait_until(&what, async || Ok(tells_of_mail(&self.get(&url).await?))).await?;
        say("Its mail is sent.");
        Ok(())
    }

    /// Ends a part as a crash would; it is started again.
    pub(super) async fn kill(&self, part: &str) -> anyhow::Result<()> {
        say(format_args!("{part} is killed."));
        self.end(part, Signal::SIGKILL).await
    }

    /// Ends a part, which stays away until all is put back.
    pub(super) async fn take_away(&self, part: &str) -> anyhow::Result<()> {
        self.part(part)?;
        self.faults.keep_away(part)?;
        self.end(part, Signal::SIGTERM).await?;
        say(format_args!("{part} is stopped."));
        Ok(())
    }

    /// Starts a service again, with further variables.
    pub(super) async fn restart_with(
        &self,
        service: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        self.faults.set(service, variables)?;
        self.end(service, Signal::SIGTERM).await?;
        self.runs(service).await?;
        for (name, value) in variables {
            say(format_args!(
                "{service} was started again with {name}={value}."
            ));
        }
        Ok(())
    }

    /// Makes good whatever was done to the parts.
    pub(super) async fn put_back(&self) -> anyhow::Result<()> {
        for part in self.faults.forget()? {
            self.end(&part, Signal::SIGTERM).await?;
            self.runs(&part).await?;
            say(format_args!("{part} runs as before."));
        }
        Ok(())
    }

    /// Waits until the process of a part has ended, if it has one.
    async fn end(&self, part: &str, signal: Signal) -> anyhow::Result<()> {
        let Some(process) = self.part(part)?.process else {
            return Ok(());
        };
        process.signal(signal);
        // The supervisor knows it, too.
        let ended = async || Ok(self.part(part)?.process.as_ref() != Some(&process));
        wait_until(&format!("{part} to end"), ended).await
    }

    async fn runs(&self, part: &str) -> anyhow::Result<()> {
        let runs = async || Ok(self.part(part)?.phase == PartPhase::Ready);
        wait_until(&format!("{part} to run again"), runs).await
    }

    fn state(&self) -> anyhow::Result<State> {
        let state = self.home.state()?;
        let state = state.filter(|_| self.home.is_supervised().unwrap_or(false));
        state.context("OrderFlow does not run on this machine: make local-up starts it.")
    }

    /// What is answered, or nothing if there is no answer yet.
    async fn get(&self, url: &str) -> anyhow::Result<Value> {
        match self.client.get(url).send().await {
            Ok(answer) => Ok(answer.json().await.unwrap_or_default()),
            Err(error) if error.is_builder() => Err(error.into()),
            Err(_) => Ok(Value::Null),
        }
    }
}

/// Waits for what the story needs to go on.
pub(super) async fn wait_until(
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let since = Instant::now();
    while !is_so().await? {
        if since.elapsed() > PATIENCE {
            bail!("Waited in vain for {what}, for {PATIENCE:?}.");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether email has said that it took a mail.
fn tells_of_mail(trace: &Value) -> bool {
    let spans = trace["data"][0]["spans"].as_array();
    spans.into_iter().flatten().any(|span| {
        let mut tags = span["tags"].as_array().into_iter().flatten();
        span["operationName"] == "POST /send"
            && tags.any(|tag| tag["key"] == "http.response.status_code" && tag["value"] == 202)
    })
}
