//! `chautari station provision`: a station's row in the books, and the secret that its firmware needs.

use backend::app::App;
use backend::stations::provision::{self, NewStation, Provisioned};
use qrcode::QrCode;
use qrcode::render::unicode;

use crate::cli::Provision;

/// Creates the station and prints what it needs, once.
pub(crate) async fn run(app: &App, asked: Provision) -> anyhow::Result<()> {
    let slots = asked.slots;
    let made = provision::provision(app, new_station(app, asked)).await?;
    print!("{}", sticker(&made, slots)?);
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
    Ok(format!(
        "{qr}\n\n\
         serial       {serial}\n\
         station id   {id}\n\
         key          {key}\n\
         key id       {key_id}\n\
         key gen      {key_gen}\n\n\
         The key is shown only now. Try it without hardware:\n  \
         CHAUTARI_STATION_KEY={key} chautari station --id {id} --slots {slots}\n",
        serial = made.serial_number,
        id = made.station_id,
        key = made.key,
        key_id = made.key_id,
        key_gen = made.key_gen,
    ))
}
