//! A rider and a member of staff made for this run, and the banner that introduces them.

use std::path::Path;

use backend::app::App;
use backend::identity::sms::OtpOutbox;
use backend::staff::{self, NewStaff};
use entities::admin_profile::AdminRole;
use entities::rental_package;
use sea_orm::{EntityTrait, QueryOrder};
use simulator::rest::{OneTimePasswords, Rest, Session};
use simulator::riders;
use simulator::street::StandingCabinet;

use crate::node::Node;

/// The phone of the rider who is made for the person at the keyboard.
const RIDER_PHONE: &str = "+9779851000001";
/// What that rider's wallet is topped up with, rupees.
const RIDER_RUPEES: u32 = 500;
const LETTERS: &str = "abcdefghjkmnpqrstuvwxyz23456789";

/// Reads one-time passwords where the console shows them.
pub(super) struct Outbox(pub(super) OtpOutbox);

impl OneTimePasswords for Outbox {
    fn newest_for(&self, phone: &str) -> Option<String> {
        self.0.newest_code_for(phone)
    }
}

/// Who was made for this run.
pub(super) struct People {
    staff_email: String,
    staff_password: String,
    rider_token: String,
    package_id: String,
}

/// Makes them, the rider by the same calls that a phone makes.
pub(super) async fn sign_up(app: &App, rest: &Rest) -> anyhow::Result<People> {
    let staff_email = format!("demo-{}@chautari.example", app.random.text(LETTERS, 4));
    let staff_password = app.random.text(LETTERS, 16);
    let new = NewStaff {
        email: staff_email.clone(),
        password: staff_password.clone(),
        role: AdminRole::SuperAdmin,
    };
    staff::create(app, new).await?;

    let rider = Session::open(rest, RIDER_PHONE, &Outbox(app.otp_outbox.clone())).await?;
    riders::top_up(&rider.rest, RIDER_RUPEES, app.random.uuid_v7(app.clock.now())).await?;
    let package = rental_package::Entity::find()
        .order_by_asc(rental_package::Column::DurationMinutes)
        .one(app.db.read())
        .await?;
    Ok(People {
        staff_email,
        staff_password,
        rider_token: rider.rest.access_token().unwrap_or_default().to_owned(),
        package_id: package.map(|package| package.id.to_string()).unwrap_or_default(),
    })
}

/// What runs where, who may sign in, and three commands worth trying.
pub(super) fn banner(node: &Node, data_dir: &Path, people: &People, cabinets: &[StandingCabinet]) -> String {
    let at = node.addresses;
    let serial = cabinets.first().map_or("", |standing| standing.serial.as_str());
    format!(
        "\n\
         Chautari demo: {count} stations in Kathmandu, riders on their way. Ctrl-C stops it.\n\
         \n\
         \x20 console   http://{public}/console     {email}  {password}\n\
         \x20 API       http://{public}/api/docs\n\
         \x20 stations  {stations}  (CSP/1, clear link)\n\
         \x20 metrics   http://{metrics}/metrics\n\
         \x20 data      {data}\n\
         \n\
         Rent a bank yourself. A rider ({phone}, NPR {rupees} in the wallet) is signed in:\n\
         \n\
         \x20 TOKEN={token}\n\
         \x20 curl 'http://{public}/api/v1/stations/nearby?lat=27.7153&lng=85.3123&radius=2'\n\
         \x20 curl -X POST http://{public}/api/v1/rentals/start -H \"Authorization: Bearer $TOKEN\" -H \"Idempotency-Key: my-first-rental\" \\\n\
         \x20      -H 'Content-Type: application/json' -d '{{\"station_sn\":\"{serial}\",\"package_id\":\"{package}\"}}'\n\
         \x20 curl http://{public}/api/v1/rentals/active -H \"Authorization: Bearer $TOKEN\"\n",
        count = cabinets.len(),
        public = at.public,
        email = people.staff_email,
        password = people.staff_password,
        stations = at.stations,
        metrics = at.metrics,
        data = data_dir.display(),
        phone = RIDER_PHONE,
        rupees = RIDER_RUPEES,
        token = people.rider_token,
        package = people.package_id,
    )
}
