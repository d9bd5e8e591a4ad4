//! The program itself, as a child process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Ends a test that would wait for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// The program, killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    /// What was read from its log so far.
    pub(crate) log: String,
}

impl Program {
    /// Starts the program with these variables and no others.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orders"))
            .env_clear()
            .env("PORT", "0")
            .env("OTEL_TRACES_EXPORTER", "none")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = log.lines().map_while(Result::ok);
            lines.all(|line| sender.send(line).is_ok())
        });
        Self {
            child,
            lines,
            log: String::new(),
        }
    }

    /// The address from the log line that names it.
    pub(crate) fn address(&mut self) -> String {
        let line = self.logged("listening");
        line["fields"]["address"].as_str().unwrap().to_owned()
    }

    /// Waits for a log line with this message.
    pub(crate) fn logged(&mut self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("never logged: {message}\n{}", self.log));
            self.log.push_str(&line);
            self.log.push('\n');
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    }

    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
    }

    /// Waits for the end of the program, and of its log.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "never ended\n{}", self.log);
            thread::sleep(Duration::from_millis(10));
        };
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
