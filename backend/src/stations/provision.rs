//! Making a station: its row, its slots, and the key with which it logs in.

use crate::app::App;
use crate::audit;
use crate::auth::Staff;
use crate::config::Secrets;
use crate::db::Tx;
use crate::error::{Error, Problem, Result};
use crate::random::Random;
use crate::resource::Checks;
use crate::stations::description::{Description, is_serial};
use crate::stations::{Refusal, presence, roster};
use entities::id::{StationId, StationSlotId};
use entities::station::{self, StationStatus};
use entities::station_key::{self, Admission};
use entities::station_slot::{self, SlotStatus};
use protocol::crypto::MasterKey;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// Letters and digits that a person does not mistake for one another.
const SERIAL_ALPHABET: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// The key generation of a station that was never re-keyed.
const FIRST_KEY_GEN: u16 = 1;

/// What is known of a station before it is built.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStation {
    /// What people call it.
    #[schema(example = "Thamel Chowk")]
    pub station_name: String,
    /// What its QR code says: 1 to 32 letters, digits and dashes.
    #[schema(example = "KTM-0001")]
    pub serial_number: String,
    /// The modem's 15 digits; checked at login if set.
    #[serde(default)]
    pub imei: Option<String>,
    /// Degrees north.
    #[schema(example = 27.7154)]
    pub latitude: f64,
    /// Degrees east.
    #[schema(example = 85.3123)]
    pub longitude: f64,
    /// Where it is, in words.
    #[serde(default)]
    pub address: String,
    /// What stands beside it.
    #[serde(default)]
    pub landmark: Option<String>,
    /// How many slots it has, 1 to 255.
    #[schema(minimum = 1, maximum = 255, example = 8)]
    pub total_slots: u8,
}

/// A serial number for a station whose maker gave it none.
pub fn new_serial(random: &Random) -> String {
    format!("CH-{}", random.text(SERIAL_ALPHABET, 6))
}

/// A station that can log in. The key is shown once to whoever puts it into the cabinet.
#[derive(Clone, Serialize, ToSchema)]
pub struct Provisioned {
    /// Its id, also on the wire.
    pub station_id: StationId,
    /// What its QR code says.
    pub serial_number: String,
    /// Which master its key is derived from.
    pub key_id: u16,
    /// The generation of its key.
    pub key_gen: u16,
    /// The key: 32 bytes in hexadecimal. Secret.
    pub key: String,
}

/// Makes a station with all its slots, free to log in at once.
pub async fn provision(app: &App, station: NewStation) -> Result<Provisioned> {
    provision_by(app, station, None).await
}

/// The same, noted as the deed of a member of staff.
pub(super) async fn provision_by(
    app: &App,
    station: NewStation,
    staff: Option<Staff>,
) -> Result<Provisioned> {
    check(&station)?;
    let (secrets, serial) = (app.secrets.clone(), station.serial_number.clone());
    let (station_id, key_id) = app
        .db
        .write(move |tx| {
            let (station, secrets, staff) = (station.clone(), secrets.clone(), staff.clone());
            Box::pin(async move {
                let (station_id, key_id) = add(tx, &secrets, &station).await?;
                if let Some(staff) = &staff {
                    let changes = json!({ "serial_number": station.serial_number });
                    audit::note(tx, staff, "station.create", "stations", station_id, changes).await?;
                }
                Ok((station_id, key_id))
            })
        })
        .await?;
    app.places.forget();
    secret(&app.secrets, station_id, serial, key_id, FIRST_KEY_GEN)
}

/// What a station needs to log in, again: for whoever replaces its controller.
pub async fn provisioned(app: &App, serial_number: &str) -> Result<Provisioned> {
    let found = station_key::Entity::find()
        .find_also_related(station::Entity)
        .filter(station::Column::SerialNumber.eq(serial_number))
        .one(app.db.read())
        .await?;
    let Some((key, Some(station))) = found else { return Err(Refusal::StationNotFound.into()) };
    let out_of_range = |_| Error::internal(format!("station_keys {}: out of range", station.id));
    let key_id = u16::try_from(key.key_id).map_err(out_of_range)?;
    let key_gen = u16::try_from(key.key_gen).map_err(out_of_range)?;
    secret(&app.secrets, station.id, station.serial_number, key_id, key_gen)
}

