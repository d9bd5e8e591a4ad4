//! The passwords of a server's roles: random, one for each, in files that only we can read.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use uuid::Uuid;

/// Passwords, by role.
pub(crate) struct Passwords(HashMap<&'static str, String>);

impl Passwords {
    /// Those that lie in a directory; those that do not are made.
    pub(crate) fn in_directory(
        directory: &Path,
        roles: impl IntoIterator<Item = &'static str>,
    ) -> anyhow::Result<Self> {
        let passwords = roles.into_iter().map(|role| {
            let file = directory.join(format!("{role}.password"));
            let password = read_or_make(&file);
            Ok((role, password.with_context(|| file.display().to_string())?))
        });
        passwords.collect::<anyhow::Result<_>>().map(Self)
    }

    /// The password of a role; empty for one that has none, which lets nobody in.
    pub(crate) fn of(&self, role: &str) -> &str {
        self.0.get(role).map_or("", String::as_str)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Writes a file that only we can read, whole or not at all.
pub(crate) fn write_secret(file: &Path, secret: &str) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished);
    opened?.write_all(secret.as_bytes())?;
    fs::rename(&unfinished, file)
}

fn read_or_make(file: &Path) -> io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let password = Uuid::new_v4().simple().to_string();
            write_secret(file, &password)?;
            Ok(password)
        }
        read => read,
    }
}
