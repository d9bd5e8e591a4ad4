//! `orderflow status` of a system that somebody else has started, as Docker does: all that is known of
//! it is where it is to be asked.

use std::{process::ExitCode, str::FromStr};

use anyhow::Context;
use orderflow::services::says_yes;
use reqwest::Url;
use serde::Serialize;

use super::screen::say;

/// A part, and where it says whether it is ready: `name=URL`, `/readyz` unless the URL has a path.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    name: String,
    address: Url,
}

/// What they answered.
#[derive(Serialize)]
struct Status<'a> {
    ready: bool,
    parts: Vec<Asked<'a>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    name: &'a str,
    address: &'a str,
    ready: bool,
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, address) = text.trim().split_once('=').context("must be name=URL")?;
        let mut address = Url::parse(address)?;
        if address.path() == "/" {
            address.set_path("/readyz");
        }
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

/// Asks all of them; the exit code says whether all are ready.
pub(crate) async fn run(parts: &[Part], json: bool) -> anyhow::Result<ExitCode> {
    let status = ask(parts).await;
    if json {
        say(serde_json::to_string_pretty(&status)?);
    } else {
        print(&status.parts);
    }
    Ok(if status.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn ask(parts: &[Part]) -> Status<'_> {
    let mut asked = Vec::new();
    for Part { name, address } in parts {
        let (address, ready) = (address.as_str(), says_yes(address.as_str()).await);
        asked.push(Asked {
            name,
            address,
            ready,
        });
    }
    Status {
        ready: asked.iter().all(|part| part.ready),
        parts: asked,
    }
}

fn print(parts: &[Asked]) {
    say(format_args!("{:<11} {:<11} ASKED AT", "PART", "STATE"));
    for part in parts {
        let state = if part.ready { "ready" } else { "not ready" };
        say(format_args!(
            "{:<11} {state:<11} {}",
            part.name, part.address
        ));
    }
}
