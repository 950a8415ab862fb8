//! `<data>/server.json`: where the process that serves a data folder answers, for the commands that go through it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const FILE: &str = "server.json";
/// A server on the same machine accepts within this, unless it is gone.
const CONNECT: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: u32,
    listen: SocketAddr,
}

/// The file of a server that runs; it goes away with this.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
}

impl Presence {
    /// Says that this process serves `data` at `listen`.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub fn announce(data: &Path, listen: SocketAddr) -> Result<Self> {
        let path = data.join(FILE);
        let record = Record { pid: std::process::id(), listen: reachable(listen) };
        let text = serde_json::to_string(&record).map_err(|error| Error::internal(format!("{FILE}: {error}")))?;
        let partial = data.join(format!("{FILE}.partial"));
        let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| {
            Error::unavailable(format!("cannot write {}: {error}; free space, or choose another folder with --data", path.display()))
        })?;
        Ok(Self { path })
    }

    /// Where the server of `data` answers; `None` when none does, also when one left its file behind.
    #[must_use]
    pub fn find(data: &Path) -> Option<SocketAddr> {
        let text = fs::read_to_string(data.join(FILE)).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        TcpStream::connect_timeout(&record.listen, CONNECT).ok()?;
        Some(record.listen)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A file that stays behind names a port where nobody answers, which `find` notices.
        let _ = fs::remove_file(&self.path);
    }
}

/// A server on all addresses is reached by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_while_it_listens_and_not_after() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Presence::find(data.path()), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let presence = Presence::announce(data.path(), address).unwrap();
        assert_eq!(Presence::find(data.path()), Some(address));
        drop(listener);
        assert_eq!(Presence::find(data.path()), None, "a file that was left behind");
        drop(presence);
        assert!(!data.path().join(FILE).exists());
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:7".parse().unwrap()), "127.0.0.1:7".parse().unwrap());
        assert_eq!(reachable("[::]:7".parse().unwrap()), "[::1]:7".parse().unwrap());
    }
}
