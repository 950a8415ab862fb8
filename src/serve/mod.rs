//! The servers: HTTP with JSON, its wire types and the document that describes them. Wire types live here and nowhere
//! else, and so does the mapping of errors to statuses. Must never compute a feature: it asks the engine's handle.

mod answer;
mod asked;
mod catalog;
mod copy;
mod dead_letters;
mod depth;
mod door;
mod error;
mod events;
mod exact;
pub(crate) mod frames;
mod health;
mod limits;
mod long;
mod lookup;
mod openapi;
mod process;
mod request;
mod routes;
mod score;
mod starting;
mod state;
#[cfg(test)]
mod tests;
mod trim;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::engine::Handle;
use crate::error::{Error, Result};
use crate::telemetry::Metrics;

pub use answer::{lookup_answer, score_answer, status_answer};
pub use dead_letters::{replay_answer, replay_body, replay_ends};
pub use exact::read_exact;
pub use limits::Limits;
pub use routes::RUN_HEADER;
pub use trim::TrimRequest;

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
