//! The door of HTTP: accepts connections, and bounds their number, how long each may wait for its client, and the bytes of bodies.
//! It closes without cutting off a client that can be answered in time. Must never know what a route means.

mod bodies;
mod connection;
mod course;
mod crowd;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub(super) use bodies::Bodies;
pub(super) use course::{Course, Phase};

use connection::Routes;
use course::Order;
use crowd::Crowd;

use super::routes;
use super::state::State;
use crate::telemetry::names;

/// What requests in flight get to end in, once the port is closed. The engine stops within what is left of ten seconds.
const DRAIN: Duration = Duration::from_secs(5);
/// What connections that are cut off get to say so in.
const CUT: Duration = Duration::from_millis(500);
/// Between two tries to accept where the system refuses.
const PAUSE: Duration = Duration::from_millis(100);
/// Clients that are told at the same time that there is no place.
const TURNED_AWAY_MAX: usize = 4;

/// Serves until `shutdown` is ready, and a while longer as set, then ends the requests in flight.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>, shutdown: impl Future<Output = ()>) {
    let routes = Routes::new(routes::router(Arc::clone(&state)));
    let crowd = Crowd::new(state.limits.connections_max, state.metrics.gauge(names::HTTP_CONNECTIONS, &[]));
    let stopped = async {
        shutdown.await;
        state.stop();
        // An engine that ended by itself answers nothing more.
        if state.handle.readiness().state != "failed" {
            tokio::time::sleep(state.limits.shutdown_delay).await;
        }
    };
    tokio::select! {
        () = accept(&listener, &state, &crowd, &routes) => {}
        () = stopped => {}
    }
    drop(listener);
    crowd.tell(Order::Finish);
    if tokio::time::timeout(DRAIN, crowd.empty()).await.is_err() {
        tracing::warn!("{} connections with requests still in flight after {DRAIN:?} were cut off", crowd.count());
        crowd.tell(Order::Cut);
        let _ = tokio::time::timeout(CUT, crowd.empty()).await;
    }
}

/// Lets connections in, for ever. Where the system gives none it is a problem, logged once, and tried again.
async fn accept(listener: &TcpListener, state: &Arc<State>, crowd: &Arc<Crowd>, routes: &Routes) {
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let mut fails = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                let remedy = "raise the limit of open files (ulimit -n), or lower connections_max";
                state.handle.set_door_problem(Some(format!("no connection can be accepted: {error}; {remedy}; it is tried again")));
                fails = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if std::mem::take(&mut fails) {
            state.handle.set_door_problem(None);
        }
        if let Some(place) = crowd.enter() {
            tokio::spawn(connection::serve(stream, place, routes.clone(), Arc::clone(state)));
        } else if let Ok(turn) = Arc::clone(&turned_away).try_acquire_owned() {
            let state = Arc::clone(state);
            tokio::spawn(async move {
                let _turn = turn;
                connection::turn_away(stream, state).await;
            });
        }
    }
}

/// Whether it is the fault of one connection, which is gone.
fn is_of_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
