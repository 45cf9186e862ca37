//! A child process that never outlives its guard.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a process may take to say that it is ready, on a machine that is busy with other tests.
pub(crate) const READY_WITHIN: Duration = Duration::from_mins(1);

/// The lines that a process wrote, growing, and how many of its two streams are still open.
#[derive(Default)]
struct Heard {
    state: Mutex<(Vec<String>, usize)>,
    changed: Condvar,
}

/// A running child. Dropping it kills it.
pub(crate) struct Running {
    name: String,
    child: Child,
    heard: Arc<Heard>,
}

impl Running {
    /// Starts `command` with its standard input open (our counterparts end with it, also when the test process is
    /// killed and no guard is dropped) and listens to what it writes.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name} could not be started: {error}"));
        let heard = Arc::new(Heard { state: Mutex::new((Vec::new(), 2)), changed: Condvar::new() });
        listen(child.stdout.take().unwrap(), Arc::clone(&heard));
        listen(child.stderr.take().unwrap(), Arc::clone(&heard));
        Self { name: name.to_owned(), child, heard }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What was read of its two streams so far: a line that it just wrote may be missing.
    pub(crate) fn output(&self) -> String {
        self.heard.state.lock().unwrap().0.join("\n")
    }

    /// The first of its lines, past and future, that `wanted` takes.
    pub(crate) fn hear<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.hear_after(0, wanted)
    }

    /// Writes a line to its standard input: the JSON object that it answers with.
    pub(crate) fn ask(&mut self, line: &str) -> serde_json::Value {
        let heard = self.heard.state.lock().unwrap().0.len();
        let stdin = self.child.stdin.as_mut().expect("its standard input is open");
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        written.unwrap_or_else(|error| panic!("{} does not listen: {error}\n{}", self.name, self.output()));
        self.hear_after(heard, json_object).unwrap_or_else(|why| panic!("{why}"))
    }

    fn hear_after<T>(&self, skip: usize, wanted: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut state = self.heard.state.lock().unwrap();
        loop {
            if let Some(found) = state.0.iter().skip(skip).find_map(|line| wanted(line)) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.1 == 0 {
                let why = if left.is_zero() { "did not get ready" } else { "ended before it was ready" };
                return Err(format!("{} {why}; it wrote:\n{}", self.name, state.0.join("\n")));
            }
            state = self.heard.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Like [`Self::hear`], for the JSON line with which our counterparts announce themselves.
    pub(crate) fn announcement(&self) -> serde_json::Value {
        self.hear(json_object).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Sends the named signal (`TERM`, `HUP`).
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -s {signal} {}: {sent}", self.name);
    }

    /// Asks it to end and waits; panics when it does not end in time.
    pub(crate) fn stop(self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Asks it to end and waits; all that it wrote, both streams to their end. What is held against this cannot be
    /// still on its way, as in [`Self::output`].
    pub(crate) fn stop_and_tell(self) -> (std::process::ExitStatus, String) {
        let heard = Arc::clone(&self.heard);
        let status = self.stop();
        let open = heard.state.lock().unwrap();
        let (open, waited) = heard.changed.wait_timeout_while(open, READY_WITHIN, |open| open.1 > 0).unwrap();
        assert!(!waited.timed_out(), "somebody holds its output open");
        (status, open.0.join("\n"))
    }

    /// Waits for its end; panics when that does not come in time.
    pub(crate) fn ended(mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end; it wrote:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`: no farewell, no flush.
    pub(crate) fn kill_now(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already: nothing to be done about that here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- {} wrote:\n{}", self.name, self.output());
        }
    }
}

fn json_object(line: &str) -> Option<serde_json::Value> {
    serde_json::from_str::<serde_json::Value>(line).ok().filter(serde_json::Value::is_object)
}

fn listen(stream: impl Read + Send + 'static, heard: Arc<Heard>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            heard.state.lock().unwrap().0.push(String::from_utf8_lossy(&line).into_owned());
            heard.changed.notify_all();
        }
        heard.state.lock().unwrap().1 -= 1;
        heard.changed.notify_all();
    });
}
