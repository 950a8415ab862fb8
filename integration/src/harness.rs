//! Runs the real `forebay` binary in a folder of its own. Every process that it starts is ended when its handle goes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::folders::workspace;

/// How long anything may take before a test gives up: generous, because machines that build are slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// The binary: `FOREBAY_BIN`, or the one that cargo builds from the sources as they are now, once for each process.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("FOREBAY_BIN").map_or_else(build, PathBuf::from)).clone()
}

/// Builds the binary in the profile of this executable, which is in the same target folder.
fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a test has an executable");
    let folder = if own.parent().is_some_and(|folder| folder.ends_with("deps")) { own.ancestors().nth(2) } else { own.parent() };
    let folder = folder.expect("an executable is in a folder");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "forebay", "--bin", "forebay"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(workspace()).status().expect("cargo can be started");
    assert!(built.success(), "cargo build failed: see above");
    folder.join("forebay")
}

/// Waits until `ready` gives something.
///
/// # Panics
/// When it does not in time; `what` says what was awaited.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// # Panics
    /// When the command failed.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A folder with definitions (`features/`), data (`data/`) and whatever files a test writes.
pub struct Project {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// A project with one file of definitions.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new(definitions: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let project = Self { folder, environment: Vec::new() };
        project.write("features/test.bay", definitions);
        project
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Sets a variable of the environment of every command from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file of this project.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside the project")).expect("a folder");
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// # Panics
    /// When it is not there or not text.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary in this project's folder, with its settings from the arguments alone. Folders of the project are named
    /// relative to it, so that messages do not depend on where temporary folders are.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOREBAY_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).args(["--data", "data", "--features", "features"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        Ended::of(&self.command(arguments).stdin(Stdio::null()).output().expect("the binary can be started"))
    }

    /// Runs a command that reads `input`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        // A command that ends early closes its input; what it says about that is what the test looks at.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("the writer ends");
        Ended::of(&output)
    }

    /// Appends events to a source's log.
    pub fn push(&self, source: &str, events: &[Json]) -> Ended {
        self.run_with_input(&["push", source, "-"], ndjson(events).as_bytes())
    }

    /// Processes all that the logs hold and exits.
    pub fn catch_up(&self) {
        let _ = self.run(&["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]).ok();
    }

    /// Starts the engine and its servers and waits until its state is restored; records of before may still be applied.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    #[must_use]
    pub fn serve_with(&self, arguments: &[&str]) -> Server {
        let server = self.start(arguments);
        server.wait_until_restored();
        server
    }

    /// Starts the engine and waits until its port is known, not until it is ready.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Server {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        self.start_command(self.command(&all))
    }

    /// The same behind a word to the shell, such as `ulimit -n 64`.
    #[must_use]
    pub fn start_after(&self, word: &str, arguments: &[&str]) -> Server {
        let all = ["serve", "--listen", "127.0.0.1:0"].iter().chain(arguments);
        let inner = self.command(&all.collect::<Vec<_>>());
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{word}; exec \"$0\" \"$@\"")]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(self.path(""));
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.start_command(command)
    }

    fn start_command(&self, mut command: Command) -> Server {
        let announced = self.data().join("server.json");
        let _ = fs::remove_file(&announced); // left behind by one that was killed
        let log = self.path("server.log");
        let output = File::options().create(true).append(true).open(&log).expect("a file for the server's words");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a second handle")).stderr(output);
        let mut server =
            Server { child: Mutex::new(command.spawn().expect("the server can be started")), address: String::new(), log, agent: agent() };
        server.address = server.wait("its address", || {
            let text = fs::read_to_string(&announced).ok()?;
            let announced: Json = serde_json::from_str(&text).ok()?;
            Some(announced["listen"].as_str()?.to_owned())
        });
        server
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Mutex<Child>,
    /// `127.0.0.1:port`
    pub address: String,
    log: PathBuf,
    agent: ureq::Agent,
}

