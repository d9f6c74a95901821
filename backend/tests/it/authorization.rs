//! Whose is it? Every operation that names a rider's thing is tried by another rider.

use crate::operations::lasting_first;
use crate::riders::rider_with;
use crate::tour::{Named, Tour};
use serde_json::json;

#[tokio::test]
async fn another_riders_things_are_not_found() {
    for tour in Tour::on_each_backend().await {
        let other = rider_with(&tour.test.app, 1_000_000).await;
        let mut faults = Vec::new();
        let mut tried = 0;
        for operation in lasting_first() {
            let names_own = || tour.named(&operation).iter().any(|named| matches!(named, Named::Own(_)));
            if operation.who.as_deref() != Some("rider") || !operation.path.contains('{') || !names_own() {
                continue;
            }
            tried += 1;
            let name = operation.name();
            let refused =
                tour.ask(&tour.test.bearer(&other.token), &operation, &format!("other-{tried:04}")).await;
            if refused.status != 404 {
                faults.push(format!("{name} tells another rider {} {}", refused.status, refused.body));
            }
            // The same request finds the thing if the right one asks: so it is not the request that was wrong.
            let own = tour
                .ask(&tour.test.bearer(&tour.rider.token), &operation, &format!("owner-{tried:04}"))
                .await;
            if own.status == 404 || own.status.is_server_error() {
                faults.push(format!("{name} tells its owner {} {}", own.status, own.body));
            }
        }
        assert!(faults.is_empty(), "{}:\n  {}", tour.test.backend(), faults.join("\n  "));
        assert!(tried >= 9, "only {tried} operations were tried");
    }
}

#[tokio::test]
async fn another_riders_payment_is_not_found_by_its_number_in_a_body_either() {
    for tour in Tour::on_each_backend().await {
        let other = rider_with(&tour.test.app, 1).await;
        let own = crate::payments::open(&tour.test, &tour.rider, "700.00").await;
        let body = json!({ "intent_id": own.intent_id });
        let answer = tour.test.bearer(&other.token).post("/api/v1/payments/verify-topup", body).await;
        assert_eq!(answer.status, 404, "{}: {}", tour.test.backend(), answer.body);
    }
}
