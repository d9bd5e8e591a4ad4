//! Chromium, driven over the `WebDriver` protocol: the few commands that the tests need.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// One browser with one page. It ends with the test.
pub(crate) struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    page: String,
}

impl Browser {
    /// Opens one for that server; `None` when there is none to open, which on CI is a failure.
    pub(crate) async fn open(
        server: std::net::SocketAddr,
        width: u32,
        height: u32,
    ) -> Option<Self> {
        let Some((driver, port)) = start_driver() else {
            let missing = "chromedriver is missing: the page is NOT tested (apt-get install chromium chromium-driver)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            let _ = writeln!(std::io::stderr(), "\n*** {missing} ***");
            return None;
        };
        let mut browser = Self {
            driver,
            client: reqwest::Client::new(),
            session: format!("http://127.0.0.1:{port}"),
            page: format!("http://{server}"),
        };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ];
        let options = json!({"args": arguments});
        let capabilities = json!({"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}});
        let session = browser
            .command(
                Method::POST,
                "/session",
                json!({"capabilities": capabilities}),
            )
            .await;
        browser.session = format!(
            "{}/session/{}",
            browser.session,
            session["sessionId"].as_str().unwrap()
        );
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser
            .devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        Some(browser)
    }

    pub(crate) async fn go(&self, path: &str) {
        self.go_to(&format!("{}{path}", self.page)).await;
    }

    pub(crate) async fn go_to(&self, url: &str) {
        self.command(Method::POST, "/url", json!({"url": url}))
            .await;
    }

    /// What a piece of JavaScript returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command(
            Method::POST,
            "/execute/sync",
            json!({"script": script, "args": []}),
        )
        .await
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

    /// The text of the first element that fits, waited for.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(&element).await;
        let text = self.run(&format!("return {element}.innerText")).await;
        text.as_str().unwrap().to_owned()
    }

    /// A real click, by the mouse, in the middle of the first element that fits; again when the page was
    /// drawn anew in between.
    pub(crate) async fn click(&self, selector: &str) {
        let start = Instant::now();
        while let Err(error) = self.try_click(selector).await {
            assert!(start.elapsed() < PATIENCE, "{selector}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_click(&self, selector: &str) -> Result<Value, String> {
        let locator = json!({"using": "css selector", "value": selector});
        let found = self.try_command(Method::POST, "/element", locator).await?;
        let id = found
            .as_object()
            .and_then(|found| found.values().next()?.as_str())
            .ok_or("no id")?;
        self.try_command(Method::POST, &format!("/element/{id}/click"), json!({}))
            .await
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &[&str]) {
        let press = |key: &&str| {
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        };
        let actions: Vec<Value> = keys.iter().flat_map(press).collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command(Method::POST, "/actions", actions).await;
    }

    pub(crate) async fn back(&self) {
        self.command(Method::POST, "/back", json!({})).await;
    }

    pub(crate) async fn dark(&self) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// A picture for a person, in `target/screenshots`.
    pub(crate) async fn picture(&self, name: &str) {
        let picture = self.command(Method::GET, "/screenshot", Value::Null).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = BASE64.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// The browser had nothing to complain about: no error, nothing that the page's policy forbids.
    pub(crate) async fn assert_no_complaints(&self) {
        let log = self
            .command(Method::POST, "/se/log", json!({"type": "browser"}))
            .await;
        let bad = log.as_array().unwrap().iter().filter(|entry| {
            // A trace that is not there is answered with 404, and the browser logs that.
            entry["level"] == "SEVERE" && !entry["message"].as_str().unwrap().contains("404")
        });
        assert_eq!(bad.collect::<Vec<_>>(), Vec::<&Value>::new());
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.command(Method::POST, "/goog/cdp/execute", body).await;
    }

    /// Without async: whoever drops a browser can't wait for a future.
    fn close(&self) -> std::io::Result<()> {
        let address = self.session.trim_start_matches("http://");
        let (address, path) = address.split_once('/').unwrap_or((address, ""));
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        write!(
            connection,
            "DELETE /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut status = String::new();
        BufReader::new(connection).read_line(&mut status)?;
        Ok(())
    }

    async fn command(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.try_command(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_command(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        let value = answer["value"].take();
        if value.get("error").is_some() {
            Err(value["message"].to_string())
        } else {
            Ok(value)
        }
    }
}

/// The driver is asked to close its browser first: killed, it would leave it running.
impl Drop for Browser {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            let _ = writeln!(std::io::stderr(), "a browser may be left: {error}");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn start_driver() -> Option<(Child, u16)> {
    let mut command = Command::new("chromedriver");
    let mut driver = command
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let lines = BufReader::new(driver.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let ready = "ChromeDriver was started successfully on port ";
    let port = lines
        .filter_map(|line| line.strip_prefix(ready)?.trim_end_matches('.').parse().ok())
        .next();
    Some((driver, port.expect("chromedriver says its port")))
}
