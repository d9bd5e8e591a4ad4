//! The Java that Kafka runs on: there, and new enough.

use std::process::Command;

use anyhow::bail;

/// The oldest release that Kafka's broker accepts.
const NEEDED: u32 = 17;

/// A command that starts Java.
///
/// # Errors
/// There is none in PATH, or one that is too old.
pub fn command() -> anyhow::Result<Command> {
    let asked = Command::new("java").arg("-version").output();
    let said = asked.map(|output| output.stderr).unwrap_or_default();
    let found = match major_version(&String::from_utf8_lossy(&said)) {
        Some(found) if found >= NEEDED => return Ok(Command::new("java")),
        Some(found) => found.to_string(),
        // What macOS has in place of Java answers too, and without a version.
        None => "none".to_owned(),
    };
    bail!(
        "Kafka needs Java {NEEDED} or newer, and found {found} in PATH: \
         scripts/prerequisites.sh installs it or says how."
    )
}

/// The release in what `java -version` says; up to 8 it called itself 1.8.
fn major_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once(" version \"")?;
    let version = version.strip_prefix("1.").unwrap_or(version);
    let end = version.find(|c: char| !c.is_ascii_digit())?;
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn releases() {
        for (said, expected) in [
            (
                "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK …",
                Some(17),
            ),
            ("openjdk version \"25\" 2025-09-16", Some(25)),
            ("java version \"1.8.0_452\"", Some(8)),
            (
                "Picked up JAVA_TOOL_OPTIONS\nopenjdk version \"21-ea\"",
                Some(21),
            ),
            (
                "The operation couldn’t be completed. Unable to locate a Java Runtime.",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(major_version(said), expected, "{said}");
        }
    }
}
