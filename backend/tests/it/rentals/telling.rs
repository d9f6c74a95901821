//! What riders tell of a rental: where they are with it, and what is wrong with it.

use super::world::{Rider, World};
use crate::staff::staff_token;
use entities::admin_profile::AdminRole;
use entities::media_upload::{self, MediaFileType, MediaPurpose};
use entities::rental_location;
use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use serde_json::{Value, json};
use uuid::Uuid;

impl World {
    /// A picture that somebody uploaded.
    async fn picture(&self, rider: &Rider) -> Uuid {
        let user = rider.id;
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let id = tx.new_uuid();
                let row = media_upload::ActiveModel {
                    id: Set(id.into()),
                    uploaded_by: Set(Some(user)),
                    file_url: Set(format!("/api/v1/media/private/{id}/cable.jpg")),
                    file_type: Set(MediaFileType::Image),
                    purpose: Set(MediaPurpose::Issue),
                    stored_at: Set(Some(tx.now())),
                    attached_at: Set(None),
                    original_name: Set("cable.jpg".to_owned()),
                    file_size: Set(1_000),
                    created_at: Set(tx.now()),
                };
                row.insert(tx).await?;
                Ok(id)
            })
        });
        written.await.unwrap()
    }
}

fn place(latitude: f64, longitude: f64) -> Value {
    json!({ "latitude": latitude, "longitude": longitude, "accuracy": 8.5 })
}

#[tokio::test]
async fn a_place_is_kept_while_the_bank_is_out_and_not_more_often_than_needed() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let (rider, stranger) = (world.rider(500).await, world.rider(0).await);
        let id = world.start(&rider, "A").await;
        let path = format!("/api/v1/rentals/{id}/location");
        let caller = world.test.bearer(&rider.token);
        caller.post(&path, place(27.7, 85.3)).await.problem(409, "invalid_rental_status");
        world.verdict(id, protocol::control::Verdict::Done).await;

        let noted = caller.post(&path, place(27.7, 85.3)).await;
        assert_eq!((noted.status.as_u16(), &noted.body["latitude"]), (201, &json!(27.7)));
        let again = caller.post(&path, place(27.8, 85.3)).await;
        assert_eq!(again.headers["retry-after"], "10");
        again.problem(429, "location_too_soon");
        world.advance_s(10);
        caller.post(&path, json!({ "latitude": 27.8, "longitude": 85.3 })).await.ok();
        world
            .test
            .bearer(&stranger.token)
            .post(&path, place(0.0, 0.0))
            .await
            .problem(404, "rental_not_found");
        for (field, value) in [("latitude", 90.5), ("longitude", -180.5), ("accuracy", -1.0)] {
            let mut wrong = place(27.7, 85.3);
            wrong[field] = json!(value);
            let problem = caller.post(&path, wrong).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }

        let kept = rental_location::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert_eq!(kept.iter().map(|row| row.accuracy).collect::<Vec<_>>(), [8.5, 10.0]);
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Moderator).await);
        let seen = staff.get(&format!("/api/v1/admin/rentals/{id}")).await.ok();
        assert_eq!(seen["locations"][0]["latitude"], 27.8);
        world.insert(a, 1, 1).await;
        world.settle().await;
        world.advance_s(60);
        caller.post(&path, place(27.7, 85.3)).await.problem(409, "invalid_rental_status");
        // Where somebody was is not kept for ever.
        world.advance_s(91 * 86_400);
        backend::housekeeping::sweep(&world.test.app).await.unwrap();
        let kept = rental_location::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert_eq!(kept, []);
    }
}

#[tokio::test]
async fn what_is_wrong_is_reported_with_pictures_and_resolved_by_staff() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (rider, stranger) = (world.rider(500).await, world.rider(0).await);
        let id = world.start_and_eject(&rider, "A").await;
        let (caller, path) = (world.test.bearer(&rider.token), format!("/api/v1/rentals/{id}/report-issue"));
        let (mine, theirs) = (world.picture(&rider).await, world.picture(&stranger).await);
        let report = |kind: &str, images: Value| json!({ "issue_type": kind, "description": "The cable is torn off.", "images": images });

        let short = json!({ "issue_type": "charging_issue", "description": "broken" });
        let problem = caller.post(&path, short).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/description");
        for images in [json!([theirs]), json!([mine, mine]), json!([Uuid::nil()])] {
            let problem = caller.post(&path, report("charging_issue", images)).await;
            assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["pointer"], "/images");
        }
        let made = caller.post(&path, report("charging_issue", json!([mine]))).await;
        assert_eq!((made.status.as_u16(), &made.body["status"]), (201, &json!("reported")));
        let link = made.body["images"][0].as_str().unwrap();
        assert!(link.starts_with(&format!("/api/v1/media/private/{mine}/cable.jpg?expires=")), "{link}");
        caller
            .post(&path, report("charging_issue", json!([])))
            .await
            .problem(409, "rental_issue_already_reported");
        let other_name = format!("/api/v1/rentals/{id}/issues");
        caller.post(&other_name, report("power_bank_damaged", json!([]))).await.ok();
        assert_eq!(caller.get(&other_name).await.ok()["items"].as_array().unwrap().len(), 2);
        let unknown = world.test.bearer(&stranger.token);
        unknown.get(&other_name).await.problem(404, "rental_not_found");
        unknown.post(&path, report("return_issue", json!([]))).await.problem(404, "rental_not_found");

        let moderator = world.test.bearer(staff_token(&world.test, AdminRole::Moderator).await);
        let open = moderator.get("/api/v1/admin/rental-issues?status=reported&limit=1").await.ok();
        assert_eq!(open["items"][0]["issue_type"], "power_bank_damaged");
        let next = open["next_cursor"].as_str().unwrap();
        let rest = moderator.get(&format!("/api/v1/admin/rental-issues?status=reported&cursor={next}")).await;
        assert_eq!(rest.ok()["items"][0]["id"], made.body["id"]);
    }
}

#[tokio::test]
async fn a_report_is_resolved_once_and_the_rider_is_told() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        let caller = world.test.bearer(&rider.token);
        let body = json!({ "issue_type": "return_issue", "description": "The slot does not lock." });
        let made = caller.post(&format!("/api/v1/rentals/{id}/report-issue"), body).await.ok();
        world.settle().await;
        world.advance_s(60);
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let path = format!("/api/v1/admin/rental-issues/{}/resolve", made["id"].as_str().unwrap());
        staff.post(&path, json!({ "note": " " })).await.problem(422, "validation_failed");
        let done = staff.post(&path, json!({ "note": "The slot is mended." })).await.ok();
        assert_eq!(done["status"], "resolved");
        staff.post(&path, json!({ "note": "Twice." })).await.problem(409, "rental_issue_already_resolved");
        let unknown = format!("/api/v1/admin/rental-issues/{}/resolve", Uuid::nil());
        staff.post(&unknown, json!({ "note": "None." })).await.problem(404, "rental_issue_not_found");
        world.settle().await;
        let told = caller.get("/api/v1/notifications").await.ok();
        assert_eq!(told["items"][0]["title"], "We have looked at your report");
        assert!(told["items"][0]["message"].as_str().unwrap().ends_with("The slot is mended."));
    }
}
