//! The crates outside this repository: a fresh cargo project depends on them by a git URL, as a reader's would.
//!
//! 1. The files of the working tree, uncommitted ones included, become the only commit of a new git repository.
//! 2. A project beside it depends on rdkafka, tokio and OpenTelemetry, and `cargo add --git` adds `messaging`,
//!    `delivery` and `outbox`.
//! 3. cargo builds copies of the crates' examples there. They run, and what they print is one trace.
//!
//! The project has the dev profile, the `Cargo.lock` and the target directory of this workspace, so cargo compiles only
//! what this workspace does not have compiled with the same features: librdkafka is not compiled a second time.
//!
//! The directory is the same at each run, and the commit's id depends on nothing but the files. cargo knows a git
//! dependency by its URL and its commit: otherwise each run would leave another copy in cargo's home directory and
//! compile the three crates again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

/// Ends a test that hangs: far more than a cold build takes on a small machine.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// Ends a test that hangs: the programs take a few seconds.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The programs of the project, and the file of the workspace that each is a copy of.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "your_own_clients",
        "crates/messaging/examples/your_own_clients.rs",
    ),
    ("second_try", "crates/delivery/examples/second_try.rs"),
    ("outbox", "tests/e2e/tests/take_home/outbox.rs"),
    ("carrier_only", "tests/e2e/tests/take_home/carrier_only.rs"),
];

/// What README.md of messaging tells readers to copy who need only the carrier.
const CARRIER: [&str; 3] = ["carrier.rs", "headers.rs", "traceparent.rs"];

#[tokio::test]
async fn a_project_outside_the_repository_gets_one_trace_from_the_crates() {
    let project = Project::prepare().await;
    project.cargo(&["build", "--offline", "--locked"]).await;

    let [send, process] = spans(&project.run("your_own_clients").await)
        .try_into()
        .unwrap();
    assert_eq!(send.title, "Producer span `send greetings`");
    assert_eq!(process.title, "Consumer span `process greetings`");
    process.assert_child_of(&send);

    let [send, first, second] = spans(&project.run("second_try").await).try_into().unwrap();
    assert_eq!(send.title, "Producer span `send greetings`");
    for process in [first, second] {
        assert_eq!(process.title, "Consumer span `process greetings`");
        process.assert_child_of(&send);
    }

    let insert = project.run("outbox").await;
    assert!(insert.starts_with("INSERT INTO shop.outbox"), "{insert}");

    let headers = project.run("carrier_only").await;
    let last_valid = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    assert_eq!(headers, format!("traceparent: {last_valid}\n"));
}

/// A cargo project that knows this repository by a URL only.
struct Project {
    directory: PathBuf,
    /// Held until the test ends: another run in the same directory waits.
    _lock: fs::File,
}

impl Project {
    async fn prepare() -> Self {
        let mut id = DefaultHasher::new();
        workspace().hash(&mut id);
        let home = env::temp_dir().join(format!("take-home-{:016x}", id.finish()));
        fs::create_dir_all(&home).unwrap();
        let lock = fs::File::create(home.join("lock")).unwrap();
        lock.lock().unwrap();

        let repository = home.join("repository.git");
        commit_working_tree(&repository).await;

        let directory = home.join("project");
        empty(&directory);
        let sources = directory.join("src/bin");
        fs::create_dir_all(sources.join("carrier_only")).unwrap();
        for (program, source) in PROGRAMS {
            let copy = match program {
                "carrier_only" => sources.join("carrier_only/main.rs"),
                _ => sources.join(program).with_extension("rs"),
            };
            fs::copy(workspace().join(source), copy).unwrap();
        }
        for file in CARRIER {
            let source = workspace().join("crates/messaging/src").join(file);
            fs::copy(source, sources.join("carrier_only").join(file)).unwrap();
        }
        fs::write(directory.join("Cargo.toml"), manifest()).unwrap();
        fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();

        let project = Self {
            directory,
            _lock: lock,
        };
        let url = format!("file://{}", repository.display());
        let crates = ["messaging", "delivery", "outbox"];
        let add = ["add", "--quiet", "--git", url.as_str()];
        project.cargo(&[&add[..], &crates[..]].concat()).await;
        // With all of the registry's crates in Cargo.lock this reads the git repository, and no network.
        project.cargo(&["fetch", "--quiet"]).await;
        project
    }

