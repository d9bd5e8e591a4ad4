//! docker-compose.yml against the programs themselves, without Docker: a variable that a container is given
//! exists, every variable that a program knows is given or passed on, and a program lacks none.
//!
//! Each program is asked, by `--help`, for the variables that it knows, and by being started without
//! any for those that it needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use orderflow::{artifacts::workspace, binaries::Binaries};
use serde::Deserialize;

/// What the variables that OpenTelemetry, tracing and Tokio read begin with. They are in nobody's help.
const OF_LIBRARIES: [&str; 3] = ["OTEL_", "RUST_LOG", "TOKIO_WORKER_THREADS"];

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Container>,
}

#[derive(Deserialize)]
struct Container {
    build: Option<Build>,
    image: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, Option<String>>,
    #[serde(default)]
    ports: Vec<String>,
    mem_limit: Option<String>,
    healthcheck: Option<HealthCheck>,
    restart: Option<String>,
}

#[derive(Deserialize)]
struct Build {
    target: String,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
}

/// What a program says of its own variables.
struct Program {
    /// Each with the flag that does the same.
    known: BTreeMap<String, String>,
    needed: BTreeSet<String>,
}

fn compose() -> Compose {
    let text = fs::read_to_string(workspace().join("docker-compose.yml"));
    serde_saphyr::from_str(&text.expect("a file")).expect("what compose understands")
}

impl Container {
    /// What is ours is built, and the target in the Dockerfile is called as the program is.
    fn program(&self) -> Option<&str> {
        self.build.as_ref().map(|build| build.target.as_str())
    }

    /// The variables that the program itself reads.
    fn variables(&self) -> BTreeSet<String> {
        let names = self.environment.keys();
        let is_own = |name: &&String| !OF_LIBRARIES.iter().any(|prefix| name.starts_with(prefix));
        names.filter(is_own).cloned().collect()
    }
}

impl Program {
    async fn ask(name: &str, commands: &[&str]) -> Self {
        let path = Binaries::build("dev").await.and_then(|all| all.path(name));
        let path = path.expect("an executable");
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&path);
            let output = command
                .args(arguments)
                .env_clear()
                .output()
                .expect("it runs");
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
        };
        let mut known = variables(&run(&["--help"]));
        for command in commands {
            known.extend(variables(&run(&[command, "--help"])));
        }
        // Those without which it does not start are said in one list, by their flags.
        let is_server = name != "trace-viewer" && name != "orderflow";
        let complaint = if is_server {
            run(commands)
        } else {
            String::new()
        };
        let is_named = |flag: &String| complaint.contains(&format!("  --{flag} "));
        let needed = known.iter().filter(|(_, flag)| is_named(flag));
        let needed: BTreeSet<_> = needed.map(|(name, _)| name.clone()).collect();
        assert_eq!(is_server, !needed.is_empty(), "{name}: {complaint}");
        Self { known, needed }
    }
}

/// Of a help text, the variables and their flags: `--port <PORT>`, and below it `[env: PORT=]`.
fn variables(help: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut flag = String::new();
    for line in help.lines() {
        if let Some((_, text)) = line.split_once("--") {
            text.split([' ', ','])
                .next()
                .unwrap_or(text)
                .clone_into(&mut flag);
        }
        if let Some((_, text)) = line.split_once("[env: ") {
            let end = text.find(['=', ']']).expect("an end");
            found.insert(text[..end].to_owned(), flag.clone());
        }
    }
    found
}

#[tokio::test]
async fn the_containers_have_the_variables_that_their_programs_know() {
    for (name, container) in compose().services {
        let Some(program) = container.program() else {
            continue;
        };
        let commands: Vec<_> = match program {
            "orderflow" => vec!["status", "trace", "dlq"],
            _ => container.command.iter().map(String::as_str).collect(),
        };
        let asked = Program::ask(program, &commands).await;
        let known: BTreeSet<_> = asked.known.into_keys().collect();
        assert_eq!(container.variables(), known, "{name}");
        for needed in asked.needed {
            assert!(
                container.environment[&needed].is_some(),
                "{name} needs {needed}"
            );
        }
    }
}

#[test]
fn whom_the_services_call_is_there_and_listens() {
    let services = compose().services;
    let mut called = 0;
    for (name, container) in &services {
        for (variable, value) in &container.environment {
            let Some((host, port)) = value.as_deref().and_then(service_url) else {
                continue;
            };
            called += 1;
            let callee = &services[host].environment;
            let listens = callee.get("PORT").or(callee.get("VIEWER_PORT"));
            let listens = listens.unwrap_or_else(|| panic!("{name}: {variable}"));
            assert_eq!(listens.as_deref(), Some(port), "{name}: {variable}");
        }
    }
    assert!(called >= 6, "{called}");
}

/// Host and port of one of our own services' URLs.
fn service_url(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.strip_prefix("http://")?.split_once(':')?;
    (host != "otel-collector").then_some((host, port))
}

#[test]
fn nothing_is_published_beyond_this_machine() {
    let services = compose().services;
    let mut published: Vec<_> = services.values().flat_map(|one| &one.ports).collect();
    published.sort();
    assert_eq!(
        published,
        [
            "127.0.0.1:16686:16686",
            "127.0.0.1:16687:16686",
            "127.0.0.1:8080:8080"
        ]
    );
}

#[test]
fn every_container_is_bounded_and_watched() {
    for (name, container) in compose().services {
        assert!(container.mem_limit.is_some(), "{name}");
        if let Some(image) = &container.image {
            let (_, tag) = image.split_once(':').unwrap_or_default();
            assert!(tag.split('.').count() >= 2, "{name} is not pinned: {image}");
        }
        let ends = container.restart.as_deref() == Some("no");
        let has_check = container
            .healthcheck
            .is_some_and(|check| !check.test.is_empty());
        assert!(has_check || ends || name == "otel-collector", "{name}");
    }
}
