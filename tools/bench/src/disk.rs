//! What the disk takes to have something for certain: every commit waits for that.

use std::{fs::File, io::Write, path::Path};

/// As much as PostgreSQL writes at least.
const PAGE: [u8; 8_192] = [7; 8_192];

/// A file on the disk.
#[derive(Debug)]
pub(crate) struct Disk(File);

impl Disk {
    pub(crate) fn in_directory(directory: &Path) -> std::io::Result<Self> {
        File::create(directory.join("written-and-synced")).map(Self)
    }

    /// Writes a page and waits until it is on the disk (`fdatasync`).
    pub(crate) fn write_and_sync(&self) -> std::io::Result<()> {
        (&self.0).write_all(&PAGE)?;
        self.0.sync_data()
    }
}
