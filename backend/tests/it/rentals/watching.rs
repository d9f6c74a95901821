//! The app watches a rental until its power bank is out, without asking again and again.

use super::world::{Rider, World};
use axum::body::{Body, BodyDataStream};
use axum::http::{Method, StatusCode};
use backend::limits;
use entities::id::RentalId;
use futures::StreamExt;
use protocol::control::Verdict;
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt;

/// A stream of events, as a telephone reads it.
struct Watched {
    body: BodyDataStream,
    text: String,
}

impl World {
    async fn watch(&self, rider: &Rider, id: RentalId) -> Watched {
        let path = format!("/api/v1/rentals/{id}/events");
        let request = self.test.bearer(&rider.token).request(Method::GET, &path).body(Body::empty()).unwrap();
        let response = self.test.app.public_router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Watched { body: response.into_body().into_data_stream(), text: String::new() }
    }
}

impl Watched {
    /// The next event's rental; nothing at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let data = event.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
                match data {
                    Some(data) => {
                        assert!(event.contains("event: rental"), "{event}");
                        return Some(serde_json::from_str(&data).unwrap());
                    }
                    None => continue,
                }
            }
            let waited = tokio::time::timeout(Duration::from_secs(20), self.body.next());
            let bytes = waited.await.expect("nothing came for a long time")?.unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test]
async fn a_rental_is_told_as_it_changes_until_the_bank_is_out() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        let mut watched = world.watch(&rider, id).await;
        let first = watched.next().await.unwrap();
        assert_eq!((&first["status"], &first["phase"]), (&"pending".into(), &"ejecting".into()));
        world.advance_s(25);
        assert_eq!(watched.next().await.unwrap()["phase"], "confirming");
        world.verdict(id, Verdict::Done).await;
        let mut last = watched.next().await.unwrap();
        while last["status"] == "pending" {
            last = watched.next().await.unwrap();
        }
        assert_eq!(last["status"], "active");
        assert_eq!(watched.next().await, None);

        // What is settled is told once.
        let mut again = world.watch(&rider, id).await;
        assert_eq!(again.next().await.unwrap()["status"], "active");
        assert_eq!(again.next().await, None);
    }
}

#[tokio::test]
async fn only_the_rider_watches_only_so_often_and_not_beyond_the_end_of_the_program() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (rider, stranger) = (world.rider(500).await, world.rider(0).await);
        let id = world.start(&rider, "A").await;
        let path = format!("/api/v1/rentals/{id}/events");
        world.test.bearer(&stranger.token).get(&path).await.problem(404, "rental_not_found");
        let mut streams = Vec::new();
        for _ in 0..limits::STREAMS_PER_RIDER_MAX {
            streams.push(world.watch(&rider, id).await);
        }
        world.test.bearer(&rider.token).get(&path).await.problem(429, "too_many_streams");
        streams.pop();
        let mut last = world.watch(&rider, id).await;
        assert_eq!(last.next().await.unwrap()["status"], "pending");
        world.test.app.stopping.cancel();
        assert_eq!(last.next().await, None);
    }
}
