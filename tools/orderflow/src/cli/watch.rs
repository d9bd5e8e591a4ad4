//! One child after the start: what dies is started again, after a pause that grows.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use orderflow::{kafka::Kafka, postgres::Postgres, process::Process, services::Service};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    faults::Faults,
    journal::{Journal, PartPhase},
};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who has lived this long dies for a new reason.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// What can be looked after.
pub(crate) enum Child {
    Postgres(Box<Postgres>),
    Kafka(Box<Kafka>),
    Service(Box<Service>),
}

impl Child {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Kafka(_) => "Kafka",
            Self::Service(service) => service.name(),
        }
    }

    fn process(&mut self) -> &mut Process {
        match self {
            Self::Postgres(postgres) => postgres.process(),
            Self::Kafka(kafka) => kafka.process(),
            Self::Service(service) => service.process(),
        }
    }

    async fn start_again(&mut self, faults: &Faults) -> anyhow::Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.start_again().await,
            Self::Kafka(kafka) => kafka.start_again().await,
            Self::Service(service) => {
                let variables = faults.variables(service.name());
                service.start_again_with(&variables).await
            }
        }
    }

    pub(crate) async fn stop(&mut self) {
        let well = match self {
            Self::Postgres(postgres) => postgres.stop().await,
            Self::Kafka(kafka) => kafka.stop().await,
            Self::Service(service) => service.stop().await,
        };
        if !well {
            eprintln!("{} did not end when asked to and was killed", self.name());
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.process().exited() {
                return status;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Looks after a child until the end, and gives it back.
pub(crate) async fn watch(
    mut child: Child,
    journal: Arc<Journal>,
    faults: Faults,
    stop: CancellationToken,
) -> Child {
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Instant::now();
        let look_after = async {
            let status = child.ended().await;
            eprintln!("{} has ended: {status}", child.name());
            // Who was asked to end has not died at all.
            if status.success() || since.elapsed() > LONG_LIFE {
                pause = FIRST_PAUSE;
            }
            revive(&mut child, &mut pause, &journal, &faults).await;
        };
        tokio::select! {
            () = look_after => {}
            () = stop.cancelled() => return child,
        }
    }
}

async fn revive(child: &mut Child, pause: &mut Duration, journal: &Journal, faults: &Faults) {
    let name = child.name();
    loop {
        journal.change_part(name, |part| {
            part.phase = PartPhase::Restarting;
            part.process = None;
        });
        sleep(*pause).await;
        while faults.is_kept_away(name) {
            sleep(LOOK_EVERY).await;
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        journal.change_part(name, |part| part.restarts += 1);
        match child.start_again(faults).await {
            Ok(()) => break,
            Err(error) => eprintln!("{name} could not be started again: {error:#}"),
        }
    }
    let process = child.process();
    journal.change_part(name, |part| part.ready(Some(process)));
    eprintln!("{name} runs again");
}
