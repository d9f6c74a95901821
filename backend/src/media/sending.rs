//! A picture on its way to a reader.
//!
//! A slow reader, or one that never reads, must not keep pictures in memory: so many are on their way at a time, each
//! leaves in small pieces, and what has not left in time is given up.

use super::Media;
use crate::error::{Error, Result};
use crate::limits;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use std::io;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::timeout;

/// What one read of the body yields, bytes.
const PIECE_BYTES: usize = 64 * 1024;

impl Media {
    /// An answer that carries what `read` brings. It waits until there is room for one more picture in memory.
    pub(super) async fn send(&self, read: impl Future<Output = Result<Bytes>>) -> Result<Response> {
        let place = self.sendings.clone().acquire_owned().await.map_err(Error::internal)?;
        let picture = read.await?;
        let length = picture.len();
        let (pieces, body) = mpsc::channel(1);
        tokio::spawn(async move {
            // Whoever waits for the rest is told by the end of the channel.
            let _ = timeout(limits::PICTURE_SENT_WITHIN, feed(picture, pieces)).await;
            drop(place);
        });
        let mut response = Body::from_stream(whole(body, length)).into_response();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Ok(response)
    }
}

/// Each piece is a copy: a part of the picture's own memory would keep all of it.
async fn feed(picture: Bytes, pieces: Sender<Bytes>) {
    for piece in picture.chunks(PIECE_BYTES) {
        if pieces.send(Bytes::copy_from_slice(piece)).await.is_err() {
            return;
        }
    }
}

/// The pieces, and an error if they end before the picture does.
fn whole(pieces: mpsc::Receiver<Bytes>, length: usize) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((pieces, length), |(mut pieces, missing)| async move {
        match pieces.recv().await {
            Some(piece) => {
                let missing = missing.saturating_sub(piece.len());
                Ok(Some((piece, (pieces, missing))))
            }
            None if missing == 0 => Ok(None),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "the picture was not taken in time")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn sent(read_after: std::time::Duration) -> io::Result<usize> {
        let (pieces, body) = mpsc::channel(1);
        let picture = Bytes::from(vec![7; 5 * PIECE_BYTES + 1]);
        let length = picture.len();
        tokio::spawn(async move {
            let _ = timeout(limits::PICTURE_SENT_WITHIN, feed(picture, pieces)).await;
        });
        tokio::time::sleep(read_after).await;
        let mut pieces = std::pin::pin!(whole(body, length));
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            bytes += piece?.len();
        }
        Ok(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn a_picture_arrives_whole_or_ends_with_an_error() {
        assert_eq!(sent(std::time::Duration::ZERO).await.unwrap(), 5 * PIECE_BYTES + 1);
        let late = sent(limits::PICTURE_SENT_WITHIN * 2).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
