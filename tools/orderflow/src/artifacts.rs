//! Apache Kafka and PostgreSQL, fetched once through Maven.
//!
//! Both lie below `target/orderflow-artifacts` of this workspace, or below `ORDERFLOW_ARTIFACTS`, in
//! a directory named after what `pom.xml` asks for: another version is another directory. It gets
//! that name only when it is complete, so a fetch that broke off leaves nothing that looks whole. Root
//! may get a second PostgreSQL, where the server can reach it.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

use crate::{java, reach};

const POM: &str = include_str!("../pom.xml");
/// How much comes through the network the first time.
const SIZE: &str = "about 70 MB";

/// Where Kafka's jars and PostgreSQL's programs are.
#[derive(Debug, Clone)]
pub struct Artifacts {
    kafka: PathBuf,
    postgres: PathBuf,
}

impl Artifacts {
    /// Fetches what is not there yet; says so before it does.
    ///
    /// # Errors
    /// Java or Maven is missing or fails, or there is no PostgreSQL for this platform.
    pub fn fetch() -> anyhow::Result<Self> {
        let platform = platform()?;
        let home = home();
        let directory = home.join(name(platform));
        unless_there(&directory, &home, |unfinished| {
            eprintln!("fetching Apache Kafka and PostgreSQL through Maven, {SIZE}, once …");
            fetch_into(unfinished, platform)
        })?;
        let fetched = directory.join("postgres");
        let postgres = reach::make(&directory)?.join("postgres");
        unless_there(&postgres, &home, |unfinished| copy(&fetched, unfinished))?;
        Ok(Self {
            kafka: directory.join("kafka"),
            postgres,
        })
    }

    /// Kafka's class path.
    #[must_use]
    pub fn kafka_classpath(&self) -> OsString {
        self.kafka.join("*").into_os_string()
    }

    /// PostgreSQL's directory, with `bin/` in it.
    #[must_use]
    pub fn postgres(&self) -> &Path {
        &self.postgres
    }
}

/// The root of the workspace that this program was built in.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn home() -> PathBuf {
    match env::var_os("ORDERFLOW_ARTIFACTS").filter(|home| !home.is_empty()) {
        Some(home) => home.into(),
        None => workspace().join("target").join("orderflow-artifacts"),
    }
}

/// PostgreSQL's platforms, as the artifacts are named.
fn platform() -> anyhow::Result<&'static str> {
    Ok(match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => "linux-amd64",
        ("linux", "aarch64") => "linux-arm64v8",
        ("macos", "x86_64") => "darwin-amd64",
        ("macos", "aarch64") => "darwin-arm64v8",
        (os, arch) => bail!("there is no PostgreSQL to fetch for {os} on {arch}; use Docker"),
    })
}

fn name(platform: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (POM, platform).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Fills a directory that is not there, under another name until it is complete.
fn unless_there(
    directory: &Path,
    home: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Who finds all there needs no lock, and may not be allowed to take it.
    if directory.is_dir() {
        return Ok(());
    }
    let named = || format!("cannot make {}", directory.display());
    fs::create_dir_all(home).with_context(named)?;
    // Tests and programs may want the same at the same time: one fetches, the others wait.
    let lock = File::create(home.join("lock")).context("cannot lock the artifacts")?;
    lock.lock().context("cannot lock the artifacts")?;
    if directory.is_dir() {
        return Ok(());
    }
    let unfinished = directory.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(named)?;
    }
    fill(&unfinished)?;
    reach::open_to_others(&unfinished)?;
    fs::rename(&unfinished, directory).with_context(named)
}

fn fetch_into(directory: &Path, platform: &str) -> anyhow::Result<()> {
    // Maven is made of Java, and says less clearly what is missing.
    java::command()?;
    fs::create_dir_all(directory)?;
    let pom = directory.join("pom.xml");
    fs::write(&pom, POM)?;
    let output = Command::new("mvn")
        .args(["-q", "-B", "-ntp", "package", "-f"])
        .arg(&pom)
        .arg(format!("-Dpostgres.platform={platform}"))
        .arg(format!("-Dout={}", directory.display()))
        .output()
        .context("Maven is missing: install it, or have `mvn` on the PATH")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!(
            "Maven could not fetch Kafka and PostgreSQL:\n{}",
            said.trim()
        );
    }
    unpack(&directory.join("postgres"))
}

fn copy(directory: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-R").arg(directory).arg(to).status();
    ensure!(
        copied.context("cannot run cp")?.success(),
        "cannot copy PostgreSQL to {}",
        to.display()
    );
    Ok(())
}

/// Unpacks the one archive in the directory, there, and removes it.
fn unpack(directory: &Path) -> anyhow::Result<()> {
    let archive = fs::read_dir(directory)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "txz"))
        .context("PostgreSQL's jar has no archive in it")?;
    let packed = BufReader::new(File::open(&archive)?);
    let unpacked = lzma_rust2::XzReader::new(packed, false);
    tar::Archive::new(unpacked)
        .unpack(directory)
        .context("PostgreSQL's archive cannot be unpacked")?;
    fs::remove_file(archive)?;
    Ok(())
}
