//! Apache Kafka and PostgreSQL, fetched once through Maven.
//!
//! Both lie below `target/orderflow-artifacts` of this workspace, or below `ORDERFLOW_ARTIFACTS`, in
//! a directory named after what `pom.xml` asks for: another version is another directory. It gets
//! that name only when it is complete, so a fetch that broke off leaves nothing that looks whole.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

const POM: &str = include_str!("../pom.xml");
/// How much comes through the network the first time.
const SIZE: &str = "about 70 MB";

/// Where Kafka's jars and PostgreSQL's programs are.
#[derive(Debug, Clone)]
pub struct Artifacts {
    directory: PathBuf,
}

impl Artifacts {
    /// Fetches what is not there yet; says so before it does.
    ///
    /// # Errors
    /// Maven is missing or fails, or there is no PostgreSQL for this platform.
    pub fn fetch() -> anyhow::Result<Self> {
        let platform = platform()?;
        let home = home();
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        // Tests and programs may want the same at the same time: one fetches, the others wait.
        let lock = File::create(home.join("lock")).context("cannot lock the artifacts")?;
        lock.lock().context("cannot lock the artifacts")?;

        let directory = home.join(name(platform));
        if !directory.is_dir() {
            eprintln!("fetching Apache Kafka and PostgreSQL through Maven, {SIZE}, once …");
            let unfinished = home.join("unfinished");
            fetch_into(&unfinished, platform)?;
            fs::rename(&unfinished, &directory).context("cannot name the artifacts")?;
        }
        Ok(Self { directory })
    }

    /// Kafka's class path.
    #[must_use]
    pub fn kafka_classpath(&self) -> OsString {
        self.directory.join("kafka").join("*").into_os_string()
    }

    /// PostgreSQL's directory, with `bin/` in it.
    #[must_use]
    pub fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
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

fn fetch_into(directory: &Path, platform: &str) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context("cannot remove what an earlier fetch left")?;
    }
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
        let said = String::from_utf8_lossy(&output.stdout);
        bail!(
            "Maven could not fetch Kafka and PostgreSQL:\n{}",
            said.trim()
        );
    }
    unpack(&directory.join("postgres"))
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