    /// Runs one of the programs; returns what it prints.
    async fn run(&self, program: &str) -> String {
        let mut run = self.command(&["run", "--quiet", "--offline", "--locked", "--bin", program]);
        output(&mut run, RUN_LIMIT).await
    }

    async fn cargo(&self, arguments: &[&str]) {
        output(&mut self.command(arguments), BUILD_LIMIT).await;
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // The directory of temporary files is a part of the target directory.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(arguments)
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", target)
            // Where cargo is told to stay offline, it would not even read a repository on this machine.
            .env("CARGO_NET_OFFLINE", "false");
        cargo
    }
}

/// The manifest before `cargo add`: the dependencies of the project itself, of the same versions and features as in this
/// workspace, and the same dev profile.
fn manifest() -> String {
    let ours = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let dependency = |name: &str| {
        let start = format!("{name} = ");
        ours.lines().find(|line| line.starts_with(&start)).unwrap()
    };
    let names = ["rdkafka", "tokio", "tokio-util", "opentelemetry"];
    let mut dependencies = names.map(dependency).join("\n");
    // The examples keep their spans in memory, which is a feature for tests.
    let sdk = dependency("opentelemetry_sdk");
    let version = sdk.split('"').nth(1).unwrap();
    let sdk = format!("opentelemetry_sdk = {{ version = {version:?}, features = [\"testing\"] }}");
    dependencies.push_str(&format!("\n{sdk}"));
    let is_of_profile = |section: &&str| section.starts_with("profile.dev");
    let sections = ours.split("\n[").filter(is_of_profile);
    let profile: Vec<_> = sections.map(|section| format!("[{section}")).collect();
    let profile = profile.join("\n");
    format!(
        "[package]\nname = \"take-home\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\n{profile}\n"
    )
}

/// Makes a repository whose only commit has the files of the working tree, except for those that git ignores.
async fn commit_working_tree(repository: &Path) {
    empty(repository);
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(arguments)
            .current_dir(workspace())
            .env("GIT_DIR", repository)
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            // Not the user's settings, so that the commit has the same id everywhere.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2000-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2000-01-01T00:00:00Z");
        for role in ["GIT_AUTHOR", "GIT_COMMITTER"] {
            git.env(format!("{role}_NAME"), "test")
                .env(format!("{role}_EMAIL"), "test@localhost");
        }
        git
    };
    output(&mut git(&["init", "--quiet", "--bare"]), RUN_LIMIT).await;
    for arguments in [
        &["add", "--all"][..],
        &["commit", "--quiet", "--message", "The working tree"],
    ] {
        let mut git = git(arguments);
        output(git.env("GIT_WORK_TREE", workspace()), RUN_LIMIT).await;
    }
}

/// Runs a command to its end; returns what it prints.
async fn output(command: &mut Command, limit: Duration) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(limit, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{command:?} has not ended after {limit:?}"));
    let output = ended.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A span as the examples print it.
#[derive(Debug)]
struct Span {
    /// Its kind and its name.
    title: String,
    trace: String,
    id: String,
    parent: String,
}

impl Span {
    fn assert_child_of(&self, parent: &Self) {
        assert_eq!(self.trace, parent.trace, "{self:?}");
        assert_eq!(self.parent, parent.id, "{self:?}");
    }
}

/// The spans that an example has printed, two lines each.
fn spans(printed: &str) -> Vec<Span> {
    let pairs = printed.lines().zip(printed.lines().skip(1));
    let parsed = pairs.filter_map(|(first, second)| {
        let (title, trace) = first.split_once(", trace ")?;
        let (id, rest) = second.trim().strip_prefix("id ")?.split_once(", parent ")?;
        Some(Span {
            title: title.to_owned(),
            trace: trace.to_owned(),
            id: id.to_owned(),
            parent: rest.split(',').next()?.to_owned(),
        })
    });
    parsed.collect()
}

fn empty(directory: &Path) {
    if directory.exists() {
        fs::remove_dir_all(directory).unwrap();
    }
    fs::create_dir_all(directory).unwrap();
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
