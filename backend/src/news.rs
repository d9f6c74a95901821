//! News: what a domain tells to whoever listens, without knowing who that is.
//!
//! A domain publishes its `News` enum in the transaction that made it true. The table in [`crate::app`]
//! says which queues listen to which domain; a job per listener carries the news there.

use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a domain publishes.
pub trait News: Serialize + DeserializeOwned {
    /// The domain's name.
    const DOMAIN: &'static str;
}

/// A queue that gets a job for every news of a domain; its payload is that domain's `News`.
#[derive(Clone, Copy)]
pub struct Listener {
    /// Whose news.
    pub domain: &'static str,
    /// Which queue.
    pub queue: &'static str,
}

/// The queue of news that have not been carried to their listeners.
pub const QUEUE: Queue = Queue { name: "news", handler: |app, job| Box::pin(carry(app, job)) };

#[derive(Clone, Serialize, Deserialize)]
struct Envelope {
    domain: String,
    news: serde_json::Value,
}

/// Tells all listeners, once this transaction is committed.
pub async fn publish<N: News>(tx: &Tx, news: &N) -> Result<()> {
    let envelope = Envelope { domain: N::DOMAIN.to_owned(), news: serde_json::to_value(news)? };
    jobs::enqueue(tx, QUEUE.name, &envelope, tx.now(), None).await?;
    Ok(())
}

async fn carry(app: App, job: Job) -> Result<()> {
    let envelope: Envelope = job.payload()?;
    let listeners: Vec<&'static str> = app
        .listeners()
        .iter()
        .filter(|listener| listener.domain == envelope.domain)
        .map(|listener| listener.queue)
        .collect();
    app.db
        .write(move |tx| {
            let (job, envelope, listeners) = (job.clone(), envelope.clone(), listeners.clone());
            Box::pin(async move {
                for queue in listeners {
                    jobs::enqueue(tx, queue, &envelope.news, tx.now(), Some(format!("news:{}", job.id)))
                        .await?;
                }
                job.finish(tx).await
            })
        })
        .await
}