/// Writes the station in the caller's transaction and answers its id and the master of its key.
async fn add(tx: &Tx, secrets: &Secrets, new: &NewStation) -> Result<(StationId, u16)> {
    let (key_id, _) = secrets.station_masters.last_key_value().ok_or(Refusal::NoStationMaster)?;
    refuse_twins(tx, new).await?;
    let station_id = StationId::from(tx.new_uuid());
    let row = station::ActiveModel {
        id: Set(station_id),
        station_name: Set(new.station_name.trim().to_owned()),
        serial_number: Set(new.serial_number.clone()),
        imei: Set(new.imei.clone()),
        latitude: Set(new.latitude),
        longitude: Set(new.longitude),
        address: Set(new.address.trim().to_owned()),
        landmark: Set(new.landmark.clone()),
        opening_time: Set(None),
        closing_time: Set(None),
        total_slots: Set(i32::from(new.total_slots)),
        status: Set(StationStatus::Offline),
        is_maintenance: Set(false),
        hardware_info: Set(json!({})),
        last_heartbeat: Set(None),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    station::Entity::insert(row).exec_without_returning(tx).await?;
    let slots = (1..=new.total_slots).map(|number| station_slot::ActiveModel {
        id: Set(StationSlotId::from(tx.new_uuid())),
        station_id: Set(station_id),
        slot_number: Set(i32::from(number)),
        status: Set(SlotStatus::Available),
        battery_level: Set(None),
        current_rental: Set(None),
        slot_metadata: Set(json!({})),
        last_updated: Set(tx.now()),
    });
    station_slot::Entity::insert_many(slots).exec_without_returning(tx).await?;
    let key = station_key::ActiveModel {
        station_id: Set(station_id),
        key_id: Set(i32::from(*key_id)),
        key_gen: Set(i32::from(FIRST_KEY_GEN)),
        min_key_gen: Set(i32::from(FIRST_KEY_GEN)),
        admission: Set(Admission::Approved),
        roster_version: Set(roster::next_version(tx).await?),
    };
    station_key::Entity::insert(key).exec_without_returning(tx).await?;
    Ok((station_id, *key_id))
}

async fn refuse_twins(tx: &Tx, new: &NewStation) -> Result<()> {
    let same_serial = station::Entity::find().filter(station::Column::SerialNumber.eq(&new.serial_number));
    if same_serial.one(tx).await?.is_some() {
        return Err(Refusal::SerialNumberTaken.into());
    }
    if let Some(imei) = &new.imei
        && station::Entity::find().filter(station::Column::Imei.eq(imei)).one(tx).await?.is_some()
    {
        return Err(Refusal::ImeiTaken.into());
    }
    Ok(())
}

fn check(new: &NewStation) -> Result<(), Problem> {
    let mut checks = Checks::default();
    let mut described = Description {
        station_name: new.station_name.clone(),
        imei: new.imei.clone(),
        latitude: new.latitude,
        longitude: new.longitude,
        address: new.address.clone(),
        landmark: new.landmark.clone(),
        opening_time: None,
        closing_time: None,
    };
    described.check(&mut checks);
    let serial = || "must be 1 to 32 letters, digits and dashes, and not a word of ours".to_owned();
    checks.require(is_serial(&new.serial_number), "/serial_number", serial);
    checks.require(new.total_slots > 0, "/total_slots", || "must be 1 to 255".to_owned());
    checks.done()
}

/// The key of that generation, in the words for whoever puts it into the cabinet.
pub(super) fn secret(
    secrets: &Secrets,
    station_id: StationId,
    serial_number: String,
    key_id: u16,
    key_gen: u16,
) -> Result<Provisioned> {
    let master = secrets.station_masters.get(&key_id).ok_or(Refusal::NoStationMaster)?;
    let key = MasterKey::from_bytes(*master).station_key(presence::wire_station_id(station_id), key_gen);
    Ok(Provisioned { station_id, serial_number, key_id, key_gen, key: hex::encode(key.expose()) })
}
