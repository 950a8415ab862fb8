//! One connection, from its first byte to its last: requests in order, and each wait bounded. Must never end a connection early
//! without telling the client why, where that is possible.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::course::{Order, Phase};
use super::crowd::Place;
use super::wire::Wire;
use crate::serve::error::{Code, Refusal};
use crate::serve::state::{State, UNKNOWN};

/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a client that is refused may take to take the refusal, and to stop sending.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often it is looked, at most, whether a connection waits for too long.
const LOOK_MAX: Duration = Duration::from_secs(5);
const LOOK_MIN: Duration = Duration::from_millis(20);

/// What a connection's requests are answered by.
pub(super) type Routes = TowerToHyperService<axum::Router>;

/// Why a connection ended.
enum End {
    /// Its client left, or was answered for the last time.
    Done,
    /// What it sent was no request.
    NotHttp,
    /// What it waited for did not come.
    Late(Phase),
    Ordered(Order),
}

pub(super) async fn serve(stream: TcpStream, place: Place, routes: Routes, state: Arc<State>) {
    let course = place.course.clone();
    // Answers are single writes: waiting to fill packets would only delay them. A socket that refuses still works.
    let _ = stream.set_nodelay(true);
    let (answering, noted) = (course.clone(), course.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        answering.enter(Phase::Answer);
        request.extensions_mut().insert(answering.clone());
        let (answer, answered) = (routes.call(request), answering.clone());
        async move {
            let answer = answer.await;
            answered.enter(Phase::Write);
            answer
        }
    });
    let words = {
        let state = Arc::clone(&state);
        move |status| raw(&state, unreadable(status))
    };
    let mut builder = Builder::new();
    builder.max_header_size(HEAD_BYTES_MAX);
    let mut connection = builder.serve_connection(TokioIo::new(Wire::new(stream, noted, words)), service);
    let look = LOOK_MAX.min(state.limits.shortest_timeout() / 4).max(LOOK_MIN);
    let mut clock = pin!(tokio::time::sleep(look));
    let end = loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = &ended {
                    tracing::debug!("a connection ended: {error}");
                }
                break if ended.is_err_and(|error| error.is_parse()) { End::NotHttp } else { End::Done };
            }
            () = course.told() => match course.order() {
                Order::Stay => {}
                // Nothing is in hand that could be finished.
                Order::Finish if matches!(course.phase(), Phase::New | Phase::Head) => break End::Ordered(Order::Cut),
                Order::Finish => Pin::new(&mut connection).graceful_shutdown(),
                Order::Yield if matches!(course.phase(), Phase::Answer | Phase::Write) => Pin::new(&mut connection).graceful_shutdown(),
                order => break End::Ordered(order),
            },
            () = &mut clock => {
                let (phase, waited) = course.waits();
                if waited >= state.limits.timeout(phase) {
                    break End::Late(phase);
                }
                clock.as_mut().reset(Instant::now() + look);
            }
        }
    };
    let wire = connection.into_parts().io.into_inner();
    let refusal = match &end {
        End::NotHttp if !wire.has_spoken() => Some(unreadable(StatusCode::BAD_REQUEST)),
        End::Done | End::NotHttp => None,
        End::Late(Phase::Head) => {
            let message = format!("the head of the request did not come within {:?} (header_timeout)", state.limits.header_timeout);
            Some(Refusal { status: StatusCode::REQUEST_TIMEOUT, ..Refusal::bad("too_slow", None, message) })
        }
        End::Ordered(order) => match course.phase() {
            Phase::Head | Phase::Body if *order == Order::Cut => Some(Refusal::unavailable("stopping", "the server stops: ask again")),
            Phase::Answer if *order == Order::Cut => {
                let message = "the server stops before the answer is there: what was to be written may be, look before it is sent again";
                Some(Refusal::unavailable("stopping", message))
            }
            Phase::Head | Phase::Body => Some(crowded(&state)),
            _ => None,
        },
        End::Late(_) => None,
    };
    let mut stream = wire.into_stream();
    if let Some(refusal) = refusal {
        // What the socket does not take at once is not waited for: the place may be another's already.
        let _ = stream.try_write(&raw(&state, refusal));
    }
    if matches!(end, End::NotHttp) || matches!(end, End::Done) && course.is_unread() {
        farewell(&mut stream).await;
    }
}

/// Tells a client that there is no place for it.
pub(super) async fn turn_away(mut stream: TcpStream, state: Arc<State>) {
    let _ = stream.try_write(&raw(&state, crowded(&state)));
    farewell(&mut stream).await;
}

/// Lets a client read what was said: a socket that is closed while bytes still come takes back what it sent.
async fn farewell(stream: &mut TcpStream) {
    let parting = async {
        stream.shutdown().await?;
        let mut rest = [0; 8192];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A client that is gone, or sends on for longer, is not waited for.
    let _ = tokio::time::timeout(FAREWELL, parting).await;
}

fn crowded(state: &State) -> Refusal {
    let most = state.limits.connections_max;
    Refusal::unavailable("too_many_connections", format!("all {most} connections are in use: ask again, or raise connections_max"))
}

/// What is wrong with a head, by the status that hyper gives it.
fn unreadable(status: StatusCode) -> Refusal {
    let (code, message) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("head_too_large", "the head of the request is larger than 64 KiB, or has more than 100 fields")
        }
        StatusCode::URI_TOO_LONG => ("path_too_long", "the path of the request is too long"),
        _ => ("unreadable_head", "the head of the request is none of http/1.1"),
    };
    Refusal { status, ..Refusal::bad(code, None, message) }
}

/// A refusal as the bytes of a last answer, counted.
fn raw(state: &State, refusal: Refusal) -> Vec<u8> {
    state.count(UNKNOWN, refusal.status, Some(Code(refusal.code)));
    refusal.into_bytes()
}
