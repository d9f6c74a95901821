//! What staff write of a station, and the sticker that goes on it.

use crate::error::Result;
use crate::limits;
use crate::resource::Checks;
use entities::station;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The edge of a printed QR code, pixels.
const QR_EDGE: u32 = 160;

/// Words that are paths beside `stations/{serial_number}`: no station may be called like that.
const RESERVED: [&str; 3] = ["nearby", "favorites", "my-reports"];

/// What staff write of a station.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200, example = "Thamel Chowk")]
    pub station_name: String,
    /// The modem's 15 digits; checked at login if set.
    #[serde(default)]
    #[schema(pattern = "^[0-9]{15}$", example = "490154203237518")]
    pub imei: Option<String>,
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90, example = 27.7154)]
    pub latitude: f64,
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180, example = 85.3123)]
    pub longitude: f64,
    /// Where it is, in words.
    #[serde(default)]
    #[schema(max_length = 200, example = "Thamel Marg, Kathmandu")]
    pub address: String,
    /// What stands beside it.
    #[serde(default)]
    #[schema(max_length = 200, example = "Beside the bookshop")]
    pub landmark: Option<String>,
    /// From when on people can get at it, in Nepal; always if both times are absent.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "06:00")]
    pub opening_time: Option<String>,
    /// Until when; before `opening_time` it is on the next day.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "21:30")]
    pub closing_time: Option<String>,
}

impl Description {
    /// What the book has.
    pub(super) fn of(row: &station::Model) -> Self {
        Self {
            station_name: row.station_name.clone(),
            imei: row.imei.clone(),
            latitude: row.latitude,
            longitude: row.longitude,
            address: row.address.clone(),
            landmark: row.landmark.clone(),
            opening_time: row.opening_time.clone(),
            closing_time: row.closing_time.clone(),
        }
    }

    /// Trims what people type and notes every field that is wrong.
    pub(super) fn check(&mut self, checks: &mut Checks) {
        checks.text("/station_name", &mut self.station_name, limits::STATION_TEXT_MAX);
        checks.text_or_empty("/address", &mut self.address, limits::STATION_TEXT_MAX);
        checks.text_or_none("/landmark", &mut self.landmark, limits::STATION_TEXT_MAX);
        let imei_fits = self.imei.as_deref().is_none_or(is_imei);
        checks.require(imei_fits, "/imei", || "must be 15 digits".to_owned());
        let north = (-90.0..=90.0).contains(&self.latitude);
        checks.require(north, "/latitude", || "must be -90 to 90 degrees".to_owned());
        let east = (-180.0..=180.0).contains(&self.longitude);
        checks.require(east, "/longitude", || "must be -180 to 180 degrees".to_owned());
        for (pointer, time) in [("/opening_time", &self.opening_time), ("/closing_time", &self.closing_time)]
        {
            let fits = time.as_deref().is_none_or(is_time);
            checks.require(fits, pointer, || "must be HH:MM".to_owned());
        }
        let paired = self.opening_time.is_some() == self.closing_time.is_some();
        checks.require(paired, "/closing_time", || "goes together with opening_time".to_owned());
    }
}

/// 1 to 32 letters, digits and dashes, and no word that is a path.
pub(crate) fn is_serial(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(letters) && !RESERVED.contains(&text)
}

/// 15 digits.
pub(super) fn is_imei(text: &str) -> bool {
    text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `HH:MM`.
fn is_time(text: &str) -> bool {
    let number = |part: &str| (part.len() == 2).then(|| part.parse::<u8>().ok()).flatten();
    let Some((hour, minute)) = text.split_once(':') else { return false };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    digits && number(hour).is_some_and(|hour| hour < 24) && number(minute).is_some_and(|minute| minute < 60)
}

/// The QR code on a station's sticker, as a picture.
pub(crate) fn qr_svg(serial_number: &str) -> Result<String> {
    let code = QrCode::new(serial_number).map_err(anyhow::Error::from)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(QR_EDGE, QR_EDGE).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_a_clock() {
        for (text, good) in [
            ("00:00", true),
            ("23:59", true),
            ("24:00", false),
            ("7:30", false),
            ("07:60", false),
            ("+7:30", false),
            ("07-30", false),
            ("", false),
        ] {
            assert_eq!(is_time(text), good, "{text}");
        }
    }

    #[test]
    fn a_station_is_not_called_like_a_path() {
        for (text, good) in
            [("KTM-0001", true), ("nearby", false), ("a b", false), ("", false), ("ä", false), ("\0", false)]
        {
            assert_eq!(is_serial(text), good, "{text}");
        }
    }
}
