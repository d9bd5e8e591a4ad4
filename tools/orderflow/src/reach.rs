//! What root's PostgreSQL can reach.
//!
//! PostgreSQL refuses to run as root. Started as root it runs under the id of nobody, which must get
//! at its programs and its data. Where a directory on the way there is closed to others, as `/root`
//! is, one below `/var/tmp` stands in for it. There, anybody may have been first to use its name.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf, absolute},
    process::Command,
};

use anyhow::{Context, ensure};
use nix::unistd::geteuid;

/// The directory itself, or the one that stands in for it.
pub(crate) fn reachable(directory: &Path) -> PathBuf {
    let directory = absolute(directory).unwrap_or_else(|_| directory.to_owned());
    if !geteuid().is_root() || is_open_to_others(&directory) {
        return directory;
    }
    let mut hasher = DefaultHasher::new();
    directory.hash(&mut hasher);
    Path::new("/var/tmp").join(format!("orderflow-{:016x}", hasher.finish()))
}

/// Makes the directory, or the one that stands in for it, if it is not there; tells which.
pub(crate) fn make(directory: &Path) -> anyhow::Result<PathBuf> {
    let reachable = reachable(directory);
    let missing = reachable.ancestors().take_while(|above| !above.exists());
    for missing in missing.collect::<Vec<_>>().into_iter().rev() {
        make_one(missing).with_context(|| format!("cannot make {}", missing.display()))?;
    }
    if absolute(directory).is_ok_and(|own| own != reachable) {
        ensure_ours(&reachable)?;
        let_pass(&reachable).with_context(|| format!("cannot open {}", reachable.display()))?;
    }
    Ok(reachable)
}

/// Lets others read all that lies below, whatever the umask was when it came there.
pub(crate) fn open_to_others(directory: &Path) -> anyhow::Result<()> {
    let mut chmod = Command::new("chmod");
    let changed = chmod.args(["-R", "a+rX"]).arg(directory).status();
    ensure!(
        changed.context("cannot run chmod")?.success(),
        "cannot let others read {}",
        directory.display()
    );
    Ok(())
}

/// Whether others may pass through every directory on the way, as far as it exists.
fn is_open_to_others(directory: &Path) -> bool {
    const PASS: u32 = 0o001;
    let mut existing = directory
        .ancestors()
        .filter_map(|above| fs::metadata(above).ok());
    existing.all(|found| found.mode() & PASS != 0)
}

fn make_one(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Ok(()) => let_pass(directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The umask may have taken more away than nobody can do without.
fn let_pass(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

/// Who can write to our programs can have us run others, and a link can lead anywhere.
fn ensure_ours(directory: &Path) -> anyhow::Result<()> {
    let found = fs::symlink_metadata(directory)
        .with_context(|| format!("cannot look at {}", directory.display()))?;
    ensure!(
        found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0,
        "{} is a link or belongs to somebody else: remove it and try again",
        directory.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    use nix::unistd::geteuid;

    use super::{make, reachable};

    #[test]
    fn a_stand_in_that_somebody_else_made_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let directory = closed.path().join("postgres");
        let stand_in = reachable(&directory);
        assert!(stand_in.starts_with("/var/tmp"));

        symlink(closed.path(), &stand_in).unwrap();
        assert!(make(&directory).is_err(), "a link");
        fs::remove_file(&stand_in).unwrap();

        assert_eq!(make(&directory).unwrap(), stand_in);
        chown(&stand_in, Some(65_534), None).unwrap();
        assert!(make(&directory).is_err(), "nobody's");
        fs::remove_dir(&stand_in).unwrap();
    }
}
