//! The servers. Wire types are here and nowhere else, and so is the mapping of errors to statuses. Must never compute a feature: a
//! server asks the handle of the engine.

mod codes;
mod depth;
mod door;
mod error;
mod health;
mod limits;
mod long;
mod native;
mod process;
mod routes;
mod starting;
mod state;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::engine::Handle;
use crate::error::{Error, Result};
use crate::telemetry::Metrics;

pub use codes::CODES;
pub use limits::Limits;
pub use native::answer::{lookup_answer, score_answer, status_answer};
pub use native::dead_letters::{replay_answer, replay_body, replay_ends};
pub use native::exact::read_exact;
pub(crate) use native::frames;
pub use native::trim::TrimRequest;
pub use routes::RUN_HEADER;

/// A bound port, which answers once `run` is called.
pub struct Listener(TcpListener);

impl Listener {
    /// Takes the port.
    ///
    /// # Errors
    /// `Conflict` when another process has it; `Input` when the address is not this machine's or may not be used.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Error::conflict(format!(
                "{address} is in use: another process listens there; end it, or choose another port with --listen {}:0 (any free one)",
                address.ip()
            )),
            _ => Error::input(format!("cannot listen on {address}: {error}; choose another address with --listen")),
        })?;
        Ok(Self(listener))
    }

    /// Says to who asks that the engine starts, until it is there, and gives back what became of it.
    pub async fn answer_until<T>(&self, limits: &Limits, metrics: &Arc<Metrics>, engine: impl Future<Output = T>) -> T {
        starting::answer(&self.0, limits, metrics, engine).await
    }

    /// Where it listens: the port that was chosen, where 0 was asked for.
    pub fn address(&self) -> Result<SocketAddr> {
        self.0.local_addr().map_err(|error| Error::internal(format!("a listening socket has no address: {error}")))
    }
}

/// Serves until `shutdown` is ready, then finishes the requests in flight.
pub async fn run(handle: Handle, listener: Listener, limits: Limits, shutdown: impl Future<Output = ()>) -> Result<()> {
    let state = Arc::new(state::State::new(handle, limits)?);
    door::serve(listener.0, state, shutdown).await;
    Ok(())
}
