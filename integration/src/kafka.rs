//! A real Kafka broker of one test: KRaft, on free loopback ports, in a folder that goes away with it. Must never end
//! a process that it did not start.

use std::fs;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::thread::sleep;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

/// Any 22 characters that are a base64 UUID.
const CLUSTER: &str = "Zm9yZWJheS10ZXN0LWthZg";
/// How often a broker that starts is asked whether it answers, and how long each time.
const ASKED: usize = 120;
const ASK: Duration = Duration::from_millis(500);

/// A running broker; it is killed when dropped.
pub struct Broker {
    folder: TempDir,
    jars: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Broker {
    /// Starts a broker and waits until it answers. `None`, with a line that says so, where Java or the jars are
    /// missing; panics when they are there and the broker does not start.
    pub fn start() -> Option<Self> {
        let jars = match jars() {
            Ok(jars) => jars,
            Err(missing) => {
                println!("skipped: {missing}");
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, controller) = free_ports().expect("free ports on loopback");
        let logs = folder.path().join("logs");
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.retention.check.interval.ms=1000\n",
            logs.display()
        );
        fs::write(folder.path().join("server.properties"), properties).expect("the broker's settings");
        let mut broker = Self { folder, jars, port, process: None };
        let formatted = broker.java("kafka.tools.StorageTool", &["format", "-t", CLUSTER, "-c"]).status();
        assert!(formatted.expect("java").success(), "kafka's storage is not formatted: {}", broker.said());
        broker.restart();
        Some(broker)
    }

    /// What clients connect to.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn config(&self) -> ClientConfig {
        ClientConfig::new().set("bootstrap.servers", self.bootstrap()).clone()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("a client")
    }

    /// Changes a setting of a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn set_topic(&self, name: &str, setting: &str, value: &str) {
        let (admin, options) = (self.admin(), AdminOptions::new());
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(setting, value);
        let changed = wait(admin.alter_configs([&change], &options)).expect("an answer");
        assert!(changed.iter().all(Result::is_ok), "{changed:?}");
    }

    /// Deletes a topic, and waits until it is gone.
    ///
    /// # Panics
    /// When it stays.
    pub fn delete_topic(&self, name: &str) {
        let (admin, options) = (self.admin(), AdminOptions::new());
        let _ = wait(admin.delete_topics(&[name], &options));
        for _ in 0..ASKED {
            let consumer: BaseConsumer = self.config().create().expect("a client");
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
            if metadata.topics().iter().all(|topic| topic.name() != name) {
                return;
            }
            sleep(ASK);
        }
        panic!("topic {name} stays");
    }

    /// Ends the broker as a crash would. Its data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts the broker again on the same port and data, and waits until it answers.
    pub fn restart(&mut self) {
        self.stop();
        self.process = Some(self.java("kafka.Kafka", &[]).spawn().expect("java"));
        for _ in 0..ASKED {
            let ended = self.process.as_mut().map(Child::try_wait);
            assert!(matches!(ended, Some(Ok(None))), "the broker ended by itself: {}", self.said());
            if self.answers() {
                return;
            }
            sleep(ASK / 5);
        }
        panic!("the broker does not answer: {}", self.said());
    }

    fn answers(&self) -> bool {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        let Ok(client) = config.create::<BaseConsumer>() else { return false };
        client.fetch_metadata(None, ASK).is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    /// `java CLASS ARGUMENTS.. server.properties`, with what it prints in a file.
    fn java(&self, class: &str, arguments: &[&str]) -> Command {
        let output = fs::OpenOptions::new().create(true).append(true).open(self.output()).expect("a file for the broker's output");
        let errors = output.try_clone().expect("a file for the broker's output");
        let mut command = Command::new("java");
        command.arg("-Xmx512m").arg("-cp").arg(self.jars.join("*")).arg(class).args(arguments);
        command.arg(self.folder.path().join("server.properties"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(output).stderr(errors);
        command
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output.txt")
    }

    /// The end of what the broker printed.
    fn said(&self) -> String {
        let said = fs::read_to_string(self.output()).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
        sleep(Duration::from_millis(10));
    }
}

/// The folder of Kafka's jars, or what is missing.
fn jars() -> Result<PathBuf, String> {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        return Err("java is not installed (`make setup` installs it)".to_owned());
    }
    let cache = std::env::var_os("FOREBAY_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache").join("forebay"))
    });
    let jars = cache.unwrap_or_default().join("kafka").join("lib");
    let has_broker = fs::read_dir(&jars)
        .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("kafka_2.13-"))));
    if has_broker { Ok(jars) } else { Err(format!("no Kafka jars in {} (`make setup` copies them)", jars.display())) }
}

/// Two free ports of loopback.
fn free_ports() -> io::Result<(u16, u16)> {
    let (one, two) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), two.local_addr()?.port()))
}
