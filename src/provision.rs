//! `chautari station provision`, `rekey`, `revoke`, `approve`: a station's row in the books, and the secret that its
//! firmware needs.

use backend::app::App;
use backend::stations::keys;
use backend::stations::provision::{self, NewStation, Provisioned};
use entities::station_key::Admission;
use qrcode::QrCode;
use qrcode::render::unicode;

use crate::cli::{Provision, StationAction};

/// Does what is asked, and prints what the station needs, once.
pub(crate) async fn run(app: &App, action: StationAction) -> anyhow::Result<()> {
    match action {
        StationAction::Provision(asked) => {
            let slots = asked.slots;
            let made = provision::provision(app, new_station(app, asked)).await?;
            print!("{}", sticker(&made, slots)?);
        }
        StationAction::Rekey(station) => {
            let made = keys::rekey(app, &station.serial).await?;
            print!("{}\nThe key is shown only now. The one before is refused from now on.\n", secrets(&made));
        }
        StationAction::Revoke(station) => admit(app, &station.serial, Admission::Revoked).await?,
        StationAction::Approve(station) => admit(app, &station.serial, Admission::Approved).await?,
    }
    Ok(())
}

async fn admit(app: &App, serial: &str, admission: Admission) -> anyhow::Result<()> {
    let access = keys::admit(app, serial, admission).await?;
    println!("Station {} is {}.", access.serial_number, access.admission.as_str());
    Ok(())
}

fn new_station(app: &App, asked: Provision) -> NewStation {
    NewStation {
        station_name: asked.name,
        serial_number: asked.serial.unwrap_or_else(|| provision::new_serial(&app.random)),
        imei: asked.imei,
        latitude: asked.latitude,
        longitude: asked.longitude,
        address: asked.address,
        landmark: Some(asked.landmark).filter(|landmark| !landmark.is_empty()),
        total_slots: asked.slots,
    }
}

fn sticker(made: &Provisioned, slots: u8) -> anyhow::Result<String> {
    let code = QrCode::new(&made.serial_number)?;
    let qr = code
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build();
    let (key, id) = (&made.key, made.station_id);
    Ok(format!(
        "{qr}\n\n{}\n\
         The key is shown only now. Try it without hardware:\n  \
         CHAUTARI_STATION_KEY={key} chautari station --id {id} --slots {slots}\n",
        secrets(made),
    ))
}

fn secrets(made: &Provisioned) -> String {
    let Provisioned { station_id, serial_number, key_id, key_gen, key } = made;
    format!(
        "serial       {serial_number}\n\
         station id   {station_id}\n\
         key          {key}\n\
         key id       {key_id}\n\
         key gen      {key_gen}\n"
    )
}
