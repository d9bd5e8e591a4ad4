//! Chromium, driven by chromedriver: the few commands that the tests need.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver,
};

/// How long a test waits for a condition on the page.
const PATIENCE: Duration = Duration::from_secs(90);

/// One browser with one page. Dropping it closes the browser, then stops chromedriver: the fields are dropped
/// in this order, and a killed chromedriver would leave its browser running.
pub(crate) struct Browser {
    driver: WebDriver,
    page: String,
    _chromedriver: Chromedriver,
}

impl Browser {
    /// Opens a browser for the pages of `server`. Without chromedriver the answer is `None`, except on CI, where
    /// the test fails.
    pub(crate) async fn open(server: SocketAddr, width: u32, height: u32) -> Option<Self> {
        let Some((chromedriver, port)) = Chromedriver::start() else {
            let missing = "chromedriver is missing: the page is NOT tested (apt-get install chromium chromium-driver)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            let _ = writeln!(std::io::stderr(), "\n*** {missing} ***");
            return None;
        };
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .unwrap();
        // No idle connections: dropping the driver sends its last request from another thread, and would wait
        // for a pooled connection whose runtime is the one that is blocked by the drop.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0);
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities)
            .client(client.build().unwrap());
        let browser = Self {
            driver: driver.connect().await.unwrap(),
            page: format!("http://{server}"),
            _chromedriver: chromedriver,
        };
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser
            .devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        Some(browser)
    }

    /// Opens a path of the server.
    pub(crate) async fn go(&self, path: &str) {
        self.go_to(&format!("{}{path}", self.page)).await;
    }

    pub(crate) async fn go_to(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Opens a path in a new tab, which becomes the current one.
    pub(crate) async fn go_in_a_new_tab(&self, path: &str) {
        let tab = self.driver.new_tab().await.unwrap();
        self.driver.switch_to_window(tab).await.unwrap();
        self.go(path).await;
    }

    /// Brings the tab that was opened as that one (from 0) to the front.
    pub(crate) async fn switch_to_tab(&self, tab: usize) {
        let tabs = self.driver.windows().await.unwrap();
        self.driver
            .switch_to_window(tabs[tab].clone())
            .await
            .unwrap();
    }

    /// The value that a piece of JavaScript returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let answer = self.driver.execute(script, Vec::new()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{script}: {error}"));
        answer.json().clone()
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let start = Instant::now();
        while self.run(&format!("return Boolean({expression})")).await != true {
            if start.elapsed() > PATIENCE {
                let text = self.run("return document.body.innerText").await;
                panic!("not in {PATIENCE:?}: {expression}\nthe page says: {text}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for an element and returns the text of the first that matches.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(&element).await;
        let text = self.run(&format!("return {element}.innerText")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Clicks with the mouse in the middle of the first element that matches. Retries while the page is being
    /// drawn again: the element that was found may be gone by the time of the click.
    pub(crate) async fn click(&self, selector: &str) {
        let start = Instant::now();
        while let Err(error) = self.try_click(selector).await {
            assert!(start.elapsed() < PATIENCE, "{selector}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_click(&self, selector: &str) -> thirtyfour::error::WebDriverResult<()> {
        self.driver.find(By::Css(selector)).await?.click().await
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &[&str]) {
        let keys = self.driver.action_chain().send_keys(keys.concat());
        keys.perform().await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.driver.back().await.unwrap();
    }

    pub(crate) async fn dark(&self) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a picture for people to `target/tmp/screenshots`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        self.driver.screenshot(&file).await.unwrap();
    }

    /// The browser logged no error and no violation of the page's policy.
    pub(crate) async fn assert_no_complaints(&self) {
        let log = self.driver.get_log("browser").await.unwrap();
        let bad = log.iter().filter(|entry| {
            // A trace that is not held is answered with 404, and the browser logs that.
            entry.level == "SEVERE" && !entry.message.contains("404")
        });
        let bad: Vec<_> = bad.map(|entry| &entry.message).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let answer = self.driver.cdp().send_raw(command, parameters).await;
        answer.unwrap();
    }
}

struct Chromedriver(Child);

impl Chromedriver {
    /// Starts chromedriver on a free port, which it prints. `None` when it is not installed.
    ///
    /// Chromedriver chooses a port for IPv4 and wants the same for IPv6: when another program has that one, it
    /// ends without a word.
    fn start() -> Option<(Self, u16)> {
        for _ in 0..5 {
            let mut child = Command::new("chromedriver")
                .arg("--port=0")
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let started = Self(child);
            let ready = "ChromeDriver was started successfully on port ";
            let port = lines
                .map_while(Result::ok)
                .find_map(|line| line.strip_prefix(ready)?.trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                return Some((started, port));
            }
        }
        panic!("chromedriver has ended five times before it printed its port");
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
