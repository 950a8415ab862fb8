//! The bytes of a connection, between hyper and the socket. Records the phase of the connection, and replaces hyper's answer to an
//! invalid head, which is a status alone. Must never change the bytes of an answer of ours.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::course::{Course, Phase};

/// What is said in the place of hyper's answer.
type Words = Box<dyn FnMut(StatusCode) -> Vec<u8> + Send>;

pub(super) struct Wire<T> {
    stream: T,
    course: Course,
    words: Words,
    /// Once hyper answered by itself: what is said instead, and how much of it the socket has taken.
    own: Option<(Vec<u8>, usize)>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub fn new(stream: T, course: Course, words: impl FnMut(StatusCode) -> Vec<u8> + Send + 'static) -> Self {
        Self { stream, course, words: Box::new(words), own: None }
    }

    pub fn into_stream(self) -> T {
        self.stream
    }

    /// Whether something was said in the place of hyper.
    pub fn has_spoken(&self) -> bool {
        self.own.is_some()
    }

    /// Whether hyper writes by itself: no request was handed on, so there is nothing to answer.
    fn is_of_hyper(&mut self, bytes: &[u8]) -> bool {
        if self.own.is_none() && matches!(self.course.phase(), Phase::New | Phase::Idle | Phase::Head) {
            // "HTTP/1.1 400 .."
            let status = bytes.get(9..12).and_then(|status| StatusCode::from_bytes(status).ok()).unwrap_or(StatusCode::BAD_REQUEST);
            self.own = Some(((self.words)(status), 0));
        }
        self.own.is_some()
    }

    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some((bytes, taken)) = &mut self.own {
            while *taken < bytes.len() {
                match ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[*taken..]))? {
                    0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                    more => *taken += more,
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What the socket took is progress.
    fn written(&self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() && self.course.phase() == Phase::Write {
            self.course.enter(Phase::Write);
        }
        written
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.course.received();
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.is_of_hyper(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.is_of_hyper(slices.first().map_or(&[], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if flushed.is_ready() && this.course.phase() == Phase::Write {
            this.course.enter(Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_hyper_says_is_replaced_and_answers_are_not() {
        let course = Course::default();
        let (ours, mut client) = tokio::io::duplex(4096);
        let mut wire = Wire::new(ours, course.clone(), |status| format!("ours {}", status.as_u16()).into_bytes());
        course.enter(Phase::Write);
        wire.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        wire.flush().await.unwrap();
        assert_eq!(course.phase(), Phase::Idle);
        client.write_all(b"GET").await.unwrap();
        let mut read = [0; 3];
        wire.read_exact(&mut read).await.unwrap();
        assert_eq!(course.phase(), Phase::Head);
        for part in [&b"HTTP/1.1 431 Request Header Fields Too Large\r\n"[..], b"content-length: 0\r\n\r\n"] {
            wire.write_all(part).await.unwrap();
        }
        wire.shutdown().await.unwrap();
        drop(wire);
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "HTTP/1.1 200 OK\r\n\r\nours 431");
    }
}