impl Server {
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// What the server has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assert_running(&self) {
        if let Ok(Some(status)) = self.child().try_wait() {
            panic!("the server ended by itself ({status}); it said:\n{}", self.said());
        }
    }

    /// Waits until `ready` gives something, for as long as the server runs.
    fn wait<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            self.assert_running();
            assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait_until_restored(&self) {
        self.wait("its state", || {
            let (status, body) = self.try_get("/health/ready")?;
            (status == 200 || body.contains("\"catching_up\"")).then_some(())
        });
    }

    /// Until what its logs held at the start is applied.
    pub fn wait_until_ready(&self) {
        self.wait("readiness", || (self.try_get("/health/ready")?.0 == 200).then_some(()));
    }

    #[must_use]
    pub fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = self.agent.get(format!("http://{}{path}", self.address)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to GET {path}; the server said:\n{}", self.said()))
    }

    /// Status and body, or `None` when the server does not answer.
    #[must_use]
    pub fn try_post(&self, path: &str, content_type: &str, body: &[u8]) -> Option<(u16, String)> {
        let request = self.agent.post(format!("http://{}{path}", self.address)).header("content-type", content_type);
        let mut answer = request.send(body).ok()?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
        Some((status, body))
    }

    /// # Panics
    /// When the server does not answer with JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let answer = self.try_post(path, "application/json", body.to_string().as_bytes());
        let (status, text) = answer.unwrap_or_else(|| panic!("no answer to POST {path}; the server said:\n{}", self.said()));
        let json = crate::answers::read_json(&text);
        (status, json)
    }

    /// Pushes events; the receipt.
    ///
    /// # Panics
    /// When they are not all taken as records.
    pub fn push(&self, source: &str, events: &[Json]) -> Json {
        let path = format!("/v1/sources/{source}/events");
        let answer = self.try_post(&path, "application/x-ndjson", ndjson(events).as_bytes());
        let (status, body) = answer.unwrap_or_else(|| panic!("no answer to a push; the server said:\n{}", self.said()));
        // Without one that is accepted it is 422, with the receipt all the same.
        assert!(matches!(status, 200 | 422), "{body}");
        crate::answers::read_json(&body)
    }

    /// A lookup of many rows; the answer's rows as objects from column to value.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn lookup(&self, vector: &str, request: &Json) -> Vec<Json> {
        let (status, answer) = self.post(&format!("/v1/vectors/{vector}/lookup"), request);
        assert_eq!(status, 200, "{answer}");
        rows(&answer)
    }

    /// Waits until so many events are applied.
    pub fn wait_for_seq(&self, seq: usize) {
        self.wait(&format!("event {seq}"), || {
            let status = crate::answers::read_json(&self.try_get("/v1/status")?.1);
            (status["seq"].as_u64()? >= seq as u64).then_some(())
        });
    }

    /// The value of a metric summed over its labels that contain `having`; 0 when there is none.
    #[must_use]
    pub fn metric(&self, name: &str, having: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#') && line.contains(having));
        let of_name = lines.filter(|line| line[name.len()..].starts_with(['{', ' ']));
        of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// SIGKILL: no chance to say goodbye.
    pub fn kill(self) {
        self.end();
    }

    /// SIGTERM, then waits for the end; the exit code.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn stop(self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill is there");
        assert!(status.success(), "the server was gone already; it said:\n{}", self.said());
        wait_for("a graceful end", || self.child().try_wait().expect("its own child")).code()
    }

    fn end(&self) {
        // Both fail only when the process has ended already.
        drop(self.child().kill());
        drop(self.child().wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
    ureq::Agent::new_with_config(config.build())
}

/// One line per value.
#[must_use]
pub fn ndjson(events: &[Json]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect::<Vec<_>>().concat()
}

/// The rows of a lookup's answer as objects from column to value.
///
/// # Panics
/// When the answer is not one of a lookup.
#[must_use]
pub fn rows(answer: &Json) -> Vec<Json> {
    let names = answer["names"].as_array().expect("names");
    let object = |row: &Json| {
        let values = row.as_array().expect("a row").iter().cloned();
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).zip(values).collect()
    };
    answer["values"].as_array().expect("values").iter().map(|row| Json::Object(object(row))).collect()
}

/// The same keys and time for many rows.
#[must_use]
pub fn as_of(keys: &[Json], time: &str) -> Json {
    json!({"keys": keys, "as_of": time})
}
