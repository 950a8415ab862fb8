//! An object store that speaks S3, of one test, with a door in front of it that can be slow, or shut. Must never end a
//! process that it did not start.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::folders::cache;
use crate::harness::wait_for;

const BUCKET: &str = "backups";

/// What the door does with who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    Open,
    /// Takes connections and says nothing.
    Silent,
    /// Closes connections at once, those that there are with the next byte.
    Shut,
}

/// A running store with one bucket; killed when dropped.
pub struct Buckets {
    process: Child,
    address: SocketAddr,
    door: SocketAddr,
    state: Arc<AtomicU8>,
    passed: Arc<AtomicU64>,
}

impl Buckets {
    /// `None`, with a line that says so, where the store is not installed.
    ///
    /// # Panics
    /// When it is there and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = cache().join("moto-venv/bin/moto_server");
        if !program.exists() {
            println!("skipped: {} is not there (make setup installs it)", program.display());
            return None;
        }
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the store starts");
        let (state, passed) = (Arc::new(AtomicU8::new(Door::Open as u8)), Arc::<AtomicU64>::default());
        let door = doorkeeper(address, Arc::clone(&state), Arc::clone(&passed));
        let store = Self { process, address, door, state, passed };
        wait_for("the object store", || store.request("PUT", &format!("/{BUCKET}"), &[]));
        Some(store)
    }

    /// Where checkpoints go, below a prefix.
    #[must_use]
    pub fn place(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// How the store is reached, through its door.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.door)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "one".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "two".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    pub fn door(&self, door: Door) {
        self.state.store(door as u8, Ordering::SeqCst);
    }

    /// Bytes that went in by the door so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// The names of all objects below a prefix.
    ///
    /// # Panics
    /// When the store does not answer.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let answer = self.request("GET", &format!("/{BUCKET}?list-type=2&prefix={prefix}"), &[]).expect("an answer");
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split("<Key>").skip(1).filter_map(|part| Some(part.split_once("</Key>")?.0.to_owned())).collect()
    }

    /// Puts other bytes in the place of an object's.
    ///
    /// # Panics
    /// When the store does not answer.
    pub fn overwrite(&self, name: &str, bytes: &[u8]) {
        let _ = self.request("PUT", &format!("/{BUCKET}/{name}"), bytes).expect("an answer");
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// When the store does not answer.
    #[must_use]
    pub fn content(&self, name: &str) -> Vec<u8> {
        self.request("GET", &format!("/{BUCKET}/{name}"), &[]).expect("an answer")
    }

    /// Asks the store itself, not through its door; `None` until it answers well.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let url = format!("http://{}{path}", self.address);
        // Who asks without a signature is not shown an object; the store does not look at what is signed.
        let signed = "AWS4-HMAC-SHA256 Credential=one/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let mut answer = match method {
            "PUT" => agent.put(url).header("authorization", signed).send(body).ok()?,
            _ => agent.get(url).header("authorization", signed).call().ok()?,
        };
        answer.body_mut().read_to_vec().ok()
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Takes connections for the store at `to`, for as long as the test's process lives.
fn doorkeeper(to: SocketAddr, state: Arc<AtomicU8>, passed: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for comer in listener.incoming().flatten() {
            let (state, passed) = (Arc::clone(&state), Arc::clone(&passed));
            std::thread::spawn(move || {
                let Ok(store) = TcpStream::connect(to) else { return };
                let (Ok(back), Ok(answers)) = (comer.try_clone(), store.try_clone()) else { return };
                let (of_answers, none) = (Arc::clone(&state), Arc::default());
                std::thread::spawn(move || carry(answers, back, &of_answers, &none));
                carry(comer, store, &state, &passed);
            });
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8, passed: &AtomicU64) {
    let mut bytes = vec![0; 64 << 10];
    let is = |door: Door| state.load(Ordering::SeqCst) == door as u8;
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        while is(Door::Silent) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if is(Door::Shut) || to.write_all(&bytes[..length]).is_err() {
            break;
        }
        passed.fetch_add(length as u64, Ordering::SeqCst);
    }
    // Sockets that are gone already need no goodbye.
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
