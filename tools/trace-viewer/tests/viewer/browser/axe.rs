//! What axe-core has to say of a page: the checks of WCAG 2.2 AA that a program can make.
//!
//! The script comes through Maven, which the build needs at any rate, in Deque's own Java package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::webdriver::Browser;

const PACKAGE: &str = "com.deque.html.axe-core:selenium:4.10.1";
const UNPACK: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack";

const RUN: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return axe.run({runOnly: {type: 'tag', values: tags}}).then(found => found.violations.map(
        rule => `${rule.id}: ${rule.help}: ${rule.nodes.map(node => node.target.join(' ')).join(', ')}`
    ));";

/// Nothing on the page, as it is now, keeps anybody out.
pub(crate) async fn assert_open_to_all(browser: &Browser, what: &str) {
    browser.run(script()).await;
    let found = browser.run(RUN).await;
    assert_eq!(found, Value::Array(Vec::new()), "{what}");
}

fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let version = PACKAGE.rsplit(':').next().unwrap();
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("axe-{version}"));
        let script = directory.join("axe.min.js");
        if !script.is_file() {
            fetch(&directory);
        }
        fs::read_to_string(&script).unwrap()
    })
}

fn fetch(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let output = Command::new("mvn")
        .args(["-q", "-B", "-ntp", UNPACK])
        // Maven leaves a marker where it runs.
        .current_dir(directory)
        .arg(format!("-Dartifact={PACKAGE}"))
        .arg(format!("-DoutputDirectory={}", directory.display()))
        .output()
        .expect("Maven, to fetch axe-core with");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "axe-core can't be fetched: {said}");
}
