//! A rider who has one of everything, and requests to every operation that name those things.

use crate::operations::Operation;
use crate::payments::{open, press, verify};
use crate::rentals::{STATION, under_way};
use crate::riders::{Rider, empty_profile};
use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::http::{Method, header};
use serde_json::{Value, json};

/// A backend, and what its rider owns.
pub(crate) struct Tour {
    pub(crate) test: TestApp,
    pub(crate) rider: Rider,
    rental: String,
    intent: String,
    transaction: String,
    notification: String,
    device: String,
}

/// What a path names.
pub(crate) enum Named {
    /// A thing of the rider's.
    Own(String),
    /// A thing of everybody's.
    Common(String),
}

impl Tour {
    pub(crate) async fn on_each_backend() -> Vec<Self> {
        let mut tours = Vec::new();
        for begun in under_way().await {
            let (test, rider) = (begun.test, Rider { id: begun.rider, token: begun.token });
            let user = rider.id;
            let signed_up = test.app.db.write(move |tx| Box::pin(empty_profile(tx, user)));
            signed_up.await.unwrap();
            let paid = open(&test, &rider, "500.00").await;
            press(&test, &paid.page, "pay").await;
            verify(&test, &rider, &paid.intent_id).await.ok();
            test.drain_jobs().await;
            let intent = open(&test, &rider, "300.00").await.intent_id;
            let caller = test.bearer(&rider.token);
            let transaction = first(&caller, "/api/v1/payments/transactions").await;
            let notification = first(&caller, "/api/v1/notifications").await;
            let phone = json!({ "device_id": "a-phone-of-this-tour", "device_type": "android" });
            caller.post("/api/v1/auth/device", phone).await.ok();
            let device = first(&caller, "/api/v1/auth/devices").await;
            tours.push(Self {
                device,
                rental: begun.rental.to_string(),
                intent,
                transaction,
                notification,
                test,
                rider,
            });
        }
        tours
    }

    /// What stands in the open places of an operation of riders: one thing in each.
    pub(crate) fn named(&self, operation: &Operation) -> Vec<Named> {
        let path = operation.path.as_str();
        let open = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        open.map(|name| match name {
            "serial_number" | "sn" => Named::Common(STATION.to_owned()),
            "provider" => Named::Common("sandbox".to_owned()),
            "attempt" => Named::Common("01890f3e-7cc2-7000-8000-000000000001".to_owned()),
            "name" => Named::Common("picture.jpg".to_owned()),
            "id" if path.contains("/media/") => {
                Named::Common("01890f3e-7cc2-7000-8000-000000000001".to_owned())
            }
            "intent_id" => Named::Own(self.intent.clone()),
            "transaction_id" => Named::Own(self.transaction.clone()),
            "id" if path.contains("/rentals/") => Named::Own(self.rental.clone()),
            "id" if path.contains("/auth/devices/") => Named::Own(self.device.clone()),
            "id" if path.contains("/notifications/") => Named::Own(self.notification.clone()),
            _ => panic!("say in tour.rs what {{{name}}} of {path} names, and let the rider have one"),
        })
        .collect()
    }

    /// The operation with the rider's things in its path and the examples of its description in query and body.
    pub(crate) async fn ask(&self, caller: &Caller<'_>, operation: &Operation, key: &str) -> Answer {
        let mut things = self.named(operation).into_iter();
        let mut fill = |part: &str| match things.next() {
            Some(Named::Own(thing) | Named::Common(thing)) => thing,
            None => part.to_owned(),
        };
        let parts = operation.path.split('/');
        let parts = parts.map(|part| if part.starts_with('{') { fill(part) } else { part.to_owned() });
        let path = parts.collect::<Vec<_>>().join("/") + &operation.example_query();
        send(caller, &operation.method, &path, &operation.example_body(), key).await
    }
}

async fn send(caller: &Caller<'_>, method: &Method, path: &str, body: &Value, key: &str) -> Answer {
    let request = caller.request(method.clone(), path).header("idempotency-key", key);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    caller.send(request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap()).await
}

async fn first(caller: &Caller<'_>, list: &str) -> String {
    let listed = caller.get(list).await.ok();
    listed["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{list} is empty: {listed}")).to_owned()
}
