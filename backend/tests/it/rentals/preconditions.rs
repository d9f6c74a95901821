//! What must hold before a rental starts, one rule after the other: each is said before the next one.

use super::world::{ONE_HOUR, World};
use entities::app_config;
use entities::rental_package::{self, PaymentModel};
use entities::user_kyc::{self, KycStatus};
use entities::{station, user, user_profile};
use protocol::control::EventBody;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::json;

impl World {
    /// Staff set it so.
    pub(super) async fn set(&self, key: &'static str, value: &'static str) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let changed = app_config::Entity::update_many()
                    .col_expr(app_config::Column::ConfigValue, Expr::value(value))
                    .filter(app_config::Column::ConfigKey.eq(key))
                    .exec(tx)
                    .await?;
                assert_eq!(changed.rows_affected, 1, "{key}");
                Ok(())
            })
        });
        written.await.unwrap();
    }

    async fn name_rider(&self, id: entities::id::UserId) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let person = user::ActiveModel {
                    id: Set(id),
                    first_name: Set(Some("Sita".to_owned())),
                    last_name: Set(Some("Rai".to_owned())),
                    ..Default::default()
                };
                person.update(tx).await?;
                let profile = user_profile::ActiveModel {
                    id: Set(tx.new_uuid().into()),
                    user_id: Set(id),
                    city: Set(Some("Kathmandu".to_owned())),
                    date_of_birth: Set(Some("1999-01-01".parse().unwrap())),
                    gender: Set(None),
                    emergency_contact: Set(None),
                    created_at: Set(tx.now()),
                    updated_at: Set(tx.now()),
                };
                profile.insert(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }

    async fn approve_rider(&self, id: entities::id::UserId) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let kyc = user_kyc::ActiveModel {
                    id: Set(tx.new_uuid().into()),
                    user_id: Set(id),
                    citizenship_number: Set("12-34-56".to_owned()),
                    citizenship_front_image: Set("front".to_owned()),
                    citizenship_back_image: Set("back".to_owned()),
                    status: Set(KycStatus::Approved),
                    rejection_reason: Set(None),
                    updated_by: Set(None),
                    submitted_at: Set(tx.now()),
                    verified_at: Set(Some(tx.now())),
                };
                kyc.insert(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }

    async fn maintain(&self, id: entities::id::StationId, on: bool) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let change =
                    station::ActiveModel { id: Set(id), is_maintenance: Set(on), ..Default::default() };
                change.update(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }

    async fn sell(&self, model: PaymentModel) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let change = rental_package::ActiveModel {
                    id: Set(ONE_HOUR.parse().unwrap()),
                    payment_model: Set(model),
                    ..Default::default()
                };
                change.update(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }
}

#[tokio::test]
async fn each_rule_is_said_before_the_next_one() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(0).await;
        let (mut number, caller) = (0, world.test.bearer(&rider.token));
        let mut start = async |more: serde_json::Value| {
            let mut body = json!({ "station_sn": "A", "package_id": ONE_HOUR });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            number += 1;
            caller.post_once(&format!("precondition-{number}"), "/api/v1/rentals/start", body).await
        };
        // Everything is wrong at once; then one thing after the other is put right.
        world.set("NEED_RENTALS_PROFILE_COMPLETE", "true").await;
        world.set("NEED_RENTALS_KYC_VERIFIED", "true").await;
        world.maintain(a, true).await;
        world.gateway.lock().unwrap().sessions.clear();
        world.hello();
        let mut empty = crate::stations::table(world.last_event_no(a), &[Some(1), Some(2)]);
        empty.slots.iter_mut().for_each(|slot| slot.level_percent = 5);
        world.event(a, EventBody::Inventory(empty)).await;
        world.sell(PaymentModel::Postpaid).await;
        let wrong = || json!({ "payment_mode": "points" });

        let pointers = |refused: &serde_json::Value| -> Vec<String> {
            let errors = refused["errors"].as_array().unwrap();
            errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
        };
        let refused = start(wrong()).await.problem(403, "rental_prerequisites_not_met");
        assert_eq!(pointers(&refused), ["/profile", "/kyc"]);
        assert_eq!(refused["detail"], "Complete the profile first.");
        world.name_rider(rider.id).await;
        let refused = start(wrong()).await.problem(403, "rental_prerequisites_not_met");
        assert_eq!(pointers(&refused), ["/kyc"]);
        assert_eq!(refused["detail"], "The proof of identity must be approved first.");
        world.approve_rider(rider.id).await;
        start(wrong()).await.problem(409, "station_maintenance");
        world.maintain(a, false).await;
        start(wrong()).await.problem(503, "station_offline");
        world.gateway.lock().unwrap().sessions.insert(a);
        world.hello();
        start(wrong()).await.problem(409, "no_powerbanks_available");
        world.inventory(a, &[Some(1), Some(2)]).await;
        start(json!({ "payment_mode": "points", "powerbank_sn": "00000000000000FF" }))
            .await
            .problem(409, "requested_powerbank_unavailable");
        start(wrong()).await.problem(422, "payment_mode_not_supported");
        start(json!({ "points_to_use": 1 })).await.problem(422, "payment_mode_not_supported");
        start(json!({})).await.problem(402, "insufficient_postpaid_balance");
        world.sell(PaymentModel::Prepaid).await;
        start(json!({ "payment_mode": "wallet_points", "points_to_use": 501 }))
            .await
            .problem(422, "split_total_mismatch");
        start(json!({})).await.problem(402, "insufficient_balance");
        world.top_up(&rider, 100).await;
        let started = start(json!({ "powerbank_sn": "0000000000000002" })).await;
        assert_eq!(started.status, 202, "{}", started.body);
        assert_eq!(started.body["power_bank"]["serial_number"], "0000000000000002");
        // Whoever has one is told so before anything about the station.
        world.maintain(a, true).await;
        start(wrong()).await.problem(409, "active_rental_exists");
        world.books_agree().await;
    }
}
